"""The simulated service answers as the served fakes do: one suite, both parametrised.

The model machine (tests/models/test_machine.py) is worth what its service is worth.  So whatever
the machine relies on is asked here of `SimulatedRemote` and of `VosRemote` on a served fake alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from fakevospace.faults import Reset, Rule
from tests.integration.remote.conftest import Open
from tests.support.sessions import ManualClock
from tests.support.simulated import Fault, SimulatedRemote
from tests.support.simulatednodes import md5_of
from tests.support.simulatedservice import SimulatedService
from vofs.core.attributes import version_token
from vofs.core.errors import (
    ContainerNotEmpty,
    ContainerNotFound,
    InvalidRequest,
    NodeExists,
    NodeNotFound,
    NotAContainer,
    RemoteFailed,
    RemoteUnavailable,
    VersionChanged,
)
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.remote.api import MovePhase, Remote

OLD, NEW = b"old bytes", b"new and longer bytes"


@dataclass(frozen=True)
class Subject:
    """A service: our way to it, another client's, and how a PUT of ours is broken."""

    vault: bool
    remote: Remote
    store: Callable[[str, bytes], object]
    break_next_put: Callable[[], object]

    def token(self, path: str) -> VersionToken:
        return version_token(self.remote.get_node(path))

    def put(self, path: str, data: bytes) -> None:
        self.remote.put_bytes(path, iter([data]), len(data))

    def get(self, path: str, start: int = 0, end: int | None = None) -> tuple[int, bytes]:
        token = self.token(path)
        with self.remote.open_bytes(path, start, end or token.length, token) as source:
            assert source.total == token.length
            return source.start, b"".join(source.chunks())

    def move(self, source: str, destination: str) -> tuple[MovePhase, str | None, str]:
        status = self.remote.run_move(self.remote.create_move(source, destination), 10.0)
        return status.phase, status.destination, status.error.partition(":")[0]


def simulated(personality: str) -> Subject:
    clock = ManualClock()
    service = SimulatedService(personality, clock.monotonic, notices_s=5.0)
    remote = SimulatedRemote(service, lambda what: clock.advance(0.01))
    return Subject(service.atomic, remote, service.store, lambda: remote.armed.append(Fault.BROKEN))


def served(personality: str, open_stage: Open) -> Subject:
    stage = open_stage(personality)
    rule = Rule(Reset(after_bytes=4), method="PUT", endpoint="bytes", times=1)
    return Subject(
        personality == "vault", stage.remote, stage.fake.put, lambda: stage.fake.faults.add(rule)
    )


@pytest.fixture(params=["simulated-vault", "simulated-cavern", "served-vault", "served-cavern"])
def subject(request: pytest.FixtureRequest, open_stage: Open) -> Iterator[Subject]:
    kind, _, personality = request.param.partition("-")
    yield simulated(personality) if kind == "simulated" else served(personality, open_stage)


def test_capabilities(subject: Subject) -> None:
    caps = subject.remote.capabilities
    same = (caps.ranges, caps.atomic_put, caps.pages, not caps.empty_put, caps.listing_lags)
    assert same == (subject.vault,) * 5
    assert caps.writable


def test_a_put_is_proved_and_makes_a_version(subject: Subject) -> None:
    """R13: (length, MD5) names it on vault; the date, too, elsewhere."""
    receipt = subject.remote.put_bytes("/f", iter([OLD[:4], OLD[4:]]), len(OLD))
    assert (receipt.md5, receipt.length) == (md5_of(OLD), len(OLD))
    first = subject.token("/f")
    assert (first.length, first.md5, first.md5_proves) == (len(OLD), md5_of(OLD), subject.vault)
    assert first.date_ms is not None
    assert first.same_version(subject.token("/f"))
    assert subject.get("/f") == (0, OLD)
    subject.put("/f", NEW)
    assert not first.same_version(subject.token("/f"))


def test_a_range_is_a_range_or_the_whole_body(subject: Subject) -> None:
    """R12."""
    subject.store("/f", NEW)
    assert subject.get("/f", 4, 9) == ((4, NEW[4:9]) if subject.vault else (0, NEW))


