"""The flags of open(2) as a value: what a handle may do and what the open itself does.

Decides nothing but the meaning of the bits.  It takes constants from `os` and never calls it.

Invariants: `append` only ever comes with `write`; `exclusive` only with `create`, as open(2) leaves
O_EXCL without O_CREAT undefined and Linux ignores it for regular files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from vofs.core.errors import OperationInvalid

__all__ = ["Access", "access_of"]


@dataclass(frozen=True, slots=True)
class Access:
    """What one open asks for.

    Attributes:
        read: the handle may read.
        write: the handle may write.
        append: every write goes to the end of the file (R15: whatever offset arrives).
        truncate: the open empties the file; Linux does that for O_RDONLY too.
        create: a missing file is created.
        exclusive: an existing file is an error.
    """

    read: bool
    write: bool
    append: bool = False
    truncate: bool = False
    create: bool = False
    exclusive: bool = False

    @property
    def changes_file(self) -> bool:
        """Whether the open needs the right to change the file (a lock or EROFS refuses it)."""
        return self.write or self.truncate


def access_of(flags: int) -> Access:
    """Translate the flags of open(2).

    Args:
        flags: O_* bits as the kernel sent them; bits without a meaning here are ignored.

    Raises:
        OperationInvalid: an access mode that is none of the three (3: open(2) of Linux for ioctl).
    """
    mode = flags & os.O_ACCMODE
    if mode not in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR):
        raise OperationInvalid(f"open flags {flags:#o} name no access mode")
    write = mode != os.O_RDONLY
    create = bool(flags & os.O_CREAT)
    return Access(
        read=mode != os.O_WRONLY,
        write=write,
        append=write and bool(flags & os.O_APPEND),
        truncate=bool(flags & os.O_TRUNC),
        create=create,
        exclusive=create and bool(flags & os.O_EXCL),
    )
