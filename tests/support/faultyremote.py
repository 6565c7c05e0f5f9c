"""A service that fails when a test says so; it stands between a session and the real `VosRemote`.

`FaultyRemote` can fail a call before or after the service has done it, hold it at a gate, or kill:
then nothing of the old session gets through any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from tests.support.gates import HeldAt
from vofs.core.errors import RemoteUnavailable
from vofs.core.nodes import NodeInfo, VersionToken
from vofs.locks import assert_none_held
from vofs.remote.api import (
    ByteSource,
    Capabilities,
    MoveStatus,
    PutReceipt,
    PutTransaction,
    PutTransactions,
    Remote,
)

T = TypeVar("T")
CHANGES = frozenset({"create_node", "set_properties", "delete_node", "run_move", "put_bytes"})


class Killed(RemoteUnavailable):
    """The process is gone.  What the old session makes of it no longer matters to anybody."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the `nth` call (from 1) of `method` whose first argument is `path`.

    Attributes:
        method: of `Remote`; "put_body" for the moment when half the body of a PUT has left; "*" for
            the n-th of anything.
        nth: which call of those that match.
        path: the first argument, None for any.
        times: how many calls from the nth on.
        before: runs before the service is asked; may raise.
        after: runs once it has answered, or got the whole body; may raise.
    """

    method: str
    nth: int = 1
    path: str | None = None
    times: int = 1
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None


def lost(message: str = "the answer is lost") -> Callable[[], None]:
    """An answer that never arrives, although the service did it."""
    return raising(RemoteUnavailable(message, sent=True))


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


class FaultyRemote:
    """A `Remote` that does what a plan says; see the module's docstring.

    Args:
        inner: the service; it is not closed.
    """

    def __init__(self, inner: Remote) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, list[int]]] = []
        self._dead: Callable[[], None] | None = None
        self.calls: list[tuple[str, str]] = []

    def plan(self, *faults: Fault) -> None:
        """Add faults; they count from now."""
        with self._lock:
            self._faults += [(fault, [0]) for fault in faults]

    def hold(self, method: str, path: str | None = None, nth: int = 1) -> HeldAt:
        """Hold a call before the service is asked."""
        gate = HeldAt()
        self.plan(Fault(method, nth, path, before=gate.arrive))
        return gate

    def hold_answer(self, method: str, path: str | None = None, nth: int = 1) -> HeldAt:
        """Hold the answer of a call."""
        gate = HeldAt()
        self.plan(Fault(method, nth, path, after=gate.arrive))
        return gate

    def heal(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._faults.clear()

    def die(self) -> None:
        """From now on every call ends in Killed, as in a process that is gone."""
        self._dead = raising(Killed("killed"))

    def count(self, method: str) -> int:
        """How often `method` was called."""
        return sum(name == method for name, _ in self.calls)

    def _due(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.calls.append((method, path))
            due = None
            for fault, seen in self._faults:
                if fault.method in (method, "*") and fault.path in (None, path):
                    seen[0] += 1
                    if fault.nth <= seen[0] < fault.nth + fault.times and due is None:
                        due = fault
            return due

    def _call(self, method: str, path: str, call: Callable[[], T]) -> T:
        assert_none_held(f"{method} {path}")
        if self._dead is not None:
            self._dead()
        fault = self._due(method, path)
        if fault is not None and fault.before is not None:
            fault.before()
        try:
            return call()
        except RemoteUnavailable:
            fault = None  # no answer came
            raise
        finally:
            if fault is not None and fault.after is not None:
                fault.after()
            if self._dead is not None:
                self._dead()

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def transactions(self) -> PutTransactions | None:
        inner = self._inner.transactions
        return None if inner is None else FaultyTransactions(self._call, inner)

    def get_node(self, path: str) -> NodeInfo:
        return self._call("get_node", path, lambda: self._inner.get_node(path))

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        children = self._call("list_children", path, lambda: list(self._inner.list_children(path)))
        return iter(children)

    def create_node(self, node: NodeInfo) -> NodeInfo:
        return self._call("create_node", node.path, lambda: self._inner.create_node(node))

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        return self._call("set_properties", path, lambda: self._inner.set_properties(path, changes))

    def delete_node(self, path: str) -> None:
        self._call("delete_node", path, lambda: self._inner.delete_node(path))

    def create_move(self, source: str, destination: str) -> str:
        return self._call(
            "create_move", source, lambda: self._inner.create_move(source, destination)
        )

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        return self._call("run_move", job_url, lambda: self._inner.run_move(job_url, timeout_s))

    def move_status(self, job_url: str) -> MoveStatus:
        return self._call("move_status", job_url, lambda: self._inner.move_status(job_url))

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        with ExitStack() as closed_on_failure:

            def call() -> ByteSource:
                source = self._inner.open_bytes(path, start, end, expected)
                return closed_on_failure.enter_context(source)

            source = self._call("open_bytes", path, call)
            closed_on_failure.pop_all()
        return source

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        return self._call(
            "put_bytes",
            path,
            lambda: self._inner.put_bytes(path, self._halved(path, body, size), size),
        )

    def _halved(self, path: str, body: Iterable[bytes], size: int) -> Iterator[bytes]:
        """The body, with a stop for faults after its first half."""
        half, sent = size // 2, 0
        for chunk in body:
            rest = chunk
            if sent < half <= sent + len(chunk):
                yield chunk[: half - sent]
                self._call("put_body", path, lambda: None)
                rest = chunk[half - sent :]
            if rest:
                yield rest
            sent += len(chunk)

    def close(self) -> None:
        """The service outlives the session."""


class FaultyTransactions:
    """Put transactions of a `FaultyRemote`; the methods' names in a `Fault` are `append` etc."""

    def __init__(self, call: Callable[..., Any], inner: PutTransactions) -> None:
        self._call, self._inner = call, inner

    def start(self, path: str, size: int) -> PutTransaction | None:
        found: PutTransaction | None = self._call(
            "start", path, lambda: self._inner.start(path, size)
        )
        return found

    def append(self, path: str, number: str, body: Iterable[bytes], size: int) -> PutReceipt:
        receipt: PutReceipt = self._call(
            "append", path, lambda: self._inner.append(path, number, body, size)
        )
        return receipt

    def find(self, path: str, number: str) -> PutTransaction | None:
        found: PutTransaction | None = self._call(
            "find", path, lambda: self._inner.find(path, number)
        )
        return found

    def revert(self, path: str, number: str) -> bool:
        return bool(self._call("revert", path, lambda: self._inner.revert(path, number)))

    def commit(self, path: str, number: str) -> PutReceipt:
        receipt: PutReceipt = self._call("commit", path, lambda: self._inner.commit(path, number))
        return receipt

    def abort(self, path: str, number: str, *, gone: bool = False) -> None:
        self._call("abort", path, lambda: self._inner.abort(path, number, gone=gone))
