"""The node tree itself: who is whose child, when each changed, and who is told.

No rule of the service is here, only what must hold whatever the rules are.  Pure: the clock and
the log of changes are given.

Not thread safe: every call with the lock of `State` held.  Invariants: every node but the root is
in the children of its parent under its own name; every change has a later date than the one
before; every change is told to the log before the call returns.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Protocol

from fakevospace.generated import GeneratedChildren
from fakevospace.nodes import Children, Kind, Node
from fakevospace.properties import IS_PUBLIC

ROOT_NUMBER = 1
Clock = Callable[[], float]


class NodeLog(Protocol):
    """Where changes are told, in order; persistence is behind it."""

    def saved(self, node: Node) -> None:
        """`node` is new or has changed."""

    def removed(self, node: Node) -> None:
        """`node` is gone."""


class Tree:
    """All nodes of one service."""

    def __init__(
        self,
        clock: Clock,
        log: NodeLog,
        *,
        root_owner: str,
        directory_times: bool,
        nodes: Iterable[Node] = (),
    ) -> None:
        """Start with an empty public root, or with nodes loaded earlier (the root among them).

        Args:
            clock: seconds since 1970.
            directory_times: a container's date moves with its entries.
        """
        self._clock = clock
        self._log = log
        self._directory_times = directory_times
        self._by_storage_id: dict[str, Node] = {}
        self._generated: list[GeneratedChildren] = []
        self._last_ms = 0
        self._last_number = ROOT_NUMBER
        found: Node | None = None
        for node in nodes:
            self._last_ms = max(self._last_ms, node.date_ms)
            self._last_number = max(self._last_number, node.number)
            if node.storage_id is not None:
                self._by_storage_id[node.storage_id] = node
            if isinstance(node.children, GeneratedChildren):
                self._generated.append(node.children)
                self._last_number = max(self._last_number, node.children.recipe.last)
            found = node if node.number == ROOT_NUMBER else found
        self.root = found or self._new_root()
        self.root.owner = root_owner
        if found is None:
            log.saved(self.root)

    def _new_root(self) -> Node:
        root = Node(ROOT_NUMBER, "", Kind.CONTAINER, None, "", self.next_date_ms())
        root.properties[IS_PUBLIC] = "true"
        root.children = Children()
        return root

    def next_date_ms(self) -> int:
        """Return the time of a change: the clock's, but later than any change before."""
        self._last_ms = max(int(self._clock() * 1000), self._last_ms + 1)
        return self._last_ms

    def follow_clock(self) -> None:
        """Let dates go back, once: the clock was set."""
        self._last_ms = 0

    def next_number(self) -> int:
        """Return the number of a new node; none is given twice."""
        self._last_number += 1
        return self._last_number

    def reserve_numbers(self, count: int) -> int:
        """Set numbers aside for nodes that are made later; return the first of them."""
        first = self._last_number + 1
        self._last_number += count
        return first

    def by_storage_id(self, storage_id: str) -> Node | None:
        """Return the data node whose bytes have that name, None when it is gone."""
        found = self._by_storage_id.get(storage_id)
        if found is None:  # nobody may have looked at it yet
            made = (children.by_storage_id(storage_id) for children in self._generated)
            found = next((node for node in made if node is not None), None)
        return found

    def holds(self, node: Node) -> bool:
        """Tell whether the node is (still) part of the tree."""
        if node.parent is None:
            return False
        node.parent.children.keep(node)
        return node.parent.children.get(node.name) is node

    def at(self, path: str) -> Node | None:
        """Return the node at exactly that path, links not followed; None when there is none."""
        node: Node | None = self.root
        for name in path.split("/") if path else ():
            node = None if node is None else node.children.get(name)
        return node

    def touch(self, node: Node) -> None:
        """Give the node a new date and tell the log; the end of every change of a node."""
        node.date_ms = self.next_date_ms()
        if node.parent is not None:
            node.parent.children.keep(node)
        self._log.saved(node)

    def enter(self, node: Node) -> None:
        """Put a node into the container that it names as its parent, and tell the log."""
        if node.parent is None:
            raise ValueError("a node needs a parent")
        node.parent.children.add(node)
        if node.storage_id is not None:
            self._by_storage_id[node.storage_id] = node
        if isinstance(node.children, GeneratedChildren) and node.children not in self._generated:
            self._generated.append(node.children)
        self._log.saved(node)
        if self._directory_times:
            self.touch(node.parent)

    def leave(self, node: Node) -> None:
        """Take a node out of its container, to enter another one."""
        if node.parent is None:
            raise ValueError("the root stays")
        node.parent.children.remove(node)
        if self._directory_times:
            self.touch(node.parent)

    def copied(self, node: Node, container: Node, name: str, owner: str) -> Node:
        """Make a copy of a node in a container, without bytes and without children.

        Returns:
            The new node, already part of the tree.
        """
        copy = Node(
            self.next_number(),
            name,
            node.kind,
            container,
            owner,
            self.next_date_ms(),
            properties=dict(node.properties),
            target=node.target,
        )
        if copy.kind is Kind.CONTAINER:
            copy.children = Children()
        if copy.kind.holds_bytes:
            copy.storage_id = str(uuid.uuid4())
        self.enter(copy)
        return copy

    def discard(self, node: Node) -> None:
        """Take a node without children out of the tree for good, whoever asks."""
        self.leave(node)
        if node.storage_id is not None:
            self._by_storage_id.pop(node.storage_id, None)
        if isinstance(node.children, GeneratedChildren):
            self._generated.remove(node.children)
        self._log.removed(node)
