"""Time, as a constructor argument: nothing in vofs reads a clock of its own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What the product needs of time."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def time_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        ...


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    def time_ns(self) -> int:
        """See `Clock`."""
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        """See `Clock`."""
        time.sleep(seconds)
