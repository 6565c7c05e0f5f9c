"""VOSpace properties as extended attributes, and what vofs says of itself.

`user.vos.<property>` are the node's properties as the service gave them; `user.vofs.state` and
`user.vofs.error` tell about the upload; `user.vofs.control` on the root names the control socket,
and is how `vofs` finds the daemon from any path.  Security attributes are answered first, without
the tree: the kernel asks for one with every write.
"""

from __future__ import annotations

import posixpath

from vofs.cache.cachedfile import CachedFile
from vofs.cache.filetable import FileTable
from vofs.core import uris
from vofs.core.attributes import xattrs_of
from vofs.core.errors import NoSuchAttribute, OperationInvalid
from vofs.core.lifecycle import Upload
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.core.quota import space_of
from vofs.core.uris import ServiceUri
from vofs.mount.tree import Tree

STATE, ERROR, CONTROL = "user.vofs.state", "user.vofs.error", "user.vofs.control"


def state_word(file: CachedFile | None) -> str:
    """clean, dirty, uploading, in-doubt, failed or conflict."""
    if file is None or not file.is_dirty:
        return "clean"
    state = file.upload_state
    return "dirty" if state in (Upload.IDLE, Upload.QUEUED) else state.value


class Properties:
    """See the module's docstring.

    Args:
        service: the service and the mounted container.
        tree: looks nodes up.
        table: knows uploads.
        control: the path of the control socket.
    """

    def __init__(self, service: ServiceUri, tree: Tree, table: FileTable, control: str) -> None:
        self._service, self._tree, self._table = service, tree, table
        self._control = control

    def get(self, path: str | None, file: CachedFile | None, name: str) -> bytes:
        """The attribute `name`.

        Raises:
            NoSuchAttribute: the node has no such property.
        """
        if not name.startswith("user."):
            raise NoSuchAttribute(name)
        if file is None and path is not None:
            file = self._table.peek(path)
        if name == STATE:
            if path is not None:
                self._tree.lookup(path)
            return state_word(file).encode()
        if name == ERROR and file is not None and file.error:
            return file.error.encode()
        if name == CONTROL and path == self._service.root:
            return self._control.encode()
        if path is None or name in (ERROR, CONTROL):
            raise NoSuchAttribute(name)
        found = xattrs_of(self._current(path)).get(name)
        if found is None:
            raise NoSuchAttribute(name)
        return found

    def names(self, path: str) -> list[str]:
        """The names of all attributes of the node."""
        file = self._table.peek(path)
        own = [STATE] if file is None or not file.error else [STATE, ERROR]
        return own + sorted(xattrs_of(self._current(path)))

    def _current(self, path: str) -> NodeInfo:
        return self._tree.lookup(path)

    def space(self, path: str) -> tuple[int | None, int]:
        """Quota and used bytes of a container.

        Returns:
            (quota or None where none is told, used).
        """
        return space_of(self._tree.lookup(path).properties)

    def link_text(self, node: NodeInfo) -> str:
        """What readlink(2) says: a relative path when the target is in the mount, else the URI.

        Raises:
            OperationInvalid: it is no link.
        """
        if node.kind is not NodeKind.LINK or node.target is None:
            raise OperationInvalid(f"{node.path} is not a link")
        target = uris.path_in_service(self._service, node.target)
        if target is None or not uris.is_below(target, self._service.root):
            return node.target
        return posixpath.relpath(target, uris.parent_of(node.path))
