"""Every local system call that the cache makes: its directory, its lock, its free space.

The directory is ours alone, mode 0700, or it is refused (R23).  It holds

    lock            held with flock(2) by the one mount that uses the cache; dies with its holder
    index.sqlite    see `index.py`
    set-aside-TIME  an index that could not be read, with its data
    ballast         given up when the disk is full, so that the index can commit (R21)
    new-NNN         about to take the place of a data file; without meaning after a kill
    data/NNN        one sparse file per cached file, named by number, so a rename moves nothing

Data files are opened relative to the directory's descriptor and never through a symbolic link.
ENOSPC and EDQUOT of the local file system become `CacheFull`, other failures `CacheDamaged`.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import stat
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from vofs.cache.ballast import BALLAST_BYTES, Ballast
from vofs.cache.cachelock import take_lock
from vofs.cache.clock import Clock
from vofs.cache.datafile import DataFile, local_errors
from vofs.cache.filesystem import type_of
from vofs.cache.index import Index
from vofs.core.errors import CacheFull, MountUnusable

log = logging.getLogger(__name__)
SET_ASIDE, MOVING = "set-aside-", ".moving"
NEW = "new-"
# The index last, and its log before it: without its log it would look as it was long ago.
PARTS = ("data", "index.sqlite-wal", "index.sqlite-journal", "index.sqlite")


class Disk:
    """The cache directory.

    Args:
        root: the directory; made when missing.
        min_free_bytes: space on its file system that the cache never uses.

    Raises:
        MountUnusable: it is no directory, somebody else's, or open to others.
    """

    def __init__(self, root: Path, min_free_bytes: int = 0) -> None:
        self.root = root
        self._min_free_bytes = min_free_bytes
        self._lock_fd: int | None = None
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as exc:
            raise MountUnusable(f"cache directory {root}: {os.strerror(exc.errno or 0)}") from exc
        try:
            self._check_ours()
            self._data_fd = self._open_below("data")
            self._ballast = Ballast(self._root_fd)
        except BaseException:
            os.close(self._root_fd)
            raise

    def _check_ours(self) -> None:
        found = os.fstat(self._root_fd)
        if found.st_uid != os.geteuid():
            raise MountUnusable(f"cache directory {self.root} belongs to uid {found.st_uid}")
        if stat.S_IMODE(found.st_mode) & 0o077:
            if os.listdir(self._root_fd):
                raise MountUnusable(
                    f"cache directory {self.root} is open to other users: chmod 700 it"
                )
            os.fchmod(self._root_fd, 0o700)

    def _open_below(self, name: str) -> int:
        try:
            os.mkdir(name, 0o700, dir_fd=self._root_fd)
        except FileExistsError:
            pass
        except OSError as exc:
            raise MountUnusable(f"{self.root}/{name}: {os.strerror(exc.errno or 0)}") from exc
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=self._root_fd)

    def lock(self, clock: Clock, timeout_s: float) -> None:
        """Take the cache for this process, waiting for a holder that is just unmounting.

        Raises:
            MountUnusable: another process still holds it after `timeout_s` seconds.
        """
        self._lock_fd = take_lock(self.root, self._root_fd, clock, timeout_s)

    def open_index(self, identity: str) -> Index:
        """The index of this cache, made when missing; see `Index` for what it raises."""
        return Index(self.root / "index.sqlite", identity, self.drop_ballast)

    def set_aside(self, time_ns: int) -> Path:
        """Move index and data into a directory of their own, which is a cache like this one.

        A kill in the middle leaves a directory that `finish_setting_aside` completes.

        Args:
            time_ns: for its name, nanoseconds since 1970.

        Raises:
            CacheDamaged: it cannot be done.
        """
        time = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        taken = set(os.listdir(self._root_fd))
        names = (f"{SET_ASIDE}{time}" + (f"-{copy}" if copy else "") for copy in itertools.count())
        name = next(name for name in names if name not in taken)
        with local_errors("setting the cache aside"):
            os.mkdir(name + MOVING, 0o700, dir_fd=self._root_fd)
            self._move_into(name)
        return self.root / name

    def finish_setting_aside(self) -> None:
        """Complete what a kill interrupted, before the index is opened."""
        with local_errors("setting the cache aside"):
            for name in sorted(os.listdir(self._root_fd)):
                if name.startswith(NEW):
                    os.unlink(name, dir_fd=self._root_fd)
                if name.startswith(SET_ASIDE) and name.endswith(MOVING):
                    self._move_into(name.removesuffix(MOVING))

    def _move_into(self, name: str) -> None:
        target = os.open(name + MOVING, os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._root_fd)
        try:
            moved = set(os.listdir(target))
            here = set(os.listdir(self._root_fd))
            for part in PARTS:
                if part in here and part not in moved:
                    os.rename(part, part, src_dir_fd=self._root_fd, dst_dir_fd=target)
        finally:
            os.close(target)
        os.rename(name + MOVING, name, src_dir_fd=self._root_fd, dst_dir_fd=self._root_fd)
        os.close(self._data_fd)
        self._data_fd = self._open_below("data")

    def open_data(self, number: int, *, create: bool) -> DataFile:
        """Open the data file `number`.

        Raises:
            CacheDamaged: it is missing, or no regular file.
        """
        flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
        with local_errors(f"data file {number}"):
            descriptor = os.open(str(number), flags, 0o600, dir_fd=self._data_fd)
        return DataFile(descriptor)

    def create_data(self, number: int) -> None:
        """Make the empty data file `number`; called inside the transaction that makes its row.

        After a power loss the index may count from an older number on: what has that number
        already is put aside, because it may hold what was never sent.
        """
        if self.has_data(number):
            self.set_aside_data(number)
        self.open_data(number, create=True).close()

    def open_aside(self) -> DataFile:
        """A nameless sparse file for bytes that a running upload still needs (R3)."""
        with local_errors("aside file"):
            descriptor = os.open(
                ".", os.O_RDWR | os.O_CLOEXEC | os.O_TMPFILE, 0o600, dir_fd=self._data_fd
            )
        return DataFile(descriptor)

    def open_new(self, number: int) -> DataFile:
        """An empty file that `put_in_place` makes data file `number`; see there."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with local_errors(f"new data file {number}"):
            return DataFile(os.open(f"{NEW}{number}", flags, 0o600, dir_fd=self._root_fd))

    def put_in_place(self, number: int) -> None:
        """Let the new file be data file `number`; whoever has the old one open keeps that."""
        with local_errors(f"new data file {number}"):
            os.rename(
                f"{NEW}{number}", str(number), src_dir_fd=self._root_fd, dst_dir_fd=self._data_fd
            )

    def remove_data(self, number: int) -> None:
        """Remove the data file `number`; missing is fine."""
        with local_errors(f"data file {number}"), suppress(FileNotFoundError):
            os.unlink(str(number), dir_fd=self._data_fd)

    def has_data(self, number: int) -> bool:
        """Whether anything is in the place of data file `number`."""
        try:
            os.stat(str(number), dir_fd=self._data_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def set_aside_data(self, number: int) -> None:
        """Rename what is in the place of data file `number`, whatever it is.

        Raises:
            CacheDamaged: there is nothing, or it cannot be renamed.
        """
        with local_errors(f"data file {number}"):
            taken = set(os.listdir(self._data_fd))
            names = (f"{number}.set-aside-{copy}" for copy in itertools.count(1))
            name = next(name for name in names if name not in taken)
            os.rename(str(number), name, src_dir_fd=self._data_fd, dst_dir_fd=self._data_fd)

    def sync(self) -> None:
        """Bring everything in the cache's file system to the disk: syncfs(2).

        Raises:
            CacheDamaged: the disk failed.
        """
        libc = ctypes.CDLL(None, use_errno=True)
        with local_errors("syncfs"):
            if libc.syncfs(self._root_fd):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def sync_names(self) -> None:
        """Bring the names of all data files to the disk: fsync(2) of their directory.

        Raises:
            CacheDamaged: the disk failed.
        """
        with local_errors("fsync of the data directory"):
            os.fsync(self._data_fd)

    def data_numbers(self) -> list[int]:
        """The numbers of all data files."""
        return sorted(int(name) for name in os.listdir(self._data_fd) if name.isdecimal())

    def missing_room(self, size_bytes: int) -> int:
        """How much must go so that `size_bytes` more may be stored; at most 0 when they may be.

        Args:
            size_bytes: what is to be stored.
        """
        return self._min_free_bytes + size_bytes - self.free_bytes

    @property
    def free_bytes(self) -> int:
        """What the file system has left for us."""
        found = os.fstatvfs(self._root_fd)
        return found.f_bavail * found.f_frsize

    @property
    def file_system_type(self) -> int:
        """What it is on, see `filesystem`."""
        return type_of(self._root_fd)

    def hold_ballast(self) -> None:
        """R21: keep some room for the index, but never out of the space that is to stay free."""
        if self.missing_room(2 * BALLAST_BYTES) <= 0:
            self._ballast.hold()

    def drop_ballast(self) -> bool:
        """The disk is full: make room for the index; returns whether there was any to make."""
        dropped = self._ballast.drop()
        if dropped:
            log.warning("no room below %s: what was accepted is kept, nothing more fits", self.root)
        return dropped

    def require_room(self, size_bytes: int) -> None:
        """Make sure that `size_bytes` more may be stored.

        Raises:
            CacheFull: the file system would keep less than the space to be left free.
        """
        if self.missing_room(size_bytes) > 0:
            raise CacheFull(
                f"only {self.free_bytes >> 20} MB free below {self.root}"
                f" and {self._min_free_bytes >> 20} MB are to stay free (--min-free)"
            )

    def close(self) -> None:
        """Give the directory, and the lock on it, back."""
        for descriptor in (self._data_fd, self._root_fd, self._lock_fd):
            if descriptor is not None:
                os.close(descriptor)
        self._lock_fd = None


def set_aside_in(root: Path) -> list[Path]:
    """The directories in the cache `root` that hold what was set aside."""
    return sorted(path for path in root.glob(f"{SET_ASIDE}*") if path.is_dir())
