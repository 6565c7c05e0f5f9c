"""The operations on directories and links.

Plain Python: paths and handles in, values out, errors of `core.errors`; no errno, no FUSE.

What is not built yet answers `NotSupported` (EOPNOTSUPP): symlink.
"""

from __future__ import annotations

import stat

from vofs.core import uris
from vofs.core.errors import InvalidName, NotAContainer, NotSupported, OperationForbidden
from vofs.core.nodes import NodeKind
from vofs.mount.fileoperations import FileOperations
from vofs.mount.handles import FILE_TYPES, DirectoryEntry, OpenDirectory


class DirectoryOperations(FileOperations):
    """See the module's docstring; the arguments are those of `FileOperations`."""

    def opendir(self, path: str) -> int:
        """Open a directory; it keeps its own path (nopath)."""
        node_path = self._node_path(path)
        if self._parts.tree.lookup(node_path).kind is not NodeKind.CONTAINER:
            raise NotAContainer(path)
        return self.handles.add(OpenDirectory(node_path))

    def readdir(self, fh: int) -> list[DirectoryEntry]:
        """What is in a directory, "." and ".." first."""
        path = self.handles.directory(fh).path
        above = path if path == self._parts.service.root else uris.parent_of(path)
        inode_of = self._parts.inodes.of
        dots = [
            DirectoryEntry(".", inode_of(path), stat.S_IFDIR),
            DirectoryEntry("..", inode_of(above), stat.S_IFDIR),
        ]
        return dots + [
            DirectoryEntry(node.name, inode_of(node.path), FILE_TYPES[node.kind])
            for node in self._parts.tree.children(path)
            if _kernel_can_hold(node.name)
        ]

    def releasedir(self, fh: int) -> None:
        """Close a directory."""
        self.handles.remove(fh)

    def mkdir(self, path: str, mode: int) -> None:
        """Make a container."""
        node_path = self._node_path(path)
        self._parts.rights.require_entry(node_path)
        self._parts.namespace.make_container(node_path)

    def rmdir(self, path: str) -> None:
        """Remove an empty container."""
        node_path = self._node_path(path)
        self._parts.rights.require_removal(self._parts.tree.lookup(node_path))
        self._parts.namespace.remove_container(node_path)

    def readlink(self, path: str) -> str:
        """The target of a link: relative when it is in the mount, else its URI."""
        node = self._parts.tree.lookup(self._node_path(path))
        return self._parts.properties.link_text(node)

    def symlink(self, path: str, target: str) -> None:
        """Not built yet."""
        raise NotSupported("making links is not built yet")

    def link(self, path: str, target: str) -> None:
        """Refused: a node has one name."""
        raise OperationForbidden("VOSpace has no hard links")


def _kernel_can_hold(name: str) -> bool:
    """Whether a directory entry may have that name; one that may not must not spoil the rest."""
    try:
        return uris.check_name(name) != ""
    except InvalidName:
        return False
