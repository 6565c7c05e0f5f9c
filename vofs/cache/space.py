"""How much of the disk the cache takes, and who may take more.

Counted is what is really there: for each file in memory its present bytes as they are at this
moment (what downloads bring counts when it arrives), for all others what their rows say.  Whoever
is about to store bytes reserves them first, without any lock (R21): clean data that was used least
recently makes room (`Eviction`).  What does not fit then depends on who needs it:

* what nobody waits for yet stays within the budget, or is not stored;
* what was written, or fills a hole for an upload, may exceed the budget down to --min-free; below
  that the answer is `CacheFull`, before anything was accepted;
* what a reader waits for is stored even then, because a read is answered in full (R14): at most
  the requests of one moment, and the first to go again.

The lock is a leaf.  Files call with their own lock held; reservations are made without any.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vofs.cache.disk import Disk
from vofs.core.errors import NodeBusy, UploadFailed
from vofs.core.eviction import REST, UseOrder
from vofs.locks import Level, OrderedLock, assert_none_held

if TYPE_CHECKING:
    from vofs.cache.evictable import Evictable

TRIES = 8  # others may take the room that was made
BATCH = 1 << 20  # given up at a time, at least, or this part of the budget:
BATCH_SHARE = 16
AHEAD_SHARE = 4  # downloads that nobody waits for yet may fill this part of the budget


class Need(enum.Enum):
    """Who needs room, and so how far he may go; see the module's docstring."""

    AHEAD = "ahead"
    KEPT = "kept"
    AWAITED = "awaited"


class Space:
    """See the module's docstring.

    Args:
        disk: says how much is free.
        limit_bytes: the budget.
    """

    def __init__(self, disk: Disk, limit_bytes: int) -> None:
        self._disk, self.limit_bytes = disk, limit_bytes
        self._lock = OrderedLock(Level.LEAF)
        self._order: UseOrder[Evictable] = UseOrder()
        self._charges: dict[int, int] = {}  # by number, of files in memory
        self._downloading: set[int] = set()
        self._used = self._reserved = self._tick = 0
        self._cramped = self._exceeded = False
        self._make_room: Callable[[int], int] = lambda _: 0

    def begin(self, used_bytes: int, tick: int, make_room: Callable[[int], int]) -> None:
        """Start counting.

        Args:
            used_bytes: what files that are not in memory take.
            tick: the last one of an earlier mount.
            make_room: gives up as many bytes, if it can, and returns how many.
        """
        with self._lock:
            self._used, self._tick, self._make_room = used_bytes, tick, make_room

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

    # -- reserving --------------------------------------------------------------------------------

    @contextmanager
    def reserved(self, size: int, need: Need) -> Iterator[bool]:
        """Have room for `size` bytes while the block runs; what it stores is charged by then.

        Args:
            size: the most that may be stored.
            need: who needs it.

        Yields:
            Whether there is room: False only for `Need.AHEAD`.

        Raises:
            CacheFull: nothing more may be stored.
        """
        granted = self._reserve(size, need)
        try:
            yield granted
        finally:
            if granted:
                self._give_back(size)

    def _reserve(self, size: int, need: Need) -> bool:
        assert_none_held("making room in the cache")
        for _ in range(TRIES):
            if self._take(size):
                return True
            batch = min(BATCH, self.limit_bytes // BATCH_SHARE)
            if not self._make_room(max(self.excess(size), batch)):
                break
        if need is Need.AHEAD:
            with self._lock:
                self._cramped = True
            return False
        with self._lock:
            self._reserved += size
            wanted = self._reserved
        if need is Need.KEPT:
            try:
                self._disk.require_room(wanted)
            except BaseException:
                self._give_back(size)
                raise
        return True

    def _give_back(self, size: int) -> None:
        with self._lock:
            self._reserved -= size

    def found_full(self, size: int) -> bool:
        """The disk had no room for what was reserved: others use it, too, and quotas of its own.

        Args:
            size: how much was to be stored.

        Returns:
            Whether clean data could be given up, so that another try makes sense.
        """
        return self._make_room(max(size, BATCH)) > 0

    def _take(self, size: int) -> bool:
        if self._disk.missing_room(size) > 0:
            return False
        with self._lock:
            if self._used + self._reserved + size > self.limit_bytes:
                return False
            self._reserved += size
            return True

    @contextmanager
    def holes(self, size: int, path: str) -> Iterator[None]:
        """R6: an upload needs `size` bytes that are not here; what comes of them stays meanwhile.

        One upload at a time may exceed the budget for that, down to --min-free.

        Args:
            size: what is missing of the file.
            path: of the file, for messages.

        Raises:
            NodeBusy: another upload exceeds it now: this one comes later.
            UploadFailed: there is not enough disk; says how much is needed.
        """
        exceeds = size > 0 and self.excess(size) > 0 and not self._fits(size)
        if exceeds:
            with self._lock:
                if self._exceeded:
                    raise NodeBusy(f"{path} waits until another large file has been sent")
                self._exceeded = True
        try:
            if exceeds and self._disk.missing_room(size) > 0:
                raise UploadFailed(
                    f"{path} cannot be completed: sending it needs {size >> 20} MB more below"
                    f" {self._disk.root}, beside what is to stay free (--min-free)"
                )
            yield
        finally:
            if exceeds:
                with self._lock:
                    self._exceeded = False

    def _fits(self, size: int) -> bool:
        """Whether `size` more bytes fit once everything has gone that may."""
        self._make_room(self.excess(size))
        return self.excess(size) <= 0

    def excess(self, size: int = 0) -> int:
        """How much would have to go so that `size` more bytes fit; at most 0 when they do."""
        with self._lock:
            wanted = self._reserved + size
            over_budget = self._used + wanted - self.limit_bytes
        return max(over_budget, self._disk.missing_room(wanted))

    def ahead_bytes(self) -> int:
        """How far a download may run ahead of its reader without pushing out unread bytes."""
        with self._lock:
            if self._cramped:
                return 0
            return self.limit_bytes // AHEAD_SHARE // max(1, len(self._downloading))

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
