"""Bytes into a node: how a PUT replaces what was there, and what it is checked against.

Shared by `/files` and the byte URLs.  Follows protocol.md 6.  On a service with atomic PUT the new
bytes go to a content of their own, which replaces the old one when all is proven.  On the other
kind the file is truncated when the PUT begins, grows as bytes come, and is truncated again, by
path, when the PUT breaks (rules.md R1): nothing of the old bytes survives.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass

from fakevospace.endpoints.content import digest_text
from fakevospace.exchange import BodyTimeout, Exchange, Reply, text_reply
from fakevospace.nodes import Node
from fakevospace.properties import ENCODING, TYPE
from fakevospace.quotas import remaining_bytes
from fakevospace.refusals import (
    invalid_argument,
    node_not_found,
    precondition_failed,
    request_timeout,
    too_large,
)
from fakevospace.state import State
from fakevospace.storage import Writer
from fakevospace.transactions import Hash

RECEIVE_BYTES = 256 * 1024
HASHES = {"md5": "md5", "sha": "sha1"} | {f"sha-{n}": f"sha{n}" for n in (1, 256, 384, 512)}


@dataclass(frozen=True, slots=True)
class Received:
    """What a PUT brought: size in bytes and MD5 of what was stored."""

    size_bytes: int
    md5_hex: str


def receive_atomic(state: State, exchange: Exchange, storage_id: str) -> Reply:
    """Store the body of a PUT under a storage id; visible at once and whole, or not at all.

    The byte service does not know nodes: bytes for a node that is gone are accepted and lost.

    Raises:
        Refusal: 412, 408, 400.
    """
    key = state.store.create()
    discarded = [key]  # until the new bytes belong to the node; then the old ones
    try:
        writer = state.store.writer(key)
        try:
            received = receive(exchange, writer)
        finally:
            writer.close()
        discarded = replace_content(state, storage_id, key, received, content_names(exchange))
    finally:
        for one in discarded:
            state.store.delete(one)
    return stored(received)


def replace_content(
    state: State,
    storage_id: str,
    key: str,
    received: Received,
    names: tuple[tuple[str, str], ...],
) -> list[str]:
    """Give the node of a storage id its new bytes, if it still exists.

    Args:
        names: properties that the upload sets.
    Returns:
        The contents that nobody needs any more.
    """
    with state.lock:
        node = state.tree.by_storage_id(storage_id)
        if node is None:
            return [key]
        replaced = node.content
        node.content = key if received.size_bytes else None
        node.md5 = received.md5_hex if received.size_bytes else None
        _finish(state, node, received, names)
    discarded = [key] if not received.size_bytes else []
    return discarded + ([] if replaced is None else [replaced])


def receive_truncating(state: State, exchange: Exchange, node: Node) -> Reply:
    """Store the body of a PUT into the file of a node, which is truncated first.

    Raises:
        Refusal: 412, 408, 400; the file is empty then.  404: the node was deleted meanwhile.
        Dropped: the connection broke; the file is empty then too.
    """
    with state.lock:
        path = node.path
        if not state.tree.holds(node):
            raise node_not_found(state.space.uri(path))
        if node.content is None:
            node.content = state.store.create()
        key = node.content
        left = remaining_bytes(node) if state.personality.quota_at_put else None
        if left is not None:
            left += node.length
        writer: Writer = _Growing(state, node, key, left)
        node.length = 0
        state.tree.touch(node)
    try:
        received = receive(exchange, writer)
    except BaseException:
        _truncate_by_path(state, path)
        raise
    finally:
        writer.close()
    with state.lock:
        if not state.tree.holds(node):
            raise node_not_found(state.space.uri(path))
        again = node.md5 is not None and state.personality.md5_prefix_quirk
        if received.size_bytes:
            node.md5 = f"md5:{received.md5_hex}" if again else received.md5_hex
        else:
            node.md5 = None
        _finish(state, node, received, content_names(exchange))
        node.length = state.store.size(key)
    return stored(received)


class _Growing:
    """A writer whose progress shows in the node's length."""

    def __init__(self, state: State, node: Node, key: str, left: int | None) -> None:
        """Truncate the content.

        Args:
            left: bytes that the quota leaves; None without a quota.
        """
        self._state, self._node, self._key = state, node, key
        self._limit = self._left = left
        self._writer = state.store.writer(key)

    def write(self, block: bytes | memoryview) -> None:
        if self._left is not None and self._limit is not None:
            self._left -= len(block)
            if self._left < 0:
                raise too_large(max(self._limit, 0))
        self._writer.write(block)
        with self._state.lock:
            self._node.length = self._state.store.size(self._key)

    def close(self) -> None:
        self._writer.close()


def _truncate_by_path(state: State, path: str) -> None:
    """Empty whatever file is at `path` now, as the handler of a broken PUT does."""
    with state.lock:
        node = state.tree.at(path)
        if node is not None and node.content is not None:
            state.store.writer(node.content).close()
            node.length = 0
            state.tree.touch(node)


def content_names(exchange: Exchange) -> tuple[tuple[str, str], ...]:
    """Return the properties that an upload sets by its headers."""
    given = exchange.request.headers
    pairs = (("Content-Type", TYPE), ("Content-Encoding", ENCODING))
    return tuple((key, given[header]) for header, key in pairs if given.get(header))


def _finish(
    state: State, node: Node, received: Received, names: tuple[tuple[str, str], ...]
) -> None:
    node.length = received.size_bytes
    node.properties |= dict(names)
    node.content_date_ms = state.tree.next_date_ms() if received.size_bytes else None
    state.tree.touch(node)


def stored(received: Received) -> Reply:
    """Answer a PUT whose bytes are stored."""
    return text_reply(201, "", (("Digest", digest_text(received.md5_hex)),))


def receive(exchange: Exchange, writer: Writer, total: Hash | None = None) -> Received:
    """Read the body into a writer and check it against what was announced.

    Args:
        total: a hash that takes the bytes in too.
    Raises:
        Refusal: 412, 408, 400.
    """
    request = exchange.request
    algorithm, announced = _announced_digest(request.headers.get("Digest"))
    md5, other = hashlib.md5(usedforsecurity=False), hashlib.new(algorithm, usedforsecurity=False)
    size = 0
    try:
        while block := request.stream.read(RECEIVE_BYTES):
            writer.write(block)
            md5.update(block)
            if total is not None:
                total.update(block)
            if algorithm != "md5":
                other.update(block)
            size += len(block)
    except BodyTimeout:
        raise request_timeout() from None
    if request.content_length is not None and size < request.content_length:
        raise precondition_failed(f"premature end of content: {size} of {request.content_length}")
    found = (md5 if algorithm == "md5" else other).digest()
    if announced is not None and announced != found:
        raise precondition_failed(f"checksum mismatch: {request.headers['Digest']}")
    return Received(size, md5.hexdigest())


def _announced_digest(header: str | None) -> tuple[str, bytes | None]:
    if header is None:
        return "md5", None
    name, _, value = header.partition("=")
    algorithm = HASHES.get(name.strip().lower())
    try:
        announced = base64.b64decode(value.strip(), validate=True)
    except ValueError:  # not ASCII, or not base64
        algorithm = None
    if algorithm is None:
        raise invalid_argument(f"invalid digest: {header}")
    return algorithm, announced
