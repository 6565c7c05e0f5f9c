"""One HTTP connection: reading requests, judging their heads, sending answers, breaking off.

werkzeug closes every connection after one answer; clients of a VOSpace keep theirs.  So the
handler here writes answers itself: keep-alive, `100 Continue` only when the body is wanted, large
files sent by the kernel, what a client sent too much drained or the connection closed.  What is no
HTTP is answered in one line of text; a head has a deadline, a body a least pace.
"""

from __future__ import annotations

import contextlib
import io
import select
import socket
import ssl
import struct
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from werkzeug.serving import WSGIRequestHandler

from fakevospace.bodies import JournaledBody
from fakevospace.exchange import Dropped
from fakevospace.requestbody import RequestBody
from fakevospace.requesthead import (
    HEAD_BYTES,
    LINE_BYTES,
    BadHead,
    check_headers,
    check_request_line,
)
from fakevospace.service import CERTIFICATE_USER, GONE, HEADERS, RESET
from fakevospace.timedreader import DRAIN_BYTES, Pace, TimedReader, discard

if TYPE_CHECKING:
    from fakevospace.server import Server

IDLE_S = 120.0  # how long a connection may wait for its next request
READ_BYTES = 1 << 16
LINGER_S = 2.0  # how long a refused upload may go on sending before the connection is closed
LINGER_OFF = struct.pack("ii", 1, 0)


def _judge(lines: list[bytes]) -> BadHead | None:
    """Judge the lines of a head, the empty last one included."""
    bad = check_request_line(lines[0])
    return bad or check_headers(lines[1:-1], needs_host=b"HTTP/1.1" in lines[0])


