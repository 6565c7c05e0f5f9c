"""What a simulated service holds, and what it tells of it (simulatedservice.py)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from vofs.core.nodes import NodeKind, VersionToken


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def token_of(data: bytes) -> VersionToken:
    """The version of a node with these bytes, as a service shows it whose MD5 proves it."""
    return VersionToken(len(data), md5_of(data))


@dataclass(eq=False)
class Stored:
    """One node.

    Attributes:
        kind: container or data.
        data: what is there to be read.
        md5: what the service says it is; None: it says nothing.
        date_ms: when the bytes changed.
        properties: what clients have set.
    """

    kind: NodeKind
    data: bytes = b""
    md5: str | None = None
    date_ms: int = 0
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lag:
    """A node whose document shows what was there before.

    Attributes:
        ours: the bytes that are not shown; others are shown at once.
        shown: what is shown instead.
        until_s: for how long, by the service's clock.
    """

    ours: bytes
    shown: Stored
    until_s: float


@dataclass(frozen=True)
class Arrival:
    """A PUT of bytes that was done.

    Attributes:
        path: where.
        data: what its body was.
        called_s: when it was asked for.
        replaced: the bytes that were there before, None: no node.
    """

    path: str
    data: bytes
    called_s: float
    replaced: bytes | None
