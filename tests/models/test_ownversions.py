"""R13: what a service that lags shows is told apart from what somebody changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vofs.core.nodes import VersionToken
from vofs.core.ownversions import LAG_S, OwnVersion, Sight, judge, moved_over, stored

NOBODY = VersionToken(1 << 20, "f" * 32)  # a version that is never ours


def version(number: int) -> VersionToken:
    return VersionToken(100 + number, f"{number:032x}", 1000 + number)


def ours(number: int) -> VersionToken:
    """As an upload knows it: without the date."""
    return VersionToken(100 + number, f"{number:032x}")


ages = st.floats(0, LAG_S - 1)


@given(
    history=st.lists(st.integers(0, 5), min_size=1, max_size=6), made=st.booleans(),
    shown=st.integers(0, 6), age=st.floats(0, 3 * LAG_S), listed=st.booleans(),
)  # fmt: skip
def test_r13_against_the_rule_itself(
    history: list[int], made: bool, shown: int, age: float, listed: bool
) -> None:
    """Ours is ours; what we replaced is lag for 15 minutes; anything else is a change."""
    memory: OwnVersion | None = None
    base = None if made else version(6)
    for number in history:
        memory = stored(memory, base, ours(number), 50.0)
        base = ours(number)
    sight, after = judge(memory, version(shown), 50.0 + age, listed=listed)
    replaced = set(history[:-1]) | (set() if made else {6})
    if shown == history[-1]:
        assert sight is Sight.OURS
        assert (after is None) == listed
    elif shown in replaced and age < LAG_S:
        assert sight is Sight.LAG
        assert after == memory
    else:
        assert sight is Sight.CHANGE
        assert after is None


@given(age=ages, listed=st.booleans())
def test_r13_somebody_elses_version_is_never_lag(age: float, listed: bool) -> None:
    memory = stored(None, version(1), ours(2), 0.0)
    assert judge(memory, NOBODY, age, listed=listed) == (Sight.CHANGE, None)


@given(age=ages)
def test_r13_once_ours_was_seen_the_old_version_is_a_change(age: float) -> None:
    """In the node's own document; a listing may still be behind it."""
    memory = stored(None, version(1), ours(2), 0.0)
    _, seen = judge(memory, version(2), age, listed=False)
    assert judge(seen, version(1), age, listed=False) == (Sight.CHANGE, None)
    assert judge(seen, version(1), age, listed=True) == (Sight.LAG, seen)
    _, listed = judge(seen, version(2), age, listed=True)
    assert judge(listed, version(1), age, listed=True) == (Sight.CHANGE, None)


@given(age=ages)
def test_r13_a_length_that_lags_behind_its_md5(age: float) -> None:
    """protocol.md 10.9: in a listing the length alone may be the old one."""
    memory = stored(None, version(1), ours(2), 0.0)
    mixed = VersionToken(version(1).length, ours(2).md5)
    assert judge(memory, mixed, age, listed=True)[0] is Sight.LAG
    alien = VersionToken(NOBODY.length, ours(2).md5)
    assert judge(memory, alien, age, listed=True)[0] is Sight.CHANGE


@given(age=ages)
def test_r13_a_new_node_may_be_listed_as_empty(age: float) -> None:
    """But a document of its own that says so is somebody's truncation (R2)."""
    memory = stored(None, None, ours(2), 0.0)
    empty = VersionToken(0)
    assert judge(memory, empty, age, listed=True)[0] is Sight.LAG
    assert judge(memory, empty, age, listed=False)[0] is Sight.CHANGE


@given(age=ages, listed=st.booleans())
def test_r13_what_a_rename_replaced_is_lag_like_what_an_upload_replaced(
    age: float, listed: bool
) -> None:
    memory = moved_over(stored(None, version(1), ours(2), -1.0), version(3), 0.0)
    assert judge(memory, version(3), age, listed=listed)[0] is Sight.LAG
    assert judge(memory, NOBODY, age, listed=listed)[0] is Sight.CHANGE
    assert judge(memory, version(3), LAG_S, listed=listed)[0] is Sight.CHANGE
    assert judge(memory, version(2), age, listed=listed)[0] is Sight.OURS
    assert moved_over(memory, None, 5.0) == memory == moved_over(memory, ours(2), 5.0)


@given(now=st.floats(0, 1e9), times=st.integers(1, 50))
def test_r13_the_memory_is_bounded_by_time(now: float, times: int) -> None:
    memory: OwnVersion | None = None
    for step in range(times):
        memory = stored(memory, version(step), ours(step + 1), now + step * LAG_S / 4)
    assert memory is not None
    assert len(memory.replaced) <= 2 * 5
    assert judge(memory, version(times - 1), memory.expires_at(), listed=True)[0] is Sight.CHANGE


def test_r13_without_a_memory_everything_is_a_change() -> None:
    assert judge(None, version(1), 0.0, listed=False) == (Sight.CHANGE, None)
