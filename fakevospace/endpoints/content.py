"""Bytes in and out of a node: ranges, digests, and how a PUT replaces what was there.

Shared by `/files` and the byte URLs.  Follows protocol.md 6.  On a service with atomic PUT the new
bytes go to a content of their own, which replaces the old one when all is proven.  On the other
kind the file is truncated when the PUT begins, grows as bytes come, and is truncated again, by
path, when the PUT breaks (rules.md R1): nothing of the old bytes survives.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from fakevospace.describe import bytes_date_ms
from fakevospace.exchange import (
    BodyTimeout,
    ContentBody,
    Exchange,
    Reply,
    http_date,
    text_reply,
)
from fakevospace.faults import RangeIgnored
from fakevospace.nodes import Node
from fakevospace.properties import ENCODING, TYPE
from fakevospace.quotas import remaining_bytes
from fakevospace.refusals import (
    Refusal,
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
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")
HASHES = {"md5": "md5", "sha": "sha1"} | {f"sha-{n}": f"sha{n}" for n in (1, 256, 384, 512)}


def digest_text(md5_hex: str) -> str:
    """Write an MD5 as the `Digest` header has it: base64 of the 16 bytes."""
    return f"md5={base64.b64encode(bytes.fromhex(md5_hex)).decode()}"


def content_headers(state: State, node: Node, *, ranges: bool) -> tuple[tuple[str, str], ...]:
    """Return what describes the bytes of a node, the same for GET, HEAD and the 303 to them.

    Call with `state.lock` held.
    """
    date_ms = bytes_date_ms(state.personality, node)
    name = node.name.encode("utf-8").decode("latin-1")  # unescaped UTF-8, as real services send it
    headers = [
        ("Content-Disposition", f'inline; filename="{_printable(name)}"'),
        ("Last-Modified", http_date(date_ms)),
    ]
    if node.md5_hex is not None:
        headers.append(("Digest", digest_text(node.md5_hex)))
    if ENCODING in node.properties:
        headers.append(("Content-Encoding", _printable(node.properties[ENCODING])))
    if ranges:
        headers.append(("Accept-Ranges", "bytes"))
    return tuple(headers)


def _printable(text: str) -> str:
    """Drop what would break the header apart."""
    return "".join(one for one in text if one >= " " and one != "\x7f" and one <= "\xff")


def _content_type(node: Node) -> tuple[str, str]:
    given = _printable(node.properties.get(TYPE, ""))
    return "Content-Type", given or "application/octet-stream"


def requested_range(
    header: str | None, size_bytes: int, *, suffixes: bool = False
) -> tuple[int, int] | None:
    """Read a Range header as minoc does (6.2).

    Args:
        suffixes: `bytes=-n` is the last n bytes; else it is taken for `0-n`.
    Returns:
        Half-open [start, end), or None when the whole is to be sent: no header, several ranges,
        another unit, or nonsense.
    Raises:
        Refusal: 416; the start is at or past the end.
    """
    match = RANGE.match(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    start = int(match[1] or 0)
    last = int(match[2]) if match[2] else size_bytes - 1
    if suffixes and not match[1]:
        start, last = (max(0, size_bytes - last) if last else size_bytes), size_bytes - 1
    if start >= size_bytes:
        raise Refusal(
            416, "requested range not satisfiable", (("Content-Range", f"bytes */{size_bytes}"),)
        )
    if last < start:
        return None
    return start, min(last + 1, size_bytes)


def send_content(state: State, exchange: Exchange, node: Node, *, ranges: bool) -> Reply:
    """Answer GET or HEAD of the bytes of a data node.

    Call with `state.lock` held; the answer is sent without it.

    Args:
        ranges: honour `Range` and say so.
    Raises:
        Refusal: 416.
    """
    headers = (_content_type(node), *content_headers(state, node, ranges=ranges))
    if exchange.request.method == "HEAD":
        return Reply(200, headers, length=node.length)
    if node.content is None or node.length == 0:
        return Reply(204, headers)
    wanted = None
    if ranges and not isinstance(exchange.fault, RangeIgnored):
        wanted = requested_range(
            exchange.request.headers.get("Range"),
            node.length,
            suffixes=state.personality.suffix_ranges,
        )
    reader = state.store.reader(node.content)
    if wanted is None:
        return Reply(200, headers, ContentBody(reader, 0, reader.size_bytes))
    start, end = wanted
    part = ("Content-Range", f"bytes {start}-{end - 1}/{node.length}")
    return Reply(206, (*headers, part), ContentBody(reader, start, end - start))


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
