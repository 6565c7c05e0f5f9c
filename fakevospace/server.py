"""HTTP and HTTPS on loopback: werkzeug's threaded server, with connections that live on.

werkzeug closes every connection after one answer; clients of a VOSpace keep theirs.  So the
handler here writes answers itself: keep-alive, `100 Continue` only when the body is wanted, large
files sent by the kernel, what a client sent too much drained or the connection closed.  A thread
per connection; `Server.close` ends all of them and waits.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterable
from typing import Any, cast

import trustme
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from fakevospace.bodies import JournaledBody
from fakevospace.exchange import Dropped
from fakevospace.requestbody import RequestBody
from fakevospace.service import CERTIFICATE_USER, GONE, Service

logger = logging.getLogger(__name__)
HOST = "127.0.0.1"
IDLE_S = 120.0  # how long a connection may wait for its next request
BODY_S = 20.0  # how long a body may pause; less than the 120 s after which clients give up
DRAIN_BYTES = 64 * 1024  # unread body that is read away to keep the connection
LINGER_S = 2.0  # how long a refused upload may go on sending before the connection is closed
JOIN_S = 5.0
LINGER_OFF = struct.pack("ii", 1, 0)


class Handler(WSGIRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = IDLE_S
    server: Server

    def handle_expect_100(self) -> bool:
        """Leave `100 Continue` to the body, which sends it when it is read first."""
        return True

    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing: the journal is the record of requests."""

    def make_environ(self) -> Any:
        """Make the WSGI environment, with a body that ends where it should."""
        environ = super().make_environ()
        environ["wsgi.input"] = self._body = RequestBody(
            environ["wsgi.input"], self.connection, environ, self.server.body_s
        )
        environ["wsgi.input_terminated"] = True
        environ[GONE] = self._client_gone
        if isinstance(self.connection, ssl.SSLSocket):
            environ[CERTIFICATE_USER] = _common_name(self.connection)
        return environ

    def _client_gone(self) -> bool:
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
            self._drop(reset=dropped.reset)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            self.close_connection = True
        finally:
            if answer is not None:
                answer.close()

    def _start(self, head: list[bytes]) -> Any:
        def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> None:
            lines = [f"HTTP/1.1 {status}", f"Date: {self.date_time_string()}"]
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
                self._body.discard(LINGER_S)

    def _drop(self, *, reset: bool) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            if reset:
                # The descriptor must be closed with lingering off and without a shutdown before.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
                self.server.forget(self.request)
                socket.close(self.connection.detach())

    def finish(self) -> None:
        """Close the files of the connection; it may be gone already."""
        with contextlib.suppress(OSError, ValueError):
            super().finish()


def _common_name(connection: ssl.SSLSocket) -> str | None:
    """Return the common name of the client's certificate, which the handshake has verified."""
    subject = cast(Any, connection.getpeercert() or {}).get("subject", ())
    names = (value for part in subject for key, value in part if key == "commonName")
    return next(names, None)


class Server(ThreadedWSGIServer):
    """A service on a port of the loopback interface."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self, service: Service, *, port: int = 0, tls: bool = False, body_s: float = BODY_S
    ) -> None:
        """Bind the port; `start` begins to answer.

        Args:
            port: 0 for any free one.
            body_s: seconds that a request's body may pause before it is answered 408.
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
        self.closing = False
        self._authority: trustme.CA | None = None
        if tls:
            self._authority = trustme.CA()
            self.ssl_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._authority.issue_cert(HOST, "localhost").configure_cert(self.ssl_context)
            # A client's certificate is welcome, not needed; one of another authority is refused.
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
        """Make a certificate for a user: key and chain as PEM.

        Raises:
            ValueError: the service does not speak TLS.
        """
        if self._authority is None:
            raise ValueError("client certificates need TLS")
        return self._authority.issue_cert(common_name=user).private_key_and_cert_chain_pem.bytes()

    def start(self) -> None:
        """Begin to answer, in threads of its own."""
        self._acceptor.start()

    def log(self, type: str, message: str, *args: object) -> None:
        """Hand werkzeug's own complaints to the log."""
        logger.debug(message, *args)

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
