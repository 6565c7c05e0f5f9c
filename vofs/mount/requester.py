"""Who waits for the FUSE request that the calling thread serves (R19)."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress

ENDING = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)
_ENDING_BITS = sum(1 << (number - 1) for number in ENDING)


class Requester:
    """See the module's docstring.

    Args:
        context: fusepy's (uid, gid, pid) of the request; the pid is that of a thread.
        interrupted: whether the kernel has told libfuse of a signal for that thread.
    """

    def __init__(
        self, context: Callable[[], tuple[int, int, int]], interrupted: Callable[[], bool]
    ) -> None:
        self._context, self._interrupted = context, interrupted

    def thread_group(self) -> int:
        """The process; the thread's own number where /proc does not show it."""
        thread = self._context()[2]
        for name, value in _status_of(thread):
            if name == "Tgid":
                return int(value)
        return thread

    def given_up(self) -> bool:
        """Whether it is being killed, so that nobody will see the answer.

        Any signal interrupts a request, a timer's too (SIGALRM with SA_RESTART): only those that
        end a program count, and only while they are pending.
        """
        if not self._interrupted():
            return False
        pending = 0
        for name, value in _status_of(self._context()[2]):
            if name in ("SigPnd", "ShdPnd"):
                pending |= int(value, 16)
        return bool(pending & _ENDING_BITS)


def _status_of(thread: int) -> Iterator[tuple[str, str]]:
    """The lines of /proc/PID/status; none when the thread is gone or out of sight."""
    with (
        suppress(OSError),
        open(f"/proc/{thread}/status", encoding="ascii", errors="replace") as lines,
    ):
        for line in lines:
            name, _, value = line.partition(":")
            yield name, value.strip()
