"""One process' way to a service in memory, which stops wherever others could come between.

Before each request, between the pieces of each body and before each answer `SimulatedRemote` calls
`pause`, so that whoever schedules decides what happens in between; there it also meets the faults
that were armed.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self, TypeVar

from tests.support.expected import DAMAGE
from tests.support.simulatednodes import Stored
from tests.support.simulatedservice import SimulatedService
from vofs.core.attributes import version_token
from vofs.core.errors import (
    PermissionDenied,
    RemoteFailed,
    RemoteUnavailable,
    VersionChanged,
)
from vofs.core.nodes import NodeInfo, VersionToken
from vofs.remote.api import ByteSource, Capabilities, MoveStatus, PutReceipt

T = TypeVar("T")
PIECES = 3  # in so many pieces a body travels, so that something can happen in its middle


class Fault(enum.Enum):
    """How a request can go wrong."""

    REFUSED = "refused"  # it never arrived
    UNKNOWN = "unknown"  # it never arrived either, but that is not known
    LOST = "lost"  # it was done, and its answer is lost
    BROKEN = "broken"  # a body breaks in its middle; else as UNKNOWN
    FAILED = "failed"  # an error that is not transient
    DENIED = "denied"
    DAMAGED = "damaged"  # of bytes on their way to us the first arrives as DAMAGE


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
            token = version_token(self.service.present(path))
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
            if self._fire(Fault.DAMAGED):
                piece = bytes([DAMAGE]) + piece[1:]
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

    def __exit__(self, *raised: object) -> None:
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
