"""Bytes out of a node: headers and ranges, the same for `/files` and the byte URLs (protocol.md 6).

How they come in is `receiving`.
"""

from __future__ import annotations

import base64
import re

from fakevospace.describe import bytes_date_ms
from fakevospace.exchange import (
    ContentBody,
    Exchange,
    Reply,
    http_date,
)
from fakevospace.faults import RangeIgnored
from fakevospace.nodes import Node
from fakevospace.properties import ENCODING, TYPE
from fakevospace.refusals import (
    Refusal,
)
from fakevospace.state import State

RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})\Z")


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
