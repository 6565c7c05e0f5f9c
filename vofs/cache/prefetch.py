"""The budget of the whole mount for what nobody has asked for yet (R24, `--prefetch`)."""

from __future__ import annotations

from vofs.cache.clock import Clock
from vofs.core.fetchplan import FIRST_WINDOW
from vofs.core.prefetch import FREE, PrefetchBudget
from vofs.locks import Level, OrderedLock


class Prefetch:
    """See the module's docstring.

    Args:
        clock: for the minute.
        on: False: nothing is ever fetched that nobody has asked for (`--prefetch off`).
    """

    def __init__(self, clock: Clock, *, on: bool = True) -> None:
        self._clock, self._on = clock, on
        self._lock = OrderedLock(Level.LEAF)
        self._budget = PrefetchBudget(clock.monotonic())

    def allows_window(self) -> bool:
        """Whether a sequential read may fetch a window."""
        return self._balance() >= FIRST_WINDOW

    def allows_more(self, *, near: bool) -> bool:
        """Whether a download may go on that nobody waits for.

        Args:
            near: somebody reads this very part; what lies farther ahead leaves him half.
        """
        return self._balance() > (0 if near else FREE / 2)

    def _balance(self) -> float:
        if not self._on:
            return 0.0
        with self._lock:
            return self._budget.balance(self._clock.monotonic())

    def spend(self, size: int) -> None:
        """`size` bytes came that nobody has asked for."""
        if size:
            with self._lock:
                self._budget.spend(size, self._clock.monotonic())

    def earn(self, read: int, prefetched: int) -> None:
        """`read` bytes were read, `prefetched` of which had come before anybody asked."""
        with self._lock:
            self._budget.earn(read, prefetched, self._clock.monotonic())
