"""Sets of byte positions, kept as sorted disjoint half-open spans.

The whole cache reasons in these: which bytes are present, which are dirty, which are missing.
A `SpanSet` is mutable and never shared between owners; every method costs O(log n + touched).

Invariant: `_starts` and `_ends` are parallel, strictly increasing, and no two spans touch;
`_total` is the sum of all lengths.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import final

Span = tuple[int, int]


def clip(span: Span, within: Span) -> Span:
    """The part of `span` inside `within`; an empty span (start == end) when there is none."""
    start = max(span[0], within[0])
    return start, max(start, min(span[1], within[1]))


@final
class SpanSet:
    """A set of non-negative integers, as spans.

    Args:
        spans: half-open (start, end) pairs, in any order; empty ones are ignored.

    >>> SpanSet([(0, 4), (4, 6), (10, 12)])
    SpanSet([(0, 6), (10, 12)])
    """

    __slots__ = ("_ends", "_starts", "_total")

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._total = 0
        for start, end in spans:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Add [start, end)."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)  # the first span that ends at or after start
        last = bisect_right(self._starts, end)  # one past the last that starts at or before end
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
            self._total -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._total += end - start
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def remove(self, start: int, end: int) -> None:
        """Remove [start, end)."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)  # the first span that ends after start
        last = bisect_left(self._starts, end)  # one past the last that starts before end
        if first >= last:
            return
        kept = [
            (s, e) for s, e in ((self._starts[first], start), (end, self._ends[last - 1])) if s < e
        ]
        self._total -= sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._total += sum(e - s for s, e in kept)
        self._starts[first:last] = [s for s, _ in kept]
        self._ends[first:last] = [e for _, e in kept]

    def update(self, other: Iterable[Span]) -> None:
        """Add every span of `other`."""
        for start, end in other:
            self.add(start, end)

    def covers(self, start: int, end: int) -> bool:
        """Tell whether every position of [start, end) is in the set; an empty span always is."""
        if start >= end:
            return True
        index = bisect_right(self._starts, start) - 1
        return index >= 0 and self._ends[index] >= end

    def overlaps(self, start: int, end: int) -> bool:
        """Tell whether any position of [start, end) is in the set."""
        index = bisect_right(self._ends, start)
        return start < end and index < len(self._starts) and self._starts[index] < end

    def gaps(self, start: int, end: int) -> list[Span]:
        """The parts of [start, end) that are not in the set, in order."""
        missing: list[Span] = []
        position = start
        for span_start, span_end in self.within(start, end):
            if position < span_start:
                missing.append((position, span_start))
            position = span_end
        if position < end:
            missing.append((position, end))
        return missing

    def within(self, start: int, end: int) -> list[Span]:
        """The parts of [start, end) that are in the set, in order."""
        found: list[Span] = []
        if start >= end:
            return found
        index = bisect_right(self._ends, start)
        while index < len(self._starts) and self._starts[index] < end:
            found.append((max(start, self._starts[index]), min(end, self._ends[index])))
            index += 1
        return found

    def first_from(self, position: int) -> Span | None:
        """The first part of the set at or after `position`: to the end of its span, or None."""
        index = bisect_right(self._ends, position)
        if index == len(self._ends):
            return None
        return max(position, self._starts[index]), self._ends[index]

    def copy(self) -> SpanSet:
        """An independent copy."""
        twin = SpanSet()
        twin._starts = self._starts.copy()
        twin._ends = self._ends.copy()
        twin._total = self._total
        return twin

    @property
    def total(self) -> int:
        """The number of positions in the set, known at any time."""
        return self._total

    @property
    def end(self) -> int:
        """One past the highest position; 0 when empty."""
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[Span]:
        return iter(list(zip(self._starts, self._ends, strict=True)))

    def __len__(self) -> int:
        return len(self._starts)

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SpanSet):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"SpanSet({list(self)})"
