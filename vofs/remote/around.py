"""What a wrapper of a `Remote`, or of a `ByteSource`, begins as: everything goes to the inner one.

A wrapper overrides the methods that it treats in its own way, or `RemoteAround._ask`, through which
every request goes that has one answer; so what it changes stands there alone.

Invariants: nothing is kept, nothing caught, and no request is added to those of the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self, TypeVar

from vofs.core.nodes import NodeInfo, VersionToken
from vofs.remote.api import (
    ByteSource,
    Capabilities,
    MoveStatus,
    PutReceipt,
    PutTransactions,
    Remote,
)

__all__ = ["RemoteAround", "SourceAround"]

T = TypeVar("T")


class RemoteAround:
    """A `Remote` around another; see the module's docstring and, for the methods, `Remote`.

    Args:
        inner: the service.
    """

    def __init__(self, inner: Remote) -> None:
        self._inner = inner

    def _ask(self, call: Callable[[], T], *, changes: bool) -> T:
        """Send one request; listings and the bodies of PUTs do not come here.

        Args:
            call: sends it.
            changes: it changes something on the service, so that sending it twice is not the same.
        """
        return call()

    @property
    def capabilities(self) -> Capabilities:
        """See `Remote`."""
        return self._inner.capabilities

    @property
    def transactions(self) -> PutTransactions | None:
        """See `Remote`; those of the inner one as they are."""
        return self._inner.transactions

    def get_node(self, path: str) -> NodeInfo:
        """See `Remote`."""
        return self._ask(lambda: self._inner.get_node(path), changes=False)

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`."""
        return self._inner.list_children(path)

    def create_node(self, node: NodeInfo) -> NodeInfo:
        """See `Remote`."""
        return self._ask(lambda: self._inner.create_node(node), changes=True)

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        """See `Remote`."""
        return self._ask(lambda: self._inner.set_properties(path, changes), changes=True)

    def delete_node(self, path: str) -> None:
        """See `Remote`."""
        self._ask(lambda: self._inner.delete_node(path), changes=True)

    def create_move(self, source: str, destination: str) -> str:
        """See `Remote`."""
        return self._ask(lambda: self._inner.create_move(source, destination), changes=True)

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        """See `Remote`."""
        return self._ask(lambda: self._inner.run_move(job_url, timeout_s), changes=True)

    def move_status(self, job_url: str) -> MoveStatus:
        """See `Remote`."""
        return self._ask(lambda: self._inner.move_status(job_url), changes=False)

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        """See `Remote`; the request ends here when the reply is proved, its body comes later."""
        return self._ask(lambda: self._inner.open_bytes(path, start, end, expected), changes=False)

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """See `Remote`."""
        return self._inner.put_bytes(path, body, size)

    def close(self) -> None:
        """See `Remote`."""
        self._inner.close()


class SourceAround:
    """A byte reply around another; see `api.ByteSource`.

    Args:
        inner: the reply; it is entered and left with this one.
    """

    def __init__(self, inner: ByteSource) -> None:
        self._inner = inner
        self.start, self.total, self.md5 = inner.start, inner.total, inner.md5

    def chunks(self) -> Iterator[bytes]:
        """See `api.ByteSource`."""
        return self._inner.chunks()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._inner.__exit__(kind, error, trace)
