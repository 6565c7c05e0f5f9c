"""A VOSpace service in memory, whose every request stops where others could come between.

`SimulatedService` is the service: it outlives sessions, and foreign clients change it directly.
`SimulatedRemote` is one process' way to it, a `Remote`.  Before each request, between the pieces of
each body and before each answer it calls `pause`, so that whoever schedules decides what happens in
between; there it also meets the faults that were armed.

What the two personalities do differently is what uploads must survive (rules.md R1, R2, R13):

* vault: PUT replaces atomically; MD5 and length name a version; ranges; no empty PUT; negotiating
  the PUT of a new file makes an empty node;
* cavern: PUT truncates at once and writes in place; a PUT that broke is noticed late, and then what
  is at its path is truncated again; digest and MD5 come from the stream, not from the file; no
  ranges; length and date name a version.

That this is what the fake services do is checked by tests/integration/remote/test_simulated.py.
"""

from __future__ import annotations

import enum
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Self, TypeVar

from vofs.core import nodes, uris
from vofs.core.attributes import version_token
from vofs.core.errors import (
    ContainerNotEmpty,
    ContainerNotFound,
    InvalidRequest,
    NodeExists,
    NodeNotFound,
    NotAContainer,
    PermissionDenied,
    RemoteFailed,
    RemoteUnavailable,
    VersionChanged,
)
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.remote.api import ByteSource, Capabilities, MovePhase, MoveStatus, PutReceipt

T = TypeVar("T")
PIECES = 3  # in so many pieces a body travels, so that something can happen in its middle
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass(eq=False)
class Stored:
    """One node.

    Attributes:
        kind: container or data.
        data: what is there to be read.
        md5: what the service says it is; None: it says nothing.
        date_ms: when the bytes changed.
        properties: what clients have set.
    """

    kind: NodeKind
    data: bytes = b""
    md5: str | None = None
    date_ms: int = 0
    properties: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Arrival:
    """A PUT of bytes that was done.

    Attributes:
        path: where.
        data: what its body was.
        called_s: when it was asked for.
        replaced: the bytes that were there before, None: no node.
    """

    path: str
    data: bytes
    called_s: float
    replaced: bytes | None


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
        """The node's document."""
        node = self._find(path)
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


class Fault(enum.Enum):
    """How a request can go wrong."""

    REFUSED = "refused"  # it never arrived
    UNKNOWN = "unknown"  # it never arrived either, but that is not known
    LOST = "lost"  # it was done, and its answer is lost
    BROKEN = "broken"  # a body breaks in its middle; else as UNKNOWN
    FAILED = "failed"  # an error that is not transient
    DENIED = "denied"


