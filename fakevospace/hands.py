"""Bytes in and out of the tree by hand, past all rules: for those who prepare a fake."""

from __future__ import annotations

import hashlib

from fakevospace.access import Caller
from fakevospace.names import decode_path, encode_path
from fakevospace.nodes import Kind, Node, NodeDraft
from fakevospace.state import State


def tidy(path: str) -> str:
    """Return a path as the tree has it; names are given as they are, not encoded."""
    return decode_path(encode_path(path))


def found(state: State, where: str) -> Node:
    """Return a node; call with `state.lock` held.

    Raises:
        FileNotFoundError: there is no such node.
    """
    node = state.tree.at(where)
    if node is None:
        raise FileNotFoundError(where)
    return node


def store_bytes(state: State, where: str, data: bytes, caller: Caller) -> None:
    """Put bytes into a data node, which is made when it is missing.

    Raises:
        Refusal: the container is missing.
        IsADirectoryError: the node holds no bytes.
    """
    with state.lock:
        node = state.tree.at(where)
        if node is None:
            draft = NodeDraft(state.space.uri(where), Kind.DATA, {})
            node = state.space.create(where, draft, caller)
        if not node.kind.holds_bytes:
            raise IsADirectoryError(where)
        replaced, node.content = node.content, None
        if data:
            node.content = state.store.create()
            writer = state.store.writer(node.content)
            writer.write(data)
            writer.close()
        node.length = len(data)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        node.md5 = md5 if data else None
        node.content_date_ms = state.tree.next_date_ms() if data else None
        state.tree.touch(node)
        if replaced is not None:
            state.store.delete(replaced)


def load_bytes(state: State, where: str) -> bytes:
    """Return the bytes of a data node.

    Raises:
        FileNotFoundError, IsADirectoryError: there are none.
    """
    with state.lock:
        node = found(state, where)
        if not node.kind.holds_bytes:
            raise IsADirectoryError(where)
        if node.content is None:
            return b""
        reader = state.store.reader(node.content)
    try:
        return bytes(reader.read(0, reader.size_bytes))
    finally:
        reader.close()
