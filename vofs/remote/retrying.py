"""RetryingRemote: the only retry loop in the product.

Decides which calls may be repeated; how often and how long to wait is `core.retrypolicy`'s.  Reads
are repeated on any RemoteUnavailable; changes only when the failed request provably never reached
the service (`sent` is False), because otherwise their fate is in doubt (R8).  A listing is repeated
only before its first child, bytes only before their reply is proved; what breaks later is the
caller's, who knows what he already has.  Bytes are never PUT twice: their iterable is consumed.

Invariants: no state between calls; every wait goes through the clock that was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from vofs.core.errors import RemoteUnavailable
from vofs.core.nodes import NodeInfo, VersionToken
from vofs.core.retrypolicy import RetryPolicy
from vofs.remote.api import (
    ByteSource,
    Capabilities,
    MoveStatus,
    PutReceipt,
    PutTransactions,
    Remote,
)

__all__ = ["Clock", "RetryingRemote"]

T = TypeVar("T")


class Clock(Protocol):
    """The two things of `time` that waiting needs."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float, /) -> None: ...


class RetryingRemote:
    """A `Remote` that repeats what may be repeated.

    Args:
        inner: the service.
        policy: how often and how long.
        clock: where time comes from; the module `time` will do.
        jitter: a number in [0, 1) for each wait, so that many clients do not return at once.
    """

    def __init__(
        self, inner: Remote, policy: RetryPolicy, clock: Clock, jitter: Callable[[], float]
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._clock = clock
        self._jitter = jitter

    @property
    def capabilities(self) -> Capabilities:
        """See `Remote`."""
        return self._inner.capabilities

    @property
    def transactions(self) -> PutTransactions | None:
        """See `Remote`; never repeated here, like `put_bytes`."""
        return self._inner.transactions

    def get_node(self, path: str) -> NodeInfo:
        """See `Remote`; repeated."""
        return self._read(lambda: self._inner.get_node(path))

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`; repeated until the first child has arrived."""
        first, rest = self._read(lambda: _begin(self._inner.list_children(path)))
        if first is not None:
            yield first
            yield from rest

    def create_node(self, node: NodeInfo) -> NodeInfo:
        """See `Remote`; repeated when it was never sent."""
        return self._change(lambda: self._inner.create_node(node))

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        """See `Remote`; repeated when it was never sent."""
        return self._change(lambda: self._inner.set_properties(path, changes))

    def delete_node(self, path: str) -> None:
        """See `Remote`; repeated when it was never sent."""
        self._change(lambda: self._inner.delete_node(path))

    def create_move(self, source: str, destination: str) -> str:
        """See `Remote`; repeated when it was never sent."""
        return self._change(lambda: self._inner.create_move(source, destination))

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        """See `Remote`; repeated when it was never sent."""
        return self._change(lambda: self._inner.run_move(job_url, timeout_s))

    def move_status(self, job_url: str) -> MoveStatus:
        """See `Remote`; repeated."""
        return self._read(lambda: self._inner.move_status(job_url))

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        """See `Remote`; repeated until the reply is proved."""
        return self._read(lambda: self._inner.open_bytes(path, start, end, expected))

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """See `Remote`; never repeated here: the upload scheduler cuts a new ticket (R1, R3)."""
        return self._inner.put_bytes(path, body, size)

    def close(self) -> None:
        """See `Remote`."""
        self._inner.close()

    def _read(self, call: Callable[[], T]) -> T:
        return self._repeat(call, lambda error: True)

    def _change(self, call: Callable[[], T]) -> T:
        return self._repeat(call, lambda error: not error.sent)

    def _repeat(self, call: Callable[[], T], may_repeat: Callable[[RemoteUnavailable], bool]) -> T:
        policy = self._policy
        began_at = self._clock.monotonic()
        while True:  # bounded: the policy raises after its last attempt
            try:
                return call()
            except RemoteUnavailable as error:
                if not may_repeat(error):
                    raise
                elapsed_s = self._clock.monotonic() - began_at
                policy, delay_s = policy.next(error, elapsed_s, self._jitter())
            self._clock.sleep(delay_s)


def _begin(children: Iterator[NodeInfo]) -> tuple[NodeInfo | None, Iterator[NodeInfo]]:
    # The generator is still unopened when it is handed over: its first request is made here.
    return next(children, None), children
