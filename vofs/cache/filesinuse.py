"""Which files are in memory: path -> `CachedFile`, and how often each is in use.

There is at most one object for a row of the index.  An object lives while somebody uses it
(`acquire` and `release`) or while it is dirty; a clean file that nobody uses is only a row and a
data file.

The table's lock is level 20: the index (45) and files (30) are never waited for under it except a
file's own short look at its state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.evictor import Evictor
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.cache.space import Space
from vofs.core import uris
from vofs.core.errors import CacheDamaged, CacheError, VersionChanged
from vofs.core.lifecycle import Life
from vofs.core.nodes import VersionToken
from vofs.locks import Level, OrderedLock

log = logging.getLogger(__name__)


class FilesInUse:
    """See the module's docstring.

    Args:
        disk: the cache directory.
        index: its index.
        clock: for times.
        limit_bytes: the budget (`Space`).
        on_gone: told each file without a name that nobody uses any more.

    Attributes:
        space: counts what the cache takes.
        names_changed: counts changes of names; who looked at names before one looks again.
    """

    def __init__(
        self,
        disk: Disk,
        index: Index,
        clock: Clock,
        limit_bytes: int,
        on_gone: Callable[[CachedFile], None] = lambda _: None,
    ) -> None:
        self._on_gone = on_gone
        self._disk, self._index, self._clock = disk, index, clock
        self.space = Space(disk, limit_bytes)
        self._evictor = Evictor(disk, index, clock, self.space, self._cold_row)
        self._evictor.begin()
        self._lock = OrderedLock(Level.FILE_TABLE)
        self._by_path: dict[str, CachedFile] = {}
        self._detached: list[CachedFile] = []
        self._uses: dict[CachedFile, int] = {}
        self._busy: set[str] = set()  # rows on their way into or out of memory, or out of the cache
        self._changing: list[tuple[str, ...]] = []
        self.names_changed = 0

    def peek(self, path: str) -> CachedFile | None:
        """The file at `path` if it is in use or dirty, without taking it into use."""
        with self._lock:
            return self._by_path.get(path)

    def files(self) -> list[CachedFile]:
        """All files in memory: in use, dirty, or without a name."""
        with self._lock:
            return list(self._uses)

    def in_use(self, path: str) -> bool:
        """Whether somebody has the file at `path` open or is transferring it."""
        with self._lock:
            file = self._by_path.get(path)
            return file is not None and self._uses.get(file, 0) > 0

    # -- taking into use, and paying back -------------------------------------------------------

    def mark(self) -> int:
        """A place in time, from before a question to the service: for `acquire`."""
        return self._index.base_changes.mark()

    def acquire(
        self, path: str, token: VersionToken, mtime_ns: int, asked: int | None = None
    ) -> CachedFile:
        """Take the file at `path` into use, as the service has it.

        Cached bytes of the same version are kept, those of another are dropped (behaviours.md
        row 12); a dirty file is left as it is.

        Args:
            path: decoded node path.
            token: the version on the service.
            mtime_ns: the node's modification time.
            asked: `mark` from before that was asked for; None: just now.

        Returns:
            The file; pay it back with `release`.

        Raises:
            CacheDamaged: its unsent data cannot be read.
            VersionChanged: `token` is no longer right, and nothing is here that says what is.
        """
        file = self.use(path)
        if file is None:
            with self._row_busy(path):
                if self._index.base_changes.since(path, asked) and not self._index.find(path):
                    raise VersionChanged(f"{path} has changed while it was looked up")
                row = FileRow(0, path, token.length, token.length, 0, 0, False, token, mtime_ns)
                file = self._load(self._index.insert(row, self._disk.create_data)[0])
        try:
            file.revalidate(token, mtime_ns, asked)
        except BaseException:
            self.release(file)
            raise
        return file

    def acquire_dirty(self, path: str) -> CachedFile | None:
        """Take the file at `path` into use if it is here and dirty: the service is not asked."""
        with self._lock:
            file = self._by_path.get(path)
            if file is None:
                return None
            self._uses[file] += 1
        if file.is_dirty:  # asked without the table's lock: the file may be busy with its disk
            return file
        self.release(file)
        return None

    def use(self, path: str) -> CachedFile | None:
        """Take the file at `path` into use if it is in memory, as it is; None when it is not."""
        with self._lock:
            while self._must_wait(path):
                self._lock.wait(None)
            file = self._by_path.get(path)
            if file is not None:
                self._uses[file] += 1
            return file

    def share(self, file: CachedFile) -> None:
        """Use a file that somebody else has in use already."""
        with self._lock:
            self._uses[file] = self._uses.get(file, 0) + 1

    def release(self, file: CachedFile) -> int:
        """Pay one use back; a clean file that nobody uses leaves memory.

        Returns:
            How many uses are left.
        """
        with self._lock:
            self._uses[file] -= 1
            left = self._uses[file]
        if left == 0:
            self.settle(file)
        return left

    def settle(self, file: CachedFile) -> None:
        """Drop the object of a file that is clean, or without a name, and unused."""
        with self._lock:
            while file.path in self._busy:
                self._lock.wait(None)
            # Nobody uses it, so nobody changes it: its state is read without its lock, which a
            # long disk operation may hold.
            detached = file.state.life is Life.DETACHED
            if self._uses.get(file, 1) or (file.state.is_dirty and not detached):
                return
            path = file.path
            del self._uses[file]
            if file in self._detached:
                self._detached.remove(file)
            elif self._by_path.get(path) is file:
                del self._by_path[path]
            self._busy.add(path)
        leaves = True
        try:
            try:
                file.save()
            except CacheError:  # its row is behind, and may call "unsent" what has arrived
                leaves = detached
                if not detached:  # that has no row
                    raise
            finally:
                if leaves:
                    file.close()
                    file.uncounted()
                    self._evictor.row_is_cold()
                else:
                    with self._lock:
                        self._by_path[path], self._uses[file] = file, 0
            if detached:  # its row is gone, so that no crash brings the name back (decision 0005)
                with suppress(CacheError):  # its data file goes when the scheduler sweeps
                    self._evictor.sweep()
                self._on_gone(file)
        finally:
            with self._lock:
                self._busy.discard(path)
                self._lock.notify_all()

    # -- rows on their way into and out of memory -----------------------------------------------

    def _load(self, row: FileRow) -> CachedFile:
        """Take the file of a row into use; another thread may have been faster."""
        with self._lock:
            file = self._by_path.get(row.path)
            if file is not None:
                self._uses[file] += 1
                return file
        try:
            file = self._open(row)
            file.counted(row.present_bytes)
        except CacheDamaged:
            if row.generation != row.stored_generation:
                raise
            log.warning("cached copy of %s is damaged; it is fetched again", row.path)
            self._disk.create_data(row.number)
            file = self._open(row)
            file.counted(row.present_bytes)
            file.forget_all()
        file.check_copy()
        with self._lock:
            self._by_path[row.path] = file
            self._uses[file] = 1
        return file

    def _open(self, row: FileRow) -> CachedFile:
        return CachedFile(row, self._disk, self._index, self._clock, self.space)

    @contextmanager
    def _row_busy(self, path: str) -> Iterator[None]:
        """Be the only one to read or drop the row of `path`; its object is in nobody's hands."""
        with self._lock:
            while self._must_wait(path):
                self._lock.wait(None)
            self._busy.add(path)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(path)
                self._lock.notify_all()

    @contextmanager
    def _cold_row(self, path: str) -> Iterator[bool]:
        """Have the row of a file that is not in memory to oneself, if it is in nobody's hands."""
        with self._lock:
            entered = not self._must_wait(path) and path not in self._by_path
            if entered:
                self._busy.add(path)
        try:
            yield entered
        finally:
            if entered:
                with self._lock:
                    self._busy.discard(path)
                    self._lock.notify_all()

    @contextmanager
    def changing_names(self, *paths: str) -> Iterator[None]:
        """Keep everybody from bringing rows at or below `paths` into memory meanwhile.

        Begins when none is on its way in or out: a late save or load must not meet another
        file's row.
        """
        with self._lock:
            while any(uris.is_below(busy, path) for busy in self._busy for path in paths):
                self._lock.wait(None)
            self._changing.append(paths)
        try:
            yield
        finally:
            with self._lock:
                self._changing.remove(paths)
                self.names_changed += 1
                self._lock.notify_all()

    def _must_wait(self, path: str) -> bool:
        """Whether the row of `path` is in other hands.  Lock held."""
        held = (top for paths in self._changing for top in paths)
        return path in self._busy or any(uris.is_below(path, top) for top in held)
