"""Frees tests that hang in the kernel: the daemons of all mounts of this process are killed.

A mount is watched from `watch` to `leave`.
"""

from __future__ import annotations

import threading
from typing import Protocol

HANGING_TEST_S = 100.0


class Killable(Protocol):
    """A mount."""

    def kill(self) -> None:
        """End its daemons, whatever they do."""
        ...


_live: list[Killable] = []
_live_lock = threading.Lock()


def watch(mount: Killable) -> None:
    """It may hang from now on."""
    with _live_lock:
        _live.append(mount)


def leave(mount: Killable) -> None:
    """It is being taken away."""
    with _live_lock:
        _live.remove(mount)


class Watchdog:
    """Kills all daemons of this process when its context takes too long.

    Args:
        after_s: seconds.

    Attributes:
        barked: it did.
    """

    def __init__(self, after_s: float = HANGING_TEST_S) -> None:
        self._timer = threading.Timer(after_s, self._bark)
        self._timer.daemon = True
        self.barked = False

    def _bark(self) -> None:
        self.barked = True
        with _live_lock:
            hanging = list(_live)
        for one in hanging:
            one.kill()

    def __enter__(self) -> Watchdog:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()
