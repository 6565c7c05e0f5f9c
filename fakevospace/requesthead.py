"""The head of an HTTP request, before anything is made of it: well-formed, or why not.

Pure: bytes in, a verdict out; reading them in time is `server`'s.  Stricter than http.client, as
the services in front of a real VOSpace are: whatever could be read in two ways (two lengths, a
length and chunks, folded lines, bare control characters) is refused, because the next request on
the connection would begin at a place that only one side believes in.  RFC 9112 sections 2 to 6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE_BYTES = 16 * 1024
HEAD_BYTES = 64 * 1024
HEADERS = 100

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/(\d{1,3})\.(\d{1,3})\r?\n\Z")
HEADER_LINE = re.compile(rb"(" + TOKEN + rb"):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*\r?\n\Z")
HOST = re.compile(rb"[0-9A-Za-z._~:\[\]-]*\Z")
LENGTH = re.compile(rb"\d{1,18}\Z")
TARGET = re.compile(rb"(/|https?://[0-9A-Za-z._~:\[\]-]+(/|\?|\Z)|\*\Z)")


@dataclass(frozen=True, slots=True)
class BadHead:
    """Why a request is none: the status and the line of text to answer with."""

    status: int
    text: str


def check_request_line(line: bytes) -> BadHead | None:
    """Judge the first line of a request, its end included."""
    if len(line) >= LINE_BYTES:
        return BadHead(414, f"the request line is longer than {LINE_BYTES} bytes")
    match = REQUEST_LINE.match(line)
    if match is None:
        return BadHead(400, "the request line is not METHOD TARGET HTTP/1.1")
    if TARGET.match(match[2]) is None:
        return BadHead(400, "the request target is neither a path nor an http URL")
    if match[3] != b"1":
        return BadHead(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
    return None


def check_headers(lines: list[bytes], *, needs_host: bool) -> BadHead | None:
    """Judge the header lines of a request, their ends included, without the empty last one.

    Args:
        needs_host: the request is HTTP/1.1.
    """
    if len(lines) > HEADERS:
        return BadHead(431, f"there are more than {HEADERS} headers")
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        match = HEADER_LINE.match(line)
        if match is None:
            return BadHead(400, "a header line is not NAME: VALUE")
        found.setdefault(match[1].lower(), []).append(match[2])
    return _check_body_headers(found) or _check_host(found.get(b"host", []), needs_host)


def _check_body_headers(found: dict[bytes, list[bytes]]) -> BadHead | None:
    lengths = found.get(b"content-length", [])
    codings = found.get(b"transfer-encoding", [])
    if lengths and (len(lengths) > 1 or LENGTH.match(lengths[0]) is None):
        return BadHead(400, "Content-Length is not one number")
    if codings and lengths:
        return BadHead(400, "Content-Length and Transfer-Encoding exclude each other")
    if codings and [one.lower() for one in codings] != [b"chunked"]:
        return BadHead(501, "the only Transfer-Encoding here is chunked")
    expected = found.get(b"expect", [])
    if any(one.lower() != b"100-continue" for one in expected):
        return BadHead(417, "the only expectation met here is 100-continue")
    return None


def _check_host(hosts: list[bytes], needs_host: bool) -> BadHead | None:
    if len(hosts) > 1 or (needs_host and not hosts):
        return BadHead(400, "there must be one Host header")
    if hosts and HOST.match(hosts[0]) is None:
        return BadHead(400, "the Host header is no host")
    return None
