"""One mount for each cache: a lock that dies with its holder, whatever kills it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from vofs.cache.clock import Clock
from vofs.core.errors import MountUnusable

LOCK_POLL_S = 0.05


def take_lock(root: Path, root_fd: int, clock: Clock, timeout_s: float) -> int:
    """Lock a cache directory with flock(2), waiting for a holder that is just unmounting.

    Args:
        root: the directory, for the message.
        root_fd: a descriptor of it.
        clock: to wait with.
        timeout_s: how long.

    Returns:
        A descriptor: the lock is held until it is closed.

    Raises:
        MountUnusable: another process still holds it after that time.
    """
    descriptor = os.open(
        "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root_fd
    )
    deadline = clock.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if clock.monotonic() >= deadline:
                os.close(descriptor)
                raise MountUnusable(
                    f"cache {root} is in use by another mount:"
                    " unmount that one, or give another --cache-dir"
                ) from None
            clock.sleep(LOCK_POLL_S)
        else:
            return descriptor
