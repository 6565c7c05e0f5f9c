"""What other requests and the clock do to a recursive job that is running (protocol.md 5.4).

The job stands still at a gate before one of its steps; nothing here waits for time to pass.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from lxml import etree

from fakevospace.endpoints import recursion

from .conftest import CORE, Client, MakeClient
from .jobcalls import UWS, delete_job, run, set_job, tree


@contextmanager
def running(
    client: Client, job: str, patch: pytest.MonkeyPatch, *, before_node: int
) -> Iterator[None]:
    """Run a recursive job that stands still before one of its steps until the block ends."""
    arrived, gate, steps = threading.Event(), threading.Event(), iter(range(1, 1000))
    look = recursion._check_running

    def held(*arguments: object) -> None:
        if next(steps) == before_node:
            arrived.set()
            assert gate.wait(20)
        look(*arguments)  # type: ignore[arg-type]

    patch.setattr(recursion, "_check_running", held)
    other = Client(client.fake, client.url)
    statuses: list[int] = []

    def run_it() -> None:
        statuses.append(other.call("POST", f"{job}/phase", data={"PHASE": "RUN"}).status_code)

    runner = threading.Thread(target=run_it)
    runner.start()
    try:
        assert arrived.wait(20)
        assert client.call("GET", f"{job}/phase").text == "EXECUTING"
        yield
    finally:
        gate.set()
        runner.join(20)
        other.session.close()
    assert statuses == [303]


def ended(client: Client, job: str) -> tuple[str, str | None]:
    """Return phase and end time of a job."""
    root = etree.fromstring(client.call("GET", job).content)
    return root.findtext(f"{{{UWS}}}phase") or "", root.findtext(f"{{{UWS}}}endTime")


def test_a_running_delete_is_aborted_by_another_request(
    both: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.fake.mkdir("d")
    for number in range(5):
        both.fake.put(f"d/f{number}", b"x")
    job = delete_job(both, both.uri("d"))
    with running(both, job, monkeypatch, before_node=6):  # d is opened; f0 to f4 take two each
        left = both.children("d")
        assert 0 < len(left) < 5
        answer = both.call("POST", f"{job}/phase", data={"PHASE": "ABORT"})
        assert (answer.status_code, answer.headers["Location"]) == (303, job)
        phase, end = ended(both, job)
        assert phase == "ABORTED" and end
    assert ended(both, job) == ("ABORTED", end)
    assert both.children("d") == left  # what was done stays done, the rest is left
    assert run(both, job) == ("ABORTED", {})
    assert both.children("d") == left
    again = delete_job(both, both.uri("d"))
    assert run(both, again) == ("COMPLETED", {"successcount": f"final:{len(left) + 1}"})


def test_a_running_change_of_properties_is_aborted_by_another_request(
    both: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    both.fake.mkdir("d")
    for number in range(5):
        both.fake.put(f"d/f{number}", b"x")
    job = set_job(both, "d", {CORE + "title": "t"})

    def changed() -> list[int]:
        return [n for n in range(5) if CORE + "title" in both.properties(f"d/f{n}")]

    with running(both, job, monkeypatch, before_node=6):
        done = changed()
        assert 0 < len(done) < 5
        both.call("POST", f"{job}/phase", data={"phase": "abort"})
    assert ended(both, job)[0] == "ABORTED"
    assert changed() == done and CORE + "title" not in both.properties("d")


def test_a_running_job_that_is_destroyed_stops(
    vault: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(vault)
    job = delete_job(vault, vault.uri("d"))
    with running(vault, job, monkeypatch, before_node=2):
        assert vault.call("DELETE", job).status_code == 303
    assert vault.call("GET", job).status_code == 404
    assert sorted(vault.children("d")) == ["file1", "sub"]


def test_the_time_to_run_is_kept_by_the_clock(
    make: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000_000.0]
    client = make("vault", clock=lambda: now[0])
    tree(client)
    job = delete_job(client, client.uri("d"))
    client.call("POST", f"{job}/executionduration", data={"EXECUTIONDURATION": "60"})
    now[0] += 1000  # waiting to be run does not count
    with running(client, job, monkeypatch, before_node=4):
        left = client.children("d")
        now[0] += 59
        assert ended(client, job)[0] == "EXECUTING"
        now[0] += 2
        phase, end = ended(client, job)
        assert phase == "ABORTED" and (end or "").startswith("2001-09-09T02:04:20")
    assert ended(client, job) == ("ABORTED", end)
    assert client.children("d") == left == ["sub"]


def test_a_job_may_run_for_ever(make: MakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000_000.0]
    client = make("vault", clock=lambda: now[0])
    tree(client)
    job = delete_job(client, client.uri("d"))
    client.call("POST", f"{job}/executionduration", data={"EXECUTIONDURATION": "0"})
    with running(client, job, monkeypatch, before_node=4):
        now[0] += 86_400
    assert ended(client, job)[0] == "COMPLETED"


def test_a_transfer_by_the_client_has_no_time_to_run(make: MakeClient) -> None:
    now = [1_000_000_000.0]
    client = make("vault", clock=lambda: now[0])
    document = client.transfer("f", "pushToVoSpace")
    job = client.call("POST", "transfers", data=document).headers["Location"]
    client.call("POST", f"{job}/phase", data={"PHASE": "RUN"})
    now[0] += 86_400
    assert client.call("GET", f"{job}/phase").text == "EXECUTING"
