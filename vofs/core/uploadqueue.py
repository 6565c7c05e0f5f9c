"""Which upload is due, and when: a queue without threads or clocks.

Pure.  Keys are file numbers.  One upload of a key runs at a time; a key that becomes due again
while it runs is due again when it ends.  Times are seconds of whatever monotonic clock the caller
uses.  Failed tries are repeated with exponential backoff, never given up by the queue itself.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0


def backoff_s(attempts: int, retry_after_s: float | None) -> float:
    """Seconds to wait after the `attempts`-th failure in a row; a Retry-After is a lower bound."""
    delay = min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 16), LONGEST_DELAY_S)
    return max(delay, retry_after_s or 0.0)


@dataclass(slots=True)
class _Entry:
    due_at: float
    attempts: int = 0
    running: bool = False
    again_at: float | None = None


class UploadQueue:
    """Due times of uploads."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    def schedule(self, key: int, due_at: float) -> None:
        """Make `key` due at `due_at`, or keep it due earlier; while it runs, once more after."""
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = _Entry(due_at)
        elif entry.running:
            entry.again_at = due_at if entry.again_at is None else min(entry.again_at, due_at)
        else:
            entry.due_at = min(entry.due_at, due_at)

    def take(self, now: float) -> int | None:
        """The key that has been due longest, now running; None when nothing is due."""
        ready = [(e.due_at, key) for key, e in self._entries.items() if not e.running]
        if not ready:
            return None
        due_at, key = min(ready)
        if due_at > now:
            return None
        self._entries[key].running = True
        return key

    def next_due(self) -> float | None:
        """When the next waiting key is due, or None."""
        return min((e.due_at for e in self._entries.values() if not e.running), default=None)

    def due_at(self, key: int) -> float | None:
        """When `key` is due, or None when it is not waiting."""
        entry = self._entries.get(key)
        return None if entry is None or entry.running else entry.due_at

    def finish(self, key: int) -> None:
        """The upload of `key` ended well, or for good; forget it unless it is due again."""
        entry = self._entries.pop(key, None)
        if entry is not None and entry.again_at is not None:
            self._entries[key] = _Entry(entry.again_at)

    def retry(self, key: int, now: float, *, retry_after_s: float | None = None) -> float:
        """The upload of `key` failed and is to be repeated.

        Returns:
            When it is due again.
        """
        entry = self._entries.setdefault(key, _Entry(now))
        entry.attempts += 1
        entry.running = False
        entry.due_at = now + backoff_s(entry.attempts, retry_after_s)
        if entry.again_at is not None:
            entry.due_at = max(min(entry.due_at, entry.again_at), now + (retry_after_s or 0.0))
            entry.again_at = None
        return entry.due_at

    def postpone(self, key: int, due_at: float) -> None:
        """`key` cannot run now through no fault of its own: due again at `due_at`, no try lost.

        A flush that came meanwhile is not forgotten: then it is due when that said.
        """
        entry = self._entries[key]
        entry.running = False
        entry.due_at = due_at if entry.again_at is None else min(due_at, entry.again_at)
        entry.again_at = None

    def hasten(self, now: float) -> None:
        """Make everything that waits due now: backoff is for machines, not for people."""
        for entry in self._entries.values():
            entry.due_at = min(entry.due_at, now)

    def discard(self, key: int) -> None:
        """Forget `key`, unless it is running."""
        entry = self._entries.get(key)
        if entry is not None and not entry.running:
            del self._entries[key]

    def attempts(self, key: int) -> int:
        """How many tries of `key` failed in a row."""
        entry = self._entries.get(key)
        return entry.attempts if entry is not None else 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: int) -> bool:
        return key in self._entries
