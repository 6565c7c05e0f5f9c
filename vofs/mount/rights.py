"""Who may change what: the mount, the credential, and VOSpace's locks (behaviours.md 10, R23).

A lock forbids changing the node's bytes, and making, deleting or moving nodes in a locked
container; reading is always allowed.  The service would refuse as well, but for bytes only when
they are uploaded: by then the program has ended that could have been told.
"""

from __future__ import annotations

from vofs.core import uris
from vofs.core.errors import (
    ContainerNotFound,
    NodeLocked,
    NodeNotFound,
    PermissionDenied,
    ReadOnlyMount,
    RemoteError,
)
from vofs.core.nodes import IS_LOCKED, WRITABLE, NodeInfo
from vofs.mount.tree import Tree


class Rights:
    """See the module's docstring.

    Args:
        tree: looks nodes up.
        root: the container that is mounted; nothing above it is asked for.
        read_only: the mount is.
        tells_rights: the service says of each node whether it is writable.
    """

    def __init__(self, tree: Tree, root: str, *, read_only: bool, tells_rights: bool) -> None:
        self._tree, self._root = tree, root
        self._read_only, self.tells_rights = read_only, tells_rights

    def require_writable_mount(self) -> None:
        """Raise ReadOnlyMount when nothing may be changed at all."""
        if self._read_only:
            raise ReadOnlyMount("the mount is read-only")

    def may_write(self, node: NodeInfo) -> bool:
        """Whether the credential may write the node, as far as the service tells."""
        return not self.tells_rights or node.flag(WRITABLE)

    def require_content(self, node: NodeInfo) -> None:
        """The bytes of `node` may be changed.

        Raises:
            ReadOnlyMount, NodeLocked, PermissionDenied.
        """
        self.require_writable_mount()
        self._require_unlocked(node)
        if not self.may_write(node):
            raise PermissionDenied(f"{node.path} may not be written with this credential")
        self.require_unlocked_container(node.path)

    def require_unlocked_container(self, path: str) -> None:
        """The container of `path` does not forbid changing the file's bytes.

        Raises:
            ReadOnlyMount, NodeLocked.
        """
        self.require_writable_mount()
        container = self._container(path)
        if container is not None:
            self._require_unlocked(container)

    def require_entry(self, path: str) -> None:
        """An entry `path` may be made, deleted or moved.

        Raises:
            ReadOnlyMount, NodeLocked, PermissionDenied.
        """
        self.require_writable_mount()
        container = self._container(path)
        if container is not None:
            self._require_changeable(container)

    def require_place(self, path: str) -> None:
        """A file `path` may be made: its container is there, too, as far as anybody says.

        Raises:
            ContainerNotFound, ReadOnlyMount, NodeLocked, PermissionDenied.
        """
        self.require_writable_mount()
        try:
            container = self._tree.lookup(uris.parent_of(path))
        except NodeNotFound as exc:
            raise ContainerNotFound(uris.parent_of(path)) from exc
        except (PermissionDenied, RemoteError):
            return
        self._require_changeable(container)

    def _require_changeable(self, container: NodeInfo) -> None:
        self._require_unlocked(container)
        if not self.may_write(container):
            raise PermissionDenied(f"{container.path} may not be written with this credential")

    def require_removal(self, node: NodeInfo) -> None:
        """The node itself may go: its own lock, and its container.

        Raises:
            ReadOnlyMount, NodeLocked, PermissionDenied.
        """
        self.require_entry(node.path)
        self._require_unlocked(node)

    def _require_unlocked(self, node: NodeInfo) -> None:
        if node.flag(IS_LOCKED):
            raise NodeLocked(f"{node.path} is locked on the service")

    def _container(self, path: str) -> NodeInfo | None:
        """The container of `path` if it is in the mount and can be seen."""
        if path == self._root:
            return None
        try:
            return self._tree.lookup(uris.parent_of(path))
        except (NodeNotFound, PermissionDenied, RemoteError):
            return None
