"""What the cached files take, and in which order they were used.

Counted is what is really there: for each file in memory its present bytes as they are at this
moment (what downloads bring counts when it arrives), for all others what their rows say.

The lock is a leaf.  Files call with their own lock held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vofs.core.eviction import REST, UseOrder
from vofs.locks import Level, OrderedLock

if TYPE_CHECKING:
    from vofs.cache.evictable import Evictable


class Charges:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._lock = OrderedLock(Level.LEAF)
        self._order: UseOrder[Evictable] = UseOrder()
        self._charges: dict[int, int] = {}  # by number, of files in memory
        self._downloading: set[int] = set()
        self._used = self._tick = 0
        self._cramped = False  # nothing could be given up, and nothing has gone since

    @property
    def used_bytes(self) -> int:
        """What the cached files take at this moment."""
        with self._lock:
            return self._used

    @property
    def tick(self) -> int:
        """Counts the uses of anything."""
        with self._lock:
            return self._tick

    def next_tick(self) -> int:
        """A tick that is later than every use so far."""
        with self._lock:
            self._tick += 1
            return self._tick

    # -- files in memory --------------------------------------------------------------------------

    def charge(self, number: int, size: int) -> None:
        """The data file `number` takes `size` bytes now."""
        with self._lock:
            before = self._charges.get(number, 0)
            self._charges[number] = size
            self._used += size - before
            self._cramped = self._cramped and size >= before

    def loaded(self, number: int, size: int) -> None:
        """A file whose `size` bytes are counted already has come into memory."""
        with self._lock:
            self._charges[number] = size

    def unloaded(self, file: Evictable, size: int) -> None:
        """A file has left memory; its row says that it takes `size` bytes."""
        with self._lock:
            self._order.drop_file(file)
            self._downloading.discard(file.number)
            self._used += size - self._charges.pop(file.number, size)
            self._cramped = False

    def renumbered(self, file: Evictable, old: int) -> None:
        """A file has got a new, empty data file, and the one of number `old` is removed."""
        with self._lock:
            self._order.drop_file(file)
            self._used -= self._charges.pop(old, 0)
            self._charges[file.number] = 0

    def is_loaded(self, number: int) -> bool:
        """Whether the data file is one of a file in memory."""
        with self._lock:
            return number in self._charges

    def freed(self, size: int) -> None:
        """A file that was not in memory is gone."""
        with self._lock:
            self._used -= size
            self._cramped = False

    def downloading(self, number: int, running: bool) -> None:
        """Whether something of that file is being downloaded."""
        with self._lock:
            (self._downloading.add if running else self._downloading.discard)(number)

    # -- the order of use -------------------------------------------------------------------------

    def used(self, file: Evictable, start: int, end: int) -> int:
        """Bytes of `file` were read or have come; returns the tick."""
        with self._lock:
            self._tick += 1
            self._order.used(file, start, end, self._tick)
            return self._tick

    def rest_used(self, file: Evictable) -> int:
        """All that `file` holds may be given up again, as something just used; returns the tick."""
        with self._lock:
            self._tick += 1
            self._order.rest_used(file, self._tick)
            self._cramped = False
            return self._tick

    def put_back(self, file: Evictable, tick: int) -> None:
        """More of the rest of `file`, last used at `tick`, is left to be given up."""
        with self._lock:
            if file.number in self._charges:
                self._order.rest_left(file, tick)

    def is_listed(self, file: Evictable, block: int) -> bool:
        """Whether that block of the file was used by itself."""
        with self._lock:
            return self._order.is_listed(file, block)

    def oldest_tick(self) -> int | None:
        """When that of files in memory was used which was used least recently."""
        with self._lock:
            oldest = self._order.oldest()
            return None if oldest is None else oldest.tick

    def take_oldest(self, most: int) -> tuple[Evictable, range | None, int] | None:
        """Take what was used least recently out of the order.

        Args:
            most: blocks of one file, one after the other, that are taken together.

        Returns:
            The file, its blocks (None for its rest), and the tick; None when there is nothing.
        """
        with self._lock:
            oldest = self._order.oldest()
            if oldest is None:
                return None
            file, block, tick = oldest.file, oldest.block, oldest.tick
            self._order.drop(file, block)
            if block == REST:
                return file, None, tick
            end = block + 1
            while end < block + most:
                after = self._order.oldest()
                if after is None or (after.file, after.block) != (file, end):
                    break
                self._order.drop(file, end)
                end += 1
            return file, range(block, end), tick
