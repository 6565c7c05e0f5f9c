"""rename(2): what it replaces, and whether it is done here or on the service (R8, R9, R10).

A file that the service never had is renamed here alone; its upload then goes to the new name and
replaces what is there.  Anything else is moved on the service, see `moving`.
"""

from __future__ import annotations

import logging

from vofs.cache.cachedfile import CachedFile
from vofs.cache.putrecord import PutFate
from vofs.cache.rowchanges import rename_files, set_base, set_put
from vofs.core.attributes import version_token
from vofs.core.errors import (
    ContainerNotEmpty,
    IsAContainer,
    NodeBusy,
    NodeNotFound,
    NotAContainer,
)
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.mount.followed import Unsettled
from vofs.mount.moving import Moving

log = logging.getLogger(__name__)

NAME_MAX = 255


class Renaming(Moving):
    """See the module's docstring; the arguments are those of `Moving`."""

    def rename(self, source: str, destination: str) -> None:
        """rename(2): `destination` is replaced when it is a file or an empty container.

        Raises:
            NodeNotFound, NotAContainer, IsAContainer, ContainerNotEmpty, NodeLocked, NodeBusy,
            RemoteError.
        """
        parts = self._parts
        for buried in (*parts.tombstones.below(source), *parts.tombstones.below(destination)):
            parts.tombstones.bury(buried)
        hold = parts.gate.hold((source, destination), parts.timeout_s)
        followed = False
        try:
            moved = parts.tree.lookup(source)
            replaced = self._replaced(destination, moved)
            file = parts.table.peek(source)
            if file is not None and file.is_local and file.put is None:
                self._rename_here(file, destination, replaced)
            else:
                try:
                    self._rename_there(moved, destination, replaced, hold)
                except NodeNotFound:
                    if not self._rename_after_refusal(file, destination, replaced):
                        raise
        except Unsettled:
            followed = True
            raise
        finally:
            if not followed:
                parts.gate.release(hold)

    def _rename_after_refusal(
        self, file: CachedFile | None, destination: str, replaced: NodeInfo | None
    ) -> bool:
        """The service has nothing to move; a file whose upload it refused is renamed here.

        Returns:
            False when it is no such file, or something of it is there after all.
        """
        put = file.put if file is not None and file.is_local else None
        if file is None or put is None or put.fate is not PutFate.OVER or self._exists(file.path):
            return False
        self._rename_here(file, destination, replaced)
        return True

    def _replaced(self, destination: str, moved: NodeInfo) -> NodeInfo | None:
        """The node that has to make room, also one under a tombstone, or None.

        Raises:
            IsAContainer, NotAContainer, ContainerNotEmpty: as rename(2) has it.
            NodeBusy: an upload to `destination` broke, and the service may still truncate what is
                there (R1).
        """
        parts = self._parts
        local = parts.table.peek(destination)
        put = local.put if local is not None and local.is_local else None
        # What is known here of a file whose upload may have arrived says nothing of the service.
        in_doubt = put is not None
        may_go_on = put is not None and put.fate is not PutFate.OVER
        truncates = not parts.remote.capabilities.atomic_put
        if (may_go_on and truncates) or parts.is_threatened(destination):
            raise NodeBusy(f"{destination}: what became of its upload is not known yet; try again")
        try:
            if parts.tombstones.find(destination) is not None:
                node = parts.remote.get_node(destination)
                if node.kind is NodeKind.CONTAINER is not moved.kind:
                    raise IsAContainer(destination)  # it came after the unlink
                return node
            look = parts.remote.get_node if in_doubt else parts.tree.fresh
            node = look(destination)
        except NodeNotFound:
            return None
        if node.kind is NodeKind.CONTAINER:
            if moved.kind is not NodeKind.CONTAINER:
                raise IsAContainer(destination)
            parts.tree.forget_below(destination)  # never by a listing that may be old
            if parts.tree.children(destination):
                raise ContainerNotEmpty(destination)
        elif moved.kind is NodeKind.CONTAINER:
            raise NotAContainer(destination)
        return node

    # -- here -----------------------------------------------------------------------------------

    def _rename_here(self, file: CachedFile, destination: str, replaced: NodeInfo | None) -> None:
        """A file that the service never had: its upload will replace what is at the new name.

        What is replaced becomes the base of the upload, so that a foreign change in between is
        noticed (R11).  Under a tombstone there is none: the upload executes that first.
        """
        parts, source = self._parts, file.path
        local = parts.table.peek(destination)
        here_alone = local is not None and local.is_local and local.put is None
        is_there = parts.tombstones.find(destination) is None and not here_alone
        base = version_token(replaced) if replaced is not None and is_there else None
        left = None  # by an upload of what was there: where PUTs are atomic it may come late (R13)
        if local is not None and local.put is not None and parts.remote.capabilities.atomic_put:
            left = local.put.heritage
        # On the disk where its bytes are, or where a node is deleted next; of all others the upload
        # sees to it that no name comes back after a power loss that was sent under another.
        durable = file.is_synced or parts.tombstones.is_uncommitted(destination)
        with parts.table.changing_names(source, destination):
            with parts.index.transaction(durable=durable) as connection:
                unlinked = parts.tombstones.write(connection, destination)
                rename_files(connection, source, destination)
                set_put(connection, file.number, left)
                if base is not None:
                    set_base(connection, file.number, base)
            parts.tombstones.written(unlinked)
            if local is not None:
                parts.writeback.forget(local)
            parts.tree.removed(source)
            parts.table.renamed(source, destination)
            file.takes_name_of(left)
            file.name_committed(durable=durable)
        parts.tree.invalidate(destination)
        if base is not None:
            file.replaces(base)
