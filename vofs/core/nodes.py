"""Values that describe a node: what kind it is, what it says of itself, which version it holds.

Pure data, passed between all layers.  `VersionToken` decides R13: whether two sightings of a node
are the same bytes.  Nothing here knows documents (`nodexml`) or paths (`uris`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

CORE = "ivo://ivoa.net/vospace/core#"
CADC = "ivo://cadc.nrc.ca/vospace/core#"
VOFS = "ivo://vofs.dev/vospace/core#"  # our own namespace, for what POSIX has and VOSpace lacks

LENGTH = CORE + "length"
MD5 = CORE + "MD5"
DATE = CORE + "date"
CONTENT_DATE = CORE + "content-date"
TYPE = CORE + "type"
QUOTA = CORE + "quota"
AVAILABLE_SPACE = CORE + "availableSpace"
IS_PUBLIC = CORE + "ispublic"
GROUP_READ = CORE + "groupread"
GROUP_WRITE = CORE + "groupwrite"
IS_LOCKED = CADC + "islocked"
READABLE = CADC + "readable"
WRITABLE = CADC + "writable"


class NodeKind(enum.Enum):
    """The three kinds of node that matter to a file system."""

    CONTAINER = "container"
    DATA = "data"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class VersionToken:
    """What identifies one version of a data node's bytes (R13).

    Attributes:
        length: size in bytes.
        md5: hex MD5 without prefix, or None when the service gives none.
        date_ms: modification date of the bytes, milliseconds since 1970 UTC, or None: unknown.
        md5_proves: True where the service keeps the MD5 true (vault); False where it is only a
            hint that goes stale (cavern: an extended attribute of a file others may write).
    """

    length: int
    md5: str | None = None
    date_ms: int | None = None
    md5_proves: bool = True

    @property
    def is_undated(self) -> bool:
        """Whether it is what we stored, and the date that will tell it apart is not known yet."""
        return not self.md5_proves and self.md5 is not None and self.date_ms is None

    def same_version(self, other: VersionToken) -> bool:
        """Tell whether `other` is the same version of the same bytes.

        Where the MD5 proves, (length, MD5) decides and the date is ignored, because it moves with
        any property change.  Otherwise (length, date in milliseconds) decides.  An unknown date is
        completed by the MD5: our own upload knows what it sent, not when the service stored it.
        """
        if self.length != other.length:
            return False
        if self.md5_proves and self.md5 is not None and other.md5 is not None:
            return self.md5 == other.md5
        if self.date_ms is not None and other.date_ms is not None:
            return self.date_ms == other.date_ms
        if self.md5 is not None and other.md5 is not None:
            return self.md5 == other.md5
        return self.length == 0


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """One node as the service described it.

    Attributes:
        path: decoded path below the service's root, NFC, "/" for the root, no trailing slash.
        kind: container, data or link.
        properties: property URI -> text, exactly as received (MD5 already without `md5:`).
        target: a link's target URI, else None.
        busy: the service says that the bytes are being written.
        md5_proves: see `VersionToken`.
    """

    path: str
    kind: NodeKind
    properties: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    target: str | None = None
    busy: bool = False
    md5_proves: bool = True

    @property
    def name(self) -> str:
        """The last element of the path ("" for the root)."""
        return self.path.rpartition("/")[2]

    @property
    def length(self) -> int:
        """Size in bytes; 0 when the service gives none or nonsense."""
        text = self.properties.get(LENGTH, "0").strip()
        return int(text) if text.isdecimal() else 0

    @property
    def md5(self) -> str | None:
        """Hex MD5 of the bytes, or None."""
        return self.properties.get(MD5) or None

    def flag(self, uri: str) -> bool:
        """The boolean property `uri`; absent means False."""
        return self.properties.get(uri, "").strip().lower() == "true"

    def groups(self, uri: str) -> tuple[str, ...]:
        """The space-separated group URIs of property `uri`."""
        return tuple(self.properties.get(uri, "").split())
