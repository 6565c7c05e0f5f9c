"""Bytes from the wire: the reply to a GET whose version is proved.

Decides whether a reply belongs to the version that was asked for (R12): its total length, the
whole-file MD5 in Digest where the service keeps it true, the second of Last-Modified where it does
not.  A 200 is the whole body from 0; a 206 counts only with exactly the range that was asked for.

Invariants: `HttpByteSource` exists only for a proved reply; what `chunks` yields adds up to what
the headers promised, or it ends with an error.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Self

import requests

from vofs.core.errors import (
    ProtocolViolation,
    RemoteUnavailable,
    VersionChanged,
)
from vofs.core.nodes import VersionToken
from vofs.locks import assert_none_held
from vofs.remote.failures import by_meaning
from vofs.remote.transport import release, shown

__all__ = ["EmptySource", "HttpByteSource", "content_length", "digest_md5", "proved"]

_CHUNK = 256 * 1024
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


class HttpByteSource:
    """A proved byte reply; see `api.ByteSource`.  Made by `proved` only."""

    def __init__(self, response: requests.Response, start: int, end: int, total: int) -> None:
        self._response = response
        self._expected = end - start
        self.start = start
        self.total = total
        self.md5 = digest_md5(response)

    def chunks(self) -> Iterator[bytes]:
        """See `api.ByteSource`.  Yields what has arrived, at most 256 KiB at a time."""
        left = self._expected
        what = f"bytes from {shown(self._response.url, secret=True)}"
        while left > 0:
            assert_none_held(what)
            with by_meaning(what, sent=False):
                chunk: bytes = self._response.raw.read1(_CHUNK, decode_content=False)
            if not chunk:
                raise RemoteUnavailable(f"{what}: ended {left} bytes early")
            if len(chunk) > left:
                raise ProtocolViolation(f"{what}: more bytes than announced")
            left -= len(chunk)
            yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._response.close()


class EmptySource:
    """The reply of a file without bytes (204)."""

    start = 0
    total = 0
    md5: str | None = None

    def chunks(self) -> Iterator[bytes]:
        """Yield nothing."""
        return iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        """Nothing to close."""


def proved(
    response: requests.Response, start: int, end: int, expected: VersionToken
) -> HttpByteSource | EmptySource:
    """Return the source of a byte reply once its version is proved; else release it.

    Args:
        response: status 200, 204 or 206, body unread.
        start: first byte that was asked for.
        end: the byte after the last one that was asked for.
        expected: the version that was asked for.

    Raises:
        VersionChanged: the reply belongs to another version.
        ProtocolViolation: another status, or another range than asked for.
    """
    try:
        match response.status_code:
            case 204:
                first, last, total = 0, 0, 0
            case 206:
                first, last, total = _content_range(response, start, end)
            case 200:
                length = content_length(response)
                total = expected.length if length is None else length
                first, last = 0, total
            case status:
                raise ProtocolViolation(f"status {status} in answer to a GET of bytes")
        _prove(response, total, expected)
    except BaseException:
        response.close()
        raise
    if response.status_code == 204:
        release(response)
        return EmptySource()
    return HttpByteSource(response, first, last, total)


def digest_md5(response: requests.Response) -> str | None:
    """Return the hex MD5 of the whole file from the Digest header (RFC 3230), or None."""
    for value in response.headers.get("Digest", "").split(","):
        name, _, encoded = value.strip().partition("=")
        if name.lower() != "md5":
            continue
        try:
            raw = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            return None
        return raw.hex() if len(raw) == 16 else None
    return None


def content_length(response: requests.Response) -> int | None:
    """Return Content-Length in bytes, or None."""
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdecimal() else None


def _content_range(response: requests.Response, start: int, end: int) -> tuple[int, int, int]:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not match:
        raise ProtocolViolation("a 206 without a usable Content-Range")
    first, last, total = (int(group) for group in match.groups())
    if first != start or last + 1 != min(end, total):
        raise ProtocolViolation(f"asked for bytes [{start}, {end}), got {match.group()}")
    return first, last + 1, total


def _prove(response: requests.Response, total: int, expected: VersionToken) -> None:
    if total != expected.length:
        raise VersionChanged(f"{total} bytes there, {expected.length} expected")
    if expected.md5_proves:
        md5 = digest_md5(response)
        if md5 and expected.md5 and md5 != expected.md5:
            raise VersionChanged(f"MD5 {md5} there, {expected.md5} expected")
        return
    # A file system's MD5 goes stale (R13); its date, to the second, is what the header can hold.
    seconds = _last_modified_s(response)
    if seconds is not None and expected.date_ms is not None and seconds != expected.date_ms // 1000:
        raise VersionChanged(f"modified at {seconds}, {expected.date_ms // 1000} expected")


def _last_modified_s(response: requests.Response) -> int | None:
    try:
        return int(parsedate_to_datetime(response.headers["Last-Modified"]).timestamp())
    except (KeyError, ValueError):
        return None
