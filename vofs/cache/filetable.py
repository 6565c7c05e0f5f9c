"""All cached files: what the last mount left, the names of files, and the space that they take.

Names of files that the service never had exist here alone, so listings are completed from here.
Which of them are in memory, and how rows become objects, is `FilesInUse`.
"""

from __future__ import annotations

import logging

from vofs.cache.cachedfile import CachedFile
from vofs.cache.filesinuse import FilesInUse
from vofs.cache.rowchanges import delete_number
from vofs.cache.rows import DamagedRow, FileRow
from vofs.core import uris
from vofs.core.errors import CacheDamaged, CacheFull, MountUnusable, NodeExists
from vofs.core.nodes import VersionToken

log = logging.getLogger(__name__)


class FileTable(FilesInUse):
    """See the module's docstring; the arguments are those of `FilesInUse`."""

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
            except CacheFull as exc:  # it may be opened another time: nothing is set aside
                raise MountUnusable(
                    f"unsent {row.path} cannot be opened: {exc}; more open files (ulimit -n)?"
                ) from exc
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

    def create(self, path: str, mode: int) -> CachedFile:
        """Make a file that the service does not have yet; it exists from this commit on (R8).

        Raises:
            NodeExists: there is a file of that name here.
        """
        with self._row_busy(path):
            return self._create(path, mode)

    def create_unless_changed(self, path: str, mode: int, seen: int) -> CachedFile | None:
        """The same; None when names were changed since `names_changed` was `seen`.

        Then the container that was looked at may be gone: look again.

        Raises:
            NodeExists: there is a file of that name here.
        """
        with self._row_busy(path):
            return self._create(path, mode) if self.names_changed == seen else None

    def _create(self, path: str, mode: int) -> CachedFile:
        if self.peek(path) is not None:
            raise NodeExists(path)
        row = FileRow(0, path, 0, 0, 1, 0, True, None, self._clock.time_ns(), mode)
        stored, added = self._index.insert(row, self._disk.create_data)
        if not added:
            if stored.generation != stored.stored_generation:
                raise NodeExists(path)
            stale = stored  # a copy of a node that is gone
            stored = self._index.replace(row, self._disk.create_data)
            self._disk.remove_data(stale.number)
            self.space.freed(stale.present_bytes)
        return self._load(stored)

    def lose_name(self, file: CachedFile) -> bool:
        """The node of a file is gone from the service, so a new file may have its name.

        Whoever reads the old one goes on, as after an unlink.

        Returns:
            False when the name stays: what is written in the file makes its node again.
        """
        path = file.path
        with self.changing_names(path):
            writers = file.writing(self._clock.monotonic())[0]
            if self.peek(path) is not file or file.is_dirty or writers:
                return False
            with self._index.transaction() as connection:
                delete_number(connection, file.number)
            self.detached(path)
            return True

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

    def version_of(self, path: str) -> VersionToken | None:
        """The version that the cached bytes of `path` are of; None: nothing of it is cached."""
        file = self.peek(path)
        if file is not None:
            return file.provenance[0]
        row = self._index.find(path)
        return None if row is None else row.base

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
        """The name of a detached file comes back (R9); see `Named.reattach`.

        Raises:
            CacheDamaged: another file has the name by now.
            CacheFull: its row cannot be stored.
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
        file = self.peek(path)
        self.detached(path)
        if file is not None:  # whoever used it may have paid that back while it lost its name
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