class Handler(WSGIRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_S
    server: Server

    def setup(self) -> None:
        """Make the streams of the connection; reading can be given a deadline."""
        super().setup()
        self.rfile.close()
        self._raw = TimedReader(self.connection)
        self._reader = io.BufferedReader(self._raw, READ_BYTES)
        self.rfile = self._reader

    def handle_one_request(self) -> None:
        """Read the head of a request, judge it, and answer."""
        self.close_connection = True
        try:
            lines = self._read_head()
        except (OSError, ValueError):  # silent, reset, or not speaking TLS any more
            return
        if not lines:
            return
        if not isinstance(lines, BadHead):
            lines = _judge(lines) or lines
        if isinstance(lines, BadHead):
            self._refuse(lines)
            return
        self.raw_requestline = lines[0]
        self.rfile = io.BufferedReader(io.BytesIO(b"".join(lines[1:])))
        try:
            well = self.parse_request()
        finally:
            self.rfile = self._reader
        if well:
            self._take_absolute_target()
            self.run_wsgi()

    def _read_head(self) -> list[bytes] | BadHead:
        """Read the lines of a head, the empty one included; nothing when no request comes.

        Raises:
            OSError: the connection is idle for too long, or broken.
        """
        self.connection.settimeout(IDLE_S)
        self._reader.peek(1)
        self._raw.deadline = time.monotonic() + self.server.head_s
        lines: list[bytes] = []
        size = 0
        try:
            while line := self.rfile.readline(LINE_BYTES):
                size += len(line)
                if lines or line.strip(b"\r\n"):  # empty lines before a request mean nothing
                    lines.append(line)
                if size > HEAD_BYTES or not line.endswith(b"\n"):
                    return BadHead(414 if len(lines) < 2 else 431, "the head is too large")
                if len(lines) > 1 and line in (b"\r\n", b"\n"):
                    return lines
            return []
        except TimeoutError:
            return BadHead(408, "timeout while reading the request head")
        finally:
            self._raw.deadline = None
            with contextlib.suppress(OSError):
                self.connection.settimeout(IDLE_S)

    def _take_absolute_target(self) -> None:
        """Turn `GET http://host/path` into what it means (RFC 9112 section 3.2.2)."""
        if self.path.startswith("http"):
            _, _, rest = self.path.partition("://")
            host, mark, path = rest.partition("/")
            self.path = mark + path or "/"
            del self.headers["Host"]
            self.headers["Host"] = host.partition("?")[0]

    def _refuse(self, bad: BadHead) -> None:
        """Answer what is no request, in one line of text, and close."""
        body = f"{bad.text}\n".encode()
        head = (
            f"HTTP/1.1 {bad.status} {HTTPStatus(bad.status).phrase}\r\n"
            f"Content-Type: text/plain; charset=UTF-8\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            self.connection.settimeout(LINGER_S)
            self.wfile.write(head.encode() + body)
            if not isinstance(self.connection, ssl.SSLSocket):
                self.connection.shutdown(socket.SHUT_WR)
                discard(self.connection, LINGER_S)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.client could not read after all, in our own words too."""
        self._refuse(BadHead(code, "the request head cannot be read"))

    def handle_expect_100(self) -> bool:
        """Leave `100 Continue` to the body, which sends it when it is read first."""
        return True

    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing: the journal is the record of requests."""

    def make_environ(self) -> Any:
        """Make the WSGI environment, with a body that ends where it should."""
        environ = super().make_environ()
        pace = Pace(self.server.body_s, self.server.body_rate, self._raw.ahead(self._reader))
        self._body = RequestBody(
            self.rfile, self.connection, environ, lambda: self._raw.kept_to(pace)
        )
        environ["wsgi.input"] = self._body
        environ["wsgi.input_terminated"] = True
        environ[HEADERS] = tuple(self.headers.items())
        environ[GONE] = self._client_gone
        environ[RESET] = self._reset
        if (user := self._certificate_user()) is not None:
            environ[CERTIFICATE_USER] = user
        return environ

    def _certificate_user(self) -> str | None:
        """Return the common name of the client's certificate, None without one."""
        if not isinstance(self.connection, ssl.SSLSocket):
            return None
        certificate = self.connection.getpeercert() or {}
        names = dict(one[0] for one in cast(Any, certificate.get("subject", ())))
        return cast("str | None", names.get("commonName"))

    def _client_gone(self) -> bool:
        if self.connection.fileno() < 0:
            return True
        poller = select.poll()
        poller.register(self.connection, select.POLLRDHUP)
        return bool(poller.poll(0))

    def run_wsgi(self) -> None:
        """Answer one request."""
        answer: JournaledBody | None = None
        try:
            environ = self.make_environ()
            head: list[bytes] = []
            answer = cast(JournaledBody, self.server.app(environ, self._start(head)))
            keep = self._may_keep()
            if not keep:
                head.append(b"Connection: close\r\n")
            self._send(b"".join(head) + b"\r\n", answer)
            if not keep or not self._body.drain(DRAIN_BYTES):
                self._linger()
        except Dropped as dropped:
            self.close_connection = True
            if dropped.reset:
                self._reset()
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True
        finally:
            if answer is not None:
                answer.close()

    def _start(self, head: list[bytes]) -> Any:
        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            lines = [f"HTTP/1.1 {status}"]
            for name, value in headers:
                if name == "Connection":  # said once, when all is known
                    self.close_connection = True
                else:
                    lines.append(f"{name}: {value}")
            head.append(("\r\n".join(lines) + "\r\n").encode("latin-1", "replace"))

        return start_response

    def _may_keep(self) -> bool:
        if self.close_connection or self.server.closing or not self._body.is_short(DRAIN_BYTES):
            self.close_connection = True
        return not self.close_connection

    def _send(self, head: bytes, answer: JournaledBody) -> None:
        """Send head and body; a body that ends early ends the connection too."""
        found = None if isinstance(self.connection, ssl.SSLSocket) else answer.sendable()
        if found is not None:
            file, offset, length = found
            file.seek(offset)
            self.wfile.write(head)
            try:
                self.connection.sendfile(file, offset, length)
            finally:  # the position tells how far it came, also when the client went away
                answer.sent = file.tell() - offset
            if not answer.complete:
                self.close_connection = True
            return
        for block in cast(Iterable[bytes], answer):
            if head and len(block) < DRAIN_BYTES:  # small answers leave in one packet
                head, block = b"", head + block
            elif head:
                self.wfile.write(head)
                head = b""
            if block:
                self.wfile.write(block)
        if head:
            self.wfile.write(head)
        if not answer.complete:
            self.close_connection = True

    def _linger(self) -> None:
        """Close so that a client that is still sending sees the answer, not a reset."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            if not isinstance(self.connection, ssl.SSLSocket):
                self.connection.shutdown(socket.SHUT_WR)
                discard(self.connection, LINGER_S)

    def _reset(self) -> None:
        """Reset the connection: close the descriptor with lingering off, without a shutdown."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
            self.server.forget(self.request)
            socket.close(self.connection.detach())

    def finish(self) -> None:
        """Close the files of the connection; it may be gone already."""
        with contextlib.suppress(OSError, ValueError):
            super().finish()
