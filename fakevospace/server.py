"""HTTP and HTTPS on loopback: werkzeug's threaded server, with connections of our own.

A thread per connection (`connection.Handler`), as many as there are descriptors for; those beyond
are turned away.  `Server.close` ends all of them and waits.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import socket
import ssl
import threading
from typing import Any

import trustme
from werkzeug.serving import ThreadedWSGIServer

from fakevospace.connection import Handler
from fakevospace.service import Service

logger = logging.getLogger(__name__)
HOST = "127.0.0.1"
HEAD_S = 20.0  # how long the head of a request may take once it has begun
BODY_S = 20.0  # how long a body may pause; less than the 120 s after which clients give up
BODY_RATE = 1024.0  # bytes per second that a slow body needs, once it has paused for BODY_S in all
JOIN_S = 5.0
MOST_CONNECTIONS = 4000
TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
    b"Connection: close\r\n\r\n"
)


def connection_limit() -> int:
    """Return how many connections may be open: files need descriptors too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft < 0 else min(MOST_CONNECTIONS, soft * 3 // 4)


def _listening(port: int, backlog: int) -> socket.socket:
    """Bind the port: werkzeug would end the process when it is taken.

    Raises:
        OSError: it is taken.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def _tls_context(authority: trustme.CA) -> ssl.SSLContext:
    """Make what a server of that authority needs."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(HOST, "localhost").configure_cert(context)
    # Whoever has a certificate of ours may show it; nobody must.
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


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
        body_rate: float = BODY_RATE,
    ) -> None:
        """Bind the port; `start` begins to answer.

        Args:
            port: 0 for any free one.
            body_s: seconds that a request's body may pause before it is answered 408.
            head_s: seconds that a request's head may take.
            body_rate: bytes per second; a body may take `body_s` and its size at this rate.
        Raises:
            OSError: the port is taken.
            ValueError: a limit is not above 0.
        """
        if not min(body_s, head_s, body_rate) > 0:
            raise ValueError("the limits of heads and bodies must be above 0")
        listener = _listening(port, self.request_queue_size)
        super().__init__(HOST, listener.getsockname()[1], service, Handler, fd=listener.fileno())
        listener.close()
        self.body_s = body_s
        self.head_s = head_s
        self.body_rate = body_rate
        self._limit = connection_limit()
        self.closing = False
        self._authority: trustme.CA | None = None
        if tls:
            self._authority = trustme.CA()
            self.ssl_context = _tls_context(self._authority)
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
                request.settimeout(self.head_s)
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
