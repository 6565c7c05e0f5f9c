"""What a node looks like to stat(2) and to getxattr(2), and which version of its bytes it names.

Decides st_mode from VOSpace's permissions (behaviours.md row 4, R23), times from its dates, names
of extended attributes from property URIs (interface.md section 3), and the version token (R13).
What the local side knows better (a size not yet uploaded, a time set by utimens, bits that VOSpace
cannot hold) comes in as an `Overlay`.

Invariants: times are integers of nanoseconds, never floats; an inode number depends on a URI alone.
"""

from __future__ import annotations

import hashlib
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime

from vofs.core.nodes import (
    CONTENT_DATE,
    CORE,
    DATE,
    GROUP_READ,
    GROUP_WRITE,
    IS_LOCKED,
    IS_PUBLIC,
    READABLE,
    WRITABLE,
    NodeInfo,
    NodeKind,
    VersionToken,
)

__all__ = [
    "Attributes",
    "MountOwner",
    "Overlay",
    "attributes_of",
    "inode_of",
    "mtime_ns_of",
    "parse_date_ns",
    "property_of_xattr",
    "version_token",
    "xattr_of_property",
    "xattrs_of",
]

_XATTR = "user.vos."
_ISLOCKED = "islocked"
_CONTAINER_SIZE = 4096  # what `ls -l` shows for a directory nearly everywhere
_BLOCK = 512  # the unit of st_blocks (stat(2))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:Z|\+00:?00)?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class MountOwner:
    """To whom everything in the mount belongs (--uid, --gid, --umask as with sshfs).

    Attributes:
        uid: user id.
        gid: group id.
        umask: permission bits that no file shows.
    """

    uid: int
    gid: int
    umask: int = 0


