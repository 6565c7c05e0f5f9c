"""Shows the nodes of a service that lags as if it did not (R13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from vofs.cache.ownversions import OwnVersions
from vofs.core.nodes import NodeInfo, VersionToken
from vofs.remote.api import (
    ByteSource,
    Capabilities,
    MoveStatus,
    PutReceipt,
    PutTransactions,
    Remote,
)


class CaughtUpRemote:
    """A `Remote` whose nodes show what we stored in them, although the service lags.

    Args:
        inner: the service.
        own: what we stored.
    """

    def __init__(self, inner: Remote, own: OwnVersions) -> None:
        self._inner, self._own = inner, own

    @property
    def capabilities(self) -> Capabilities:
        """See `Remote`."""
        return self._inner.capabilities

    @property
    def transactions(self) -> PutTransactions | None:
        """See `Remote`."""
        return self._inner.transactions

    def get_node(self, path: str) -> NodeInfo:
        """See `Remote`."""
        return self._own.corrected(self._inner.get_node(path), listed=False)

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`."""
        for node in self._inner.list_children(path):
            yield self._own.corrected(node, listed=True)

    def create_node(self, node: NodeInfo) -> NodeInfo:
        """See `Remote`."""
        return self._inner.create_node(node)

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        """See `Remote`."""
        return self._own.corrected(self._inner.set_properties(path, changes), listed=False)

    def delete_node(self, path: str) -> None:
        """See `Remote`."""
        self._inner.delete_node(path)
        self._own.forget_below(path)

    def create_move(self, source: str, destination: str) -> str:
        """See `Remote`."""
        return self._inner.create_move(source, destination)

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        """See `Remote`."""
        return self._inner.run_move(job_url, timeout_s)

    def move_status(self, job_url: str) -> MoveStatus:
        """See `Remote`."""
        return self._inner.move_status(job_url)

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        """See `Remote`."""
        return self._inner.open_bytes(path, start, end, expected)

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """See `Remote`."""
        return self._inner.put_bytes(path, body, size)

    def close(self) -> None:
        """See `Remote`."""
        self._inner.close()
