"""What becomes of a file that was changed here and on the service (R5, R6, R11).  Pure decisions.

Ours is never dropped and theirs never overwritten, unless the user chose that.  A file with holes
whose base version is gone cannot be made whole: it is kept and listed, and never sent, nor given a
name under which it would look whole.
"""

from __future__ import annotations

import enum
import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from vofs.core.nodes import NodeKind, VersionToken

NAME_MAX = 255  # bytes that the kernel can hold
HOST_MAX = 64
EXTENSION_MAX = 16


class OnConflict(enum.Enum):
    """--on-conflict: what the user wants."""

    KEEP_BOTH = "keep-both"
    OVERWRITE = "overwrite"
    FAIL = "fail"


class Resolution(enum.Enum):
    """What is done about one file."""

    KEEP = "keep"  # listed, readable, never sent by itself
    SEND = "send"  # nothing stands against its own name
    OVERWRITE = "overwrite"  # sent over the version that was seen
    RENAME = "rename"  # ours gets a name of its own; the name shows the service's version


def resolution(
    policy: OnConflict,
    seen: tuple[NodeKind, VersionToken] | None,
    base: VersionToken | None,
    *,
    whole: bool,
    uncertain: bool,
) -> Resolution:
    """Decide about one file.

    Args:
        policy: what the user wants.
        seen: what the service has under the file's name; None: nothing.
        base: the version that our changes are based on; None: the service never had the file.
        whole: every byte of ours is here.
        uncertain: the power was lost before fsync(2) brought our changes to the disk (R5).
    """
    unchanged = (
        seen is not None
        and seen[0] is NodeKind.DATA
        and base is not None
        and base.same_version(seen[1])
    )
    if not whole:
        return Resolution.SEND if unchanged else Resolution.KEEP
    if seen is None:
        return Resolution.SEND
    if uncertain:
        return Resolution.RENAME
    if unchanged:
        return Resolution.SEND
    if policy is OnConflict.FAIL:
        return Resolution.KEEP
    if policy is OnConflict.OVERWRITE and seen[0] is NodeKind.DATA:
        return Resolution.OVERWRITE
    return Resolution.RENAME


def names_beside(name: str, time_ns: int, host: str, *, uncertain: bool) -> Iterator[str]:
    """Names for our version of the file `name`, without end; the first free one is taken.

    NAME.conflict-TIME-HOST, or NAME.recovered-TIME after a power loss, with a number where that is
    taken; never longer than 255 bytes: what is cut is the name, before its extension.

    Args:
        name: the file's name.
        time_ns: nanoseconds since 1970.
        host: this machine's name.
        uncertain: see `resolution`.
    """
    time = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    suffix = f".recovered-{time}" if uncertain else f".conflict-{time}-{_plain(host)}"
    for number in itertools.count(1):
        end = suffix if number == 1 else f"{suffix}-{number}"
        yield _cut(name, NAME_MAX - len(end)) + end


def _plain(host: str) -> str:
    """The host's name in characters that every service takes."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", host)[:HOST_MAX] or "host"


def _cut(name: str, room: int) -> str:
    """The name in at most `room` bytes, its extension kept where that is a short one."""
    if len(name.encode()) <= room:
        return name
    root, dot, extension = name.rpartition(".")
    end = dot + extension
    if not root or len(end.encode()) > EXTENSION_MAX:
        root, end = name, ""
    return root.encode()[: room - len(end.encode())].decode(errors="ignore") + end
