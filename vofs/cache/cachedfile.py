"""One cached file: reading and changing it.

The order in which data file, state and row are changed is what makes a crash harmless:

* the dirty mark is committed before the first changed byte is written, so no changed file is ever
  called clean;
* on a file that is not whole the span is committed before the write returns, so nothing
  acknowledged is forgotten; on a whole file the data file's own size says it all;
* what stops being present leaves the index before the data file, and what becomes present enters
  it after, so the index never promises bytes that are not there.

A file that was unlinked while open keeps its row for a moment, because a rename over it may give
the name back (R9); as long as the row is there it is kept in step like any other.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from copy import deepcopy

from vofs.cache.clock import Clock
from vofs.cache.conflicting import Conflicting
from vofs.cache.content import Reader
from vofs.cache.disk import Disk
from vofs.cache.index import Index
from vofs.cache.proving import Proving
from vofs.cache.rows import FileRow
from vofs.cache.space import Need, Space
from vofs.core.errors import CacheDamaged, CacheError, VofsError
from vofs.core.filestate import FileState
from vofs.core.lifecycle import Life
from vofs.core.spans import Span

AT_ONCE = 16 << 20  # bytes that are copied for an upload while others wait for the file


class CachedFile(Proving, Conflicting):
    """See the module's docstring.  Made by `FileTable`, one object for a row at a time.

    Its arguments, and what it raises, are those of `FileCore`.
    """

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self._writers = 0
        self._changed_at = self._dirty_at = clock.monotonic()

    def read(self, offset: int, size: int, reader: Reader | None = None) -> bytes | None:
        """The bytes [offset, offset + size), cut at the end of the file; None: some are missing.

        Args:
            offset: the first byte.
            size: how many.
            reader: the handle that reads.

        Raises:
            VersionChanged, TransferCorrupted: `reader` has bytes that do not belong with these.
        """
        with self.lock:
            end = min(offset + size, self.state.size)
            if offset >= end:
                return b""
            if not self.state.present.covers(offset, end):
                return None
            self._give(reader)
            self.used_at = self._space.used(self, offset, end)
            return self._data.read(offset, end - offset)

    def write(self, offset: int, data: bytes, *, append: bool = False) -> int:
        """Write `data`; with `append` at the file's own end, whatever `offset` says (R15).

        Returns:
            The number of bytes written: all of them.

        Raises:
            CacheFull: there is no room; where the file had bytes, a part of the data may be there.
        """
        # Twice: an upload that runs may have to keep the old bytes (R3).
        size = 2 * len(data)
        return self.with_room(size, lambda: self._write_within(size, offset, data, append=append))

    def _write_within(self, size: int, offset: int, data: bytes, *, append: bool) -> int:
        with self._space.reserved(size, Need.KEPT), self.lock:
            start = self.state.size if append else offset
            end = start + len(data)
            self._before_change(start, end)
            before = self.state.size
            self._sparse = self._sparse or start > before
            try:
                self._data.write(start, data)
            except CacheError:
                for span in self.state.present.within(start, min(end, before)):
                    self.state.wrote(*span)
                with suppress(CacheError):
                    self._data.truncate(before)  # or a later hole would show what was written
                self._account()
                raise
            self.state.wrote(start, end)
            self._account()
            self._commit_span((min(start, before), end))
            return len(data)

    def truncate(self, size: int) -> None:
        """Cut or extend the file to `size` bytes; what is added reads as zeros.

        What an upload still needs of the end is kept for it (R3): where that is less work the
        upload keeps the data file, and the file goes on in a new one; else the end is copied aside,
        a part at a time, so that nobody waits for the whole of it.

        Raises:
            CacheFull: there is no room for what has to be copied; nothing has changed.
        """
        self.with_room(0, lambda: self._truncate_keeping(size))

    def _truncate_keeping(self, size: int) -> None:
        while True:
            with self.lock:
                needed = self._needed_behind(size)
                if not needed:
                    self._truncate(size)
                    return
            if size <= min(needed, AT_ONCE):
                with self._room_for(size), self.lock:
                    if self._needed_behind(size):
                        self._truncate_in_new_file(size)
                        return
            else:
                with self._room_for(min(needed, AT_ONCE)), self.lock:
                    self._copy_aside(size, self.state.size, AT_ONCE)

    def _room_for(self, size: int) -> AbstractContextManager[object]:
        """Room to copy `size` bytes; nothing needs none, however full the disk is."""
        return self._space.reserved(size, Need.KEPT) if size else nullcontext()

    def _needed_behind(self, size: int) -> int:
        """How many bytes at and behind `size` an upload needs and nobody has kept.  Lock held."""
        spans = self.state.copy_aside_for_write(size, max(size, self.state.size))
        return sum(end - start for start, end in spans)

    def _truncate(self, size: int) -> None:
        before = self.state.size
        if size == before:
            return
        self._before_change(size, before)
        if size > before:
            self._data.truncate(size)
            self.state.truncated(size)
            self._sparse = True
            self._account()
            self._commit_span((before, size))
            return
        trial = self._cut(size)
        try:
            self._data.truncate(size)
        except CacheError:  # the old bytes are still there: so is the old size
            with suppress(CacheError):
                self._save()
            raise
        self._has_been_cut(trial)

    def _truncate_in_new_file(self, size: int) -> None:
        """Cut the file, and leave its data file to the upload.  Lock held."""
        new = self._disk.open_new(self.number)
        try:
            new.truncate(size)
            for span in self.state.present.within(0, size):
                self._data.copy_to(new, *span)
            self._before_change(size, size)
            trial = self._cut(size)
            try:
                self._disk.put_in_place(self.number)
            except CacheError:
                with suppress(CacheError):
                    self._save()
                raise
        except BaseException:
            new.close()
            raise
        trial.froze()
        self._frozen, self._data = self._data, new
        self._has_been_cut(trial)

    def _cut(self, size: int) -> FileState:
        """The state of the file cut to `size`; its row is committed: first, or nothing happens."""
        trial = deepcopy(self.state)
        trial.truncated(size)
        if size == 0:  # nothing is left of what a power loss may have spoilt
            self._losses, self._sync_failed = self._index.losses, False
        self._store(self._row(trial))
        return trial

    def _has_been_cut(self, trial: FileState) -> None:
        self.state = trial
        self.mtime_ns = self._clock.time_ns()
        self._account()
        if not self._row_whole and self.state.is_sound:
            self._save(whole=True)

    def _copy_aside(self, start: int, end: int, most: int | None = None) -> None:
        """Copy what an upload still needs of [start, end), up to `most` bytes.  Lock held."""
        spans = self.state.copy_aside_for_write(start, end)
        for first, last in spans:
            stop = last if most is None else min(last, first + most)
            if self._aside is None:
                self._aside = self._disk.open_aside()
            self._data.copy_to(self._aside, first, stop)
            self.state.copied_aside([(first, stop)])
            if most is not None:
                most -= stop - first
                if most == 0:
                    break
        if spans:
            self._account()

    def _before_change(self, start: int, end: int) -> None:
        """Copy aside what an upload still needs, and commit the dirty mark.  Lock held."""
        self._copy_aside(start, end)
        self._changed_at = self._clock.monotonic()
        was_durable = self._row_dirty and self.state.generation == self._durable_generation
        if was_durable or not self._row_dirty:
            if not self._row_dirty:
                self._dirty_at = self._changed_at
            if not self._row_whole and self.state.is_sound:
                self._save(whole=True)
            # On the disk before the first byte that changes what is durable, or a power loss could
            # leave a mixture that is called durable (R5).
            marked = self._index.mark_dirty(
                self.number, self.state.generation + 1, whole=self._row_whole, durable=was_durable
            )
            if not marked and self.state.life is Life.ATTACHED:
                raise CacheDamaged(f"the index has no file {self.number}")
            self._row_dirty = True

    def _commit_span(self, span: Span) -> None:
        """A change of `span` is done: commit it where the row needs that.  Lock held."""
        self.mtime_ns = self._clock.time_ns()
        if not self._row_whole:
            self._index.add_dirty_span(
                self.number, span, self.state.size, self.state.generation, self.mtime_ns
            )

    def _upload_ended(self, failure: VofsError | None, *, keep_put: bool) -> None:
        super()._upload_ended(failure, keep_put=keep_put)
        if self._sync_failed and not self.state.is_dirty and self.state.base is not None:
            with suppress(CacheError):  # then fsync goes on to fail
                self._drop(self.state.base)  # what the disk has of it is not what was sent

    def set_mtime(self, mtime_ns: int) -> None:
        """Keep a modification time that the user set."""
        with self.lock:
            self.mtime_ns = mtime_ns
            self._save()

    def set_mode(self, mode: int) -> None:
        """Keep permission bits that the user set."""
        with self.lock:
            self.mode = mode
            self._save()

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
