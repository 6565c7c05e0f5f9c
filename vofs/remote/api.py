"""What the rest of vofs knows of a service: the `Remote` protocol and the values it exchanges.

The contract that every implementation and every wrapper (`RetryingRemote`) keeps:

* Paths are decoded, NFC, absolute below the service's root ("/dir/file"); "/" is the root.
* Errors are those of `core.errors`, by meaning; nothing of requests, vos or urllib3 gets out.
* Every call is bounded: `timeout_s` is the longest wait in seconds without progress.
* A call that fails with `RemoteUnavailable(sent=True)` is in doubt: the caller looks (R8).
* No method keeps a lock of the caller's or calls back into it, except by iterating what the
  caller handed in (`put_bytes`).
* Methods may be called from any thread at once.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from vofs.core.nodes import NodeInfo, VersionToken
from vofs.remote.puttransactions import PutReceipt, PutTransaction, PutTransactions

__all__ = [
    "ByteSource",
    "Capabilities",
    "MovePhase",
    "MoveStatus",
    "NodeInfo",
    "PutReceipt",
    "PutTransaction",
    "PutTransactions",
    "Remote",
    "VersionToken",
]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one service can do, and how it must be treated.

    Attributes:
        identity: registry host, resource id and account: a cache belongs to exactly one of them.
        ranges: byte GETs honour Range; False means one whole body at a time (cavern).
        atomic_put: a broken PUT leaves the old bytes (vault); False: it truncates at once (R1).
        pages: listings can be continued with `uri=`.
        empty_put: an empty body may be PUT; False: an empty file is made by PUT of its node.
        listing_lags: node documents may lag behind the bytes, so they never prove an upload (R7).
        writable: a credential is there with which writing may succeed.
        tells_rights: nodes carry readable and writable, so that a node with neither is one that
            this account may neither read nor write (see `attributes_of`).
    """

    identity: str
    ranges: bool
    atomic_put: bool
    pages: bool
    empty_put: bool
    listing_lags: bool
    writable: bool
    tells_rights: bool = False


class ByteSource(Protocol):
    """An open byte reply.  The version was proved before this object existed (R12).

    Use as a context manager; leaving it closes the connection.

    Attributes:
        start: offset in bytes of the first byte that `chunks` yields: the asked start for a 206,
            0 for a 200 (R12: a 200 in answer to a Range is the whole body).
        total: size in bytes of the whole file.
        md5: hex MD5 of the whole file from the Digest header, or None.
    """

    @property
    def start(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def md5(self) -> str | None: ...
    def chunks(self) -> Iterator[bytes]:
        """Yield the body in order.

        Raises:
            RemoteUnavailable: the connection broke; what was yielded so far is good.
            RemoteTimeout: nothing arrived for the timeout.
        """
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class MovePhase(enum.Enum):
    """The phases of a move job that matter to its owner (UWS 1.1 section 2.1.3)."""

    PENDING = "pending"  # not run yet: PENDING, HELD, SUSPENDED
    ACTIVE = "active"  # QUEUED, EXECUTING
    COMPLETED = "completed"
    FAILED = "failed"  # ERROR, ABORTED
    UNKNOWN = "unknown"  # the job is gone or says nothing


@dataclass(frozen=True, slots=True)
class MoveStatus:
    """The state of a move job.

    Attributes:
        phase: see `MovePhase`.
        destination: path where the node really went (R10: an existing container nests), or None.
        error: for FAILED, the text of the job's error, e.g. "DuplicateNode: ...".
    """

    phase: MovePhase
    destination: str | None = None
    error: str = ""


class Remote(Protocol):
    """One VOSpace service, as one account sees it."""

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def transactions(self) -> PutTransactions | None:
        """Uploads in segments; None where the service has only the one PUT."""
        ...

    def get_node(self, path: str) -> NodeInfo:
        """Look one node up (without children), following no link in the last element.

        Asks for `detail=max`, so `readable` and `writable` are there where the service has them.

        Raises:
            NodeNotFound, PermissionDenied, NotAuthenticated, RemoteError.
        """
        ...

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """Yield the children of a container, page by page where the service pages.

        A listing that cannot be completed raises; it never ends early without an error.

        Raises:
            NodeNotFound, NotAContainer, RemoteError.
        """
        ...

    def create_node(self, node: NodeInfo) -> NodeInfo:
        """PUT a node document: a container, a link, or an empty data node.

        Raises:
            NodeExists, ContainerNotFound, PermissionDenied, NodeLocked, RemoteError.
        """
        ...

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        """POST only the changed properties; None deletes one.  Returns the node after it."""
        ...

    def delete_node(self, path: str) -> None:
        """DELETE one node.  A container is deleted only when the service finds it empty.

        Raises:
            NodeNotFound, ContainerNotEmpty, PermissionDenied, NodeLocked, RemoteError.
        """
        ...

    def create_move(self, source: str, destination: str) -> str:
        """Create the move job, without running it, and return its URL (to be journalled, R8)."""
        ...

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        """Run the job and wait for its end at most `timeout_s`; ACTIVE when it goes on after.

        Raises:
            RemoteUnavailable: with sent=True when RUN may have arrived.
        """
        ...

    def move_status(self, job_url: str) -> MoveStatus:
        """Look at the job; UNKNOWN when the service has forgotten it."""
        ...

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        """GET bytes [start, end) of the version `expected`.

        The whole body is asked for without Range when the service has no ranges.

        Raises:
            VersionChanged: the reply belongs to another version (R12).
            NodeNotFound, PermissionDenied, RemoteError.
        """
        ...

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """PUT the whole content of a data node, creating the node where it is missing.

        Args:
            path: the node.
            body: the bytes in order; consumed once, as the network takes them.
            size: their number; > 0 unless `capabilities.empty_put`.

        Raises:
            RemoteUnavailable: with sent=True once the first body byte was handed out.
            ContainerNotFound, PermissionDenied, NodeLocked, QuotaExceeded, RemoteError.
        """
        ...

    def close(self) -> None:
        """Close all connections."""
        ...
