"""Making a file where there is none, also where another client has just deleted one (R8, R11).

A file that is open here keeps its name when its node is deleted by somebody else: whoever writes it
makes the node again.  So a new file of that name is another one only where nobody writes the old.
"""

from __future__ import annotations

from vofs.cache.cachedfile import CachedFile
from vofs.core.errors import NodeExists, NodeNotFound
from vofs.mount.machinery import Machinery


class Making:
    """See the module's docstring.

    Args:
        parts: what the operations work with.
    """

    def __init__(self, parts: Machinery) -> None:
        self._parts = parts

    def _made(self, node_path: str, mode: int) -> CachedFile | None:
        """A new file, here alone; None when names changed meanwhile: once more.

        Raises:
            NodeExists: there is one already, here or on the service.
            ContainerNotFound, NodeLocked, PermissionDenied, ReadOnlyMount, RemoteError.
        """
        parts = self._parts
        parts.followed.wait_until_settled(node_path)
        seen = parts.table.names_changed
        parts.rights.require_place(node_path)
        try:
            parts.tree.lookup(node_path)
        except NodeNotFound:
            parts.namespace.make_room(node_path)
            try:
                with parts.namespace.making(node_path):
                    return parts.table.create_unless_changed(node_path, mode, seen)
            except NodeExists:
                if not self._has_lost_its_node(node_path):
                    raise
                return None
        raise NodeExists(node_path)

    def _has_lost_its_node(self, node_path: str) -> bool:
        """Whether somebody else deleted what is still open here: its name is free from now on.

        Asked once more, because it may have been stored since its node was looked for.
        """
        file = self._parts.table.peek(node_path)
        if file is None or file.is_dirty:
            return False
        try:
            self._parts.tree.fresh(node_path)
        except NodeNotFound:
            return self._parts.table.lose_name(file)
        return False

    def _make_again(self, node_path: str) -> None:
        """A file that somebody has open for writing, and whose node another client deleted.

        What is written in it makes its node again, so it keeps its name (R11): whoever makes the
        file now shares it, as a new one.
        """
        file = self._parts.table.use(node_path)  # it does not leave memory meanwhile
        if file is None:
            return
        try:
            if not file.is_dirty:
                self._parts.tree.lookup(node_path)
        except NodeNotFound:
            for size in (1, 0):  # an empty one is changed by that, too, and so sent
                self._truncate(file, size)
        finally:
            self._parts.table.release(file)

    def _truncate(self, file: CachedFile, size: int) -> None:
        self._parts.quota.require(file, size)
        file.truncate(size)
        self._parts.told.changed(file.path, size)
        self._parts.writeback.submit(file, flushed=False)
