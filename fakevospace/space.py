"""The node tree: what may be created, changed, moved and deleted, and what links lead to.

Pure: the clock and the log of changes are given, bytes are only a key, and no request or document
is known here.  Follows protocol.md sections 4, 5.4 (move) and 8 (locks, links, permissions).

Not thread safe: every call with the lock of `State` held.  Invariants: every node but the root is
in the children of its parent under its own name; every change has a later date than the one
before; every change is told to the log before the call returns.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Protocol

from fakevospace.access import Caller
from fakevospace.names import node_uri, split_path, split_uri
from fakevospace.nodes import Children, Kind, Node, NodeDraft
from fakevospace.personality import Personality
from fakevospace.properties import (
    IS_LOCKED,
    IS_PUBLIC,
    MD5,
    check_known,
    inherited,
    merged,
    settable,
)
from fakevospace.refusals import (
    Refusal,
    container_not_found,
    duplicate_node,
    invalid_argument,
    node_not_found,
    permission_denied,
    unreadable_link,
    unsupported,
)

MAX_HOPS = 20
ROOT_NUMBER = 1
Clock = Callable[[], float]


class NodeLog(Protocol):
    """Where changes are told, in order; persistence is behind it."""

    def saved(self, node: Node) -> None:
        """`node` is new or has changed."""

    def removed(self, node: Node) -> None:
        """`node` is gone."""


class Space:
    """The tree of one service."""

    def __init__(
        self,
        personality: Personality,
        clock: Clock,
        log: NodeLog,
        *,
        root_owner: str,
        nodes: Iterable[Node] = (),
    ) -> None:
        """Start with an empty public root, or with nodes loaded earlier (the root among them)."""
        self.personality = personality
        self._clock = clock
        self._log = log
        self._by_storage_id: dict[str, Node] = {}
        self._last_ms = 0
        self._last_number = ROOT_NUMBER
        root = None
        for node in nodes:
            self._last_ms = max(self._last_ms, node.date_ms)
            self._last_number = max(self._last_number, node.number)
            if node.storage_id is not None:
                self._by_storage_id[node.storage_id] = node
            root = node if node.number == ROOT_NUMBER else root
        if root is None:
            root = Node(
                ROOT_NUMBER,
                "",
                Kind.CONTAINER,
                None,
                root_owner,
                self.next_date_ms(),
                properties={IS_PUBLIC: "true"},
                children=Children(),
            )
            log.saved(root)
        root.owner = root_owner
        self.root = root

    def next_date_ms(self) -> int:
        """Return the time of a change: the clock's, but later than any change before."""
        self._last_ms = max(int(self._clock() * 1000), self._last_ms + 1)
        return self._last_ms

    def uri(self, path: str) -> str:
        """Return the URI of a path of this service."""
        return node_uri(self.personality.authority, path)

    def by_storage_id(self, storage_id: str) -> Node | None:
        """Return the data node whose bytes have that name, None when it is gone."""
        return self._by_storage_id.get(storage_id)

    def holds(self, node: Node) -> bool:
        """Tell whether the node is (still) part of the tree."""
        return node.parent is not None and node.parent.children.get(node.name) is node

    def at(self, path: str) -> Node | None:
        """Return the node at exactly that path, links not followed; None when there is none."""
        node: Node | None = self.root
        for name in path.split("/") if path else ():
            node = None if node is None else node.children.get(name)
        return node

    def resolve(self, path: str, caller: Caller, *, follow_leaf: bool = False) -> Node:
        """Find a node; links on the way are followed, the last one only on request.

        Raises:
            Refusal: 404 for a missing node or a link that leads nowhere, 400 for a link out of
                the service, 403 for a container on the way that the caller cannot read.
        """
        node, hops = self.root, 0
        wanted = path.split("/") if path else []
        while True:
            if node.kind is Kind.LINK and (wanted or follow_leaf):
                hops += 1
                if hops > MAX_HOPS:
                    raise unreadable_link(self.uri(path))
                wanted = self._link_path(node) + wanted
                node = self.root
            if not wanted:
                return node
            if node.kind is not Kind.CONTAINER:
                raise self._missing(path, hops)
            if not caller.can_read(node):
                raise permission_denied(self.uri(node.path))
            child = node.children.get(wanted[0])
            if child is None:
                raise self._missing(path, hops)
            node, wanted = child, wanted[1:]

    def _missing(self, path: str, hops: int) -> Refusal:
        return unreadable_link(self.uri(path)) if hops else node_not_found(self.uri(path))

    def _link_path(self, link: Node) -> list[str]:
        target = link.target or ""
        if not target.startswith("vos://"):
            raise invalid_argument(f"external link target: {target}")
        authority, path = split_uri(target)
        if authority != self.personality.authority:
            raise invalid_argument(f"link target in another service: {target}")
        return path.split("/") if path else []

    def container_for(self, path: str, caller: Caller) -> Node:
        """Find the container that a node at `path` would be in, following links.

        Raises:
            Refusal: 404 ContainerNotFound; it is missing, or is no container.
        """
        parent_path, _ = split_path(path)
        try:
            parent = self.resolve(parent_path, caller, follow_leaf=True)
        except Refusal as refusal:
            if refusal.status == 404:
                raise container_not_found(self.uri(parent_path)) from None
            raise
        if parent.kind is not Kind.CONTAINER:
            raise container_not_found(self.uri(parent_path))
        return parent

    def check_entries_writable(self, container: Node, caller: Caller) -> None:
        """Raise 403 unless the caller may add and remove entries: permission, then lock."""
        if not caller.can_write(container) or self.is_locked(container):
            raise permission_denied(self.uri(container.path))

    def is_locked(self, node: Node) -> bool:
        """Tell whether a lock stands on the node itself and the service enforces locks."""
        return self.personality.locks and node.properties.get(IS_LOCKED) == "true"

    def create(self, path: str, draft: NodeDraft, caller: Caller) -> Node:
        """Create a node (section 4.4).

        Raises:
            Refusal: 404 no container, 409 the name is taken (looked at before permission),
                403 no permission or a locked container, 400 a property or target refused.
        """
        if not path:
            raise duplicate_node(self.uri(path))
        parent = self.container_for(path, caller)
        name = split_path(path)[1]
        if parent.children.get(name) is not None:
            raise duplicate_node(self.uri(path))
        self.check_entries_writable(parent, caller)
        given = self._accepted(draft, caller)
        self._last_number += 1
        node = Node(
            self._last_number,
            name,
            draft.kind,
            parent,
            caller.name or "",
            self.next_date_ms(),
            properties={IS_PUBLIC: "false"} | inherited(parent.properties, given),
            target=self._checked_target(draft),
        )
        node.properties = merged(node.properties, given)
        if node.kind is Kind.CONTAINER:
            node.children = Children()
        if node.kind.holds_bytes:
            node.storage_id = str(uuid.uuid4())
            self._by_storage_id[node.storage_id] = node
        self._enter(parent, node)
        return node

    def _accepted(self, draft: NodeDraft, caller: Caller) -> dict[str, str | None]:
        check_known(draft.properties)
        locks = self.personality.locks
        given = settable(draft.properties, admin=caller.admin, locks=locks)
        if given and draft.kind is Kind.LINK and not self.personality.link_properties:
            raise invalid_argument("cannot set properties on a link node")
        return given

    def _checked_target(self, draft: NodeDraft) -> str | None:
        if draft.kind is not Kind.LINK:
            return None
        target = draft.target or ""
        if not target:
            raise invalid_argument("link node without target")
        if self.personality.relative_links:
            if target.startswith("file://"):
                return target
            authority, path = split_uri(target)
            if authority != self.personality.authority:
                raise invalid_argument(f"link target in another service: {target}")
            return self.uri(path)
        if target.startswith("file://"):
            raise invalid_argument(f"link target not supported: {target}")
        return target

    def _enter(self, parent: Node, node: Node) -> None:
        parent.children.add(node)
        self._log.saved(node)
        self._entries_changed(parent)

    def _entries_changed(self, container: Node) -> None:
        if self.personality.directory_times:
            self.touch(container)

    def touch(self, node: Node) -> None:
        """Give the node a new date and tell the log; also the end of a change made outside."""
        node.date_ms = self.next_date_ms()
        self._log.saved(node)

    def update(self, path: str, draft: NodeDraft, caller: Caller) -> Node:
        """Merge properties into a node (section 4.5); locks do not count here.

        Raises:
            Refusal: 404, 400 the type differs or a property is refused, 403.
        """
        node = self.resolve(path, caller)
        if draft.kind is not node.kind:
            raise invalid_argument(f"cannot change node type to {draft.kind.value}")
        if not caller.can_write(node):
            raise permission_denied(self.uri(path))
        changes = self._accepted(draft, caller)
        node.properties = {IS_PUBLIC: "false"} | merged(node.properties, changes)
        drops = self.personality.full_post_drops_md5 and not caller.admin
        if drops and MD5 in draft.properties:
            node.md5 = None
        self.touch(node)
        return node

    def delete(self, path: str, caller: Caller) -> Node:
        """Take a node out of the tree (section 4.6); a link itself, never its target.

        Raises:
            Refusal: 404, 403 no permission on the container or a lock, 400 not empty.
        """
        node = self.resolve(path, caller)
        if node.parent is None:
            raise permission_denied(self.uri(path))
        self.check_entries_writable(node.parent, caller)
        if self.is_locked(node):
            raise permission_denied(self.uri(path))
        if len(node.children):
            raise unsupported(f"container node '{node.name}' is not empty")
        self.discard(node)
        return node

    def discard(self, node: Node) -> None:
        """Take a node without children out of the tree, whoever asks."""
        if node.parent is None:
            raise ValueError("the root stays")
        node.parent.children.remove(node)
        if node.storage_id is not None:
            del self._by_storage_id[node.storage_id]
        self._log.removed(node)
        self._entries_changed(node.parent)

    def move(self, source_path: str, destination_path: str, caller: Caller) -> Node:
        """Move a node (section 5.4): rename, or into an existing container; never overwrites.

        The caller becomes the owner.  A link is moved itself.

        Raises:
            Refusal: the text is what the job's error says.
        """
        node = self.resolve(source_path, caller)
        if node.parent is None:
            raise permission_denied(self.uri(source_path))
        container, name = self._destination(node, destination_path, caller)
        inside = f"/{container.path}"
        if node.kind is Kind.CONTAINER and f"/{node.path}" in inside:
            # A substring test, as the real service has it: a sibling /a/dir2 of /a/dir is hit too.
            raise invalid_argument(f"Cannot move container node into its descendants: {inside}")
        if container.children.get(name) is not None:
            raise duplicate_node(f"/{container.path}/{name}")
        for one in (node.parent, container):
            self.check_entries_writable(one, caller)
        left = node.parent
        left.children.remove(node)
        node.parent, node.name, node.owner = container, name, caller.name or ""
        node.date_ms = self.next_date_ms()
        self._enter(container, node)
        self._entries_changed(left)
        return node

    def _destination(self, node: Node, path: str, caller: Caller) -> tuple[Node, str]:
        try:
            found = self.resolve(path, caller, follow_leaf=True)
        except Refusal as refusal:
            if refusal.status != 404 or refusal.text.startswith("UnreadableLinkTarget"):
                raise
            return self.container_for(path, caller), split_path(path)[1]
        if found.kind is not Kind.CONTAINER:
            raise duplicate_node(f"destination is an existing DataNode: /{path}")
        return found, node.name
