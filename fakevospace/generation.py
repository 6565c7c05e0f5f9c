"""Filling a service with a great many nodes that cost nothing until they are looked at."""

from __future__ import annotations

import uuid

from fakevospace.generated import MOST, GeneratedChildren
from fakevospace.names import decode_path, encode_path, split_path
from fakevospace.nodes import Children, Kind, Node
from fakevospace.properties import IS_PUBLIC
from fakevospace.state import State


def generate(state: State, path: str, count: int) -> None:
    """Make a public container with `count` empty public data nodes, and what is above it.

    Args:
        path: of the container, which must not exist; names as they are, not encoded.
    Raises:
        ValueError: the service keeps its data in a directory, the path is taken, or the count is
            none.
    """
    where = decode_path(encode_path(path))
    if not 0 <= count <= MOST:
        raise ValueError(f"between 0 and {MOST} nodes can be generated, not {count}")
    with state.lock:
        if state.keeps_data:
            raise ValueError("generated nodes live in memory: start the service without data")
        if not where or state.tree.at(where) is not None:
            raise ValueError(f"there is a node at /{where} already")
        container = _container(state, where)
        first = state.tree.reserve_numbers(count)
        owner, date_ms = container.owner, container.date_ms

        def make(parent: Node, name: str, index: int) -> Node:
            return Node(
                first + index,
                name,
                Kind.DATA,
                parent,
                owner,
                date_ms,
                properties={IS_PUBLIC: "true"},
                storage_id=str(uuid.UUID(int=first + index)),
            )

        container.children = GeneratedChildren(
            container, count, make, lambda node: state.tree.know(node)
        )


def _container(state: State, path: str) -> Node:
    """Make a container and those above it that are missing."""
    above, name = split_path(path)
    parent = state.tree.at(above) or _container(state, above)
    if parent.kind is not Kind.CONTAINER:
        raise ValueError(f"/{above} is no container")
    node = Node(
        state.tree.next_number(),
        name,
        Kind.CONTAINER,
        parent,
        state.users.root_owner,
        state.tree.next_date_ms(),
        properties={IS_PUBLIC: "true"},
    )
    node.children = Children()
    state.tree.enter(node)
    return node
