"""When uploads run: the queue's threads.

Workers take what `core.uploadqueue` says is due and let `Uploader` do it; one scheduler executes
tombstones and intents that wait.  A file whose last change was flushed, or whose last handle was
closed, is due at once; `too_early_s` says when one that is still open is.

The threads only repeat `step`: who calls that himself needs none.

The lock (level 40) protects the queue and is never held while a file is asked anything.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.conflicts import Conflicts
from vofs.cache.filetable import FileTable
from vofs.cache.gate import PathGate
from vofs.cache.outcome import Outcome
from vofs.cache.threads import Threads
from vofs.cache.upload import Uploader
from vofs.core.errors import CacheDamaged, RemoteUnavailable, UploadConflict
from vofs.core.lifecycle import Upload
from vofs.core.uploadqueue import CREATED_DELAY_S, UploadQueue, too_early_s
from vofs.locks import Level, OrderedLock

log = logging.getLogger(__name__)

BUSY_DELAY_S = 0.1
TICK_S = 0.5


class WriteBack:
    """See the module's docstring.

    Args:
        uploader: does one upload.
        conflicts: ends what an upload ran into.
        table: keeps dirty files.
        gate: keeps uploads out of names that are being changed.
        clock: for due times.
        threads: where the threads come from.
        workers: uploads at a time (--max-flush-threads).
        housekeeping: called by the scheduler twice a second, without locks.
    """

    def __init__(
        self,
        uploader: Uploader,
        conflicts: Conflicts,
        table: FileTable,
        gate: PathGate,
        clock: Clock,
        threads: Threads,
        *,
        workers: int,
        housekeeping: Callable[[], None],
    ) -> None:
        self._uploader, self._conflicts = uploader, conflicts
        self._table, self._gate, self._clock = table, gate, clock
        self._housekeeping = housekeeping
        self._lock = OrderedLock(Level.WRITEBACK)
        self._queue = UploadQueue()
        self._files: dict[int, CachedFile] = {}
        self._flushed: set[int] = set()
        self._stopping = threading.Event()
        self._ticking = OrderedLock(Level.WRITEBACK)  # waited on until the next tick, or the end
        self._threads = [
            threads.thread(self._work, f"vofs-upload-{number}") for number in range(workers)
        ]
        self._threads.append(threads.thread(self._tick, "vofs-scheduler"))

    def start(self) -> None:
        """Start the threads (after the fork of daemonising: a fork kills threads, R22)."""
        for thread in self._threads:
            thread.start()

    def submit(
        self, file: CachedFile, *, flushed: bool, urgent: bool = False, delay_s: float = 0.0
    ) -> None:
        """A file has something to send.

        Args:
            file: the file; nothing happens when it is clean.
            flushed: its bytes are complete (close, unmount, user): send now.  Otherwise it was
                created, truncated or written and is still open.
            urgent: before all others, and whatever puts it off.
            delay_s: of a flushed file: not before so many seconds have passed.
        """
        if not file.is_dirty or file.is_detached:
            return
        now = self._clock.monotonic()
        with self._lock:
            self._files[file.number] = file
            if flushed:
                self._flushed.add(file.number)
            due_at = now + (delay_s if flushed else CREATED_DELAY_S)
            self._queue.schedule(file.number, due_at, urgent=urgent)
            self._lock.notify_all()

    def flush(self, path: str) -> int:
        """`vofs flush`: send now what is dirty at and below `path`, the failed included.

        Returns:
            How many files that is; it waits for none of them.
        """
        files = self._table.unsent_below(path)
        for file in files:
            file.queue()
            self.submit(file, flushed=True, urgent=True)
        return len(files)

    def hasten(self) -> None:
        """Make everything that waits due now, whatever its backoff."""
        with self._lock:
            self._queue.hasten(self._clock.monotonic())
            self._lock.notify_all()

    def forget(self, file: CachedFile) -> None:
        """The file has lost its name: nothing of it is sent any more."""
        with self._lock:
            self._queue.discard(file.number)
            if file.number not in self._queue:
                self._files.pop(file.number, None)
                self._flushed.discard(file.number)

    def retry_due_s(self, file: CachedFile) -> float | None:
        """Seconds until the next try of `file`, or None when none is planned."""
        with self._lock:
            due_at = self._queue.due_at(file.number)
        return None if due_at is None else max(0.0, due_at - self._clock.monotonic())

    # -- workers --------------------------------------------------------------------------------

    def _work(self) -> None:
        while self._wait_for_work():
            self.step()

    def _wait_for_work(self) -> bool:
        """Wait until something is due; False at the end."""
        with self._lock:
            while not self._stopping.is_set():
                due_at, now = self._queue.next_due(), self._clock.monotonic()
                if due_at is not None and due_at <= now:
                    return True
                self._lock.wait(None if due_at is None else due_at - now)
        return False

    def step(self) -> bool:
        """Carry out the one upload that is due first, from the queue to its outcome.

        Nothing that goes wrong with one file may end the thread that sends the rest.

        Returns:
            False when nothing is due.
        """
        taken = self._take()
        if taken is None:
            return False
        number, file = taken
        began = self._clock.monotonic()
        try:
            outcome = self._upload(number, file)
        except Exception as exc:
            log.exception("upload of %s", file.path)
            outcome = Outcome(failure=CacheDamaged(f"{file.path}: {exc!r}"), contact=False)
        try:
            self._finish(number, file, outcome, self._clock.monotonic() - began)
        except Exception:
            log.exception("after the upload of %s", file.path)
        return True

    def _take(self) -> tuple[int, CachedFile] | None:
        """A file that is due, with the number it was queued under: it may get a new one later."""
        with self._lock:
            number = self._queue.take(self._clock.monotonic())
            return None if number is None else (number, self._files[number])

    def _upload(self, number: int, file: CachedFile) -> Outcome:
        early = self._too_early_s(number, file)
        if early > 0:
            return Outcome(waits=True, retry_after_s=early, contact=False)
        if file.upload_state is Upload.CONFLICT:
            return self._conflicts.resolve(file, None)
        path = file.path
        if not self._gate.try_enter(path):
            return Outcome(waits=True, retry_after_s=BUSY_DELAY_S, contact=False)
        try:
            if file.path != path:  # renamed between the two lines above
                return Outcome(waits=True, retry_after_s=0.0, contact=False)
            outcome = self._uploader.upload(file)
        finally:
            self._gate.leave(path)
        if isinstance(outcome.failure, UploadConflict):  # outside the gate: it is held for that
            outcome = self._conflicts.resolve(file, outcome.failure)
        return outcome

    def _too_early_s(self, number: int, file: CachedFile) -> float:
        """Seconds that a file which is still open and not flushed has to wait."""
        with self._lock:
            if number in self._flushed:
                return 0.0
        return too_early_s(*file.writing(self._clock.monotonic()))

    def _finish(self, number: int, file: CachedFile, outcome: Outcome, took_s: float) -> None:
        now = self._clock.monotonic()
        with self._lock:
            self._settle(number, file, outcome, now, took_s)
            self._lock.notify_all()
        if outcome.final:
            log.error("%s cannot be sent: %s; its data is kept", file.path, outcome.failure)
        if not outcome.waits and outcome.failure is None:
            if file.is_dirty and file.upload_state is not Upload.CONFLICT:
                self.submit(file, flushed=file.writing(now)[0] == 0)
            self._table.settle(file)

    def _settle(
        self, number: int, file: CachedFile, outcome: Outcome, now: float, took_s: float
    ) -> None:
        """Tell the queue how an upload ended.  Lock held."""
        if outcome.reached:
            self._queue.reached(now)
        if outcome.waits:
            self._queue.postpone(number, now + (outcome.retry_after_s or 0.0))
        elif outcome.failure is not None and not outcome.final:
            unreached = isinstance(outcome.failure, RemoteUnavailable)
            due_at = self._queue.retry(
                number, now, retry_after_s=outcome.retry_after_s, reached=not unreached
            )
            log.warning(
                "%s is not sent yet: %s; next try in %.0f s",
                file.path, outcome.failure, due_at - now,
            )  # fmt: skip
        else:
            sent = outcome.failure is None and outcome.contact
            self._queue.finish(number, now, took_s=took_s if sent else 0.0)
            if number not in self._queue:
                self._files.pop(number, None)
                self._flushed.discard(number)

    def _tick(self) -> None:
        while not self._stops_within(TICK_S):
            try:
                self._housekeeping()
            except Exception:
                log.exception("housekeeping")

    def _stops_within(self, seconds: float) -> bool:
        with self._ticking:
            if not self._stopping.is_set():
                self._ticking.wait(seconds)
            return self._stopping.is_set()

    # -- the end --------------------------------------------------------------------------------

    def drain(self, timeout_s: float) -> int:
        """Send everything now, as long as uploads progress.

        Args:
            timeout_s: seconds without any progress after which the rest is left.

        Returns:
            How many files stay for the next mount.
        """
        for file in self._table.unsent_below("/"):
            self.submit(file, flushed=True)
        self.hasten()
        progress: list[tuple[int, float]] = []
        moved_at = self._clock.monotonic()
        while waiting := self._waiting():
            now = self._clock.monotonic()
            seen = [(file.number, file.progress_at) for file in waiting]
            if seen != progress:
                progress, moved_at = seen, now
            elif now - moved_at >= timeout_s:
                break
            with self._lock:
                self._lock.wait(min(1.0, max(0.01, moved_at + timeout_s - now)))
        return len(self._table.unsent_below("/"))

    def _waiting(self) -> list[CachedFile]:
        with self._lock:
            return [file for number, file in self._files.items() if number in self._queue]

    def stop(self) -> None:
        """End the threads; an upload that runs is waited for (R1: never broken off)."""
        self._stopping.set()
        for lock in (self._lock, self._ticking):
            with lock:
                lock.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
