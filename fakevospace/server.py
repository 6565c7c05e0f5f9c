"""HTTP and HTTPS on loopback: werkzeug's threaded server, with connections that live on.

werkzeug closes every connection after one answer; clients of a VOSpace keep theirs.  So the
handler here writes answers itself: keep-alive, `100 Continue` only when the body is wanted, large
files sent by the kernel, what a client sent too much drained or the connection closed.  A thread
per connection; `Server.close` ends all of them and waits.
"""

from __future__ import annotations

import contextlib
import io
import logging
import resource
import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, cast

import trustme
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

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
from fakevospace.service import CERTIFICATE_USER, GONE, HEADERS, RESET, Service

logger = logging.getLogger(__name__)
HOST = "127.0.0.1"
IDLE_S = 120.0  # how long a connection may wait for its next request
HEAD_S = 20.0  # how long the head of a request may take once it has begun
READ_BYTES = 1 << 16
BODY_S = 20.0  # how long a body may pause; less than the 120 s after which clients give up
DRAIN_BYTES = 64 * 1024  # unread body that is read away to keep the connection
LINGER_S = 2.0  # how long a refused upload may go on sending before the connection is closed
JOIN_S = 5.0
LINGER_OFF = struct.pack("ii", 1, 0)
MOST_CONNECTIONS = 4000
TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    b"Connection: close\r\n\r\n"
)


class TimedReader(io.RawIOBase):
    """The bytes of a connection, as they come; until `deadline`, when there is one."""

    def __init__(self, connection: socket.socket) -> None:
        self.deadline: float | None = None
        self._connection = connection

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Wait for bytes.

        Raises:
            TimeoutError: none came in time.
        """
        if self.deadline is not None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


def discard(connection: socket.socket, seconds: float) -> None:
    """Throw away what still comes, for at most so many seconds; the connection ends then."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        if not connection.recv(DRAIN_BYTES):
            return


def _judge(lines: list[bytes]) -> BadHead | None:
    """Judge the lines of a head, the empty last one included."""
    bad = check_request_line(lines[0])
    return bad or check_headers(lines[1:-1], needs_host=b"HTTP/1.1" in lines[0])


def connection_limit() -> int:
    """Return how many connections may be open: files need descriptors too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft < 0 else min(MOST_CONNECTIONS, soft * 3 // 4)


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
        environ["wsgi.input"] = self._body = RequestBody(
            self.rfile, self.connection, environ, self.server.body_s
        )
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


class Server(ThreadedWSGIServer):
    """A service on a port of the loopback interface."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(
        self,
        service: Service,
        *,
        port: int = 0,
        tls: bool = False,
        body_s: float = BODY_S,
        head_s: float = HEAD_S,
    ) -> None:
        """Bind the port; `start` begins to answer.

        Args:
            port: 0 for any free one.
            body_s: seconds that a request's body may pause before it is answered 408.
            head_s: seconds that a request's head may take.
        Raises:
            OSError: the port is taken.
        """
        # werkzeug would end the process when the port is taken; a bound socket avoids that.
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(self.request_queue_size)
        except OSError:
            listener.close()
            raise
        super().__init__(HOST, listener.getsockname()[1], service, Handler, fd=listener.fileno())
        listener.close()
        self.body_s = body_s
        self.head_s = head_s
        self._limit = connection_limit()
        self.closing = False
        self._authority: trustme.CA | None = None
        if tls:
            self._authority = trustme.CA()
            self.ssl_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._authority.issue_cert(HOST, "localhost").configure_cert(self.ssl_context)
            # Whoever has a certificate of ours may show it; nobody must.
            self._authority.configure_trust(self.ssl_context)
            self.ssl_context.verify_mode = ssl.CERT_OPTIONAL
        self._lock = threading.Lock()  # protects the two below
        self._connections: set[socket.socket] = set()
        self._workers: set[threading.Thread] = set()
        self._acceptor = threading.Thread(
            target=self.serve_forever, args=(0.05,), name="fakevospace", daemon=True
        )

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        scheme = "http" if self.ssl_context is None else "https"
        return f"{scheme}://{HOST}:{self.server_address[1]}"

    @property
    def certificate_authority(self) -> bytes | None:
        """The PEM certificate to trust, None without TLS."""
        return None if self._authority is None else self._authority.cert_pem.bytes()

    def client_certificate(self, user: str) -> bytes:
        """Make a certificate for a user, with its key, as one PEM text.

        Raises:
            ValueError: the server does not speak TLS.
        """
        if self._authority is None:
            raise ValueError("client certificates need TLS")
        made = self._authority.issue_cert(common_name=user)
        return bytes(made.private_key_and_cert_chain_pem.bytes())

    def start(self) -> None:
        """Begin to answer, in threads of its own."""
        self._acceptor.start()

    def log(self, type: str, message: str, *args: object) -> None:
        """Hand werkzeug's own complaints to the log."""
        logger.debug(message, *args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, or turn it away when there are too many."""
        try:
            if len(self._workers) < self._limit:
                super().process_request(request, client_address)
                return
        except RuntimeError:  # no thread can be started
            pass
        with contextlib.suppress(OSError):
            request.setblocking(False)
            if self.ssl_context is None:
                request.send(TURNED_AWAY)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection; the TLS handshake is here so that it stops nobody else."""
        threading.current_thread().name = "fakevospace connection"
        with self._lock:
            self._connections.add(request)
            self._workers.add(threading.current_thread())
        try:
            if self.ssl_context is not None:
                request.settimeout(IDLE_S)
                plain = request
                request = self.ssl_context.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._connections.discard(plain)
                    self._connections.add(request)
            super().process_request_thread(request, client_address)
        except OSError:  # a handshake that failed
            self.shutdown_request(request)
        finally:
            with self._lock:
                self._connections.discard(request)
                self._workers.discard(threading.current_thread())

    def forget(self, request: socket.socket) -> None:
        """Stop watching a connection that its handler has closed itself."""
        with self._lock:
            self._connections.discard(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log a defect of the fake; connections that break are none."""
        logger.exception("connection from %s", client_address)

    def close(self) -> None:
        """Stop answering, break all connections and wait for their threads."""
        self.closing = True
        self.shutdown()
        self.server_close()
        self._acceptor.join(JOIN_S)
        with self._lock:
            connections, workers = list(self._connections), list(self._workers)
        for connection in connections:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for worker in workers:
            worker.join(JOIN_S)
