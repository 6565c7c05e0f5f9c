"""Makes room: gives up what was used least recently, and nothing that must stay.

Two things have an order of use: blocks of files in memory (`Space`), and clean files that are only
rows (`coldrows`); whichever is older goes first.  A row goes as a whole, with its data file, unless
much less than that is wanted: then the file loses its beginning.  Each step costs what it frees.

No lock is held by the caller.  Rows in other hands, and blocks that somebody waits for, are passed
over.  Data files whose rows are gone, for whatever reason, are removed here and nowhere else are
they taken off the count.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager

from vofs.cache import coldrows
from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.coldrows import ColdFile
from vofs.cache.disk import Disk
from vofs.cache.index import Index
from vofs.cache.space import Space
from vofs.core.errors import CacheDamaged, CacheError
from vofs.core.eviction import BLOCK
from vofs.locks import Level, OrderedLock, assert_none_held

log = logging.getLogger(__name__)

ROWS = 64  # asked for at a time
PIECE = 4 << 20  # a file of more than was asked for, and this, is not given up as a whole


class Evictor:
    """See the module's docstring.

    Args:
        disk: the cache directory.
        index: its rows.
        clock: for the files it opens.
        space: the count, and the order of use.
        cold_row: enters the row of a path, unless it is in memory or in other hands; yields
            whether it did.
    """

    def __init__(
        self,
        disk: Disk,
        index: Index,
        clock: Clock,
        space: Space,
        cold_row: Callable[[str], AbstractContextManager[bool]],
    ) -> None:
        self._disk, self._index, self._clock, self._space = disk, index, clock, space
        self._cold_row = cold_row
        self._lock = OrderedLock(Level.LEAF)
        self._cold: deque[ColdFile] = deque()
        self._exhausted = False

    def begin(self) -> None:
        """Count what the last mount left; called once, before anything is in memory."""
        with self._index.transaction() as connection:
            used_bytes, tick = coldrows.usage(connection)
        self._space.begin(used_bytes, tick, self.make_room)

    def row_is_cold(self) -> None:
        """A file has left memory: there is a row that may be given up."""
        with self._lock:
            self._exhausted = False

    def make_room(self, size: int, *, unused_only: bool = False) -> int:
        """Give up `size` bytes, or as many as may go; returns how many went.

        Args:
            size: bytes.
            unused_only: only of files that nobody uses.
        """
        assert_none_held("eviction")
        freed, began = self.sweep(), self._space.tick
        passed: ColdFile | None = None  # it is in other hands; it would only come again
        while freed < size:
            cold = self._oldest_cold()
            hot = None if unused_only else self._space.oldest_tick()
            if cold == passed:
                cold = None
            if hot is not None and hot > began:
                hot = None  # put back meanwhile, because somebody waits for it
            if cold is None and hot is None:
                break
            try:
                if cold is not None and (hot is None or cold.used_at < hot):
                    went = self._give_up_row(cold, size - freed)
                    passed = None if went else cold
                    freed += went
                else:
                    freed += self._give_up_blocks(size - freed)
            except CacheError as exc:
                log.warning("cached data that was to be given up stays: %s", exc)
        return freed

    # -- blocks of files in memory ----------------------------------------------------------------

    def _give_up_blocks(self, size: int) -> int:
        taken = self._space.take_oldest(-(-size // BLOCK))
        if taken is None:
            return 0
        file, blocks, tick = taken
        if blocks is not None:
            return file.evict(blocks)
        freed, more = file.evict_rest(size)
        if more:
            self._space.put_back(file, tick)
        return freed

    # -- rows -------------------------------------------------------------------------------------

    def _oldest_cold(self) -> ColdFile | None:
        with self._lock:
            if self._cold or self._exhausted:
                return self._cold[0] if self._cold else None
        found = self._read_cold()
        with self._lock:
            self._cold.extend(found)
            self._exhausted = not self._cold
            return self._cold[0] if self._cold else None

    def _read_cold(self) -> list[ColdFile]:
        """The next rows of files that are not in memory; rows of those that are become young."""
        began = self._space.next_tick()
        while True:
            with self._index.transaction() as connection:
                rows = coldrows.oldest(connection, ROWS)
                in_use = [row.number for row in rows if self._space.is_loaded(row.number)]
                coldrows.touch(connection, in_use, began)
            cold = [row for row in rows if row.number not in in_use]
            if cold or not rows or rows[0].used_at >= began:
                return cold

    def _give_up_row(self, cold: ColdFile, size: int) -> int:
        with self._lock:
            if not self._cold or self._cold[0] != cold:
                return 0  # another thread sees to it
            self._cold.popleft()
        with self._cold_row(cold.path) as entered:
            if not entered:
                return 0
            row = self._index.find(cold.path)
            if row is None or (row.number, row.used_at) != (cold.number, cold.used_at):
                return 0
            if self._space.is_loaded(row.number):
                return 0
            if row.present_bytes > size + PIECE:
                return self._trim(cold.path, size)
            self._index.delete_clean(cold.path)
        return self.sweep()

    def _trim(self, path: str, size: int) -> int:
        """Give up the beginning of a file that nobody uses; the rest stays as old as it was."""
        row = self._index.find(path)
        if row is None:
            return 0
        try:
            file = CachedFile(row, self._disk, self._index, self._clock, self._space)
        except CacheDamaged:
            self._index.delete_clean(path)
            return 0
        try:
            file.counted(row.present_bytes)
            freed, _ = file.evict_rest(size)
            file.used_at = row.used_at
            file.save()
            return freed
        finally:
            file.close()
            file.uncounted()
            self.row_is_cold()

    # -- data files without a row -----------------------------------------------------------------

    def sweep(self) -> int:
        """Remove data files whose rows are gone and that nobody has open; returns their bytes."""
        freed, number = 0, 0
        while True:
            with self._index.transaction() as connection:
                found = coldrows.leftovers(connection, number, ROWS)
            if not found:
                return freed
            for number, size in found:
                if self._space.is_loaded(number):
                    continue
                self._disk.remove_data(number)
                with self._index.transaction() as connection:
                    mine = coldrows.removed(connection, number)
                if mine:
                    self._space.freed(size)
                    freed += size

    def drop_clean(self, path: str) -> int:
        """Forget clean data at and below `path` that nobody uses; returns how many files."""
        dropped = 0
        for found in self._index.clean_below(path):
            with self._cold_row(found) as entered:
                row = self._index.find(found)
                if entered and row is not None and not self._space.is_loaded(row.number):
                    dropped += self._index.delete_clean(found) is not None
        self.sweep()
        return dropped

    def restore_budget(self) -> None:
        """Give up what is over the budget, or in the space that is to stay free."""
        excess = self._space.excess()
        if excess > 0:
            self.make_room(excess)
        else:
            self.sweep()
