"""How much of the disk the cache takes, and who may take more.

What is taken is counted by `Charges`.  Whoever is about to store bytes reserves them first, without
any lock (R21): clean data that was used least recently makes room (`Eviction`).  What does not fit
then depends on who needs it:

* what nobody waits for yet stays within the budget, or is not stored;
* what nobody has even asked for takes no room that only a file in use could make;
* what was written, or fills a hole for an upload, may exceed the budget down to --min-free; below
  that the answer is `CacheFull`, before anything was accepted;
* what a reader waits for is stored even then, because a read is answered in full (R14): at most
  the requests of one moment, and the first to go again.

The lock is a leaf.  Files call with their own lock held; reservations are made without any.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from vofs.cache.charges import Charges
from vofs.cache.disk import Disk
from vofs.core.errors import NodeBusy, UploadFailed
from vofs.locks import assert_none_held

TRIES = 8  # others may take the room that was made
BATCH = 1 << 20  # given up at a time, at least, or this part of the budget:
BATCH_SHARE = 16
AHEAD_SHARE = 4  # downloads that nobody waits for yet may fill this part of the budget


class MakeRoom(Protocol):
    """See `Evictor.make_room`."""

    def __call__(self, size: int, /, *, unused_only: bool = False) -> int: ...


class Need(enum.Enum):
    """Who needs room, and so how far he may go; see the module's docstring."""

    SPARE = "spare"
    AHEAD = "ahead"
    KEPT = "kept"
    AWAITED = "awaited"


class Space(Charges):
    """See the module's docstring.

    Args:
        disk: says how much is free.
        limit_bytes: the budget.
    """

    def __init__(self, disk: Disk, limit_bytes: int) -> None:
        super().__init__()
        self._disk, self.limit_bytes = disk, limit_bytes
        self._reserved, self._exceeded = 0, False
        self._make_room: MakeRoom = lambda _, unused_only=False: 0

    def begin(self, used_bytes: int, tick: int, make_room: MakeRoom) -> None:
        """Start counting.

        Args:
            used_bytes: what files that are not in memory take.
            tick: the last one of an earlier mount.
            make_room: gives up as many bytes, if it can, and returns how many.
        """
        with self._lock:
            self._used, self._tick, self._make_room = used_bytes, tick, make_room

    # -- reserving --------------------------------------------------------------------------------

    @contextmanager
    def reserved(self, size: int, need: Need) -> Iterator[bool]:
        """Have room for `size` bytes while the block runs; what it stores is charged by then.

        Args:
            size: the most that may be stored.
            need: who needs it.

        Yields:
            Whether there is room: False only for `Need.AHEAD` and `Need.SPARE`.

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
            wanted = max(self.excess(size), batch)
            if not self._make_room(wanted, unused_only=need is Need.SPARE):
                break
        if need is Need.SPARE:
            return False
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
