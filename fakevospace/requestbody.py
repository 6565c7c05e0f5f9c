"""The body of one HTTP request: where it ends, when it is asked for, how long it may pause.

Reads from the connection's buffered stream.  `100 Continue` goes out at the first read, not
before: a fault that strikes before the body finds it unsent.  A client that stops sending is a
`BodyTimeout`; one that is gone is an early end, which the reader sees as too few bytes.
"""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Protocol

from fakevospace.exchange import BodyTimeout

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
DISCARD_BYTES = 1 << 16


class Source(Protocol):
    """A blocking stream."""

    def read(self, count: int = -1, /) -> bytes:
        """Read up to `count` bytes, fewer only at the end."""


class RequestBody:
    """A stream that ends where the request does."""

    def __init__(
        self, source: Source, connection: socket.socket, environ: WSGIEnvironment, pause_s: float
    ) -> None:
        """Look at the headers; nothing is read yet.

        Args:
            source: the connection's stream; already taken apart when the body is chunked.
            pause_s: seconds without a byte that are too many.
        """
        chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        length = environ.get("CONTENT_LENGTH", "")
        # None: unknown length; the end is where the chunks end.
        self._left = None if chunked else int(length) if length.isdecimal() else 0
        # A length that is none: where the next request begins cannot be known.
        self._lost = bool(length) and not length.isdecimal()
        self._source = source
        self._connection = connection
        self._pause_s = pause_s
        self._ended = False
        self._expects = environ.get("HTTP_EXPECT", "").lower().strip() == "100-continue"

    def read(self, count: int = -1, /) -> bytes:
        """Read up to `count` bytes; fewer only at the end.

        Raises:
            BodyTimeout: nothing came for too long.
        """
        if self._left == 0 or self._ended or count == 0:
            return b""
        if self._left is not None:
            count = self._left if count < 0 else min(count, self._left)
        if self._expects:
            self._expects = False
            self._connection.sendall(CONTINUE)
        before = self._connection.gettimeout()
        self._connection.settimeout(self._pause_s)
        try:
            data = self._source.read(count)
        except TimeoutError:
            self._ended = True
            raise BodyTimeout from None
        except OSError:  # reset by the client, or chunks that are none
            self._ended = True
            return b""
        finally:
            with contextlib.suppress(OSError):
                self._connection.settimeout(before)
        if self._left is not None:
            self._left -= len(data)
        self._ended = len(data) < count
        return data

    def is_short(self, limit_bytes: int) -> bool:
        """Tell whether the rest can be read away to keep the connection."""
        if self._lost:
            return False
        if self._left is None:
            return self._ended
        return self._left <= limit_bytes and not (self._ended and self._left)

    def drain(self, limit_bytes: int) -> bool:
        """Read the rest away; False when there is too much of it or it does not come."""
        if not self.is_short(limit_bytes) or (self._expects and self._left):
            return False
        with contextlib.suppress(BodyTimeout):
            self.read(limit_bytes)
        return not self._left

    def discard(self, seconds: float) -> None:
        """Throw away what still comes, for at most so many seconds; the connection ends then."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._connection.settimeout(left)
            if not self._connection.recv(DISCARD_BYTES):
                return
