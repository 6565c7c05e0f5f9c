"""A VOSpace service in memory: it outlives sessions, and other clients change it directly.

`SimulatedRemote` (simulated.py) is one process' way to it.

What the two personalities do differently is what uploads must survive (rules.md R1, R2, R13):

* vault: PUT replaces atomically; MD5 and length name a version; ranges; no empty PUT; negotiating
  the PUT of a new file makes an empty node; node documents may show for a while what a PUT replaced
  (`lag_s`);
* cavern: PUT truncates at once and writes in place; a PUT that broke is noticed late, and then what
  is at its path is truncated again; digest and MD5 come from the stream, not from the file; no
  ranges; length and date name a version.

That this is what the fake services do is checked by tests/integration/remote/test_simulated.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from tests.support.simulatednodes import Arrival, Lag, Stored, md5_of
from vofs.core import nodes, uris
from vofs.core.errors import (
    ContainerNotEmpty,
    ContainerNotFound,
    InvalidRequest,
    NodeExists,
    NodeNotFound,
    NotAContainer,
    RemoteFailed,
)
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.remote.api import Capabilities, MovePhase, MoveStatus, PutReceipt

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class SimulatedService:
    """See the module's docstring.

    Args:
        personality: "vault" or "cavern".
        now_s: its clock, seconds.
        notices_s: how long a broken PUT may go unnoticed (R1: settle is longer).
    """

    def __init__(self, personality: str, now_s: Callable[[], float], notices_s: float) -> None:
        self.atomic = personality == "vault"
        self.now_s, self._notices_s = now_s, notices_s
        self._last_ms = 0
        self.nodes: dict[str, Stored] = {"/": Stored(NodeKind.CONTAINER)}
        self._unnoticed: list[tuple[float, str]] = []
        self.in_flight: set[str] = set()  # where PUTs are under way
        self.longest: dict[str, int] = {}  # of the PUTs that were ever begun at a path
        self.lag_s = 0.0  # how long documents show the version that a PUT replaces from now on
        self._lagging: dict[Stored, Lag] = {}  # also under another name (R13)
        self._jobs: dict[str, tuple[str, str, MoveStatus]] = {}
        self._numbers = itertools.count(1)
        self.on_stored: Callable[[Arrival], None] = lambda arrival: None

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            "sim|ivo://sim|me", ranges=self.atomic, atomic_put=self.atomic, pages=self.atomic,
            empty_put=not self.atomic, listing_lags=self.atomic, writable=True,
        )  # fmt: skip

    def _stamp(self) -> int:
        self._last_ms = max(int(self.now_s() * 1000), self._last_ms + 1)
        return self._last_ms

    def info(self, path: str) -> NodeInfo:
        """The node's document, which may lag."""
        node = self._find(path)
        lag = self._lagging.get(node)
        if lag is not None and lag.ours is node.data:
            node = lag.shown if self.now_s() < lag.until_s else node
        return self._document(path, node)

    def present(self, path: str) -> NodeInfo:
        """What the node's document will show once it does not lag."""
        return self._document(path, self._find(path))

    def _document(self, path: str, node: Stored) -> NodeInfo:
        properties = dict(node.properties)
        date = (EPOCH + timedelta(milliseconds=node.date_ms)).isoformat(timespec="milliseconds")
        properties[nodes.DATE] = date.removesuffix("+00:00")
        if node.kind is NodeKind.DATA:
            properties[nodes.LENGTH] = str(len(node.data))
            if self.atomic:
                properties[nodes.CONTENT_DATE] = properties[nodes.DATE]
            if node.md5 is not None:
                properties[nodes.MD5] = node.md5
        return NodeInfo(path, node.kind, MappingProxyType(properties), md5_proves=self.atomic)

    def _find(self, path: str) -> Stored:
        try:
            return self.nodes[path]
        except KeyError:
            raise NodeNotFound(path) from None

    def children(self, path: str) -> list[str]:
        """Paths of the nodes in a container."""
        if self._find(path).kind is not NodeKind.CONTAINER:
            raise NotAContainer(path)
        return sorted(p for p in self.nodes if p != "/" and uris.parent_of(p) == path)

    def _require_parent(self, path: str) -> None:
        parent = self.nodes.get(uris.parent_of(path))
        if parent is None or parent.kind is not NodeKind.CONTAINER:
            raise ContainerNotFound(path)

    # -- what any client may do, at once --------------------------------------------------------

    def store(self, path: str, data: bytes) -> None:
        """A whole file, replaced atomically, as a careful client does."""
        self._require_parent(path)
        old = self.nodes.get(path)
        properties = dict(old.properties) if old is not None else {}
        md5 = None if self.atomic and not data else md5_of(data)
        self.nodes[path] = Stored(NodeKind.DATA, data, md5, self._stamp(), properties)

    def create(self, node: NodeInfo) -> None:
        """PUT of a node document."""
        self._require_parent(node.path)
        if node.path in self.nodes:
            raise NodeExists(node.path)
        self.nodes[node.path] = Stored(
            node.kind, date_ms=self._stamp(), properties=dict(node.properties)
        )

    def delete(self, path: str) -> None:
        """DELETE of a node; a container must be empty."""
        if self._find(path).kind is NodeKind.CONTAINER and self.children(path):
            raise ContainerNotEmpty(path)
        del self.nodes[path]

    def move(self, source: str, destination: str) -> MoveStatus:
        """A move as the services do it: never over a file, and into a container."""
        if source not in self.nodes:
            return MoveStatus(MovePhase.FAILED, error=f"NodeNotFound: {source}")
        there = self.nodes.get(destination)
        if there is not None and there.kind is NodeKind.CONTAINER:
            destination = uris.child_path(destination, uris.name_of(source))
        parent = self.nodes.get(uris.parent_of(destination))
        if parent is None or parent.kind is not NodeKind.CONTAINER:
            return MoveStatus(MovePhase.FAILED, error=f"ContainerNotFound: {destination}")
        if destination in self.nodes:
            return MoveStatus(MovePhase.FAILED, error=f"DuplicateNode: {destination}")
        for path in [path for path in self.nodes if uris.is_below(path, source)]:
            moved = uris.replace_prefix(path, source, destination)
            self.nodes[moved] = self.nodes.pop(path)
        return MoveStatus(MovePhase.COMPLETED, destination)

    # -- jobs -----------------------------------------------------------------------------------

    def new_job(self, source: str, destination: str) -> str:
        url = f"job/{next(self._numbers)}"
        self._jobs[url] = source, destination, MoveStatus(MovePhase.PENDING)
        return url

    def run_job(self, url: str) -> MoveStatus:
        source, destination, status = self._jobs[url]
        if status.phase is MovePhase.PENDING:
            status = self.move(source, destination)
            self._jobs[url] = source, destination, status
        return status

    def job(self, url: str) -> MoveStatus:
        found = self._jobs.get(url)
        return MoveStatus(MovePhase.UNKNOWN) if found is None else found[2]

    # -- what becomes of a PUT that broke -------------------------------------------------------

    def broke(self, path: str) -> None:
        """The connection of a PUT is gone; a service that truncates will notice later."""
        self.in_flight.discard(path)
        if not self.atomic:
            self._unnoticed.append((self.now_s() + self._notices_s, path))

    def notice(self, *, overdue_only: bool) -> None:
        """Notice broken PUTs: what is at their paths now is truncated (R1)."""
        now = self.now_s()
        for due_at, path in list(self._unnoticed):
            if due_at <= now or not overdue_only:
                self._unnoticed.remove((due_at, path))
                node = self.nodes.get(path)
                if node is not None and node.kind is NodeKind.DATA:
                    node.data, node.date_ms = b"", self._stamp()
            if not overdue_only:
                return

    def begin_put(self, path: str, called_s: float) -> Incoming:
        """The head of a PUT of bytes has arrived."""
        self._require_parent(path)
        there = self.nodes.get(path)
        if there is not None and there.kind is not NodeKind.DATA:
            raise RemoteFailed(path) if self.atomic else InvalidRequest(path)
        self.in_flight.add(path)
        return Incoming(self, path, called_s, there)

    def finished(self, node: Stored, arrival: Arrival) -> None:
        """A PUT is done; tells who wants to know."""
        self.in_flight.discard(arrival.path)
        if self.lag_s and self.atomic and arrival.replaced:
            shown = replace(node, data=arrival.replaced, properties=dict(node.properties))
            until_s = self.now_s() + self.lag_s
            self._lagging[node] = Lag(node.data, shown, until_s)
        node.md5, node.date_ms = md5_of(arrival.data), self._stamp()
        self.on_stored(arrival)

    def opened(self, path: str, node: Stored | None) -> Stored:
        """What a PUT finds or makes at its path before its first byte."""
        if node is None:
            node = self.nodes[path] = Stored(NodeKind.DATA)
        elif self.atomic:
            return node
        node.data, node.date_ms = b"", self._stamp()
        return node


class Incoming:
    """One PUT of bytes under way."""

    def __init__(
        self, service: SimulatedService, path: str, called_s: float, there: Stored | None
    ) -> None:
        self._service, self._path, self._called_s = service, path, called_s
        self._replaced = None if there is None else there.data
        self._node = service.opened(path, there)
        self._stream = bytearray()

    def feed(self, piece: bytes) -> None:
        """Some bytes of the body have arrived."""
        start = len(self._stream)
        self._stream += piece
        if not self._service.atomic:  # in place: where somebody truncated meanwhile, zeros appear
            data = self._node.data.ljust(start, b"\0")
            self._node.data = data[:start] + piece + data[start + len(piece) :]

    def broke(self) -> None:
        """The connection is gone before the answer."""
        self._service.broke(self._path)

    def finish(self) -> PutReceipt:
        """The whole body is there."""
        data = bytes(self._stream)
        if self._service.atomic:
            self._node = self._service.nodes.setdefault(self._path, self._node)
            self._replaced, self._node.data = self._node.data, data
        arrival = Arrival(self._path, data, self._called_s, self._replaced)
        self._service.finished(self._node, arrival)
        return PutReceipt(self._node.md5, len(data))
