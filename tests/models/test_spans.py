"""SpanSet behaves as a set of integers under any sequence of operations."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vofs.core.spans import SpanSet, clip

positions = st.integers(0, 40)
span = st.tuples(positions, positions).map(lambda pair: (min(pair), max(pair)))


class SpanSetMachine(RuleBasedStateMachine):
    """Adds and removes spans, comparing every answer with `set[int]`."""

    def __init__(self) -> None:
        super().__init__()
        self.spans = SpanSet()
        self.model: set[int] = set()

    @rule(span=span)
    def add(self, span: tuple[int, int]) -> None:
        self.spans.add(*span)
        self.model |= set(range(*span))

    @rule(span=span)
    def remove(self, span: tuple[int, int]) -> None:
        self.spans.remove(*span)
        self.model -= set(range(*span))

    @rule(span=span)
    def ask(self, span: tuple[int, int]) -> None:
        asked = set(range(*span))
        assert self.spans.covers(*span) == (asked <= self.model)
        assert self.spans.overlaps(*span) == bool(asked & self.model)
        assert positions_of(self.spans.gaps(*span)) == asked - self.model
        assert positions_of(self.spans.within(*span)) == asked & self.model
        found = self.spans.first_from(span[0])
        first = min((position for position in self.model if position >= span[0]), default=None)
        assert (None if found is None else found[0]) == first
        assert found is None or found in self.spans.within(span[0], 100)

    @invariant()
    def same_set(self) -> None:
        assert positions_of(self.spans) == self.model
        assert self.spans.total == len(self.model)
        assert self.spans.end == max(self.model, default=-1) + 1
        spans = list(self.spans)
        assert all(start < end for start, end in spans)
        assert all(a[1] < b[0] for a, b in pairwise(spans)), "touching spans"


def positions_of(spans: object) -> set[int]:
    return {position for start, end in spans for position in range(start, end)}  # type: ignore[attr-defined]


TestSpanSet = SpanSetMachine.TestCase


@given(st.lists(span))
def test_order_of_adding_does_not_matter(spans: list[tuple[int, int]]) -> None:
    assert SpanSet(spans) == SpanSet(reversed(spans))


@given(st.lists(span))
def test_copy_is_independent(spans: list[tuple[int, int]]) -> None:
    original = SpanSet(spans)
    before = list(original)
    twin = original.copy()
    twin.add(0, 100)
    assert list(original) == before
    assert original != twin


@given(span, span)
def test_clip_is_intersection(a: tuple[int, int], b: tuple[int, int]) -> None:
    assert set(range(*clip(a, b))) == set(range(*a)) & set(range(*b))


def test_is_not_hashable_and_not_a_tuple() -> None:
    with pytest.raises(TypeError):
        hash(SpanSet())
    assert SpanSet() != ()
