"""What is tried again and what never (remote/retrying.py); needs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import pytest

from vofs.core.errors import NodeNotFound, RemoteTimeout, RemoteUnavailable
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.core.retrypolicy import RetryPolicy
from vofs.remote.api import (
    ByteSource,
    Capabilities,
    MovePhase,
    MoveStatus,
    PutReceipt,
    Remote,
)
from vofs.remote.byteio import EmptySource
from vofs.remote.retrying import RetryingRemote

NODE = NodeInfo("/a", NodeKind.DATA)
POLICY = RetryPolicy(max_attempts=3, base_delay_s=1.0, max_delay_s=8.0, budget_s=60.0)


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Flaky:
    """A remote whose requests fail as told, then succeed."""

    capabilities = Capabilities("id", True, True, True, False, True, True)
    transactions = None

    def __init__(self, *failures: Exception, late: Exception | None = None) -> None:
        self.failures = list(failures)
        self.late = late
        self.calls = 0
        self.closed = False

    def _answer(self) -> None:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)

    def get_node(self, path: str) -> NodeInfo:
        self._answer()
        return NODE

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        self._answer()
        yield NODE
        if self.late:
            raise self.late
        yield NODE

    def create_node(self, node: NodeInfo) -> NodeInfo:
        self._answer()
        return node

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        self._answer()
        return NODE

    def delete_node(self, path: str) -> None:
        self._answer()

    def create_move(self, source: str, destination: str) -> str:
        self._answer()
        return "job"

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        self._answer()
        return MoveStatus(MovePhase.COMPLETED)

    def move_status(self, job_url: str) -> MoveStatus:
        self._answer()
        return MoveStatus(MovePhase.COMPLETED)

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        self._answer()
        return EmptySource()

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        self._answer()
        return PutReceipt(None, None)

    def close(self) -> None:
        self.closed = True


READS: list[Callable[[Remote], object]] = [
    lambda remote: remote.get_node("/a"),
    lambda remote: list(remote.list_children("/a")),
    lambda remote: remote.open_bytes("/a", 0, 1, VersionToken(1)),
    lambda remote: remote.move_status("job"),
]
CHANGES: list[Callable[[Remote], object]] = [
    lambda remote: remote.create_node(NODE),
    lambda remote: remote.set_properties("/a", {}),
    lambda remote: remote.delete_node("/a"),
    lambda remote: remote.create_move("/a", "/b"),
    lambda remote: remote.run_move("job", 1.0),
]


def retrying(inner: Flaky) -> tuple[RetryingRemote, Clock]:
    clock = Clock()
    return RetryingRemote(inner, POLICY, clock, lambda: 1.0), clock


@pytest.mark.parametrize("call", READS)
def test_reads_are_repeated_whatever_was_sent(call: Callable[[Remote], object]) -> None:
    inner = Flaky(RemoteUnavailable(sent=True), RemoteTimeout())
    remote, clock = retrying(inner)
    call(remote)
    assert inner.calls == 3
    assert clock.slept == [1.0, 2.0]


@pytest.mark.parametrize("call", READS + CHANGES)
def test_the_last_failure_is_raised(call: Callable[[Remote], object]) -> None:
    last = RemoteUnavailable("last")
    inner = Flaky(RemoteUnavailable(), RemoteUnavailable(), last, RemoteUnavailable())
    remote, _ = retrying(inner)
    with pytest.raises(RemoteUnavailable) as caught:
        call(remote)
    assert caught.value is last
    assert inner.calls == 3


@pytest.mark.parametrize("call", CHANGES)
def test_changes_are_repeated_only_when_they_never_left(call: Callable[[Remote], object]) -> None:
    """R8: what may have reached the service is in doubt."""
    inner = Flaky(RemoteUnavailable(sent=False))
    call(retrying(inner)[0])
    assert inner.calls == 2
    inner = Flaky(RemoteUnavailable(sent=True))
    with pytest.raises(RemoteUnavailable):
        call(retrying(inner)[0])
    assert inner.calls == 1


@pytest.mark.parametrize("call", READS + CHANGES)
def test_answers_are_not_repeated(call: Callable[[Remote], object]) -> None:
    inner = Flaky(NodeNotFound())
    with pytest.raises(NodeNotFound):
        call(retrying(inner)[0])
    assert inner.calls == 1


def test_bytes_are_never_put_twice() -> None:
    """R1, R3: their iterable is consumed; the scheduler cuts another ticket."""
    inner = Flaky(RemoteUnavailable(sent=False))
    with pytest.raises(RemoteUnavailable):
        retrying(inner)[0].put_bytes("/a", [b"x"], 1)
    assert inner.calls == 1


def test_a_listing_that_breaks_in_the_middle_is_not_begun_again() -> None:
    """A second listing would give its first children twice."""
    inner = Flaky(late=RemoteUnavailable())
    children = retrying(inner)[0].list_children("/a")
    assert next(children) is NODE
    with pytest.raises(RemoteUnavailable):
        next(children)
    assert inner.calls == 1


def test_a_service_that_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    inner = Flaky(RemoteUnavailable(retry_after_s=180))
    remote, clock = retrying(inner)
    with pytest.raises(RemoteUnavailable):
        remote.get_node("/a")
    assert clock.slept == []


def test_capabilities_and_close_pass_through() -> None:
    inner = Flaky()
    remote, _ = retrying(inner)
    assert remote.capabilities is inner.capabilities
    remote.close()
    assert inner.closed
