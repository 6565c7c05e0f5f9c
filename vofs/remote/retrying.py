"""RetryingRemote: the only retry loop in the product.

Decides which calls may be repeated; how often and how long to wait is `core.retrypolicy`'s.  Reads
are repeated on any RemoteUnavailable; changes only when the failed request provably never reached
the service (`sent` is False), because otherwise their fate is in doubt (R8).  A listing is repeated
only before its first child, bytes only before their reply is proved; what breaks later is the
caller's, who knows what he already has.  Bytes are never PUT twice, in one request or in segments:
their iterable is consumed, and the upload scheduler cuts a new ticket (R1, R3).

Invariants: no state between calls; every wait goes through the clock that was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from vofs.core.errors import RemoteUnavailable
from vofs.core.nodes import NodeInfo
from vofs.core.retrypolicy import RetryPolicy
from vofs.remote.api import Remote
from vofs.remote.around import RemoteAround

__all__ = ["Clock", "RetryingRemote"]

T = TypeVar("T")


class Clock(Protocol):
    """The two things of `time` that waiting needs."""

    def monotonic(self) -> float: ...
    def sleep(self, seconds: float, /) -> None: ...


class RetryingRemote(RemoteAround):
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
        super().__init__(inner)
        self._policy = policy
        self._clock = clock
        self._jitter = jitter

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`; repeated until the first child has arrived."""
        first, rest = self._ask(lambda: _begin(self._inner.list_children(path)), changes=False)
        if first is not None:
            yield first
            yield from rest

    def _ask(self, call: Callable[[], T], *, changes: bool) -> T:
        policy = self._policy
        began_at = self._clock.monotonic()
        while True:  # bounded: the policy raises after its last attempt
            try:
                return call()
            except RemoteUnavailable as error:
                if changes and error.sent:
                    raise
                elapsed_s = self._clock.monotonic() - began_at
                policy, delay_s = policy.next(error, elapsed_s, self._jitter())
            self._clock.sleep(delay_s)


def _begin(children: Iterator[NodeInfo]) -> tuple[NodeInfo | None, Iterator[NodeInfo]]:
    # The generator is still unopened when it is handed over: its first request is made here.
    return next(children, None), children
