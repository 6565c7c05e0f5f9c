"""One cached file: a lock, a `FileState`, a data file and a row of the index, kept in step.

The order in which the three are changed is what makes a crash harmless:

* the dirty mark is committed before the first changed byte is written, so no changed file is ever
  called clean;
* on a file that is not whole the span is committed before the write returns, so nothing
  acknowledged is forgotten; on a whole file the data file's own size says it all;
* what stops being present leaves the index before the data file, and what becomes present enters
  it after, so the index never promises bytes that are not there.

The lock is never held while the network is used.  Whoever waits on it re-checks afterwards.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator

from vofs.cache.clock import Clock
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.cache.snapshot import restore, row_of
from vofs.core import fetchplan
from vofs.core.errors import (
    CacheError,
    TransferError,
    UploadConflict,
    UploadFailed,
    VofsError,
)
from vofs.core.filestate import Claim, Event, Life, Ticket, Upload
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span
from vofs.locks import Level, OrderedLock

SEND_BLOCK = 1024 * 1024
FAILURES_KEPT = 16


class CachedFile:
    """See the module's docstring.  Made by `FileTable`, one object per row at a time.

    Args:
        row: the file's row in the index.
        disk: where its data file is.
        index: where its row is.
        clock: for times.

    Raises:
        CacheDamaged: the data file cannot be opened.
    """

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock) -> None:
        self.lock = OrderedLock(Level.FILE)
        self.number = row.number
        self.path = row.path
        self.mtime_ns = row.mtime_ns
        self.mode = row.mode
        self.put = row.put
        self.error = row.error
        self.attempts = row.attempts
        self.progress_at = clock.monotonic()
        self.confirmed_at = float("-inf")
        self._disk, self._index, self._clock = disk, index, clock
        self._data = disk.open_data(row.number, create=False)
        self._aside: DataFile | None = None
        self._failures: deque[tuple[int, Claim, VofsError]] = deque(maxlen=FAILURES_KEPT)
        self._failure_count = 0
        self._pattern = fetchplan.ReadPattern()
        self._writers = 0
        self._changed_at = self._dirty_at = clock.monotonic()
        self.state = restore(row, self._data)
        self._row_dirty = self.state.is_dirty
        self._row_whole = row.whole

    # -- reading --------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Current size in bytes."""
        with self.lock:
            return self.state.size

    @property
    def is_dirty(self) -> bool:
        """Whether something of it is not on the service."""
        with self.lock:
            return self.state.is_dirty

    @property
    def is_detached(self) -> bool:
        """Whether it has lost its name."""
        with self.lock:
            return self.state.life is Life.DETACHED

    @property
    def is_local(self) -> bool:
        """Whether the service never had it."""
        with self.lock:
            return self.state.base is None and self.state.life is Life.ATTACHED

    def read(self, offset: int, size: int) -> bytes | None:
        """The bytes [offset, offset + size), cut at the end of the file; None: some are missing."""
        with self.lock:
            end = min(offset + size, self.state.size)
            if offset >= end:
                return b""
            if not self.state.present.covers(offset, end):
                return None
            return self._data.read(offset, end - offset)

    @property
    def gaps(self) -> list[Span]:
        """What is missing of the whole file."""
        with self.lock:
            return self.state.gaps(0, self.state.size)

    def note_miss(self, start: int, end: int) -> None:
        """A read of [start, end) found bytes missing: part of the pattern of its reads."""
        with self.lock:
            self._pattern = self._pattern.after(start, end)

    def claim_missing(
        self, start: int, end: int, *, ranges: bool
    ) -> tuple[list[Claim], VersionToken | None]:
        """Claim what is missing for a read of [start, end), and what is wise to fetch with it.

        Returns:
            The new claims, empty when others download it all, and the version they want.
        """
        with self.lock:
            if not self.state.gaps(start, end):
                return [], self.state.base
            span = fetchplan.plan(self._pattern, start, end, self.state.size, ranges=ranges)
            return self.state.claim(*span), self.state.base

    def accept(self, claim: Claim, offset: int, chunk: bytes) -> bool:
        """Store downloaded bytes where they are still wanted, and wake who waits for them.

        Returns:
            False when the claim is dead and the download of no more use.
        """
        with self.lock:
            spans = self.state.acceptable(claim, offset, offset + len(chunk))
            view = memoryview(chunk)
            for start, end in spans:
                self._data.write(start, view[start - offset : end - offset])
            self.state.accepted(spans)
            self.progress_at = self._clock.monotonic()
            self.lock.notify_all()
            return self.state.is_live(claim)

    def release_claim(self, claim: Claim, failure: VofsError | None) -> None:
        """Give a claim up; with a failure, every waiter for its bytes gets that."""
        with self.lock:
            self.state.release(claim)
            if failure is not None:
                self._failure_count += 1
                self._failures.append((self._failure_count, claim, failure))
            self.lock.notify_all()

    @property
    def failure_count(self) -> int:
        """How many downloads failed so far; a waiter notes it before it waits."""
        with self.lock:
            return self._failure_count

    def wait_for(self, start: int, end: int, failures_before: int, timeout_s: float) -> bool:
        """Wait until [start, end) is present, or nobody is downloading any more.

        The timeout counts from the last byte of progress (behaviours.md row 13): a slow download
        that moves is no failure.

        Returns:
            True when it is worth looking again, False when nothing moved for `timeout_s`.

        Raises:
            VofsError: a download of these bytes failed after `failures_before`.
        """
        entered_at = self._clock.monotonic()
        with self.lock:
            while gaps := self.state.gaps(start, end):
                for count, claim, failure in self._failures:
                    wanted = any(claim.start < last and first < claim.end for first, last in gaps)
                    if count > failures_before and wanted:
                        raise failure
                if not self.state.claimed:
                    break
                quiet_since = max(entered_at, self.progress_at)
                remaining = quiet_since + timeout_s - self._clock.monotonic()
                if remaining <= 0:
                    return False
                self.lock.wait(remaining)
            return True

    # -- writers --------------------------------------------------------------------------------

    def writer_opened(self) -> None:
        """One more handle may write."""
        with self.lock:
            self._writers += 1

    def writer_closed(self) -> int:
        """One handle less may write; returns how many are left."""
        with self.lock:
            self._writers -= 1
            return self._writers

    def writing(self, now: float) -> tuple[int, float, float, bool]:
        """How the file is being written.

        Args:
            now: monotonic seconds.

        Returns:
            Handles that may write, seconds since the last change, seconds since it became dirty,
            and whether it has dirty bytes (and was not only created or truncated).
        """
        with self.lock:
            quiet_s, dirty_s = now - self._changed_at, now - self._dirty_at
            return self._writers, quiet_s, dirty_s, bool(self.state.dirty)

    def wait_stored(self, generation: int, timeout_s: float) -> None:
        """Wait until the changes up to `generation` are on the service, or the upload failed.

        Returns quietly when `timeout_s` seconds pass first: the upload goes on by itself.

        Raises:
            UploadFailed: it failed for good; the data is kept and listed.
            UploadConflict: the service holds somebody else's version.
        """
        deadline = self._clock.monotonic() + timeout_s
        with self.lock:
            while self.state.stored_generation < generation:
                if self.state.upload is Upload.FAILED:
                    raise UploadFailed(self.error)
                if self.state.upload is Upload.CONFLICT:
                    raise UploadConflict(self.error)
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0 or self.state.life is not Life.ATTACHED:
                    return
                self.lock.wait(remaining)

    @property
    def generation(self) -> int:
        """Counts the changes of the file."""
        with self.lock:
            return self.state.generation

    # -- changing -------------------------------------------------------------------------------

    def write(self, offset: int, data: bytes, *, append: bool = False) -> int:
        """Write `data`; with `append` at the file's own end, whatever `offset` says (R15).

        Returns:
            The number of bytes written: all of them.

        Raises:
            CacheFull: there is no room; the file is as it was, or holds a part of the data.
        """
        with self.lock:
            start = self.state.size if append else offset
            end = start + len(data)
            self._disk.require_room(len(data))
            self._before_change(start, end)
            before = self.state.size
            try:
                self._data.write(start, data)
            except CacheError:
                for span in self.state.present.within(start, end):
                    self.state.wrote(*span)
                raise
            self._changed(lambda: self.state.wrote(start, end), (min(start, before), end))
            return len(data)

    def truncate(self, size: int) -> None:
        """Cut or extend the file to `size` bytes; what is added reads as zeros."""
        with self.lock:
            before = self.state.size
            if size == before:
                return
            self._before_change(size, before)
            if size > before:
                self._data.truncate(size)
                self._changed(lambda: self.state.truncated(size), (before, size))
                return
            self.state.truncated(size)
            self.mtime_ns = self._clock.time_ns()
            if not self._row_whole:
                self._save(whole=False)
            self._data.truncate(size)
            if not self._row_whole and self.state.is_whole:
                self._save(whole=True)

    def _before_change(self, start: int, end: int) -> None:
        """Copy aside what an upload still needs, and commit the dirty mark.  Lock held."""
        spans = self.state.copy_aside_for_write(start, end)
        if spans:
            if self._aside is None:
                self._aside = self._disk.open_aside()
            for span in spans:
                self._data.copy_to(self._aside, *span)
            self.state.copied_aside(spans)
        self._changed_at = self._clock.monotonic()
        if not self._row_dirty and self.state.life is Life.ATTACHED:
            self._dirty_at = self._changed_at
            if not self._row_whole and self.state.is_whole:
                self._save(whole=True)
            self._index.mark_dirty(self.number, self.state.generation + 1, whole=self._row_whole)
            self._row_dirty = True

    def _changed(self, note: object, span: Span) -> None:
        """Note a change in memory, then in the index where the row needs it.  Lock held."""
        assert callable(note)
        note()
        self.mtime_ns = self._clock.time_ns()
        if not self._row_whole and self.state.life is Life.ATTACHED:
            self._index.add_dirty_span(
                self.number, span, self.state.size, self.state.generation, self.mtime_ns
            )

    def set_mtime(self, mtime_ns: int) -> None:
        """Keep a modification time that the user set."""
        with self.lock:
            self.mtime_ns = mtime_ns
            self._save()

    def sync(self) -> None:
        """fsync(2): the data first, then the row, both on the disk before this returns (R18)."""
        with self.lock:
            self._data.sync()
            self._save(durable=True)

    def save(self) -> None:
        """Write the row as it is now: what was downloaded survives a restart."""
        with self.lock:
            self._save()

    def _save(self, *, whole: bool | None = None, durable: bool = False) -> None:
        if self.state.life is not Life.ATTACHED:
            return
        if whole is not None:
            self._row_whole = whole
        elif not self.state.is_dirty:
            self._row_whole = self.state.is_whole
        self._index.save(self._row(), durable=durable)
        self._row_dirty = self.state.is_dirty

    def _row(self) -> FileRow:
        return row_of(
            self.state, number=self.number, path=self.path, whole=self._row_whole,
            mtime_ns=self.mtime_ns, mode=self.mode, put=self.put, error=self.error,
            attempts=self.attempts,
        )  # fmt: skip

    # -- versions -------------------------------------------------------------------------------

    def revalidate(self, token: VersionToken, mtime_ns: int) -> bool:
        """Compare with the version the service has now; drop clean bytes of another one.

        Returns:
            True when the cached bytes stay, False when they went or nothing may be said
            because the file is dirty: then the upload settles it.
        """
        with self.lock:
            if self.state.is_dirty or self.state.ticket is not None:
                return False
            base = self.state.base
            if base is not None and base.same_version(token):
                if base != token:
                    self.state.base = token
                    self._save()
                return True
            self.state.rebase(token)
            self.mtime_ns = mtime_ns
            self._take_new_data_file()
            self.lock.notify_all()
            return False

    def _take_new_data_file(self) -> None:
        """R12: a new version is a new data file, whose number was never used.  Lock held."""
        self._row_whole = self.state.is_whole
        old_number, old_data = self.number, self._data
        row = self._index.replace(self._row(), self._disk.create_data)
        self.number = row.number
        self._data = self._disk.open_data(row.number, create=False)
        self._data.truncate(self.state.size)
        old_data.close()
        self._disk.remove_data(old_number)

    def replaces(self, token: VersionToken) -> None:
        """A file made here has got the name of a node: its upload replaces version `token`."""
        with self.lock:
            self.state.base = token
            self.confirmed_at = self._clock.monotonic()
            self._save()

    # -- uploading ------------------------------------------------------------------------------

    def queue(self) -> bool:
        """Mark the file as due for upload.

        Returns:
            False when there is nothing to send, or it may not be sent.
        """
        with self.lock:
            if not self.state.is_dirty or self.state.life is not Life.ATTACHED:
                return False
            self.state.apply(Event.QUEUE)
            return self.state.upload is not Upload.CONFLICT

    @property
    def upload_state(self) -> Upload:
        """Where the file is on its way to the service."""
        with self.lock:
            return self.state.upload

    @property
    def provenance(self) -> tuple[VersionToken | None, tuple[int, int] | None, float]:
        """The base version, a PUT that began, and when the base was last seen (monotonic)."""
        with self.lock:
            return self.state.base, self.put, self.confirmed_at

    def confirm(self) -> None:
        """The service was just seen to hold the base version, or no such node."""
        with self.lock:
            self.confirmed_at = self._clock.monotonic()

    def cut_ticket(self) -> Ticket | None:
        """Freeze the content for an upload; None when holes are to be filled first."""
        with self.lock:
            return self.state.cut_ticket() if self.state.is_whole else None

    def begin_put(self, ticket: Ticket, *, durable: bool) -> None:
        """R2: note in the index that the first body byte is about to leave.

        Args:
            ticket: the upload.
            durable: also bring the data to the disk first (services that truncate).
        """
        with self.lock:
            if durable:
                self._data.sync()
            self.put = (ticket.generation, ticket.size)
            self._index.put_started(self.number, self.put, durable=durable)

    def ticket_chunks(self, ticket: Ticket) -> Iterator[bytes]:
        """The bytes of the ticket in order, whatever is written meanwhile (R3)."""
        for offset in range(0, ticket.size, SEND_BLOCK):
            end = min(offset + SEND_BLOCK, ticket.size)
            with self.lock:
                if self.state.ticket is not ticket:
                    raise TransferError("the upload was taken back")
                parts = []
                for (start, stop), from_aside in self.state.ticket_sources(offset, end):
                    source = self._aside if from_aside and self._aside else self._data
                    parts.append(source.read(start, stop - start))
                self.state.sent(end)
                self.progress_at = self._clock.monotonic()
                self.lock.notify_all()
            yield parts[0] if len(parts) == 1 else b"".join(parts)

    def stored(self, token: VersionToken) -> None:
        """The upload is proved to have arrived as version `token`."""
        with self.lock:
            self.confirmed_at = self._clock.monotonic()
            self.state.stored(token)
            self._upload_ended(None, keep_put=False)

    def not_stored(self, event: Event, failure: VofsError) -> None:
        """The upload ended with RETRY, DOUBT or FAIL; that a PUT began stays on record (R2)."""
        with self.lock:
            self.state.not_stored(event)
            self._upload_ended(failure, keep_put=True)

    def settle_if_held(self, token: VersionToken) -> bool:
        """An earlier PUT is in doubt: when the service holds just our content, it arrived.

        Returns:
            False when `token` is not what this file holds now.
        """
        with self.lock:
            size = self.state.size
            if token.md5 is None or token.length != size or not self.state.is_whole:
                return False
            digest = hashlib.md5(usedforsecurity=False)
            for offset in range(0, size, SEND_BLOCK):
                digest.update(self._data.read(offset, min(SEND_BLOCK, size - offset)))
            if digest.hexdigest() != token.md5:
                return False
            self.confirmed_at = self._clock.monotonic()
            self.state.stored_after_all(token, self.state.generation)
            self._upload_ended(None, keep_put=False)
            return True

    def settle_as_lost(self) -> None:
        """An earlier PUT is in doubt no longer: it did not arrive, and is sent again.

        It stays on record: a node that is shorter than it is our torn PUT (R2).
        """
        with self.lock:
            self.state.apply(Event.RESEND)
            self._upload_ended(None, keep_put=True)

    def give_up(self, event: Event, failure: VofsError) -> None:
        """Before any ticket: CONFLICT or FAIL; kept, listed, never sent by itself."""
        with self.lock:
            self.state.apply(event)
            self._upload_ended(failure, keep_put=True)

    def note_failure(self, failure: VofsError) -> None:
        """A try failed before anything was sent; it is repeated."""
        with self.lock:
            self._upload_ended(failure, keep_put=True)

    def _upload_ended(self, failure: VofsError | None, *, keep_put: bool) -> None:
        self.error = "" if failure is None else f"{type(failure).__name__}: {failure}"
        self.attempts = 0 if failure is None else self.attempts + 1
        if not keep_put:
            self.put = None
        if self._aside is not None and self.state.ticket is None:
            self._aside.close()
            self._aside = None
        self._save()
        self.lock.notify_all()

    # -- the end of it --------------------------------------------------------------------------

    def detach(self) -> None:
        """The name is gone (unlinked or replaced while open); its row is gone already."""
        with self.lock:
            self.state.detach()

    def reattach(self) -> None:
        """The name is back; a row is made again, with everything still to be sent."""
        with self.lock:
            self.state.reattach()
            self._index.restore(self._row())
            self._row_dirty = self.state.is_dirty

    def forget_all(self) -> None:
        """Nothing of a clean file is here after all."""
        with self.lock:
            self.state.forget(0, self.state.size)
            self._data.truncate(self.state.size)
            self._save(whole=self.state.is_whole)

    def close(self) -> None:
        """Close the data file."""
        with self.lock:
            self._data.close()
            if self._aside is not None:
                self._aside.close()
                self._aside = None
