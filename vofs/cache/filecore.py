"""What every side of a cached file needs: its lock, its state, its data file and its row.

`FileCore` holds them and keeps the row in step; `Named` adds the name that it may lose, `Evictable`
the count of space, `Receiving` downloads, `Sending` uploads, and `CachedFile` reading and changing.
Methods whose names begin with an underscore are called with the file's lock held; all others take
it.

The lock is never held while the network is used.  Whoever waits on it re-checks afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress

from vofs.cache.clock import Clock
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.cache.index import Index
from vofs.cache.putrecord import PutRecord
from vofs.cache.rows import SYNC_FAILED, FileRow
from vofs.cache.snapshot import restore, row_of
from vofs.cache.space import Space
from vofs.core.errors import CacheDamaged, CacheError
from vofs.core.filestate import FileState
from vofs.core.lifecycle import Upload
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span
from vofs.locks import Level, OrderedLock

BLOCK = 1024 * 1024  # bytes that are read at once for an upload or a digest


class FileCore:
    """See the module's docstring.

    Args:
        row: the file's row in the index.
        disk: where its data file is.
        index: where its row is.
        clock: for times.
        space: counts what the data file takes.

    Raises:
        CacheDamaged: the data file cannot be opened.
    """

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        self.lock = OrderedLock(Level.FILE)
        self.number = row.number
        self.path = row.path
        self.mtime_ns = row.mtime_ns
        self.mode = row.mode
        self.put = row.put
        self.error = row.error
        self.attempts = row.attempts
        self._durable_generation = row.durable_generation
        is_durable = row.generation == row.durable_generation != row.stored_generation
        self._losses = index.losses if is_durable else row.losses
        self.progress_at = clock.monotonic()
        self.confirmed_at = float("-inf")
        self.used_at = row.used_at
        self._disk, self._index, self._clock, self._space = disk, index, clock, space
        self._data = disk.open_data(row.number, create=False)
        self._closed = False
        self._aside: DataFile | None = None
        self._frozen: DataFile | None = None  # what the data file was, for the ticket (R3)
        try:
            self.state = restore(row, self._data, index.losses)
        except BaseException:
            self._data.close()
            raise
        self._sent_at: int | None = None  # the generation whose bytes the PUT on record has sent
        if row.generation == row.durable_generation:  # as it is here, whatever it is counted as
            self._durable_generation = self.state.generation
            if row.put is not None and row.put.generation == row.generation:
                self._sent_at = self.state.generation
        # The kernel tells it once, and then calls lost pages clean; so it is kept in the row.
        self._sync_failed = row.durable_generation == SYNC_FAILED
        self._row_dirty = self.state.is_dirty
        self._row_whole = row.whole
        self._row_promises = row.promises
        self._row_bytes = row.present_bytes
        self._charged = 0

    @property
    def size(self) -> int:
        """Current size in bytes."""
        with self.lock:
            return self.state.size

    @property
    def unsent_growth(self) -> int:
        """By how many bytes it is longer than what the service has of it."""
        with self.lock:
            stored = 0 if self.state.base is None else self.state.base.length
            return max(0, self.state.size - stored)

    @property
    def is_dirty(self) -> bool:
        """Whether something of it is not on the service."""
        with self.lock:
            return self.state.is_dirty

    @property
    def is_synced(self) -> bool:
        """Whether its unsent changes are on the disk as they are now, row and bytes (fsync(2))."""
        with self.lock:
            return self.state.is_dirty and self._durable_generation == self.state.generation

    @property
    def gaps(self) -> list[Span]:
        """What is missing of the whole file."""
        with self.lock:
            return self.state.gaps(0, self.state.size)

    @property
    def generation(self) -> int:
        """Counts the changes of the file."""
        with self.lock:
            return self.state.generation

    @property
    def upload_state(self) -> Upload:
        """Where the file is on its way to the service."""
        with self.lock:
            return self.state.upload

    @property
    def provenance(self) -> tuple[VersionToken | None, PutRecord | None, float]:
        """The base version, a PUT that began, and when the base was last seen (monotonic)."""
        with self.lock:
            return self.state.base, self.put, self.confirmed_at

    def confirm(self, seen_at: float, version: VersionToken | None = None) -> None:
        """The service was seen to hold the base version, or no such node.

        Args:
            seen_at: when, in monotonic seconds.
            version: what was seen, where the base may be another one by now; None: the base.
        """
        with self.lock:
            base = self.state.base
            if version is not None and (base is None or not base.same_version(version)):
                return
            self.confirmed_at = max(self.confirmed_at, seen_at)

    def wake(self) -> None:
        """Let whoever waits for something here look again."""
        with self.lock:
            self.lock.notify_all()

    def sync(self) -> None:
        """fsync(2): the data first, then the row, both on the disk before this returns (R18)."""
        with self.lock:
            generation, sound = self.state.generation, self.state.is_sound
        self.sync_data()
        with self.lock:
            self._is_durable(generation)
            self._save(whole=True if sound and self.state.is_sound else None, durable=True)

    def _is_durable(self, generation: int) -> None:
        """The data file was brought to the disk as it was then; a durable save follows (R5).

        What an earlier power loss left in doubt stays in doubt.
        """
        if self._losses == self._index.losses and not self._sync_failed:
            self._durable_generation = generation

    def sync_data(self) -> None:
        """Bring the data file and its name to the disk, with the lock free: that may take long.

        Raises:
            CacheFull, CacheDamaged: the disk would not take it, now or before: a second try would
                end well with the bytes gone, so there is none until they are in another file.
        """
        with self.lock:
            if self._sync_failed:
                raise CacheDamaged(f"{self.path}: the disk has failed to take what was written")
            data, number = self._data.duplicate(), self.number
        try:
            data.sync()
            self._disk.sync_names()
        except CacheError:
            with self.lock:
                self._sync_failed |= self.number == number
                with suppress(CacheError):
                    self._save(durable=True)
            raise
        finally:
            data.close()

    def save(self) -> None:
        """Write the row as it is now: what was downloaded survives a restart."""
        with self.lock:
            self._save()

    def _save(self, *, whole: bool | None = None, durable: bool = False) -> None:
        if whole is not None:
            self._row_whole = whole
        elif not self.state.is_dirty:
            self._row_whole = self.state.is_sound
        self._store(self._row(), durable=durable)
        self._row_dirty = self.state.is_dirty

    def _store(self, row: FileRow, *, durable: bool = False) -> None:
        """Commit `row`: from before that on it may promise what it says to be here (R12)."""
        self._row_promises = self._row_promises or row.promises
        if self._index.save(row, durable=durable):
            self._row_bytes = row.present_bytes
        self._row_promises = row.promises

    def _row(self, state: FileState | None = None) -> FileRow:
        """The row for `state`, by default the present one."""
        return row_of(
            state or self.state, number=self.number, path=self.path, whole=self._row_whole,
            mtime_ns=self.mtime_ns, mode=self.mode, put=self.put, error=self.error,
            attempts=self.attempts,
            durable_generation=SYNC_FAILED if self._sync_failed else self._durable_generation,
            losses=self._losses, present_bytes=self._charged, used_at=self.used_at,
        )  # fmt: skip

    def digest_while(self, size: int, same: Callable[[], bool]) -> str | None:
        """Hex MD5 of [0, size), taken block by block with the lock for each block only.

        Args:
            size: how many bytes.
            same: whether the content is still the one that is meant; asked with the lock held.

        Returns:
            None when it is not, at the beginning, the end, or between.
        """
        digest = hashlib.md5(usedforsecurity=False)
        for offset in range(0, size, BLOCK):
            with self.lock:
                if not same():
                    return None
                block = self._data.read(offset, min(BLOCK, size - offset))
            digest.update(block)
        with self.lock:
            return digest.hexdigest() if same() else None

    def close(self) -> None:
        """Close the data file; its row is another object's from now on."""
        with self.lock:
            self._closed = True
            self._data.close()
            self._close_kept()

    def _close_kept(self) -> None:
        """What was kept for the ticket alone goes."""
        for kept in (self._aside, self._frozen):
            if kept is not None:
                kept.close()
        self._aside = self._frozen = None
