"""Transfers and changes of names keep out of each other's way."""

from __future__ import annotations

import pytest

from tests.support.sessions import Background, ManualClock
from vofs import locks
from vofs.cache.clock import SystemClock
from vofs.cache.gate import PathGate, overlaps
from vofs.core.errors import NodeBusy
from vofs.locks import Level, LockOrderViolation, OrderedLock


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/a/b", True),
        ("/a/b", "/a", True),
        ("/", "/a", True),
        ("/a", "/ab", False),
        ("/a/b", "/a/c", False),
        ("/a", "/a.b", False),
    ],
)
def test_overlaps(one: str, other: str, expected: bool) -> None:
    assert overlaps(one, other) is expected


def test_a_hold_keeps_transfers_out_at_and_below_and_above() -> None:
    gate = PathGate(ManualClock())
    hold = gate.hold(("/a/b", "/z"), 0)
    assert list(gate.held) == ["/a/b", "/z"]
    assert [gate.try_enter(path) for path in ("/a/b", "/a/b/c", "/a", "/z")] == [False] * 4
    assert gate.try_enter("/a/bc")
    gate.leave("/a/bc")
    gate.release(hold)
    assert gate.try_enter("/a/b")


def test_a_hold_waits_for_all_inside() -> None:
    gate = PathGate(SystemClock())
    assert gate.try_enter("/a/x")
    assert gate.try_enter("/a/x")
    holding = Background(lambda: gate.hold(("/a",), 10))
    while gate.try_enter("/a"):  # until the hold stands
        gate.leave("/a")
    gate.leave("/a/x")
    assert not holding.ended
    gate.leave("/a/x")
    holding.result()


def test_a_hold_that_cannot_be_leaves_nothing_held() -> None:
    """R8: EBUSY, nothing changed."""
    gate = PathGate(SystemClock())
    assert gate.try_enter("/a")
    with pytest.raises(NodeBusy):
        gate.hold(("/a",), 0.01)
    assert not gate.held
    assert gate.try_enter("/a")


def test_two_holds_of_one_name_come_after_each_other() -> None:
    gate = PathGate(SystemClock())
    first = gate.hold(("/a", "/b"), 0)
    second = Background(lambda: gate.hold(("/b/c",), 10))
    with pytest.raises(NodeBusy):
        gate.hold(("/b/c/d",), 0)
    assert not second.ended
    gate.release(first)
    second.result()
    assert gate.held == ("/b/c",)


def test_who_waits_goes_on_when_the_hold_is_released() -> None:
    gate = PathGate(SystemClock())
    hold = gate.hold(("/a", "/b"), 0)
    waiting = Background(lambda: gate.wait_while_held(lambda: "/a", 10))
    gate.release(hold)
    waiting.result()
    gate.wait_while_held(lambda: "/a", 0)


def test_who_waits_too_long_is_told() -> None:
    gate = PathGate(SystemClock())
    gate.hold(("/a",), 0)
    with pytest.raises(NodeBusy):
        gate.wait_while_held(lambda: "/a", 0.01)


def test_r21_nobody_holds_a_name_with_a_lock_in_hand() -> None:
    locks.checking(True)
    try:
        with OrderedLock(Level.TREE), pytest.raises(LockOrderViolation):
            PathGate(ManualClock()).hold(("/a",), 0)
    finally:
        locks.checking(True)


def test_r21_the_order_is_checked() -> None:
    locks.checking(True)
    try:
        low, high = OrderedLock(Level.FILE), OrderedLock(Level.INDEX)
        with high, pytest.raises(LockOrderViolation), low:
            raise AssertionError("taken")
        with low, pytest.raises(LockOrderViolation), OrderedLock(Level.FILE):
            raise AssertionError("taken")
        with low, high, pytest.raises(LockOrderViolation):
            high.wait(0)
        with low, high:
            assert locks.held_levels() == (Level.FILE, Level.INDEX)
        assert locks.held_levels() == ()
    finally:
        locks.checking(True)
