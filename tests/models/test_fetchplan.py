"""The fetch plan: it covers the read, stays in the file, is aligned, and grows for a stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vofs.core.fetchplan import BLOCK, FIRST_WINDOW, LARGEST_WINDOW, ReadPattern, plan

offsets = st.integers(0, 1 << 42)
lengths = st.integers(1, 1 << 21)
sizes = st.integers(1, 1 << 43)
patterns = st.lists(st.tuples(offsets, lengths), max_size=8)


def followed(reads: list[tuple[int, int]]) -> ReadPattern:
    pattern = ReadPattern()
    for start, length in reads:
        pattern = pattern.after(start, start + length)
    return pattern


@given(reads=patterns, start=offsets, length=lengths, size=sizes, ranges=st.booleans())
def test_a_plan_covers_the_read_and_no_more_than_the_file(
    reads: list[tuple[int, int]], start: int, length: int, size: int, ranges: bool
) -> None:
    start = start % size
    end = start + length
    first, last = plan(followed(reads), start, end, size, ranges=ranges)
    assert 0 <= first <= start
    assert min(end, size) <= last <= size
    if ranges:
        assert first % BLOCK == 0
        assert last == size or last % BLOCK == 0
        assert last - first <= max(length, LARGEST_WINDOW) + 2 * BLOCK
    else:
        assert (first, last) == (0, size)


@given(start=st.integers(1 << 25, 1 << 40), length=st.integers(1, BLOCK))
def test_a_read_out_of_the_blue_fetches_its_blocks_alone(start: int, length: int) -> None:
    pattern = ReadPattern(0, FIRST_WINDOW).after(start, start + length)
    first, last = plan(pattern, start, start + length, 1 << 41, ranges=True)
    assert last - first <= length + 2 * BLOCK


@given(reads=patterns)
def test_the_window_has_bounds(reads: list[tuple[int, int]]) -> None:
    assert 0 <= followed(reads).window <= LARGEST_WINDOW
