"""What kind of file system the cache is on, where that decides what it can keep (R21).

A mount is not refused for it: a machine without a local disk may have nothing better.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

_STATFS_BYTES = 256  # more than any struct statfs has; f_type, a long, is its first field
_TYPE_BITS = 0xFFFFFFFF

# linux/magic.h: the name, and what is wrong with it
_DOUBTFUL = {
    0x6969: ("NFS", "its locks and its syncs depend on another machine"),
    0x65735546: ("FUSE", "what is synced depends on another program, and may be on no disk"),
    0x01021994: ("tmpfs", "what is not sent yet is lost when the machine goes down"),
    0x858458F6: ("ramfs", "what is not sent yet is lost when the machine goes down"),
}


def type_of(descriptor: int) -> int:
    """The type of the file system that an open file is on: statfs(2), f_type; 0 if unknown."""
    libc = ctypes.CDLL(None)
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.fstatfs(descriptor, found):
        return 0
    return ctypes.c_long.from_buffer(found).value & _TYPE_BITS


def warning(file_system_type: int, root: Path) -> str:
    """One line about a cache on such a file system, or "".

    Args:
        file_system_type: as `type_of` tells it.
        root: the cache directory.
    """
    if file_system_type not in _DOUBTFUL:
        return ""
    name, why = _DOUBTFUL[file_system_type]
    return f"the cache {root} is on {name}: {why}; give a --cache-dir on a local disk"
