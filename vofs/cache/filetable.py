"""Which files are cached: path -> `CachedFile`, how often each is in use, and recovery at start.

There is at most one object for a row of the index.  An object lives while somebody uses it
(`acquire` and `release`) or while it is dirty; a clean file that nobody uses is only a row and a
data file.  Names of files that the service never had exist here alone, so listings are completed
from here.

The table's lock is level 20: the index (45) and files (30) are never waited for under it except a
file's own short look at its state.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.evictor import Evictor
from vofs.cache.index import Index
from vofs.cache.rows import DamagedRow, FileRow
from vofs.cache.space import Space
from vofs.core import uris
from vofs.core.errors import CacheDamaged, NodeExists
from vofs.core.lifecycle import Life
from vofs.core.nodes import VersionToken
from vofs.locks import Level, OrderedLock

log = logging.getLogger(__name__)


class FileTable:
    """See the module's docstring.

    Args:
        disk: the cache directory.
        index: its index.
        clock: for times.
        limit_bytes: the budget (`Space`).

    Attributes:
        space: counts what the cache takes.
    """

    def __init__(self, disk: Disk, index: Index, clock: Clock, limit_bytes: int) -> None:
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

    def recover(self) -> list[CachedFile]:
        """Load what the last mount had not sent; clean rows stay where they are, however many.

        A dirty row whose data file is missing, short or unreadable is set aside: kept and listed,
        and not served.

        Returns:
            The dirty files, to be queued.
        """
        recovered = []
        for row in self._index.dirty():
            try:
                file = self._open(row)
            except CacheDamaged as exc:
                log.error("unsent data of %s cannot be read, it is set aside: %s", row.path, exc)
                self._index.set_aside(row, str(exc))
                continue
            file.check_copy()
            with self._lock:
                self._by_path[row.path] = file
                self._uses[file] = 0
            file.counted(0)
            recovered.append(file)
        return recovered

    def damaged(self) -> list[DamagedRow]:
        """Unsent data that cannot be read; also of earlier mounts."""
        return self._index.damaged()

    def peek(self, path: str) -> CachedFile | None:
        """The file at `path` if it is in use or dirty, without taking it into use."""
        with self._lock:
            return self._by_path.get(path)

    def files(self) -> list[CachedFile]:
        """All files in memory: in use, dirty, or without a name."""
        with self._lock:
            return list(self._uses)

    def acquire(self, path: str, token: VersionToken, mtime_ns: int) -> CachedFile:
        """Take the file at `path` into use, as the service has it.

        Cached bytes of the same version are kept, those of another are dropped (behaviours.md
        row 12); a dirty file is left as it is.

        Args:
            path: decoded node path.
            token: the version on the service.
            mtime_ns: the node's modification time.

        Returns:
            The file; pay it back with `release`.

        Raises:
            CacheDamaged: its unsent data cannot be read.
        """
        file = self.use(path)
        if file is None:
            with self._row_busy(path):
                row = FileRow(0, path, token.length, token.length, 0, 0, False, token, mtime_ns)
                file = self._load(self._index.insert(row, self._disk.create_data)[0])
        try:
            file.revalidate(token, mtime_ns)
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

    def create(self, path: str, mode: int) -> CachedFile:
        """Make a file that the service does not have yet; it exists from this commit on (R8).

        Raises:
            NodeExists: there is a file of that name here.
        """
        if self.peek(path) is not None:
            raise NodeExists(path)
        row = FileRow(0, path, 0, 0, 1, 0, True, None, self._clock.time_ns(), mode)
        with self._row_busy(path):
            stored, added = self._index.insert(row, self._disk.create_data)
            if not added:
                if stored.generation != stored.stored_generation:
                    raise NodeExists(path)
                stale = stored  # a copy of a node that is gone
                stored = self._index.replace(row, self._disk.create_data)
                self._disk.remove_data(stale.number)
                self.space.freed(stale.present_bytes)
            return self._load(stored)

    def use(self, path: str) -> CachedFile | None:
        """Take the file at `path` into use if it is in memory, as it is; None when it is not."""
        with self._lock:
            while self._must_wait(path):
                self._lock.wait(None)
            file = self._by_path.get(path)
            if file is not None:
                self._uses[file] += 1
            return file

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
        try:
            try:
                file.save()
            finally:
                file.close()
                file.uncounted()
                self._evictor.row_is_cold()
            if (
                detached
            ):  # not while its row stands: a crash may bring the name back (decision 0005)
                self._evictor.sweep()
        finally:
            with self._lock:
                self._busy.discard(path)
                self._lock.notify_all()

    # -- space ----------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Bytes that the cached files take at this moment."""
        return self.space.used_bytes

    def spare_room(self, size: int) -> bool:
        """Whether `size` more bytes fit, once clean files that nobody uses have made room."""
        excess = self.space.excess(size)
        if excess > 0:
            self._evictor.make_room(excess, unused_only=True)
        return self.space.excess(size) <= 0

    def evict(self) -> None:
        """Give up what is over the budget, and remove what is left over."""
        self._evictor.restore_budget()

    def drop_clean(self, path: str) -> int:
        """Forget clean data at and below `path` that nobody uses; returns how many files."""
        return self._evictor.drop_clean(path)

    # -- names ----------------------------------------------------------------------------------

    def renamed(self, source: str, destination: str) -> None:
        """Carry a rename, already in the index, out in memory; what was there is dropped."""
        self.forget(destination)
        with self._lock:
            for path in [path for path in self._by_path if uris.is_below(path, source)]:
                file = self._by_path.pop(path)
                file.path = uris.replace_prefix(path, source, destination)
                self._by_path[file.path] = file

    def take_name(self, file: CachedFile, path: str, *, in_use: bool) -> bool:
        """Give a file another name in memory, within `changing_names`.

        Args:
            file: the file.
            path: a name that no file in memory has.
            in_use: also when somebody uses it.

        Returns:
            False when somebody does, or the name is taken.
        """
        with self._lock:
            if (self._uses.get(file, 0) and not in_use) or path in self._by_path:
                return False
            del self._by_path[file.path]
            file.path = path
            self._by_path[path] = file
            return True

    def knows(self, path: str) -> bool:
        """Whether there is a file of that name here, in memory or not."""
        return self.peek(path) is not None or self._index.find(path) is not None

    def detached(self, path: str) -> None:
        """The file at `path` has lost its name (already in the index); handles go on using it."""
        file = self.peek(path)
        if file is None:
            return
        file.detach()  # first: whoever releases it from now on takes its data file away, too
        with self._lock:
            if self._by_path.get(path) is file:
                del self._by_path[path]
                self._detached.append(file)

    def reattached(self, file: CachedFile, *, node_is_there: bool) -> None:
        """The name of a detached file comes back (R9); see `FileCore.reattach`.

        Raises:
            CacheDamaged: another file has the name by now.
        """
        with self._row_busy(file.path):
            file.reattach(node_is_there=node_is_there)
            with self._lock:
                self._detached.remove(file)
                self._by_path[file.path] = file

    def moved_aside(self, path: str, aside: str) -> None:
        """A detached file's node was moved: what is missing of it is now at `aside` (R9)."""
        for file in self.find_detached(path):
            file.path = aside

    def forget(self, path: str) -> None:
        """The node at `path` is gone, and so is its row; whoever still uses the file goes on."""
        with self._lock:
            file = self._by_path.get(path)
            unused = file is not None and not self._uses.get(file, 0)
        self.detached(path)
        if file is not None and unused:
            self.settle(file)

    def find_detached(self, path: str) -> list[CachedFile]:
        """The files without a name whose node is, or was, at `path`."""
        with self._lock:
            return [file for file in self._detached if file.path == path]

    def use_detached(self, path: str) -> list[CachedFile]:
        """The same, each taken into use: pay it back with `release`."""
        with self._lock:
            files = [file for file in self._detached if file.path == path]
            for file in files:
                self._uses[file] += 1
            return files

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
                self._lock.notify_all()

    def _must_wait(self, path: str) -> bool:
        """Whether the row of `path` is in other hands.  Lock held."""
        held = (top for paths in self._changing for top in paths)
        return path in self._busy or any(uris.is_below(path, top) for top in held)

    def unsent_below(self, path: str) -> list[CachedFile]:
        """All dirty files at or below `path`."""
        with self._lock:
            files = [f for p, f in self._by_path.items() if uris.is_below(p, path)]
        return [file for file in files if file.is_dirty]

    def dirty_children(self, container: str) -> list[CachedFile]:
        """Files directly in `container` that have something to be sent."""
        with self._lock:
            files = [f for p, f in self._by_path.items() if uris.parent_of(p) == container]
        return [file for file in files if file.is_dirty]

    def in_use(self, path: str) -> bool:
        """Whether somebody has the file at `path` open or is transferring it."""
        with self._lock:
            file = self._by_path.get(path)
            return file is not None and self._uses.get(file, 0) > 0

    def close(self) -> None:
        """Save and close everything; dirty files stay as rows for the next mount."""
        with self._lock:
            files = list(self._uses)
            self._uses.clear()
            self._by_path.clear()
            self._detached.clear()
        for file in files:
            file.save()
            file.close()
            file.uncounted()
        self._evictor.sweep()
