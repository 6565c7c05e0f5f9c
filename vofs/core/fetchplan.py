"""What to download when a read finds something missing.

Pure.  A file's reads are followed by one small frozen value, `ReadPattern`.  Random reads fetch the
blocks they touch; sequential reads fetch a window that grows, because a window is one ranged
request whose bytes readers get as they arrive: a long window costs no latency, and the number of
requests for a whole file stays small (targets.md: at most 4 for 256 MB).  A long window is fetched
in two parts at a time.  How far a download may run ahead of its readers is not decided here, but by
`core.prefetch`.

The kernel reads ahead of a program, several requests at a time and in any order.  So a read a
little beyond the end of a window continues it, from that end on and without a hole, and a read
inside a window that is still arriving changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from vofs.core.spans import Span

BLOCK = 64 * 1024
FIRST_WINDOW = 1024 * 1024
SECOND_WINDOW = 8 * 1024 * 1024
LARGEST_WINDOW = 512 * 1024 * 1024
PARALLEL_FROM = 32 * 1024 * 1024  # bytes: so long a window is fetched in two halves
KERNEL_AHEAD = 1024 * 1024  # how far beyond a window the kernel's own readahead may begin


@dataclass(frozen=True, slots=True)
class ReadPattern:
    """What the reads of one file looked like so far.

    Attributes:
        next_offset: where a sequential reader finds something missing next.
        window: bytes that are being fetched up to there; 0 when it did not look sequential.
    """

    next_offset: int = 0
    window: int = 0

    def is_inside(self, start: int) -> bool:
        """Whether `start` lies in the window that is being fetched."""
        return self.next_offset - self.window <= start < self.next_offset

    def is_continued_at(self, start: int) -> bool:
        """Whether a read at `start` goes on where the last ones ended."""
        return self.next_offset <= start <= self.next_offset + KERNEL_AHEAD


def plan(
    pattern: ReadPattern,
    start: int,
    end: int,
    size: int,
    *,
    ranges: bool,
    most: int = LARGEST_WINDOW,
) -> tuple[list[Span], ReadPattern]:
    """What to fetch for a read of [start, end) that found something missing.

    Args:
        pattern: the reads before this one.
        start: first byte that is needed.
        end: one past the last.
        size: size of the file in bytes.
        ranges: whether the service serves ranges; without them the whole body is one stream.
        most: how far ahead of the reader may be fetched.

    Returns:
        The spans, one request each, adjacent and aligned to blocks, that together hold
        [start, min(end, size)); and the pattern after it.
    """
    if not ranges:
        return [(0, size)], pattern
    if most > 0 and pattern.is_continued_at(start):
        grown = max(BLOCK, min(_grown(pattern.window), most))
        first = pattern.next_offset
        span = _blocks(first, max(end, first + grown), size)
        return _halves(span), ReadPattern(span[1], grown)
    span = _blocks(start, end, size)
    return [span], pattern if pattern.is_inside(start) else ReadPattern(span[1], 0)


def stretch(missing: list[Span], apart: int) -> Span:
    """The first part of `missing` that is worth one request.

    Args:
        missing: in order, at least one.
        apart: spans with fewer bytes between them are fetched in one, with what lies between.
    """
    start, end = missing[0]
    for first, last in missing[1:]:
        if first - end >= apart:
            break
        end = last
    return start, end


def _grown(window: int) -> int:
    if window == 0:
        return FIRST_WINDOW
    return SECOND_WINDOW if window < SECOND_WINDOW else LARGEST_WINDOW


def _halves(span: Span) -> list[Span]:
    start, end = span
    if end - start < PARALLEL_FROM:
        return [span]
    middle = start + (end - start) // 2 // BLOCK * BLOCK
    return [(start, middle), (middle, end)]


def _blocks(start: int, end: int, size: int) -> Span:
    return start // BLOCK * BLOCK, min(size, -(-end // BLOCK) * BLOCK)
