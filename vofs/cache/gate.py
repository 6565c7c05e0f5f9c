"""Keeps transfers and changes of the namespace apart, by path (R8).

A transfer *enters* the path it works on; any number may.  A change of the namespace *holds* the
paths it changes, with all below them: from that moment no transfer can enter, and the holder waits
for those inside to leave.  A hold outlives its operation when the operation's fate is unknown; it
is released when that is settled.

The gate's own lock is a leaf: nothing else is taken under it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vofs.cache.clock import Clock
from vofs.core import uris
from vofs.core.errors import NodeBusy
from vofs.locks import Level, OrderedLock, assert_none_held


def overlaps(one: str, other: str) -> bool:
    """Whether two paths are the same, or one is above the other."""
    return uris.is_below(one, other) or uris.is_below(other, one)


class Hold:
    """Paths that one change of the namespace keeps for itself.

    Args:
        paths: what it changes.
        ends: all below them is to go, so nothing may be made there meanwhile.
    """

    __slots__ = ("ends", "paths")

    def __init__(self, paths: tuple[str, ...], *, ends: bool = False) -> None:
        self.paths, self.ends = paths, ends

    def covers(self, path: str) -> bool:
        """Whether a transfer at `path` has to stay out."""
        return any(overlaps(held, path) for held in self.paths)


class PathGate:
    """See the module's docstring.

    Args:
        clock: for timeouts.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = OrderedLock(Level.LEAF)
        self._holds: list[Hold] = []
        self._inside: dict[str, int] = {}

    def try_enter(self, path: str) -> bool:
        """Enter at `path` unless it is held; every True is paid back with `leave`."""
        with self._lock:
            if any(hold.covers(path) for hold in self._holds):
                return False
            self._inside[path] = self._inside.get(path, 0) + 1
            return True

    def leave(self, path: str) -> None:
        """The transfer at `path` has ended."""
        with self._lock:
            self._inside[path] -= 1
            if not self._inside[path]:
                del self._inside[path]
            self._lock.notify_all()

    @contextmanager
    def making(self, path: str, timeout_s: float) -> Iterator[None]:
        """Be inside while something new gets the name `path`.

        What is made below a name that is moved goes along; only a hold that ends its paths keeps
        it out.

        Raises:
            NodeBusy: that is still held after `timeout_s` seconds.
        """
        deadline = self._clock.monotonic() + timeout_s
        with self._lock:
            while any(hold.ends and hold.covers(path) for hold in self._holds):
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    raise NodeBusy(f"{path}: the removal of its container has not ended yet")
                self._lock.wait(remaining)
            self._inside[path] = self._inside.get(path, 0) + 1
        try:
            yield
        finally:
            self.leave(path)

    def wait_while_held(self, path_of: Callable[[], str], timeout_s: float) -> None:
        """Return when nothing holds the path, which the hold may have renamed.

        Raises:
            NodeBusy: it is still held after `timeout_s` seconds.
        """
        deadline = self._clock.monotonic() + timeout_s
        if not self._wait_for_release(path_of(), deadline):
            raise NodeBusy(f"{path_of()}: a change of this name has not ended yet")

    def _wait_for_release(self, path: str, deadline: float) -> bool:
        with self._lock:
            while any(hold.covers(path) for hold in self._holds):
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    return False
                self._lock.wait(remaining)
            return True

    def hold(self, paths: tuple[str, ...], timeout_s: float, *, ends: bool = False) -> Hold:
        """Keep transfers out of `paths` and wait until those inside have left.

        Args:
            paths: what is to be changed.
            timeout_s: how long to wait, seconds.
            ends: see `Hold`.

        Returns:
            The hold, to be given to `release`.

        Raises:
            NodeBusy: they did not leave within `timeout_s` seconds, or another change of the
                namespace is at work there; nothing is held then.
        """
        assert_none_held("holding a path")
        hold = Hold(paths, ends=ends)
        deadline = self._clock.monotonic() + timeout_s
        with self._lock:
            self._holds.append(hold)
            while self._busy(hold):
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    self._holds.remove(hold)
                    self._lock.notify_all()
                    raise NodeBusy(f"{paths[0]}: its transfers did not end within {timeout_s:g} s")
                self._lock.wait(remaining)
        return hold

    def _busy(self, hold: Hold) -> bool:
        """Somebody is inside, or an older hold overlaps.  Call with the lock held."""
        if any(hold.covers(path) for path in self._inside):
            return True
        older = self._holds[: self._holds.index(hold)]
        return any(other.covers(path) for other in older for path in hold.paths)

    def release(self, hold: Hold) -> None:
        """Let transfers in again."""
        with self._lock:
            self._holds.remove(hold)
            self._lock.notify_all()

    @property
    def held(self) -> tuple[str, ...]:
        """All held paths, for `vofs status`."""
        with self._lock:
            return tuple(path for hold in self._holds for path in hold.paths)
