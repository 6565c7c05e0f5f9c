"""What was used least recently, of everything that files in memory hold.

Pure.  Files are divided into blocks of 64 KiB.  `UseOrder` keeps one entry for each block that was
used by itself, and one for the rest of each file that has one: what was brought into memory with
the file and has not been used since.  All entries stand in one order, from the longest unused to
the last used, each with the tick of its use; ticks only grow.  Every operation costs the blocks
that it names and nothing else, however many there are.

At most `most` blocks have entries of their own.  Beyond that the longest unused one joins the rest
of its file, which then is as old as that block was.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

BLOCK = 64 * 1024
MOST_BLOCKS = 65536  # 4 GiB block by block, in about 20 MB of memory
REST = -1  # in place of a block: all blocks of the file that have no entry of their own

K = TypeVar("K", bound=Hashable)


def blocks_of(start: int, end: int) -> range:
    """The numbers of the blocks that [start, end) touches."""
    return range(start // BLOCK, -(-end // BLOCK)) if start < end else range(0)


@dataclass(frozen=True, slots=True)
class Oldest(Generic[K]):
    """What was used least recently.

    Attributes:
        file: whose it is.
        block: which block, or `REST`.
        tick: when it was used last.
    """

    file: K
    block: int
    tick: int


class UseOrder(Generic[K]):
    """See the module's docstring.

    Args:
        most: blocks with entries of their own.
    """

    def __init__(self, most: int = MOST_BLOCKS) -> None:
        self._most = most
        self._blocks: OrderedDict[tuple[K, int], int] = OrderedDict()
        self._rests: OrderedDict[K, int] = OrderedDict()
        self._listed: dict[K, set[int]] = {}  # the blocks of each file that have entries

    def __len__(self) -> int:
        return len(self._blocks) + len(self._rests)

    def used(self, file: K, start: int, end: int, tick: int) -> None:
        """The bytes [start, end) of `file` were used at `tick`, the latest so far."""
        for block in blocks_of(start, end):
            self._blocks[file, block] = tick
            self._blocks.move_to_end((file, block))
            self._listed.setdefault(file, set()).add(block)
        while len(self._blocks) > self._most:
            self._merge_oldest()

    def rest_used(self, file: K, tick: int) -> None:
        """Whatever `file` holds without an entry of its own was used at `tick`, the latest."""
        self._rests[file] = tick
        self._rests.move_to_end(file)

    def _merge_oldest(self) -> None:
        """Let the longest unused block join the rest of its file."""
        (file, block), tick = next(iter(self._blocks.items()))
        self.drop(file, block)
        if file not in self._rests:
            first = next(iter(self._rests.values()), tick)
            self._rests[file] = min(first, tick)
            self._rests.move_to_end(file, last=False)

    def oldest(self) -> Oldest[K] | None:
        """What was used least recently, or None when there is nothing."""
        block = next((Oldest(*key, tick) for key, tick in self._blocks.items()), None)
        rest = next((Oldest(file, REST, tick) for file, tick in self._rests.items()), None)
        if block is None or rest is None:
            return block or rest
        return block if block.tick < rest.tick else rest

    def is_listed(self, file: K, block: int) -> bool:
        """Whether that block has an entry of its own."""
        return block in self._listed.get(file, ())

    def drop(self, file: K, block: int) -> None:
        """Forget one entry; one that is not there is fine."""
        if block == REST:
            self._rests.pop(file, None)
        elif self._blocks.pop((file, block), None) is not None:
            listed = self._listed[file]
            listed.discard(block)
            if not listed:
                del self._listed[file]

    def drop_file(self, file: K) -> None:
        """Forget all entries of a file."""
        self._rests.pop(file, None)
        for block in self._listed.pop(file, ()):
            del self._blocks[file, block]

    def rest_left(self, file: K, tick: int) -> None:
        """The rest of `file`, taken as the oldest with `drop`, is not used up: it comes first."""
        if file not in self._rests:
            self._rests[file] = tick
            self._rests.move_to_end(file, last=False)
