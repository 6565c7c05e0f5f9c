"""Locks with a level, so that the lock order is checked instead of remembered.

Every lock of vofs comes from here.  A thread may take a lock only when every lock it already holds
has a lower level (docs/architecture.md section 7).  With `checking(True)`, which the test suite
switches on for every test and `mountvofs --debug` for a mount, a thread that breaks the order gets
`LockOrderViolation` at once, instead of a dead-lock one day in a thousand.

Waiting is allowed only on the condition of the single lock held; `OrderedLock.wait` asserts that
nothing above or below it is held as well.

Which thread goes on where several could is the operating system's choice, or that of the `Turns`
given to `taking_turns`: the model machine decides it, so that an interleaving can be repeated.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Level(enum.IntEnum):
    """The order of all locks; upward only, at most one of a level at a time."""

    TREE = 10
    FILE_TABLE = 20
    FILE = 30
    WRITEBACK = 40
    INDEX = 45
    LEAF = 50


class LockOrderViolation(AssertionError):
    """A thread took a lock out of order, or waited while it held another lock."""


class Turns(Protocol):
    """Takes, waits and notifies in place of the operating system, for every thread."""

    def take(self, condition: threading.Condition) -> None:
        """Acquire the lock of `condition`."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> bool:
        """As `threading.Condition.wait`."""
        ...

    def notify_all(self, condition: threading.Condition) -> None:
        """As `threading.Condition.notify_all`."""
        ...


class _FreeTurns:
    """The operating system's choice."""

    def take(self, condition: threading.Condition) -> None:
        condition.acquire()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> bool:
        return condition.wait(timeout_s)

    def notify_all(self, condition: threading.Condition) -> None:
        condition.notify_all()


_held = threading.local()
_checking = False
_turns: Turns = _FreeTurns()


@contextmanager
def taking_turns(turns: Turns) -> Iterator[None]:
    """Let `turns` decide about every lock meanwhile.

    No lock may be held by anybody when this begins or ends.
    """
    global _turns
    before, _turns = _turns, turns
    try:
        yield
    finally:
        _turns = before


def checking(on: bool) -> None:
    """Switch the order check on or off for locks taken from now on, in every thread."""
    global _checking
    _checking = on


def held_levels() -> tuple[Level, ...]:
    """The levels that the calling thread holds while checking is on, lowest first."""
    return tuple(getattr(_held, "levels", ()))


def assert_none_held(what: str) -> None:
    """Assert that the calling thread holds no lock; called before the network is used.

    Raises:
        LockOrderViolation: when checking is on and a lock is held.
    """
    if _checking and held_levels():
        raise LockOrderViolation(f"{what} while holding {list(held_levels())}")


class OrderedLock:
    """A mutex with a level and a condition of its own.

    Args:
        level: its place in the order.
    """

    __slots__ = ("_condition", "level")

    def __init__(self, level: Level) -> None:
        self.level = level
        self._condition = threading.Condition(threading.Lock())

    def __enter__(self) -> None:
        if _checking:
            levels: list[Level] = getattr(_held, "levels", [])
            if levels and levels[-1] >= self.level:
                raise LockOrderViolation(f"taking {self.level!r} while holding {levels}")
            _turns.take(self._condition)
            _held.levels = [*levels, self.level]
        else:
            _turns.take(self._condition)

    def __exit__(self, *raised: object) -> None:
        levels: list[Level] = getattr(_held, "levels", [])
        if levels and levels[-1] == self.level:
            _held.levels = levels[:-1]
        self._condition.release()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait for `notify_all`; the lock is held, and is held again on return.

        Whoever calls this re-checks everything it knew: other threads ran meanwhile.

        Args:
            timeout_s: the longest wait in seconds, or None.

        Returns:
            False when the time ran out.
        """
        if _checking and held_levels() not in ((), (self.level,)):
            raise LockOrderViolation(f"waiting at {self.level!r} while holding {held_levels()}")
        return _turns.wait(self._condition, timeout_s)

    def notify_all(self) -> None:
        """Wake everybody who waits; the lock is held."""
        _turns.notify_all(self._condition)
