"""The clock of a service: real, shifted, or standing still until somebody moves it.

All dates of nodes, jobs and answers and all delays follow it.  `ServiceClock` is safe to use from
any thread; whoever waits for a moment is woken when the clock is moved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

POLL_S = 0.05  # how soon a wait notices that its client is gone, or that a given clock moved


class ServiceClock:
    """Seconds since 1970; calling it tells the time.

    `_changed` protects all fields; nothing but the base clock is called with it held.
    """

    def __init__(self, base: Callable[[], float]) -> None:
        """Follow `base` until told otherwise."""
        self.when_set: Callable[[], None] = lambda: None  # called when time may have gone back
        self._changed = threading.Condition()
        self._base = base
        self._offset_s = 0.0
        self._frozen: float | None = None

    def __call__(self) -> float:
        """Return the time."""
        return self._frozen if self._frozen is not None else self._base() + self._offset_s

    @property
    def is_frozen(self) -> bool:
        """True while the clock stands still."""
        return self._frozen is not None

    def advance(self, seconds: float) -> None:
        """Move the clock, standing or not, by so many seconds."""
        with self._changed:
            if self._frozen is None:
                self._offset_s += seconds
            else:
                self._frozen += seconds
            self._changed.notify_all()
        self.when_set()

    def freeze(self, now: float | None = None) -> None:
        """Let the clock stand still, at `now` or where it is."""
        with self._changed:
            self._frozen = self() if now is None else now
            self._changed.notify_all()
        self.when_set()

    def resume(self) -> None:
        """Follow the base clock again, as if nothing had been."""
        with self._changed:
            self._offset_s, self._frozen = 0.0, None
            self._changed.notify_all()
        self.when_set()

    def wait(self, seconds: float, stop: Callable[[], bool]) -> bool:
        """Wait until so many seconds have passed on this clock.

        Args:
            stop: asked again and again; True ends the wait.
        Returns:
            False when `stop` ended it.
        """
        deadline = self() + seconds
        while (left := deadline - self()) > 0:
            if stop():
                return False
            with self._changed:
                if deadline - self() > 0:
                    self._changed.wait(min(POLL_S, left))
        return True
