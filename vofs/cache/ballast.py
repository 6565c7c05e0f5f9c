"""Room that is given up when the disk is full, so that the index can still commit (R21)."""

from __future__ import annotations

import os
from contextlib import suppress

BALLAST, BALLAST_BYTES = "ballast", 4 << 20


class Ballast:
    """A file of 4 MiB with nothing in it.

    Args:
        root_fd: a descriptor of the cache directory.
    """

    def __init__(self, root_fd: int) -> None:
        self._root_fd = root_fd
        self._is_held = False

    def hold(self) -> None:
        """Take the room; where there is none, nothing."""
        if self._is_held:
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with suppress(OSError):
            descriptor = os.open(BALLAST, flags, 0o600, dir_fd=self._root_fd)
            try:
                os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
                self._is_held = True
            finally:
                os.close(descriptor)

    def drop(self) -> bool:
        """Give the room back; returns whether there was any to give."""
        self._is_held = False
        try:
            os.unlink(BALLAST, dir_fd=self._root_fd)
        except OSError:
            return False
        return True
