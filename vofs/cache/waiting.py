"""How long an operation waits, and how many may wait at a time (R19, R20).

The threads that serve the kernel are few.  At most a part of them waits for the network; whoever
comes when all those places are taken waits for one as long as anything moves, and is answered with
ETIMEDOUT when nothing has moved for a second: then the rest of the threads stays free for what
needs no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vofs.cache.clock import Clock
from vofs.core.errors import RemoteTimeout
from vofs.locks import Level, OrderedLock

PLACES = 32
STANDSTILL_S = 1.0
POLL_S = 0.25  # how soon a wait notices that whoever it serves is being killed


def never() -> bool:
    """Nobody gives up: what waits is not the request of a process that could be killed."""
    return False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one operation waits for bytes.

    Attributes:
        timeout_s: seconds without progress of the transfer that is waited for.
        until: the end of the whole operation in monotonic seconds (--strict-timeout), or None.
        given_up: whether the process that is served is being killed (R19); takes no lock.
    """

    timeout_s: float
    until: float | None = None
    given_up: Callable[[], bool] = never


class WaitingPlaces:
    """See the module's docstring.

    Args:
        clock: for the standstill.
        places: how many may wait at a time.
    """

    def __init__(self, clock: Clock, places: int = PLACES) -> None:
        self._clock, self._free = clock, places
        self._lock = OrderedLock(Level.LEAF)
        self._moved_at = clock.monotonic()

    def moved(self) -> None:
        """Bytes, or an answer, have arrived for somebody."""
        self._moved_at = self._clock.monotonic()

    @contextmanager
    def place(self, what: str) -> Iterator[None]:
        """Have a place while waiting for the network.  Not to be nested.

        Args:
            what: what is waited for, for the message.

        Raises:
            RemoteTimeout: all are taken and nothing moves.
        """
        self._take(what)
        try:
            yield
            self.moved()
        finally:
            with self._lock:
                self._free += 1
                self._lock.notify_all()

    def _take(self, what: str) -> None:
        entered_at = self._clock.monotonic()
        with self._lock:
            while self._free == 0:
                quiet_since = max(entered_at, self._moved_at)
                remaining = quiet_since + STANDSTILL_S - self._clock.monotonic()
                if remaining <= 0:
                    raise RemoteTimeout(f"{what}: too many wait already, and nothing moves")
                self._lock.wait(remaining)
            self._free -= 1
