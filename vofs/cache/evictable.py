"""What a cached file takes, and how it gives that back: clean blocks of 64 KiB, while in use.

What goes stops being present in the row before it leaves the data file (R12).  The row then says of
no clean byte that it is here until the file is saved again: so a file that is read through, however
large, costs one commit and not one for each block.  A process killed meanwhile forgets what clean
data it had of files in use, nothing else.

Never given up: what is dirty, what an upload in any state may need (R2), what a reader waits for,
and clean parts of a changed file unless the version they came from was seen a moment ago, because
only from that version can they come back (R6).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.index import Index
from vofs.cache.named import Named
from vofs.cache.rows import FileRow
from vofs.cache.space import Space
from vofs.core.errors import CacheFull
from vofs.core.eviction import BLOCK, blocks_of
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span

Changed = TypeVar("Changed")

PROVEN_S = 10.0  # how long a base version that was seen counts as being there
MOST_BLOCKS = 1024  # looked at under the lock at a time


class Evictable(Named):
    """See the module's docstring; the arguments are those of `FileCore`."""

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self._sparse = self._data.allocated < self.state.present.total
        self._proven_at = float("-inf")  # when bytes of the base version last came
        self._unlisted = False  # some of its clean blocks wait to be offered for eviction again
        self._rest_from = 0

    # -- what it takes ----------------------------------------------------------------------------

    def counted(self, before: int) -> None:
        """The file has come into memory, where `before` bytes of it are counted already."""
        with self.lock:
            self._charged = before
            self._space.loaded(self.number, before)
            self._account()
            if self.state.present:
                self.used_at = self._space.rest_used(self)

    def uncounted(self) -> None:
        """The file has left memory: what its row says that it takes stays counted.

        Where the row is gone, that is until the data file is removed (`Evictor.sweep`).
        """
        with self.lock:
            self._space.unloaded(self, self._row_bytes)

    def _account(self) -> None:
        """Tell what the file takes now, after every change of that.

        Zeros that were never written take no room: of a file that has any, the file system is
        asked.
        """
        size = self.state.present.total
        if self._sparse:
            size = min(size, self._data.allocated)
        size += self.state.aside_bytes
        if size != self._charged:
            self._charged = size
            self._space.charge(self.number, size)

    def _came(self, spans: list[Span]) -> None:
        """Bytes of the base version have come: it is still there.  Lock held."""
        self._proven_at = self._clock.monotonic()
        self._account()
        for span in spans:
            self.used_at = self._space.used(self, *span)
        self._offer_again()

    def _offer_again(self) -> None:
        """What could not be evicted when its turn came is offered again."""
        if self._unlisted:
            self._unlisted, self._rest_from = False, 0
            self._space.rest_used(self)

    def confirm(self, seen_at: float, version: VersionToken | None = None) -> None:
        """See `FileCore.confirm`."""
        super().confirm(seen_at, version)
        with self.lock:
            self._offer_again()

    def with_room(self, size: int, change: Callable[[], Changed]) -> Changed:
        """Do `change`, once more when the disk was full and clean data can make room (R21).

        Args:
            size: how much it stores at most.
            change: leaves the file as it was when it fails, or so that it can be repeated.

        Raises:
            CacheFull: nothing is left to be given up, or that did not help.
        """
        try:
            return change()
        except CacheFull:
            if not self._space.found_full(size):
                raise
        return change()

    def forget_all(self) -> None:
        """Nothing of a clean file is here after all."""
        with self.lock:
            self.state.forget(0, self.state.size)
            self._data.truncate(self.state.size)
            self._account()
            self._save(whole=self.state.is_whole)

    # -- giving back ------------------------------------------------------------------------------

    @contextmanager
    def awaiting(self, start: int, end: int) -> Iterator[None]:
        """Keep what comes of [start, end) until the block ends: somebody waits for it."""
        with self.lock:
            pin = self.state.pin(start, end)
        try:
            yield
        finally:
            with self.lock:
                self.state.unpin(pin)

    @contextmanager
    def completed(self) -> Iterator[None]:
        """R6: room for all that is missing, while the file is sent; see `Space.holes`."""
        missing = sum(end - start for start, end in self.gaps)
        with self._space.holes(missing, self.path):
            yield

    def evict(self, blocks: range) -> int:
        """Give up those of `blocks` that may go; returns how many bytes that freed.

        Raises:
            CacheError: the index or the data file cannot be changed; what was to go stays.
        """
        with self.lock:
            if self._closed:  # put away since its turn came: its row may be another object's
                return 0
            if not self._may_evict():
                self._unlisted = True
                return 0
            return self._evict(blocks)

    def evict_rest(self, size: int) -> tuple[int, bool]:
        """Give up blocks that were not used by themselves, from where the last call ended.

        Args:
            size: bytes that are enough.

        Returns:
            How many bytes that freed, and whether there may be more.

        Raises:
            CacheError: as for `evict`.
        """
        freed = looked_at = 0
        with self.lock:
            if self._closed:
                return 0, False
            if not self._may_evict():
                self._unlisted = True
                return 0, False
            while freed < size and looked_at < MOST_BLOCKS:
                found = self.state.present.first_from(self._rest_from)
                if found is None:
                    self._rest_from = 0
                    return freed, False
                blocks = blocks_of(found[0], min(found[1], found[0] + max(size - freed, BLOCK)))
                freed += self._evict(blocks, listed=False)
                looked_at += len(blocks)
                self._rest_from = blocks.stop * BLOCK
        return freed, True

    def _may_evict(self) -> bool:
        if not self.state.may_forget or self.put is not None:
            return False
        seen_at = max(self._proven_at, self.confirmed_at)
        return not self.state.is_dirty or self._clock.monotonic() - seen_at <= PROVEN_S

    def _evict(self, blocks: range, *, listed: bool = True) -> int:
        """Give up `blocks`; with `listed` false only those that were not used by themselves."""
        runs: list[Span] = []
        for block in blocks:
            start, end = block * BLOCK, (block + 1) * BLOCK
            if not listed and self._space.is_listed(self, block):
                continue
            if self.state.is_pinned(start, end) or self._is_held_back(start, end):
                self._space.used(self, start, end)
            elif self.state.evictable(start, end):
                first = runs.pop()[0] if runs and runs[-1][1] == start else start
                runs.append((first, end))
        if not runs:
            return 0
        before = self._charged
        self._promise_nothing_clean()
        for start, end in runs:
            self.state.forget(start, end)
        self._punch(runs)
        self._account()
        return max(0, before - self._charged)

    def _is_held_back(self, start: int, end: int) -> bool:
        """Whether bytes of [start, end) are in the data file that are not present yet."""
        return False

    def _promise_nothing_clean(self) -> None:
        """R12: before any hole is punched, the row stops saying that clean bytes are here.

        Of a changed file on the disk itself: what a power loss leaves of it is sent (R5), and a
        hole must not come to be taken for something that was written.
        """
        if not self._row_promises:
            return
        dirty = tuple((start, end, True) for start, end in self.state.dirty)
        row = replace(self._row(), whole=False, spans=dirty, present_bytes=0)
        self._store(row, durable=self.state.is_dirty)
        self._row_whole = False

    def _punch(self, runs: list[Span]) -> None:
        """Free what the runs take; where holes cannot be punched, at least what lies at the end."""
        if all(self._data.punch(start, end) for start, end in runs):
            return
        self._data.truncate(min(self.state.size, max(self.state.present.end, self._held_end())))
        self._data.truncate(self.state.size)

    def _held_end(self) -> int:
        """The end of what is in the data file and not present yet."""
        return 0
