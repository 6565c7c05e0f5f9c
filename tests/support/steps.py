"""The work of a mount without threads, done step by step as it becomes due."""

from __future__ import annotations

from tests.support.sessions import ManualClock, Mounted


def sent(mount: Mounted) -> int:
    """Do all that is due now; returns how many steps that took."""
    steps = 0
    while mount.step():
        steps += 1
        assert steps < 500
    return steps


def settled(mount: Mounted, clock: ManualClock) -> None:
    """Let time pass until all is sent: where a PUT truncates, one that broke needs time (R1)."""
    for _ in range(20):
        sent(mount)
        if not mount.uploads():
            return
        clock.advance(100.0)
    raise AssertionError(mount.uploads())
