"""Which siblings are fetched (R24), against what any reader of a directory may do."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from vofs.core.siblings import AHEAD, IN_ORDER, MOST_BETWEEN, Walk

names = st.lists(st.text("abc0", min_size=1, max_size=4), min_size=1, max_size=80, unique=True)
orders = names.map(sorted)


def step(walk: Walk, name: str, order: list[str], unread: set[str]) -> tuple[Walk, list[str]]:
    """One file is read: the walk after it, and what is fetched."""
    walk = walk.reached(name, order, lambda other: other not in unread)
    ahead = list(walk.ahead(order))
    return walk.offered(ahead), ahead


@given(orders, st.data())
def test_r24_whoever_reads_in_listing_order_is_never_overtaken(
    order: list[str], data: st.DataObject
) -> None:
    """From the third file on all that follow are fetched, each once, 32 ahead at most; containers
    and empty files between them, which nobody reads, change nothing."""
    shown = data.draw(st.lists(st.sampled_from(order), unique=True)) if len(order) > 1 else order
    hidden = set(order) - set(shown)
    walk, fetched = Walk(), list[str]()
    for count, name in enumerate(sorted(shown), 1):
        assert count <= IN_ORDER or name in fetched
        walk, ahead = step(walk, name, order, hidden)
        fetched += ahead
        first = order.index(name)
        assert count >= IN_ORDER or not ahead
        assert all(first < order.index(other) <= first + AHEAD for other in ahead)
    assert len(fetched) == len(set(fetched))
    if len(shown) >= IN_ORDER:
        third = bisect_right(order, sorted(shown)[IN_ORDER - 1])
        last = bisect_right(order, max(shown))
        assert fetched == order[third : last + AHEAD]


@given(orders, st.data())
def test_r24_nothing_is_fetched_before_three_in_listing_order(
    order: list[str], data: st.DataObject
) -> None:
    """However a directory is read: what is fetched lies behind three files that were read one
    right after the other, or in what was fetched for those, and nothing is fetched that lies
    behind nobody."""
    reads = data.draw(st.lists(st.sampled_from(order), max_size=40))
    walk, run, last = Walk(), 0, ""
    for name in reads:
        was = walk
        if name != last:
            follows = last != "" and order.index(name) == order.index(last) + 1
            run, last = run + 1 if follows else 1, name
        walk, ahead = step(walk, name, order, set())
        if ahead:
            assert run >= IN_ORDER or (was.goes_on and name <= was.upto)
            assert min(ahead) > max(walk.last, name)


@given(orders, st.data())
def test_r24_those_who_share_a_walk_may_read_in_any_order(
    order: list[str], data: st.DataObject
) -> None:
    """Inside what was fetched any order keeps the walk going, and nothing is offered twice."""
    walk, fetched = Walk(), list[str]()
    for name in order[:IN_ORDER]:
        walk, ahead = step(walk, name, order, set())
        fetched += ahead
    if not fetched:
        return
    for _ in range(10):
        name = data.draw(st.sampled_from(fetched))
        walk, ahead = step(walk, name, order, set())
        assert walk.goes_on and not set(ahead) & set(fetched)
        fetched += ahead


@given(orders, orders)
def test_r24_who_reads_a_tree_in_order_goes_on_in_the_next_directory(
    first: list[str], second: list[str]
) -> None:
    """After a directory that was read to its end, if three files of it were read one after the
    other; then from the first file, and from that one only."""
    walk = Walk()
    for name in first:
        assert not walk.is_at_the_end(first, lambda _: True)
        walk, _ = step(walk, name, first, set())
    ended = walk.is_at_the_end(first, lambda _: True)
    assert ended == (len(first) >= IN_ORDER)
    for name in second:
        begun = Walk().reached(name, second, lambda _: True, follows=ended)
        assert begun.goes_on == (ended and name == second[0])
        assert list(begun.ahead(second)) == (second[1 : 1 + AHEAD] if begun.goes_on else [])


def test_r24_a_file_far_away_is_not_the_next_one() -> None:
    """Between two neighbours so many names are looked at, however large the directory is."""
    order = [f"{number:05}" for number in range(3 * MOST_BETWEEN)]
    asked: list[str] = []

    def is_read(name: str) -> bool:
        asked.append(name)
        return False

    walk = Walk().reached(order[0], order, is_read)
    near = walk.reached(order[MOST_BETWEEN + 1], order, is_read)
    assert near.in_order == 2 and len(asked) == MOST_BETWEEN
    assert walk.reached(order[-1], order, is_read).in_order == 1 and len(asked) == MOST_BETWEEN


def test_r24_a_name_that_no_listing_has_says_nothing() -> None:
    walk = Walk("b", 2)
    assert walk.reached("c", ["a", "b"], lambda _: True) == walk
    assert walk.reached("c", [], lambda _: True) == walk