class SimulatedRemote:
    """One process' `Remote`; see the module's docstring.

    Args:
        service: the service.
        pause: called wherever others may come between, with what is about to happen.
    """

    def __init__(self, service: SimulatedService, pause: Callable[[str], None]) -> None:
        self.service, self._pause = service, pause
        self.armed: list[Fault] = []
        self.fired = 0

    @property
    def capabilities(self) -> Capabilities:
        return self.service.capabilities

    @property
    def transactions(self) -> None:
        return None

    def _fire(self, *kinds: Fault) -> Fault | None:
        """Take the armed fault if it is one of `kinds`."""
        if self.armed and self.armed[0] in kinds:
            self.fired += 1
            return self.armed.pop(0)
        return None

    def _request(self, what: str, do: Callable[[], T]) -> T:
        """One request without a body of bytes."""
        self._begin(what)
        fault = self._fire(Fault.UNKNOWN, Fault.BROKEN)
        if fault is not None:
            raise RemoteUnavailable(f"{what}: no answer", sent=True)
        result = do()
        self._end(what)
        return result

    def _begin(self, what: str) -> None:
        self._pause(what)
        match self._fire(Fault.REFUSED, Fault.FAILED, Fault.DENIED):
            case Fault.REFUSED:
                raise RemoteUnavailable(f"{what}: refused")
            case Fault.FAILED:
                raise RemoteFailed(f"{what}: failed")
            case Fault.DENIED:
                raise PermissionDenied(f"{what}: denied")

    def _end(self, what: str) -> None:
        self._pause(f"answer of {what}")
        if self._fire(Fault.LOST):
            raise RemoteUnavailable(f"{what}: the answer is lost", sent=True)

    def get_node(self, path: str) -> NodeInfo:
        return self._request(f"get_node {path}", lambda: self.service.info(path))

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        service = self.service
        return self._request(
            f"list_children {path}",
            lambda: iter([service.info(child) for child in service.children(path)]),
        )

    def create_node(self, node: NodeInfo) -> NodeInfo:
        def create() -> NodeInfo:
            self.service.create(node)
            return self.service.info(node.path)

        return self._request(f"create_node {node.path}", create)

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        def change() -> NodeInfo:
            properties = self.service.nodes[self.service.info(path).path].properties
            for uri, text in changes.items():
                properties.pop(uri, None)
                if text is not None:
                    properties[uri] = text
            return self.service.info(path)

        return self._request(f"set_properties {path}", change)

    def delete_node(self, path: str) -> None:
        self._request(f"delete_node {path}", lambda: self.service.delete(path))

    def create_move(self, source: str, destination: str) -> str:
        return self._request(
            f"create_move {source}", lambda: self.service.new_job(source, destination)
        )

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        return self._request(f"run_move {job_url}", lambda: self.service.run_job(job_url))

    def move_status(self, job_url: str) -> MoveStatus:
        return self._request(f"move_status {job_url}", lambda: self.service.job(job_url))

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        def begin() -> SimulatedSource:
            token = version_token(self.service.info(path))
            if not _reply_proves(token, expected):
                raise VersionChanged(f"{token} there, {expected} expected")
            node = self.service.nodes[path]
            first, last = (start, end) if self.capabilities.ranges else (0, len(node.data))
            return SimulatedSource(self, path, node, first, last)

        return self._request(f"open_bytes {path}", begin)

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        assert size > 0 or self.capabilities.empty_put
        what, called_s = f"put_bytes {path}", self.service.now_s()
        self.service.longest[path] = max(size, self.service.longest.get(path, 0))
        self._begin(what)
        incoming = self.service.begin_put(path, called_s)
        try:
            arrived = 0
            for piece in _pieces(body):
                self._pause(f"body of {what}")
                incoming.feed(piece)
                arrived += len(piece)
                if self._fire(Fault.BROKEN, Fault.UNKNOWN):
                    raise RemoteUnavailable(f"{what}: broken", sent=True)
            assert arrived == size, f"{what}: a body of {arrived} bytes, {size} announced"
        except BaseException:
            incoming.broke()
            raise
        receipt = incoming.finish()
        self._end(what)
        return receipt

    def body(self, what: str, data: bytes) -> Iterator[bytes]:
        """A body on its way to us."""
        for piece in _pieces([data]):
            self._pause(f"body of {what}")
            if self._fire(Fault.BROKEN, Fault.UNKNOWN, Fault.LOST):
                raise RemoteUnavailable(f"{what}: broken", sent=True)
            yield piece

    def close(self) -> None:
        """The service outlives the session."""


class SimulatedSource:
    """A reply with bytes; see `ByteSource`."""

    def __init__(
        self, remote: SimulatedRemote, path: str, node: Stored, start: int, end: int
    ) -> None:
        self._remote, self._what = remote, f"open_bytes {path}"
        self._data = node.data[start:end]
        self.start, self.total = start, len(node.data)
        self.md5 = node.md5 if remote.service.atomic else None

    def chunks(self) -> Iterator[bytes]:
        return self._remote.body(self._what, self._data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is to be closed."""


def _pieces(body: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in body:
        step = max(1, -(-len(chunk) // PIECES))
        for start in range(0, len(chunk), step):
            yield chunk[start : start + step]


def _reply_proves(there: VersionToken, expected: VersionToken) -> bool:
    """What the head of a reply can tell: on a file system the date's second, not its MD5 (R12)."""
    if there.length != expected.length:
        return False
    if expected.md5_proves:
        return None in (there.md5, expected.md5) or there.md5 == expected.md5
    if None in (there.date_ms, expected.date_ms):
        return True
    assert there.date_ms is not None and expected.date_ms is not None
    return there.date_ms // 1000 == expected.date_ms // 1000
