"""The rules over the tree: what may be created, changed, moved, deleted; what links lead to.

Pure: bytes are only a key, and no request or document is known here.  Follows protocol.md
sections 4, 5.4 (move) and 8 (locks, links, permissions).  A refused call has changed nothing.

Not thread safe: every call with the lock of `State` held.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection

from fakevospace.access import Caller
from fakevospace.drafts import DraftRules
from fakevospace.names import node_uri, split_path, split_uri
from fakevospace.nodes import Children, Kind, Node, NodeDraft
from fakevospace.personality import Personality
from fakevospace.properties import (
    CREATOR,
    IS_LOCKED,
    IS_PUBLIC,
    MD5,
    inherited,
    merged,
)
from fakevospace.refusals import (
    Refusal,
    container_not_found,
    duplicate_node,
    invalid_argument,
    link_found,
    node_not_found,
    permission_denied,
    unreadable_link,
    unsupported,
)
from fakevospace.tree import Tree

MAX_HOPS = 20


class Space:
    """The rules of one service over its tree."""

    def __init__(self, personality: Personality, tree: Tree, groups: Collection[str] = ()) -> None:
        """Take the rules and the tree.

        Args:
            groups: URIs of the groups that exist, where the service looks; none: any does.
        """
        self.personality = personality
        self.tree = tree
        self.drafts = DraftRules(personality, groups)

    def uri(self, path: str) -> str:
        """Return the URI of a path of this service."""
        return node_uri(self.personality.authority, path)

    def resolve(self, path: str, caller: Caller, *, follow_leaf: bool = False) -> Node:
        """Find a node; links on the way are followed, the last one only on request.

        Raises:
            Refusal: 404 for a missing node or a link that leads nowhere, 400 for a link out of
                the service or one that is not followed, 403 for a container on
                the way that the caller cannot read.
        """
        node, hops = self.tree.root, 0
        wanted = path.split("/") if path else []
        while True:
            if node.kind is Kind.LINK and wanted and not self.personality.follows_links:
                raise link_found(self.uri(node.path))
            if node.kind is Kind.LINK and (wanted or follow_leaf):
                hops += 1
                if hops > MAX_HOPS:
                    raise unreadable_link(self.uri(path))
                wanted = self._link_path(node) + wanted
                node = self.tree.root
            if not wanted:
                return node
            if node.kind is not Kind.CONTAINER:
                raise self._missing(path, hops, inside=len(wanted) > 1)
            if not caller.can_read(node):
                raise permission_denied(self.uri(node.path))
            child = node.children.get(wanted[0])
            if child is None:
                raise self._missing(path, hops, inside=len(wanted) > 1)
            node, wanted = child, wanted[1:]

    def _missing(self, path: str, hops: int, *, inside: bool) -> Refusal:
        """Say that a node is missing, or what is inside the path to it."""
        if inside and not hops and self.personality.container_faults:
            return container_not_found(self.uri(split_path(path)[0]))
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
            Refusal: 404 ContainerNotFound; it is missing, or is no container.  400 LinkFound; it
                is a link, where those are not followed.
        """
        parent_path, _ = split_path(path)
        try:
            follow = self.personality.follows_links
            parent = self.resolve(parent_path, caller, follow_leaf=follow)
        except Refusal as refusal:
            if refusal.status == 404:
                raise container_not_found(self.uri(parent_path)) from None
            raise
        if parent.kind is Kind.LINK:
            raise link_found(self.uri(parent_path))
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
        if caller.rules.is_allocation_parent(parent) and not caller.sets_admin_properties:
            raise permission_denied(self.uri(path))
        given = self.drafts.accepted(draft, caller)
        node = Node(
            self.tree.next_number(),
            name,
            draft.kind,
            parent,
            given.pop(CREATOR, None) or caller.name or "",
            self.tree.next_date_ms(),
            properties={IS_PUBLIC: "false"} | inherited(parent.properties, given),
            target=self.drafts.checked_target(draft),
        )
        node.properties = merged(node.properties, given)
        if node.kind is Kind.CONTAINER:
            node.children = Children()
        if node.kind.holds_bytes:
            node.storage_id = str(uuid.uuid4())
        self.tree.enter(node)
        return node

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
        return self.apply(node, draft, caller)

    def apply(self, node: Node, draft: NodeDraft, caller: Caller) -> Node:
        """Merge a document's properties into a node that the caller may change.

        Raises:
            Refusal: 400 a property is refused.
        """
        changes = self.drafts.accepted(draft, caller)
        node.owner = changes.pop(CREATOR, None) or node.owner
        node.properties = {IS_PUBLIC: "false"} | merged(node.properties, changes)
        drops = self.personality.full_post_drops_md5 and not caller.admin
        if drops and MD5 in draft.properties:
            node.md5 = None
        self.tree.touch(node)
        return node

    def delete(self, path: str, caller: Caller) -> list[Node]:
        """Take a node out of the tree (section 4.6); a link itself, never its target.

        Returns:
            The node, and those that were below it where the service deletes them too.
        Raises:
            Refusal: 404, 403 no permission on the container or a lock, 400 not empty.
        """
        node = self.resolve(path, caller)
        self.check_deletable(node, caller)
        if len(node.children) and not self.personality.recursive_delete:
            raise unsupported(f"container node '{node.name}' is not empty")
        gone = [node]
        for one in gone:  # grows while it is walked
            gone.extend(one.children)
        for one in reversed(gone):
            self.tree.discard(one)
        return gone

    def check_deletable(self, node: Node, caller: Caller) -> None:
        """Raise 403 unless the caller may delete a node: permission and locks, not contents."""
        if node.parent is None:
            raise permission_denied(self.uri(node.path))
        self.check_entries_writable(node.parent, caller)
        if self.is_locked(node):
            raise permission_denied(self.uri(node.path))

    def move(self, source_path: str, destination_path: str, caller: Caller) -> Node:
        """Move a node (section 5.4): rename, or into an existing container; never overwrites.

        The caller becomes the owner.  A link is moved itself.

        Raises:
            Refusal: the text is what the job's error says.
        """
        node = self.resolve(source_path, caller)
        if node.parent is None:
            raise permission_denied(self.uri(source_path))
        container, name = self.destination(node, destination_path, caller)
        inside, own = f"/{container.path}", f"/{node.path}"
        below = f"{inside}/".startswith(f"{own}/")
        # The real service tests for a substring: a sibling /a/dir2 of /a/dir is hit too.
        below = below or (own in inside and self.personality.substring_moves)
        if node.kind is Kind.CONTAINER and below:
            raise invalid_argument(f"Cannot move container node into its descendants: {inside}")
        if container.children.get(name) is not None:
            raise duplicate_node(f"/{container.path}/{name}")
        for one in (node.parent, container):
            self.check_entries_writable(one, caller)
        self.tree.leave(node)
        node.parent, node.name, node.owner = container, name, caller.name or ""
        node.date_ms = self.tree.next_date_ms()
        self.tree.enter(node)
        return node

    def destination(self, node: Node, path: str, caller: Caller) -> tuple[Node, str]:
        """Say into which container a node goes, and under which name (section 5.4).

        Raises:
            Refusal: 404 there is no container, 409 a data node is in the way.
        """
        try:
            found = self.resolve(path, caller, follow_leaf=True)
        except Refusal as refusal:
            if refusal.status != 404 or refusal.text.startswith("UnreadableLinkTarget"):
                raise
            return self.container_for(path, caller), split_path(path)[1]
        if found.kind is not Kind.CONTAINER:
            raise duplicate_node(f"destination is an existing DataNode: /{path}")
        return found, node.name