def test_another_version_is_told_before_its_first_byte(subject: Subject) -> None:
    """R12: length, and MD5 where it proves."""
    subject.store("/f", OLD)
    old = subject.token("/f")
    subject.store("/f", NEW)
    with pytest.raises(VersionChanged):
        subject.remote.open_bytes("/f", 0, old.length, old)
    subject.store("/f", OLD[::-1])
    if subject.vault:
        with pytest.raises(VersionChanged):
            subject.remote.open_bytes("/f", 0, old.length, old)


def test_what_is_missing_is_told(subject: Subject) -> None:
    with pytest.raises(NodeNotFound):
        subject.remote.get_node("/none")
    with pytest.raises(NodeNotFound):
        subject.remote.delete_node("/none")
    with pytest.raises(NodeNotFound):
        subject.remote.open_bytes("/none", 0, 5, VersionToken(5))
    with pytest.raises(ContainerNotFound):
        subject.put("/none/f", OLD)
    with pytest.raises(ContainerNotFound):
        subject.remote.create_node(NodeInfo("/none/f", NodeKind.DATA))


def test_nodes_come_and_go(subject: Subject) -> None:
    remote = subject.remote
    remote.create_node(NodeInfo("/d", NodeKind.CONTAINER))
    with pytest.raises(NodeExists):
        remote.create_node(NodeInfo("/d", NodeKind.CONTAINER))
    made = remote.create_node(NodeInfo("/d/f", NodeKind.DATA))
    assert (made.kind, made.length) == (NodeKind.DATA, 0)
    with pytest.raises(NodeExists):
        remote.create_node(NodeInfo("/d/f", NodeKind.DATA))
    assert [node.path for node in remote.list_children("/d")] == ["/d/f"]
    with pytest.raises(NotAContainer):
        list(remote.list_children("/d/f"))
    with pytest.raises(ContainerNotEmpty):
        remote.delete_node("/d")
    with pytest.raises(RemoteFailed if subject.vault else InvalidRequest):
        subject.put("/d", OLD)
    remote.delete_node("/d/f")
    remote.delete_node("/d")
    with pytest.raises(NodeNotFound):
        remote.get_node("/d")


def test_a_move_keeps_the_bytes_and_replaces_nothing(subject: Subject) -> None:
    """R10."""
    subject.store("/a", OLD)
    subject.store("/b", NEW)
    assert subject.move("/a", "/b")[0] is MovePhase.FAILED
    assert subject.move("/a", "/c") == (MovePhase.COMPLETED, "/c", "")
    assert (subject.get("/c"), subject.get("/b")) == ((0, OLD), (0, NEW))
    assert subject.move("/a", "/e")[0] is MovePhase.FAILED
    with pytest.raises(NodeNotFound):
        subject.remote.get_node("/a")


def test_a_move_onto_a_container_nests(subject: Subject) -> None:
    """R10."""
    subject.remote.create_node(NodeInfo("/d", NodeKind.CONTAINER))
    subject.store("/a", OLD)
    assert subject.move("/a", "/d") == (MovePhase.COMPLETED, "/d/a", "")
    assert subject.move("/d", "/e") == (MovePhase.COMPLETED, "/e", "")
    assert subject.get("/e/a") == (0, OLD)


def test_the_jobs_phase_tells_what_became_of_a_move(subject: Subject) -> None:
    """R8: asked before it runs, and after."""
    subject.store("/a", OLD)
    url = subject.remote.create_move("/a", "/b")
    assert subject.remote.move_status(url).phase is MovePhase.PENDING
    subject.remote.run_move(url, 10.0)
    assert subject.remote.move_status(url).phase is MovePhase.COMPLETED


def test_a_broken_put_leaves_the_old_bytes_or_truncates(subject: Subject) -> None:
    """R1: it is in doubt; vault keeps what was there, cavern has truncated it."""
    subject.store("/f", NEW)
    subject.break_next_put()
    with pytest.raises(RemoteUnavailable) as caught:
        subject.put("/f", OLD)
    assert caught.value.sent
    length = subject.remote.get_node("/f").length
    assert length == len(NEW) if subject.vault else length < len(OLD)


def test_a_broken_put_of_a_new_file_leaves_an_empty_node_or_a_torn_one(subject: Subject) -> None:
    subject.break_next_put()
    with pytest.raises(RemoteUnavailable):
        subject.put("/f", NEW)
    try:
        length = subject.remote.get_node("/f").length
    except NodeNotFound:
        length = 0
    assert length == 0 if subject.vault else length < len(NEW)
