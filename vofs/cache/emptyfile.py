"""Stores a file without bytes on a service that takes no empty PUT (vault).

A new file is made by a PUT of its node.  For a node that has bytes there is only the vos client's
way, to delete it and make it again; so its properties are journalled first and given back (R4).  A
restart in between finds the intent and makes the node again before anything else happens.
"""

from __future__ import annotations

import logging
from types import MappingProxyType

from vofs.cache.journal import Intent, Journal
from vofs.core import nodes
from vofs.core.errors import (
    NodeExists,
    NodeNotFound,
    RemoteUnavailable,
    UploadConflict,
    VofsError,
)
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.remote.api import Remote

log = logging.getLogger(__name__)

RECREATE = "recreate"

# Set by the service or by an administrator alone: sending them back is at best ignored.
COMPUTED = frozenset(
    {
        nodes.LENGTH,
        nodes.MD5,
        nodes.DATE,
        nodes.CONTENT_DATE,
        nodes.QUOTA,
        nodes.AVAILABLE_SPACE,
        nodes.READABLE,
        nodes.WRITABLE,
        nodes.CORE + "creator",
    }
)


class EmptyFiles:
    """See the module's docstring.

    Args:
        remote: the service.
        journal: where a node between deletion and return is remembered.
    """

    def __init__(self, remote: Remote, journal: Journal) -> None:
        self._remote, self._journal = remote, journal

    def store(self, path: str, *, existed: bool) -> None:
        """Make the data node at `path` exist without bytes.

        Args:
            path: the node.
            existed: the service is known to have it.

        Raises:
            UploadConflict: a node with bytes appeared there meanwhile.
            RemoteUnavailable: also when the service took the deletion and refused the node: what
                `finish` makes there later is ours, and no other version than ours is gone.
            NodeError, RemoteError: the service refused.
        """
        if not existed:
            self._make(path, {})
            return
        try:
            node = self._remote.get_node(path)
        except NodeNotFound:
            self._make(path, {})
            return
        if node.length == 0:
            return
        kept = {uri: text for uri, text in node.properties.items() if uri not in COMPUTED}
        intent = self._journal.begin(Intent(RECREATE, path, properties=kept))
        self._remote.delete_node(path)
        try:
            self._make(path, kept)
        except UploadConflict:
            raise
        except VofsError as exc:
            why = f"{path}: deleted, and not made again yet: {exc}"
            raise RemoteUnavailable(why, sent=True) from exc
        self._journal.forget(intent)

    def finish(self, path: str, *, existed: bool) -> None:
        """Give the node at `path` back if an earlier deletion got no further.

        Args:
            path: the node.
            existed: what is about to be stored there is the file whose node it was.  Another's,
                made after an unlink, gets none of its properties.
        """
        for intent in self._journal.intents():
            if intent.op == RECREATE and intent.source == path:
                if existed:
                    self.settle(intent)
                else:
                    self._journal.forget(intent)

    def settle(self, intent: Intent) -> None:
        """Finish a deletion and return that was interrupted.

        Raises:
            RemoteError: the service cannot be asked; the intent stands.
        """
        try:
            self._remote.get_node(intent.source)
        except NodeNotFound:
            log.warning("%s: its node is made again with its properties", intent.source)
            self._make(intent.source, intent.properties)
        self._journal.forget(intent)

    def _make(self, path: str, properties: dict[str, str]) -> None:
        try:
            self._remote.create_node(NodeInfo(path, NodeKind.DATA, MappingProxyType(properties)))
        except NodeExists:
            if self._remote.get_node(path).length:
                raise UploadConflict(f"{path} appeared on the service meanwhile") from None
