"""Filling a service with a great many nodes that cost nothing until they are looked at."""

from __future__ import annotations

from fakevospace.generated import MOST, GeneratedChildren, Recipe
from fakevospace.names import decode_path, encode_path, split_path
from fakevospace.nodes import Children, Kind, Node
from fakevospace.properties import IS_PUBLIC
from fakevospace.state import State


def generate(state: State, path: str, count: int) -> None:
    """Make a public container with `count` empty public data nodes, and what is above it.

    Args:
        path: of the container, which must not exist; names as they are, not encoded.
    Raises:
        ValueError: the path is taken, or the count is none.
    """
    where = decode_path(encode_path(path))
    if not 0 <= count <= MOST:
        raise ValueError(f"between 0 and {MOST} nodes can be generated, not {count}")
    with state.lock:
        if not where or state.tree.at(where) is not None:
            raise ValueError(f"there is a node at /{where} already")
        _container(state, where, count)


def _container(state: State, path: str, count: int | None = None) -> Node:
    """Make a container and those above it that are missing.

    Args:
        count: how many generated children it has; None for a plain one.
    """
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
    if count is not None:
        first = state.tree.reserve_numbers(count)
        recipe = Recipe(count, first, node.owner, node.date_ms)
        node.children = GeneratedChildren(node, recipe)
    state.tree.enter(node)
    return node
