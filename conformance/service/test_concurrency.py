"""Several clients at once: nothing is lost, doubled or mixed, whoever comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

import pytest
import requests

from conformance.expect import digest_header, expect_status, sample, stored_md5
from conformance.wire import Service, transfer_document
from conformance.wire.terms import CONTAINER, LENGTH, PULL, PUSH

CLIENTS = 6
T = TypeVar("T")


def at_once(service: Service, actions: Sequence[Callable[[Service], T]]) -> list[T]:
    """Run the actions at the same moment, each over a connection of its own."""
    gate = Barrier(len(actions))

    def run(action: Callable[[Service], T]) -> T:
        user = service.acting_as(service.connection.credentials)
        user.connection.clause = service.connection.clause
        try:
            gate.wait(30)
            return action(user)
        finally:
            user.connection.close()

    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(run, actions))


@pytest.mark.clause(
    "VOS-6.2.1-create-at-once",
    source="VOSpace 2.1 §6.2.1: of several creations one is 201, others 409",
)
def test_one_of_several_creations_wins(service: Service, container: str) -> None:
    for round_number in range(5):
        path = f"{container}/{round_number}"
        answers = at_once(service, [lambda user: user.nodes.put(path)] * CLIENTS)  # noqa: B023
        found = Counter(answer.status_code for answer in answers)
        assert found == {201: 1, 409: CLIENTS - 1}
    assert len(service.nodes.read(container).children) == 5


@pytest.mark.clause(
    "VOS-6.2.1-many-at-once", source="VOSpace 2.1 §6.2.1, §6.3.1: no creation is lost"
)
def test_no_creation_is_lost(service: Service, container: str) -> None:
    def make(number: int) -> Callable[[Service], None]:
        def run(user: Service) -> None:
            for index in range(20):
                user.make(f"{container}/{number}-{index}")

        return run

    at_once(service, [make(number) for number in range(CLIENTS)])
    names = {f"{number}-{index}" for number in range(CLIENTS) for index in range(20)}
    assert set(service.nodes.read(container).children) == names


@pytest.mark.clause(
    "VOS-6.4.1-two-writers",
    source="VOSpace 2.1 §6.4.1: of two pushes one is there whole, with the properties of its bytes",
)
@pytest.mark.needs("atomicPut")
def test_two_writers_never_mix(service: Service, container: str) -> None:
    path = f"{container}/data"
    bodies = [sample(300_000, 1), sample(200_000, 2)]
    service.make(path, b"old")
    ends = [service.transfers.endpoint(path, PUSH) for _ in bodies]

    def write(number: int) -> Callable[[Service], int]:
        body, end = bodies[number], ends[number]
        return lambda user: user.transfers.send("PUT", end, data=body).status_code

    for _ in range(3):
        at_once(service, [write(0), write(1)])
        pulled = service.pull(path)
        assert pulled.content in bodies
        found = service.nodes.read(path).properties
        assert found[LENGTH] == str(len(pulled.content))
        if stored_md5(found) is not None:
            assert pulled.headers.get("Digest", digest_header(pulled.content)) == digest_header(
                pulled.content
            )


@pytest.mark.clause(
    "VOS-6.4.3-read-during-write",
    source="VOSpace 2.1 §6.4: a reader gets the old bytes or the new, never some of both",
)
@pytest.mark.needs("atomicPut")
def test_a_reader_sees_old_or_new(service: Service, container: str) -> None:
    path = f"{container}/data"
    bodies = [sample(400_000, 1), sample(400_000, 2)]
    service.make(path, bodies[0])
    write = service.transfers.endpoint(path, PUSH)

    def read(user: Service) -> bool:
        return all(user.pull(path).content in bodies for _ in range(8))

    def overwrite(user: Service) -> bool:
        answers = [
            user.transfers.send("PUT", write, data=bodies[number % 2]) for number in range(1, 9)
        ]
        return all(answer.ok for answer in answers)

    assert all(at_once(service, [read, read, overwrite]))


@pytest.mark.clause(
    "VOS-6.2.4-delete-during-read",
    source="VOSpace 2.1 §6.2.4: a reader of what is deleted gets all of it, or an error",
)
def test_a_deletion_during_a_read(service: Service, container: str) -> None:
    path, content = f"{container}/data", sample(8_000_000)
    service.make(path, content)
    with service.transfers.pull(path, stream=True) as reading:
        blocks = reading.iter_content(65_536)
        seen = next(blocks)
        expect_status(service.nodes.delete(path), 200, 204)
        try:
            seen += b"".join(blocks)
        except requests.RequestException:
            pass
        else:
            assert seen == content
    assert content.startswith(seen[: len(content)])
    expect_status(service.nodes.get(path), 404)


@pytest.mark.clause(
    "VOS-6.3.2-updates-at-once", source="VOSpace 2.1 §6.3.2: properties are united, none is lost"
)
def test_no_update_is_lost(service: Service, container: str) -> None:
    service.make(f"{container}/a")

    def update(number: int) -> Callable[[Service], int]:
        return lambda user: (
            user.nodes.post(
                f"{container}/a", CONTAINER, {f"urn:p{number}": str(number)}
            ).status_code
        )

    assert at_once(service, [update(number) for number in range(CLIENTS)]) == [200] * CLIENTS
    found = service.nodes.read(f"{container}/a").properties
    assert all(found.get(f"urn:p{number}") == str(number) for number in range(CLIENTS))


@pytest.mark.clause(
    "VOS-6.2.2-moves-at-once", source="VOSpace 2.1 §6.2.2: of several moves of a node one succeeds"
)
@pytest.mark.needs("asyncTransfers")
def test_one_of_several_moves_wins(service: Service, container: str) -> None:
    service.make(f"{container}/a", b"the bytes")

    def move(number: int) -> Callable[[Service], str]:
        uris = service.nodes.uri(f"{container}/a"), service.nodes.uri(f"{container}/b{number}")
        document = transfer_document([uris[0]], uris[1], keep_bytes=False)
        return lambda user: user.jobs().run(document).phase

    phases = Counter(at_once(service, [move(number) for number in range(CLIENTS)]))
    assert phases == {"COMPLETED": 1, "ERROR": CLIENTS - 1}
    (name,) = service.nodes.read(container).children
    assert service.pull(f"{container}/{name}").content == b"the bytes"


@pytest.mark.clause(
    "VOS-6.2.2-onto-one-name",
    source="VOSpace 2.1 §6.2.2: several nodes moved to one name: one is there",
)
@pytest.mark.needs("asyncTransfers")
def test_several_moves_to_one_name(service: Service, container: str) -> None:
    for number in range(4):
        service.make(f"{container}/a{number}", str(number).encode())

    def move(number: int) -> Callable[[Service], str]:
        uris = service.nodes.uri(f"{container}/a{number}"), service.nodes.uri(f"{container}/b")
        document = transfer_document([uris[0]], uris[1], keep_bytes=False)
        return lambda user: user.jobs().run(document).phase

    phases = at_once(service, [move(number) for number in range(4)])
    assert Counter(phases) == {"COMPLETED": 1, "ERROR": 3}
    contents = {
        service.pull(f"{container}/{name}").content
        for name in service.nodes.read(container).children
    }
    assert contents == {b"0", b"1", b"2", b"3"}


@pytest.mark.clause(
    "VOS-6.2.4-deletions-at-once", source="VOSpace 2.1 §6.2.4: of several deletions one succeeds"
)
def test_one_of_several_deletions_wins(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    answers = at_once(service, [lambda user: user.nodes.delete(f"{container}/a")] * CLIENTS)
    found = Counter(answer.ok for answer in answers)
    assert found == {True: 1, False: CLIENTS - 1}
    assert all(answer.ok or answer.status_code == 404 for answer in answers)


@pytest.mark.clause(
    "VOS-6.2.4-delete-against-create",
    source="VOSpace 2.1 §2, §6.2.4: a child never outlives its container",
)
def test_a_deletion_against_a_creation(service: Service, container: str) -> None:
    def remove(path: str) -> Callable[[Service], int]:
        return lambda user: user.nodes.delete(path).status_code

    def make(path: str) -> Callable[[Service], int]:
        return lambda user: user.nodes.put(f"{path}/child").status_code

    for number in range(8):
        path = f"{container}/{number}"
        service.make(path)
        at_once(service, [remove(path), make(path)])
        above, below = service.nodes.exists(path), service.nodes.get(f"{path}/child").ok
        assert above or not below
        assert above == (str(number) in service.nodes.read(container).children)


@pytest.mark.clause(
    "VOS-6.4.1-push-at-once", source="VOSpace 2.1 §6.4.1: several pushes to new nodes at once"
)
def test_pushes_to_several_nodes(service: Service, container: str) -> None:
    def push(number: int) -> Callable[[Service], int]:
        return lambda user: (
            user.transfers.push(f"{container}/{number}", sample(50_000, number)).status_code
        )

    statuses = at_once(service, [push(number) for number in range(CLIENTS)])
    assert all(status in (200, 201) for status in statuses)
    for number in range(CLIENTS):
        assert service.pull(f"{container}/{number}").content == sample(50_000, number)


@pytest.mark.clause(
    "VOS-6.4.3-reads-at-once", source="VOSpace 2.1 §6.4.3: several readers of one node"
)
def test_several_readers(service: Service, container: str) -> None:
    content = sample(500_000)
    service.make(f"{container}/data", content)
    assert service.transfers.negotiate(f"{container}/data", PULL).protocols
    contents = at_once(service, [lambda user: user.pull(f"{container}/data").content] * CLIENTS)
    assert all(one == content for one in contents)