@dataclass(frozen=True, slots=True)
class Overlay:
    """What the local side knows better than the node; None leaves the node's word.

    Attributes:
        size: bytes.
        mtime_ns, atime_ns, ctime_ns: nanoseconds since 1970 UTC.
        mode: permission bits that replace those made of the node's properties.
    """

    size: int | None = None
    mtime_ns: int | None = None
    atime_ns: int | None = None
    ctime_ns: int | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Attributes:
    """One answer to stat(2).  Sizes in bytes, times in nanoseconds since 1970 UTC."""

    mode: int
    size: int
    mtime_ns: int
    atime_ns: int
    ctime_ns: int
    nlink: int
    uid: int
    gid: int
    inode: int

    @property
    def blocks(self) -> int:
        """Units of 512 bytes, as st_blocks counts."""
        return -(-self.size // _BLOCK)

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return stat.S_ISDIR(self.mode)

    def as_stat(self) -> dict[str, int]:
        """Return the keys that fusepy and mfusepy read, times in nanoseconds (use_ns)."""
        return {
            "st_mode": self.mode,
            "st_size": self.size,
            "st_mtime": self.mtime_ns,
            "st_atime": self.atime_ns,
            "st_ctime": self.ctime_ns,
            "st_nlink": self.nlink,
            "st_uid": self.uid,
            "st_gid": self.gid,
            "st_ino": self.inode,
            "st_blocks": self.blocks,
        }


def attributes_of(
    node: NodeInfo,
    inode: int,
    owner: MountOwner,
    overlay: Overlay | None = None,
    *,
    tells_rights: bool = False,
) -> Attributes:
    """Return what stat(2) says of `node`.

    Args:
        node: the node, got with detail=max.
        inode: its number (R23).
        owner: see `MountOwner`.
        overlay: what is known better locally.
        tells_rights: the service answers detail=max with readable and writable, so that a node
            with neither is one this credential may neither read nor write (protocol.md 4.2).
    """
    over = overlay or Overlay()
    mtime_ns = mtime_ns_of(node) if over.mtime_ns is None else over.mtime_ns
    return Attributes(
        mode=_mode_of(node, owner, over, tells_rights),
        size=_size_of(node) if over.size is None else over.size,
        mtime_ns=mtime_ns,
        atime_ns=mtime_ns if over.atime_ns is None else over.atime_ns,
        ctime_ns=mtime_ns if over.ctime_ns is None else over.ctime_ns,
        # 1 also for directories: "the number of subdirectories is not told", which find(1) knows.
        nlink=1,
        uid=owner.uid,
        gid=owner.gid,
        inode=inode,
    )


def inode_of(uri: str) -> int:
    """Return the 63-bit inode number of a URI (R23); never 0, which readdir(3) would hide."""
    digest = hashlib.sha256(uri.encode()).digest()
    return int.from_bytes(digest[:8], "big") & 0x7FFF_FFFF_FFFF_FFFF or 1


def parse_date_ns(text: str | None) -> int | None:
    """Return a VOSpace date as nanoseconds since 1970 UTC, or None when there is none.

    The services write `yyyy-MM-ddTHH:mm:ss.SSS` in UTC without a zone (protocol.md 4.2); a missing
    fraction and a "Z" are tolerated.  Nonsense is None: a wrong date must not hide a file.
    """
    match = _DATE.fullmatch(text.strip()) if text else None
    if not match:
        return None
    try:
        moment = datetime.fromisoformat(f"{match.group(1)}T{match.group(2)}+00:00")
    except ValueError:
        return None
    since = moment - _EPOCH
    seconds = since.days * 86_400 + since.seconds
    return seconds * 1_000_000_000 + int((match.group(3) or "").ljust(9, "0"))


def mtime_ns_of(node: NodeInfo) -> int:
    """Return when the bytes changed: content-date where there is one, else date, else 0."""
    for uri in (CONTENT_DATE, DATE):
        moment_ns = parse_date_ns(node.properties.get(uri))
        if moment_ns is not None:
            return moment_ns
    return 0


def version_token(node: NodeInfo) -> VersionToken:
    """Return the version of the bytes that `node` describes (R13).

    Where the MD5 proves (vault) only content-date may stand in for an absent MD5: `date` moves with
    any property change.  Elsewhere `date` is the file's own modification time.
    """
    dates = (CONTENT_DATE,) if node.md5_proves else (CONTENT_DATE, DATE)
    moments = (parse_date_ns(node.properties.get(uri)) for uri in dates)
    moment_ns = next((moment for moment in moments if moment is not None), None)
    return VersionToken(
        length=node.length,
        md5=node.md5,
        date_ms=None if moment_ns is None else moment_ns // 1_000_000,
        md5_proves=node.md5_proves,
    )


def xattrs_of(node: NodeInfo) -> dict[str, bytes]:
    """Return every property of `node` as extended attributes: name -> value."""
    return {xattr_of_property(uri): text.encode() for uri, text in node.properties.items()}


def xattr_of_property(uri: str) -> str:
    """Return the extended attribute's name of a property: short for core ones and islocked."""
    if uri == IS_LOCKED:
        return _XATTR + _ISLOCKED
    short = uri.removeprefix(CORE)
    return _XATTR + short


def property_of_xattr(name: str) -> str | None:
    """Return the property URI that the extended attribute `name` stands for; None: not ours.

    The inverse of `xattr_of_property` for every property of a URI.
    """
    if not name.startswith(_XATTR) or name == _XATTR:
        return None
    short = name.removeprefix(_XATTR)
    if short == _ISLOCKED:
        return IS_LOCKED
    return short if ":" in short else CORE + short


def _size_of(node: NodeInfo) -> int:
    match node.kind:
        case NodeKind.CONTAINER:
            return _CONTAINER_SIZE  # a container's length is what its whole tree uses
        case NodeKind.LINK:
            return len((node.target or "").encode())
        case NodeKind.DATA:
            return node.length


def _mode_of(node: NodeInfo, owner: MountOwner, over: Overlay, tells_rights: bool) -> int:
    if node.kind is NodeKind.LINK:
        return stat.S_IFLNK | 0o777  # as Linux has it: a link's own bits mean nothing
    bits = _permissions_of(node, tells_rights) if over.mode is None else over.mode & 0o7777
    if node.kind is NodeKind.DATA:
        return stat.S_IFREG | (bits & ~owner.umask)
    if over.mode is None:
        bits |= (bits & 0o444) >> 2  # who may read a container may pass through it
    return stat.S_IFDIR | (bits & ~owner.umask)


def _permissions_of(node: NodeInfo, tells_rights: bool) -> int:
    readable, writable = node.flag(READABLE), node.flag(WRITABLE)
    if not (tells_rights or READABLE in node.properties or WRITABLE in node.properties):
        readable = writable = True
    bits = (stat.S_IRUSR if readable else 0) | (stat.S_IWUSR if writable else 0)
    if node.groups(GROUP_READ):
        bits |= stat.S_IRGRP
    if node.groups(GROUP_WRITE):
        bits |= stat.S_IWGRP
    if node.flag(IS_PUBLIC):
        bits |= stat.S_IROTH
    return bits
