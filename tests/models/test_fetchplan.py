"""The fetch plan: it covers the read, stays in the file, is aligned, and grows for a stream."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vofs.core.fetchplan import BLOCK, FIRST_WINDOW, KERNEL_AHEAD, LARGEST_WINDOW, ReadPattern, plan
from vofs.core.spans import SpanSet

HUGE = 1 << 43
offsets = st.integers(0, 1 << 42)
lengths = st.integers(1, 1 << 21)
sizes = st.integers(1, HUGE)
patterns = st.lists(st.tuples(offsets, lengths), max_size=8)


def followed(reads: list[tuple[int, int]]) -> ReadPattern:
    pattern = ReadPattern()
    for start, length in reads:
        _, pattern = plan(pattern, start, start + length, HUGE, ranges=True)
    return pattern


@given(
    reads=patterns,
    start=offsets,
    length=lengths,
    size=sizes,
    ranges=st.booleans(),
    most=st.integers(0, LARGEST_WINDOW),
)
def test_a_plan_covers_the_read_and_no_more_than_the_file(
    reads: list[tuple[int, int]], start: int, length: int, size: int, ranges: bool, most: int
) -> None:
    start = start % size
    end = start + length
    spans, _ = plan(followed(reads), start, end, size, ranges=ranges, most=most)
    assert all(before[1] == after[0] for before, after in pairwise(spans))
    first, last = spans[0][0], spans[-1][1]
    assert 0 <= first <= start
    assert min(end, size) <= last <= size
    if ranges:
        assert first % BLOCK == 0
        assert last == size or last % BLOCK == 0
        assert last - first <= max(length + KERNEL_AHEAD, LARGEST_WINDOW) + 2 * BLOCK
    else:
        assert (first, last) == (0, size)


@given(start=st.integers(1 << 25, 1 << 40), length=st.integers(1, BLOCK))
def test_a_read_out_of_the_blue_fetches_its_blocks_alone(start: int, length: int) -> None:
    pattern = ReadPattern(FIRST_WINDOW, FIRST_WINDOW)
    [(first, last)], _ = plan(pattern, start, start + length, 1 << 41, ranges=True)
    assert last - first <= length + 2 * BLOCK


@given(reads=patterns, start=offsets, length=lengths)
def test_r24_without_prefetch_nothing_but_the_blocks_is_fetched(
    reads: list[tuple[int, int]], start: int, length: int
) -> None:
    [(first, last)], _ = plan(followed(reads), start, start + length, 1 << 43, ranges=True, most=0)
    assert last - first <= length + 2 * BLOCK


@given(reads=patterns)
def test_the_window_has_bounds(reads: list[tuple[int, int]]) -> None:
    assert 0 <= followed(reads).window <= LARGEST_WINDOW


@given(
    length=st.integers(4096, 1 << 17),
    size=st.integers(1 << 20, 256 << 20),
    disorder=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_a_stream_needs_few_requests(length: int, size: int, disorder: int, seed: int) -> None:
    """targets.md: at most 4 for 256 MB, also when the kernel asks a little out of order."""
    starts = list(range(0, size, length)) if size // length < 4096 else []
    order = random.Random(seed)
    starts.sort(key=lambda start: start + order.randint(0, disorder) * length)
    claimed, pattern, requests = SpanSet(), ReadPattern(), 0
    for start in starts:
        missing = claimed.gaps(start, min(start + length, size))
        if missing:
            spans, pattern = plan(pattern, missing[0][0], start + length, size, ranges=True)
            for span in spans:
                requests += len(claimed.gaps(*span))
                claimed.add(*span)
    assert requests <= 4
