"""The body of one HTTP request: where it ends, when it is asked for, how slow it may be.

Reads from the connection's buffered stream.  `100 Continue` goes out at the first read, not
before: a fault that strikes before the body finds it unsent.  A client that stops sending
or drips is a `BodyTimeout`; one that is gone is an early end, which the reader sees as too few
bytes, or, in a chunked body, as a `Refusal`: without its last chunk nobody knows that bytes are
missing.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from fakevospace.exchange import BodyTimeout
from fakevospace.refusals import Refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CHUNK_LINE_BYTES = 1024
TRAILERS = 100
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r?\n\Z")


class Source(Protocol):
    """A blocking stream."""

    def read(self, count: int = -1, /) -> bytes:
        """Read up to `count` bytes, fewer only at the end."""

    def readline(self, limit: int | None = -1, /) -> bytes:
        """Read a line, at most `limit` bytes of it."""


class Chunks:
    """A chunked body as a plain one (RFC 9112 section 7.1)."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0  # of the current chunk
        self.ended = False

    def read(self, count: int = -1, /) -> bytes:
        """Read up to `count` bytes; fewer only at the end.

        Raises:
            ValueError: the chunks are none, or end early.
        """
        parts, wanted = [], count
        while not self.ended and wanted != 0:
            if not self._left:
                self._left = self._next_size()
                if not self._left:
                    self._end()
                    break
            block = self._source.read(self._left if wanted < 0 else min(wanted, self._left))
            if not block:
                raise ValueError("premature end")
            parts.append(block)
            self._left -= len(block)
            wanted -= len(block) if wanted > 0 else 0
            if not self._left and self._source.readline(3) not in (b"\r\n", b"\n"):
                raise ValueError("a chunk is longer than it says")
        return b"".join(parts)

    def _next_size(self) -> int:
        match = CHUNK_SIZE.match(self._source.readline(CHUNK_LINE_BYTES))
        if match is None:
            raise ValueError("not a chunk")
        return int(match[1], 16)

    def _end(self) -> None:
        for _ in range(TRAILERS):
            line = self._source.readline(CHUNK_LINE_BYTES)
            if line in (b"\r\n", b"\n"):
                self.ended = True
                return
            if not line.endswith(b"\n"):
                break
        raise ValueError("no end after the last chunk")


class RequestBody:
    """A stream that ends where the request does."""

    def __init__(
        self,
        source: Source,
        connection: socket.socket,
        environ: WSGIEnvironment,
        kept_to_pace: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Look at the headers, which have been checked; nothing is read yet.

        Args:
            kept_to_pace: what is read within it is a `TimeoutError` when it comes too slowly.
        """
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        # None: unknown length; the end is where the chunks end.
        self._left: int | None = None if chunked else int(environ.get("CONTENT_LENGTH") or 0)
        self._chunks = Chunks(source) if chunked else None
        self._source = source
        self._connection = connection
        self._kept_to_pace = kept_to_pace
        self._ended = False
        self._expects = "HTTP_EXPECT" in environ

    def read(self, count: int = -1, /) -> bytes:
        """Read up to `count` bytes; fewer only at the end.

        Raises:
            BodyTimeout: nothing came for too long, or too little in all.
            Refusal: 400; the chunks are none, or the last one is missing.
        """
        if self._left == 0 or self._ended or count == 0:
            return b""
        if self._left is not None:
            count = self._left if count < 0 else min(count, self._left)
        if self._expects:
            self._expects = False
            self._connection.sendall(CONTINUE)
        data = self._read(count)
        if self._left is not None:
            self._left -= len(data)
        if len(data) < count:
            self._ended = True
        return data

    def _read(self, count: int) -> bytes:
        before = self._connection.gettimeout()
        try:
            with self._kept_to_pace():
                return (self._source if self._chunks is None else self._chunks).read(count)
        except TimeoutError:
            self._ended = True
            raise BodyTimeout from None
        except (OSError, ValueError) as error:  # reset by the client, or chunks that are none
            self._ended = True
            if self._chunks is None:
                return b""
            raise Refusal(400, f"invalid chunked body: {error}") from None
        finally:
            with contextlib.suppress(OSError):
                self._connection.settimeout(before)

    def is_short(self, limit_bytes: int) -> bool:
        """Tell whether the rest can be read away to keep the connection."""
        if self._chunks is not None:
            return self._chunks.ended
        return (
            self._left is not None
            and self._left <= limit_bytes
            and not (self._ended and self._left)
        )

    def drain(self, limit_bytes: int) -> bool:
        """Read the rest away; False when there is too much of it or it does not come."""
        if not self.is_short(limit_bytes) or (self._expects and self._left):
            return False
        with contextlib.suppress(BodyTimeout):
            self.read(limit_bytes)
        return not self._left
