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

    @property
    def is_on(self) -> bool:
        """Whether anything may be fetched that nobody has asked for."""
        return self._on

    def take(self, size: int) -> bool:
        """Spend `size` bytes on a file that nobody has asked for, if the budget has them."""
        if not self._on:
            return False
        with self._lock:
            now = self._clock.monotonic()
            enough = self._budget.balance(now) >= size
            if enough:
                self._budget.spend(size, now)
            return enough

    def give_back(self, size: int) -> None:
        """`size` bytes that `take` spent are being read now, or did not come."""
        if size:
            self.earn(0, size)

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
