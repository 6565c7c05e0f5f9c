"""The one dispatch point between FUSE and `VOFS`.

Every operation goes through `Boundary.__call__`: timed, logged at DEBUG, and every error mapped by
the one table of `core.errnos`.  Nothing but an OSError with an errno leaves it: fusepy's own
handler breaks on anything else (architecture.md section 8).  An unforeseen exception is EIO with
its traceback in the log; ENOSYS never leaves (R17), because the kernel would never ask again.
"""

from __future__ import annotations

import logging
import os
from typing import Any, Protocol

from vofs.cache.clock import Clock
from vofs.core.errnos import errno_of
from vofs.core.errors import VofsError

log = logging.getLogger(__name__)

_QUIET = frozenset({"getxattr", "read", "write", "getattr"})


class Operations(Protocol):
    """What every set of operations has beside the operations themselves."""

    def forget_request(self) -> None:
        """The request that the calling thread served has ended."""
        ...


class Boundary:
    """What the FUSE binding calls.

    Args:
        operations: the plain operations (`VOFS`).
        clock: for durations.
    """

    use_ns = True  # nanosecond integers: floats lose digits
    flag_nullpath_ok = 1  # R20: operations on handles need no path
    flag_nopath = 1

    def __init__(self, operations: Operations, clock: Clock) -> None:
        self._operations, self._clock = operations, clock

    def __getattr__(self, name: str) -> Any:
        """The operation `name`; missing ones are missing, so that the binding leaves them out."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._operations, name)

    def __call__(self, name: str, *arguments: Any) -> Any:
        """Run one operation.

        Raises:
            OSError: with an errno, always.
        """
        began = self._clock.monotonic()
        outcome: object = "ok"
        try:
            return getattr(self._operations, name)(*arguments)
        except BaseException as exc:
            number = errno_of(exc)
            outcome = f"{os.strerror(number)} ({type(exc).__name__}: {exc})"
            if not isinstance(exc, VofsError):
                log.error("%s failed in an unforeseen way", name, exc_info=exc)
            raise OSError(number, os.strerror(number)) from None
        finally:
            if name != "rename":
                self._operations.forget_request()
            if log.isEnabledFor(logging.DEBUG):
                shown = arguments[:1] if name in _QUIET else arguments
                elapsed_ms = (self._clock.monotonic() - began) * 1000
                log.debug("%s%s: %s, %.1f ms", name, shown, outcome, elapsed_ms)
