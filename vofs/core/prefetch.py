"""How much may be downloaded that nobody has asked for yet (R24).

Pure.  Unread prefetch is at most a quarter of the bytes read, plus 8 MiB a minute.  It is kept as a
balance: prefetched bytes are spent, a minute and every byte read add to it, and a prefetched byte
that is read comes back whole.
"""

from __future__ import annotations

FREE = 8 << 20  # bytes a minute
SHARE = 4  # one byte for so many that are read
LARGEST_BALANCE = 64 << 20  # what long reading saves up for
WHOLE_BODY_KEPT = 64 << 20  # bytes: so large a body without ranges is always brought to its end
PAUSE_S = 30.0  # how long a download that nobody wants waits for somebody who does


class PrefetchBudget:
    """See the module's docstring.  Times are monotonic seconds.

    Args:
        now: when it begins.
    """

    def __init__(self, now: float) -> None:
        self._balance = float(FREE)
        self._at = now

    def balance(self, now: float) -> float:
        """Bytes that may be prefetched now; negative after a chunk that was larger than what was
        left."""
        if self._balance < FREE:
            self._balance = min(FREE, self._balance + (now - self._at) * FREE / 60)
        self._at = now
        return self._balance

    def spend(self, size: int, now: float) -> None:
        """`size` bytes came that nobody has asked for."""
        self._balance = self.balance(now) - size

    def earn(self, read: int, prefetched: int, now: float) -> None:
        """`read` bytes were read, `prefetched` of them had come before anybody asked."""
        earned = self.balance(now) + prefetched + read / SHARE
        self._balance = min(max(LARGEST_BALANCE, self._balance), earned)


def keeps_whole_body(size: int, position: int) -> bool:
    """Whether a body without ranges is brought to its end though nobody waits for it.

    Beginning again costs more than ending when half has come or the file is not large.

    Args:
        size: of the body in bytes.
        position: how much of it has come.
    """
    return size <= WHOLE_BODY_KEPT or 2 * position >= size
