"""Which upload is due, and when: a queue without threads or clocks.

Pure.  Keys are file numbers.  One upload of a key runs at a time; a key that becomes due again
while it runs is due again when it ends.  Times are seconds of whatever monotonic clock the caller
uses.  Failed tries are repeated with exponential backoff, never given up by the queue itself.

Three things put an upload off, and one thing overrides them:

* *backoff*: the key's own failures, and never earlier than a Retry-After asked for;
* *rest*: between two uploads of one file lies at least twice the last one's duration (R3);
* *the pause*: after two failures in a row to reach the service nothing is sent but one probe at a
  time; the first answer ends it, and all that it held up is due at once.  Probes go round, so that
  one file which always fails does not keep the others waiting;
* *urgency* (`vofs flush`, `--fsync remote`): one try at once, before all others.

Taking a key, and whatever happens to one key, costs the logarithm of how many there are.
"""

from __future__ import annotations

from vofs.core.dueorder import DueOrder
from vofs.core.uploadentry import Entry

CREATED_DELAY_S = 5.0  # after the last change of a file that was only created or truncated (R4)
IDLE_DELAY_S = 60.0  # after the last change of a file that stays open
HELD_OPEN_S = 600.0  # a file that is changed all the time is sent nevertheless (R3)
FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 300.0
FAILURES_TO_PAUSE = 2
REST = 2.0  # times the duration of an upload, until the next one of the same file
RESTS_KEPT = 256


def backoff_s(attempts: int, retry_after_s: float | None) -> float:
    """Seconds to wait after the `attempts`-th failure in a row; a Retry-After is a lower bound."""
    delay = min(FIRST_DELAY_S * 2.0 ** min(attempts - 1, 16), LONGEST_DELAY_S)
    return max(delay, retry_after_s or 0.0)


def too_early_s(writers: int, quiet_s: float, dirty_s: float, has_bytes: bool) -> float:
    """How long a file that was neither flushed nor closed has to wait.

    Args:
        writers: handles that may write; without any it is due.
        quiet_s: seconds since the last change.
        dirty_s: seconds since it became dirty.
        has_bytes: bytes were written, and it was not only created or truncated.

    Returns:
        Seconds; 0 or less: it is due.
    """
    if not writers or dirty_s >= HELD_OPEN_S:
        return 0.0
    return (IDLE_DELAY_S if has_bytes else CREATED_DELAY_S) - quiet_s


