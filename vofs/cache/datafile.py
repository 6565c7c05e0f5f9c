"""One sparse data file: the local bytes of one cached file, at their own offsets.

What is valid in it is not its business (`FileState.present` says so).  Reads and writes are
complete or an error; the local file system's hole map is never consulted, because it is too coarse
to recover spans from.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from vofs.core.errors import CacheDamaged, CacheFull

COPY_BLOCK = 1024 * 1024
KEEP_SIZE, PUNCH_HOLE = 0x01, 0x02  # linux/falloc.h
STAT_BLOCK = 512  # stat(2): the unit of st_blocks

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


@contextmanager
def local_errors(what: str) -> Iterator[None]:
    """Turn a local OSError into a cache error.

    Args:
        what: what was being done, for the message.

    Raises:
        CacheFull: the file system, or the user's quota on it, is full.
        CacheDamaged: anything else.
    """
    try:
        yield
    except OSError as exc:
        reason = f"{what}: {os.strerror(exc.errno) if exc.errno else exc}"
        # Without descriptors or memory nothing is known of the file: it is not damaged.
        scarce = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
        if exc.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, *scarce):
            raise CacheFull(reason) from exc
        raise CacheDamaged(reason) from exc


class DataFile:
    """An open data file.

    Args:
        descriptor: an open descriptor, read and write; this object closes it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, offset: int, size: int) -> bytes:
        """Exactly `size` bytes at `offset`.

        Raises:
            CacheDamaged: the file is shorter, or cannot be read.
        """
        with local_errors(f"read at {offset}"):
            data = os.pread(self._descriptor, size, offset)
            while len(data) < size:
                more = os.pread(self._descriptor, size - len(data), offset + len(data))
                if not more:
                    raise CacheDamaged(f"data file ends at {offset + len(data)}")
                data += more
        return data

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of `data` at `offset`.

        Raises:
            CacheFull: the local file system has no room; a part may have been written.
            CacheDamaged: any other failure.
        """
        view = memoryview(data)
        with local_errors(f"write at {offset}"):
            while view:
                written = os.pwrite(self._descriptor, view, offset)
                view = view[written:]
                offset += written

    def truncate(self, size: int) -> None:
        """Set the size; bytes that appear are zero."""
        with local_errors(f"truncate to {size}"):
            os.ftruncate(self._descriptor, size)

    def punch(self, start: int, end: int) -> bool:
        """Give the blocks of [start, end) back to the file system; they read as zeros.

        Returns:
            False when this file system cannot do that: nothing has changed.

        Raises:
            CacheFull, CacheDamaged: it failed.
        """
        with local_errors(f"punching a hole at {start}"):
            if _libc.fallocate(self._descriptor, KEEP_SIZE | PUNCH_HOLE, start, end - start) == 0:
                return True
            number = ctypes.get_errno()
            if number in (errno.EOPNOTSUPP, errno.ENOSYS):
                return False
            raise OSError(number, os.strerror(number))

    def copy_to(self, target: DataFile, start: int, end: int) -> None:
        """Copy [start, end) to the same offsets of `target`."""
        for offset in range(start, end, COPY_BLOCK):
            target.write(offset, self.read(offset, min(COPY_BLOCK, end - offset)))

    @property
    def size(self) -> int:
        """Size in bytes."""
        return os.fstat(self._descriptor).st_size

    @property
    def allocated(self) -> int:
        """Bytes of disk that the file takes."""
        return os.fstat(self._descriptor).st_blocks * STAT_BLOCK

    def sync(self) -> None:
        """Bring the bytes to the disk: fdatasync(2).

        Raises:
            CacheDamaged: the disk failed; what it holds is unknown.
        """
        with local_errors("fdatasync"):
            os.fdatasync(self._descriptor)

    def duplicate(self) -> DataFile:
        """Another object for the same file; both are closed on their own."""
        with local_errors("dup"):
            return DataFile(os.dup(self._descriptor))

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
