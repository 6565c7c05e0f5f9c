"""Shows the nodes of a service that lags as if it did not (R13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vofs.cache.ownversions import OwnVersions
from vofs.core.nodes import NodeInfo
from vofs.remote.api import Remote
from vofs.remote.around import RemoteAround


class CaughtUpRemote(RemoteAround):
    """A `Remote` whose nodes show what we stored in them, although the service lags.

    Args:
        inner: the service.
        own: what we stored.
    """

    def __init__(self, inner: Remote, own: OwnVersions) -> None:
        super().__init__(inner)
        self._own = own

    def get_node(self, path: str) -> NodeInfo:
        """See `Remote`."""
        return self._own.corrected(super().get_node(path), listed=False)

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`."""
        for node in super().list_children(path):
            yield self._own.corrected(node, listed=True)

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        """See `Remote`."""
        return self._own.corrected(super().set_properties(path, changes), listed=False)

    def delete_node(self, path: str) -> None:
        """See `Remote`."""
        super().delete_node(path)
        self._own.forget_below(path)
