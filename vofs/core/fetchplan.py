"""What to download when a read finds something missing.

Pure.  A file's reads are followed by one small frozen value, `ReadPattern`.  Random reads fetch the
blocks they touch; sequential reads fetch a window that grows eightfold, because a window is one
ranged request whose bytes readers get as they arrive: a long window costs no latency, and the
number of requests for a whole file stays small (targets.md: at most 4 for 256 MB).
"""

from __future__ import annotations

from dataclasses import dataclass

from vofs.core.spans import Span

BLOCK = 64 * 1024
FIRST_WINDOW = 1024 * 1024
LARGEST_WINDOW = 512 * 1024 * 1024
SLACK = 256 * 1024  # the kernel reads ahead of itself, slightly out of order


@dataclass(frozen=True, slots=True)
class ReadPattern:
    """What the reads of one file looked like so far.

    Attributes:
        next_offset: where a sequential reader would read next.
        window: bytes to fetch ahead when it does; 0 before anything looked sequential.
    """

    next_offset: int = 0
    window: int = 0

    def after(self, start: int, end: int) -> ReadPattern:
        """The pattern after a read of [start, end) that found bytes missing."""
        if abs(start - self.next_offset) > SLACK:
            return ReadPattern(end, 0)
        grown = min(self.window * 8, LARGEST_WINDOW) if self.window else FIRST_WINDOW
        return ReadPattern(max(end, self.next_offset), grown)

    def planned(self, end: int) -> ReadPattern:
        """The pattern once everything up to `end` is being fetched: there the next miss will be."""
        return ReadPattern(max(end, self.next_offset), self.window) if self.window else self


def plan(pattern: ReadPattern, start: int, end: int, size: int, *, ranges: bool) -> Span:
    """The span to fetch for a read of [start, end) of a file of `size` bytes.

    Args:
        pattern: the pattern that already includes this read.
        start: first byte that is needed.
        end: one past the last.
        size: size of the file in bytes.
        ranges: whether the service serves ranges; without them the whole body is one stream.

    Returns:
        A span that holds [start, min(end, size)), aligned to blocks.
    """
    if not ranges:
        return 0, size
    wanted = max(end, start + pattern.window)
    return start // BLOCK * BLOCK, min(size, -(-wanted // BLOCK) * BLOCK)
