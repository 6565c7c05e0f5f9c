"""The Unix socket that `vofs` talks to: one JSON object a line, one answer each.

    {"command": "status", "path": "/dir"}     what `Status.of` says
    {"command": "drop", "path": "/dir"}       forget clean cached data and attributes
    {"command": "flush", "path": "/dir"}      send what is there now, whatever puts it off
    {"command": "hasten"}                     try everything that waits now
    {"command": "drain", "timeout_s": 30}     send everything; {"left": n}
    {"command": "leave"}                      unmounting will not wait for uploads

Paths are those below the mount point.  Only the owner of the mount and root are answered
(SO_PEERCRED, R23); the socket lies in a private directory with a short name, because AF_UNIX allows
107 bytes.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vofs.cache.filetable import FileTable
from vofs.cache.writeback import WriteBack
from vofs.core import uris
from vofs.core.errors import MountUnusable, VofsError
from vofs.mount.status import Status
from vofs.mount.tree import Tree

log = logging.getLogger(__name__)

PEER = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)
LONGEST_LINE = 65536


class Control:
    """See the module's docstring.

    Args:
        path: where the socket is made.
        status: what is said.
        root: the container that is mounted.
        tree: attributes to forget.
        table: clean data to forget.
        writeback: uploads to hasten.
        leave: called when unmounting shall not wait.
    """

    def __init__(
        self,
        path: Path,
        root: str,
        status: Status,
        tree: Tree,
        table: FileTable,
        writeback: WriteBack,
        *,
        leave: Callable[[], None],
    ) -> None:
        self.path = path
        self._root, self._status, self._tree = root, status, tree
        self._table, self._writeback, self._leave = table, writeback, leave
        self._server: socketserver.ThreadingUnixStreamServer | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def listen(self) -> None:
        """Make the socket.

        Raises:
            MountUnusable: it cannot be made there.
        """
        control = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 60.0

            def handle(self) -> None:
                if allowed(self.connection):
                    control.serve(self)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True
            block_on_close = False

        try:
            self._server = Server(str(self.path), Handler)
            os.chmod(self.path, 0o600)
        except OSError as exc:
            raise MountUnusable(f"control socket {self.path}: {exc}") from exc

    def start(self) -> None:
        """Answer."""
        assert self._server is not None
        self._thread = threading.Thread(
            target=self._serve, args=[self._server], name="vofs-control"
        )
        self._thread.start()

    def _serve(self, server: socketserver.ThreadingUnixStreamServer) -> None:
        """Take connections until `stop`; without socketserver's polling, which wakes five times a
        second and holds up every unmount."""
        while not self._stopping.is_set():
            server.handle_request()

    def serve(self, handler: socketserver.StreamRequestHandler) -> None:
        """Answer the requests of one connection."""
        while line := handler.rfile.readline(LONGEST_LINE):
            try:
                answer = self.answer(json.loads(line))
            except (VofsError, ValueError, KeyError, TypeError) as exc:
                answer = {"failed": str(exc) or type(exc).__name__}
            handler.wfile.write(json.dumps(answer).encode() + b"\n")

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry one request out.

        Raises:
            ValueError: there is no such command.
            VofsError: it failed.
        """
        path = uris.join(self._root, str(request.get("path", "/")))
        match request["command"]:
            case "status":
                return self._status.of(path)
            case "drop":
                self._tree.forget_below(path)
                return {"dropped": self._table.drop_clean(path)}
            case "flush":
                return {"flushed": self._writeback.flush(path)}
            case "hasten":
                self._writeback.hasten()
                return {}
            case "drain":
                return {"left": self._writeback.drain(float(request["timeout_s"]))}
            case "leave":
                self._leave()
                return {}
            case other:
                raise ValueError(f"no such command: {other!r}")

    def stop(self) -> None:
        """Stop listening and remove the socket."""
        self._stopping.set()
        if self._thread is not None and self._server is not None:
            self._server.socket.shutdown(socket.SHUT_RDWR)  # wakes who waits for a connection
            self._thread.join()
        if self._server is not None:
            self._server.server_close()
        self.path.unlink(missing_ok=True)


def allowed(connection: socket.socket) -> bool:
    """Whether the peer is the mount's owner, or root."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size)
    uid = PEER.unpack(packed)[1]
    return uid in (0, os.geteuid())