class UploadQueue:
    """Due times of uploads."""

    def __init__(self) -> None:
        self._entries: dict[int, Entry] = {}
        self._stalled: set[int] = set()
        # Those that wait: by urgency, by when they are ready, and by when they may be probes; of
        # the last, those whose time has come are in the order in which they go round.
        self._urgent, self._ready = DueOrder(), DueOrder()
        self._probe_times, self._probes = DueOrder(), DueOrder()
        self._rests: dict[int, float] = {}
        self._unreached = 0  # tries in a row that did not reach the service
        self._paused_until: float | None = None
        self._probe: int | None = None

    @property
    def is_paused(self) -> bool:
        """Whether the service is out of reach, as far as is known."""
        return self._paused_until is not None

    def schedule(self, key: int, due_at: float, *, urgent: bool = False) -> None:
        """Make `key` due at `due_at`, or keep it due earlier; while it runs, once more after."""
        entry = self._entries.get(key)
        if entry is None:
            rest = self._rests.get(key, 0.0)
            self._entries[key] = entry = Entry(due_at, rest, urgent=urgent)
        elif entry.running:
            entry.again_at = due_at if entry.again_at is None else min(entry.again_at, due_at)
            entry.again_urgent |= urgent
        else:
            entry.due_at = min(entry.due_at, due_at)
            entry.urgent |= urgent
        self._place(key, entry)

    def _place(self, key: int, entry: Entry) -> None:
        """Bring the orders in step with an entry that has changed."""
        self._forget_place(key)
        (self._stalled.add if entry.stalled else self._stalled.discard)(key)
        if not entry.running:
            (self._urgent if entry.urgent else self._ready).place(key, entry.ready_at)
            self._probe_times.place(key, entry.probe_at)

    def _forget_place(self, key: int) -> None:
        for order in (self._urgent, self._ready, self._probe_times, self._probes):
            order.drop(key)
        self._stalled.discard(key)

    def take(self, now: float) -> int | None:
        """The key to run, now running: urgent ones first, then what has been due longest.

        Returns:
            None when nothing is due, or may be tried while the service is out of reach.
        """
        key = self._first(now)
        if key is None:
            return None
        entry = self._entries[key]
        if self.is_paused and not entry.urgent:
            self._probe = key
        entry.running = True
        self._place(key, entry)
        return key

    def _first(self, now: float) -> int | None:
        urgent = self._urgent.first()
        if urgent is not None and urgent[1][0] <= now:
            return urgent[0]
        if self._paused_until is None:
            ready = self._ready.first()
            return ready[0] if ready is not None and ready[1][0] <= now else None
        if self._probe is not None or self._paused_until > now:
            return None
        self._find_probes(now)
        probe = self._probes.first()
        return None if probe is None else probe[0]

    def _find_probes(self, now: float) -> None:
        """Those that may be probes by now take their places in the round."""
        while (found := self._probe_times.first()) is not None and found[1][0] <= now:
            key, entry = found[0], self._entries[found[0]]
            self._probe_times.drop(key)
            self._probes.place(key, entry.attempts, entry.ready_at)

    def next_due(self) -> float | None:
        """When there will be something to take, or None; earlier is possible only by a call."""
        times = [self._urgent.first_rank()]
        if self._paused_until is None:
            times.append(self._ready.first_rank())
        elif self._probe is None:
            at_once = self._probes.first() is not None
            may_be_at = self._paused_until if at_once else self._probe_times.first_rank()
            times.append(None if may_be_at is None else max(self._paused_until, may_be_at))
        return min((at for at in times if at is not None), default=None)

    def due_at(self, key: int) -> float | None:
        """When `key` is due, or None when it is not waiting; a pause may end earlier or later."""
        entry = self._entries.get(key)
        if entry is None or entry.running:
            return None
        if self._paused_until is None or entry.urgent:
            return entry.ready_at
        return max(self._paused_until, entry.probe_at)

    def finish(self, key: int, now: float, *, took_s: float = 0.0) -> None:
        """The upload of `key` ended well, or for good; forget it unless it is due again.

        Args:
            key: the upload.
            now: the time.
            took_s: how long it took to send it; 0 when nothing was sent.
        """
        if took_s > 0:
            if len(self._rests) >= RESTS_KEPT:
                self._rests = {other: at for other, at in self._rests.items() if at > now}
            self._rests[key] = now + REST * took_s
        entry = self._entries.pop(key, None)
        self._forget_place(key)
        self._probe_ended(key)
        if entry is not None and entry.again_at is not None:
            self.schedule(key, entry.again_at, urgent=entry.again_urgent)

    def retry(
        self, key: int, now: float, *, retry_after_s: float | None = None, reached: bool = True
    ) -> float:
        """The upload of `key` failed and is to be repeated.

        Args:
            key: the upload.
            now: the time.
            retry_after_s: what the service asked for.
            reached: the service answered; else it may be out of reach, see `pause`.

        Returns:
            When it is due again, were it alone.
        """
        entry = self._entries.setdefault(key, Entry(now))
        entry.attempts += 1
        entry.running, entry.urgent, entry.stalled = False, entry.again_urgent, not reached
        entry.due_at = now + backoff_s(entry.attempts, retry_after_s)
        entry.not_before = max(entry.not_before, now + (retry_after_s or 0.0))
        if entry.again_at is not None:
            entry.due_at = min(entry.due_at, entry.again_at)
        entry.again_at, entry.again_urgent = None, False
        self._place(key, entry)
        was_probe = self._probe_ended(key)
        if not reached:
            self._not_reached(now, retry_after_s, was_probe=was_probe)
        return entry.ready_at

    def postpone(self, key: int, due_at: float) -> None:
        """`key` cannot run now through no fault of its own: due again at `due_at`, no try lost.

        A flush that came meanwhile is not forgotten: then it is due when that said.
        """
        entry = self._entries[key]
        entry.running, entry.urgent = False, entry.again_urgent
        entry.due_at = due_at if entry.again_at is None else min(due_at, entry.again_at)
        entry.again_at, entry.again_urgent, entry.stalled = None, False, False
        self._place(key, entry)
        self._probe_ended(key)

    def _probe_ended(self, key: int) -> bool:
        if self._probe != key:
            return False
        self._probe = None
        return True

    def _not_reached(self, now: float, retry_after_s: float | None, *, was_probe: bool) -> None:
        """Begin a pause, or make it longer when its probe failed."""
        if self._paused_until is None or was_probe:
            self._unreached += 1
            if self._unreached >= FAILURES_TO_PAUSE:
                tries = self._unreached - FAILURES_TO_PAUSE + 1
                self._paused_until = now + backoff_s(tries, retry_after_s)
        else:
            self._paused_until = max(self._paused_until, now + (retry_after_s or 0.0))

    def reached(self, now: float) -> None:
        """The service answered: the pause is over, and what it held up is due now."""
        self._unreached = 0
        if self._paused_until is None:
            return
        self._paused_until = self._probe = None
        for key in list(self._stalled):
            entry = self._entries[key]
            if not entry.spared and not entry.running:
                entry.due_at, entry.spared = min(entry.due_at, now), True
            entry.stalled = False
            self._place(key, entry)

    def hasten(self, now: float) -> None:
        """Make everything that waits due now: backoff and rest are for machines, not for people.

        A pause stays one, but its next probe is due now.
        """
        if self._paused_until is not None:
            self._paused_until = min(self._paused_until, now)
        for key, entry in self._entries.items():
            entry.due_at, entry.not_before = min(entry.due_at, now), 0.0
            self._place(key, entry)

    def discard(self, key: int) -> None:
        """Forget `key`, unless it is running."""
        entry = self._entries.get(key)
        if entry is not None and not entry.running:
            del self._entries[key]
            self._forget_place(key)

    def attempts(self, key: int) -> int:
        """How many tries of `key` failed in a row."""
        entry = self._entries.get(key)
        return entry.attempts if entry is not None else 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: int) -> bool:
        return key in self._entries
