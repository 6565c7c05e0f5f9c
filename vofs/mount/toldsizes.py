"""Sizes that the kernel may still believe (R15).

The kernel keeps an answer to stat for up to a second.  When a file changed on the service, an open
must not answer while an older size is believed: O_APPEND would overwrite, reads would be clipped.
"""

from __future__ import annotations

from vofs.cache.clock import Clock
from vofs.core.attributes import Attributes
from vofs.locks import Level, OrderedLock

ATTR_TIMEOUT_S = 1.0
PURGE_AT = 10_000


class ToldSizes:
    """What was told of sizes within the last second.

    Args:
        clock: for ages, and for the wait.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = OrderedLock(Level.LEAF)
        self._told: dict[str, tuple[int, float]] = {}

    def noted(self, path: str, attributes: Attributes) -> Attributes:
        """Remember what is about to be told, and pass it on."""
        now = self._clock.monotonic()
        with self._lock:
            if len(self._told) >= PURGE_AT:
                self._told = {
                    known: (size, at)
                    for known, (size, at) in self._told.items()
                    if now - at < ATTR_TIMEOUT_S
                }
            self._told[path] = attributes.size, now
        return attributes

    def changed(self, path: str, size: int) -> None:
        """A write or truncation through the kernel: it keeps count of the size itself."""
        with self._lock:
            if path in self._told:
                self._told[path] = size, self._told[path][1]

    def forget(self, path: str) -> None:
        """Another file gets this name, or none: what was told was told of another inode."""
        with self._lock:
            self._told.pop(path, None)

    def renamed(self, source: str, destination: str) -> None:
        """The kernel takes what it believes of an inode along."""
        with self._lock:
            self._told.pop(destination, None)
            if source in self._told:
                self._told[destination] = self._told.pop(source)

    def wait_until_forgotten(self, path: str, size: int) -> None:
        """Return when the kernel believes no other size of `path` than `size` any more."""
        with self._lock:
            told, at = self._told.get(path, (size, 0.0))
        remaining = at + ATTR_TIMEOUT_S - self._clock.monotonic()
        if told != size and remaining > 0:
            self._clock.sleep(remaining)
