"""What the service says of a node: its properties as the outside sees them.

Turns a `Node` into a `NodeRecord`, a frozen value that the codec writes down.  Decides which
computed properties exist per kind of node and service (protocol.md 4.2) and what each level of
`detail` shows (4.3).  Call with the lock of `State` held; the record may be used without it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from fakevospace.access import Caller
from fakevospace.names import encode_path
from fakevospace.nodes import Kind, Node
from fakevospace.personality import Personality
from fakevospace.properties import (
    AVAILABLE_SPACE,
    CONTENT_DATE,
    CREATOR,
    DATE,
    IMMUTABLE,
    LENGTH,
    MD5,
    READABLE,
    WRITABLE,
)
from fakevospace.quotas import quota_of, used_bytes
from fakevospace.space import Space


class Detail(enum.Enum):
    """How much a node document says; anything unknown is `properties`."""

    MIN = "min"
    PROPERTIES = "properties"
    MAX = "max"

    @classmethod
    def from_query(cls, text: str | None) -> Detail:
        """Read the `detail` parameter."""
        return next((one for one in cls if one.value == text), cls.PROPERTIES)


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as a document shows it.

    Attributes:
        properties: (URI, value, read-only), sorted by URI; None: not shown at all.
        busy: None where the attribute is not written.
        children: None for what is no container.
    """

    uri: str
    kind: Kind
    properties: tuple[tuple[str, str, bool], ...] | None
    busy: bool | None
    target: str | None
    children: tuple[NodeRecord, ...] | None


def bytes_date_ms(personality: Personality, node: Node) -> int:
    """Say when the bytes of a node changed: what Last-Modified shows.

    A file system has one modification time for both; a database keeps that of the bytes apart.
    """
    if personality.content_date and node.content_date_ms is not None:
        return node.content_date_ms
    return node.date_ms


@lru_cache(maxsize=4096)  # nodes are asked for far more often than they change
def date_text(date_ms: int) -> str:
    """Write a date as `core#date` has it: UTC, milliseconds, no zone."""
    moment = datetime.fromtimestamp(date_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{date_ms % 1000:03d}"


def shown_properties(space: Space, node: Node) -> dict[str, str]:
    """Return all properties that the service shows of a node, without readable and writable."""
    shown = dict(node.properties)
    shown[DATE] = date_text(node.date_ms)
    shown.setdefault(CREATOR, node.owner)
    if (limit := quota_of(node)) is not None:
        used = used_bytes(node)
        shown[LENGTH] = str(used)
        shown[AVAILABLE_SPACE] = str(max(0, limit - used))
    if node.kind.holds_bytes:
        shown[LENGTH] = str(node.length)
        if node.md5 is not None:
            shown[MD5] = node.md5
        if space.personality.content_date and node.content_date_ms is not None:
            shown[CONTENT_DATE] = date_text(node.content_date_ms)
    return shown


def describe(
    space: Space,
    node: Node,
    caller: Caller,
    detail: Detail,
    children: Iterable[Node] = (),
) -> NodeRecord:
    """Describe a node, with the given children at the same level of detail.

    Args:
        children: those to list, for a container; grandchildren are never listed.
    Returns:
        The record.
    """
    base = space.uri(node.path)
    listed = tuple(
        _record(space, child, caller, detail, f"{base}/{encode_path(child.name)}", ())
        for child in children
    )
    return _record(space, node, caller, detail, base, listed)


def _record(
    space: Space,
    node: Node,
    caller: Caller,
    detail: Detail,
    uri: str,
    children: tuple[NodeRecord, ...],
) -> NodeRecord:
    properties = None
    if detail is not Detail.MIN:
        shown = shown_properties(space, node)
        if detail is Detail.MAX and caller.can_read(node):
            shown[READABLE] = "true"
        if detail is Detail.MAX and caller.can_write(node):
            shown[WRITABLE] = "true"
        properties = tuple((key, shown[key], key in IMMUTABLE) for key in sorted(shown))
    busy = False if node.kind.holds_bytes and detail is not Detail.MIN else None
    listed = children if node.kind is Kind.CONTAINER else None
    return NodeRecord(uri, node.kind, properties, busy, node.target, listed)
