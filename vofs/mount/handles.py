"""Small integers for the kernel, and what an open file or directory is.

A number is never used twice in the life of a mount, so that a stale one is an error and not
somebody else's file.
"""

from __future__ import annotations

import itertools
import stat
from dataclasses import dataclass, field
from typing import TypeVar

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.content import Reader
from vofs.core.errors import UnknownHandle, WrongHandleMode
from vofs.core.nodes import NodeKind
from vofs.core.openflags import Access
from vofs.locks import Level, OrderedLock

RELEASE_WITHIN_S = 5.0
RELEASES_KEPT = 1000

FILE_TYPES = {
    NodeKind.CONTAINER: stat.S_IFDIR,
    NodeKind.DATA: stat.S_IFREG,
    NodeKind.LINK: stat.S_IFLNK,
}


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """What readdir(3) says of one entry.

    Attributes:
        name: its name.
        inode: its number (R23).
        file_type: the bits of st_mode that say what it is: no program needs stat(2) for that.
    """

    name: str
    inode: int
    file_type: int


@dataclass(slots=True)
class OpenHandle:
    """One open file.

    Attributes:
        file: what it is open on; a rename moves the file along.
        access: what it was opened for.
        opener: process (thread group) that opened it; only its flushes wait (R19).
        wrote: it wrote bytes since its last flush (R4).
        changed: it wrote or truncated at all.
        waited_s: seconds that its flushes have waited so far, of --close-wait.
        reported: a permanent upload error was reported to it (R18: once).
        flushed_generation: the file's generation at its last flush of bytes.
        reader: which content it has read.
    """

    file: CachedFile
    access: Access
    opener: int
    wrote: bool = False
    changed: bool = False
    waited_s: float = 0.0
    reported: bool = False
    flushed_generation: int = 0
    reader: Reader = field(default_factory=Reader)


@dataclass(slots=True)
class OpenDirectory:
    """One open directory; libfuse passes no path with its handle (nopath)."""

    path: str


H = TypeVar("H", OpenHandle, OpenDirectory)


class Handles:
    """Numbers of open files and directories."""

    def __init__(self) -> None:
        self._lock = OrderedLock(Level.LEAF)
        self._numbers = itertools.count(1)
        self._open: dict[int, OpenHandle | OpenDirectory] = {}

    def add(self, handle: OpenHandle | OpenDirectory) -> int:
        """Give a handle its number."""
        with self._lock:
            number = next(self._numbers)
            self._open[number] = handle
            return number

    def file(self, number: int) -> OpenHandle:
        """The open file `number`.

        Raises:
            UnknownHandle: there is none.
        """
        return self._of_kind(OpenHandle, number)

    def readable(self, number: int) -> OpenHandle:
        """The open file `number`, to be read.

        Raises:
            UnknownHandle, WrongHandleMode.
        """
        handle = self.file(number)
        if not handle.access.read:
            raise WrongHandleMode("opened for writing only")
        return handle

    def writable(self, number: int) -> OpenHandle:
        """The open file `number`, to be written.

        Raises:
            UnknownHandle, WrongHandleMode.
        """
        handle = self.file(number)
        if not handle.access.write:
            raise WrongHandleMode("opened for reading only")
        return handle

    def directory(self, number: int) -> OpenDirectory:
        """The open directory `number`.

        Raises:
            UnknownHandle: there is none.
        """
        return self._of_kind(OpenDirectory, number)

    def _of_kind(self, kind: type[H], number: int) -> H:
        handle = self._open.get(number)
        if not isinstance(handle, kind):
            raise UnknownHandle(str(number))
        return handle

    def remove(self, number: int) -> OpenHandle | OpenDirectory:
        """Take a number back.

        Raises:
            UnknownHandle: there is no such.
        """
        with self._lock:
            try:
                return self._open.pop(number)
            except KeyError:
                raise UnknownHandle(str(number)) from None

    def files(self) -> list[OpenHandle]:
        """All open files."""
        with self._lock:
            return [handle for handle in self._open.values() if isinstance(handle, OpenHandle)]


class Released:
    """Which files were closed a moment ago.

    libfuse counts a file as open until its release has been answered, and an unlink that is under
    way at the same time is then asked of us as the rename of an open file.

    Args:
        clock: for ages.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = OrderedLock(Level.LEAF)
        self._at: dict[str, float] = {}

    def noted(self, path: str) -> None:
        """The file at `path` is being released."""
        now = self._clock.monotonic()
        with self._lock:
            if len(self._at) >= RELEASES_KEPT:
                self._at = {p: at for p, at in self._at.items() if now - at < RELEASE_WITHIN_S}
            self._at[path] = now

    def recently(self, path: str) -> bool:
        """Whether `path` was released within the last seconds."""
        with self._lock:
            at = self._at.get(path)
        return at is not None and self._clock.monotonic() - at < RELEASE_WITHIN_S
