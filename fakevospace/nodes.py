"""One node of the tree, and the order of a container's children.

`Node` is mutable state that belongs to `Space`; everything else reads it with the state's lock
held.  `NodeDraft` is what a client's document says of a node.  Nothing here decides anything.
"""

from __future__ import annotations

import bisect
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice


class Kind(enum.Enum):
    """The node types, by the local part of `xsi:type`."""

    CONTAINER = "ContainerNode"
    DATA = "DataNode"
    UNSTRUCTURED = "UnstructuredDataNode"
    STRUCTURED = "StructuredDataNode"
    LINK = "LinkNode"

    @property
    def holds_bytes(self) -> bool:
        """True for the three kinds of data node."""
        return self not in (Kind.CONTAINER, Kind.LINK)


@dataclass(frozen=True, slots=True)
class NodeDraft:
    """A node document as a client sent it.

    Attributes:
        uri: as written in the document.
        properties: property URI -> value; None where `xsi:nil` asks for deletion.
        target: where a LinkNode points.
    """

    uri: str
    kind: Kind
    properties: Mapping[str, str | None]
    target: str | None = None


class Children:
    """Nodes by name: constant look-up, and pages in name order without sorting per page."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._names: list[str] | None = None  # in order; None: not built since the last change

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, name: str) -> Node | None:
        """Return the child of that name, None when there is none."""
        return self._nodes.get(name)

    def add(self, node: Node) -> None:
        """Take a node in under its name, which must be free."""
        if self._names is not None:
            bisect.insort(self._names, node.name)
        self._nodes[node.name] = node

    def remove(self, node: Node) -> None:
        """Let a node go."""
        del self._nodes[node.name]
        if self._names is not None:
            del self._names[bisect.bisect_left(self._names, node.name)]

    def keep(self, node: Node) -> None:
        """Let a child that is going to be changed stay; all do, unless they are generated."""

    def made(self) -> Iterator[Node]:
        """Return those children that exist as objects: all of them, unless they are generated."""
        return iter(self._nodes.values())

    def emptied(self, container: Node) -> Children:
        """Return children of the same kind for a copy of the container, none added yet."""
        return Children()

    def page(self, start: str | None, limit: int | None, *, by_name: bool) -> list[Node]:
        """Return children from `start` on, inclusive, at most `limit` of them.

        Args:
            start: first name wanted, which need not exist; None for the beginning.
            limit: None for all.
            by_name: in name order; else in the order of their making, and `start` is not used.
        """
        if not by_name:
            return list(islice(self._nodes.values(), limit))
        if self._names is None:
            self._names = sorted(self._nodes)
        first = 0 if start is None else bisect.bisect_left(self._names, start)
        last = None if limit is None else first + limit
        return [self._nodes[name] for name in self._names[first:last]]


NO_CHILDREN = Children()  # shared by all nodes that are no containers; nothing is ever added


@dataclass(slots=True, eq=False)
class Node:
    """One node.

    Attributes:
        number: identity for the life of the node; renames and moves keep it.
        owner: user name.
        properties: what was set by clients, permissions and lock included.
        date_ms: last change, milliseconds since 1970 UTC.
        storage_id: name of the bytes towards clients (vault's byte URLs); data nodes only.
        content: key in the byte store, None when no bytes were ever stored.
        length: size of the bytes.
        md5: as the service shows it, `md5:` prefix included where it has one; None: unknown.
        content_date_ms: when the bytes last changed, None when there are none.
    """

    number: int
    name: str
    kind: Kind
    parent: Node | None
    owner: str
    date_ms: int
    properties: dict[str, str] = field(default_factory=dict)
    target: str | None = None
    storage_id: str | None = None
    content: str | None = None
    length: int = 0
    md5: str | None = None
    content_date_ms: int | None = None
    children: Children = field(default_factory=lambda: NO_CHILDREN)

    @property
    def path(self) -> str:
        """Decoded path from the root, without slashes at the ends."""
        elements = []
        node: Node | None = self
        while node is not None and node.parent is not None:
            elements.append(node.name)
            node = node.parent
        return "/".join(reversed(elements))

    @property
    def md5_hex(self) -> str | None:
        """The MD5 without any prefix."""
        return None if self.md5 is None else self.md5.removeprefix("md5:")
