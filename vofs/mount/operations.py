"""The operations of the file system, one short method each.

Plain Python: paths and handles in, values out, errors of `core.errors`; no errno, no FUSE.  Names
that libfuse makes for files unlinked while open (`.fuse_hidden...`) exist only here, in `_hidden`.

What is not built yet answers `NotSupported` (EOPNOTSUPP) or is said in docs/semantics.md: setting
extended attributes, chmod that changes what VOSpace holds.
"""

from __future__ import annotations

import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vofs.cache.cachedfile import CachedFile
from vofs.core import uris
from vofs.core.attributes import (
    Attributes,
    Overlay,
    attributes_of,
    mtime_ns_of,
    version_token,
)
from vofs.core.errors import (
    NodeNotFound,
    NotSupported,
    OperationForbidden,
    PermissionDenied,
    RemoteError,
)
from vofs.core.nodes import NodeInfo
from vofs.mount.directoryoperations import DirectoryOperations
from vofs.mount.fileoperations import HIDDEN
from vofs.mount.machinery import Machinery
from vofs.mount.tree import local_node

LIBFUSE_NAME = re.compile(r"\.fuse_hidden[0-9a-f]{16}")
F_OK, X_OK, W_OK, R_OK = 0, 1, 2, 4  # access(2)
STATFS_BLOCK = 4096
HIDE_TO_RENAME_S = 5.0  # libfuse sends both in one request
HELD_BITS = 0o066  # group and other, reading and writing: what a node says of them
UNLIMITED = 1 << 50  # bytes that df shows where no quota is told


class VOFS(DirectoryOperations):
    """See the module's docstring.

    Args:
        parts: what the operations work with.
    """

    def __init__(self, parts: Machinery) -> None:
        super().__init__(parts)
        self._hidden: dict[str, CachedFile] = {}
        self._request = threading.local()

    # -- attributes -----------------------------------------------------------------------------

    def getattr(self, path: str | None, fh: int | None = None) -> Attributes:
        """stat(2) and fstat(2)."""
        if fh is not None:
            return self._attributes_of_file(self.handles.file(fh).file)
        assert path is not None
        hidden = self._hidden.get(path)
        if hidden is not None:
            return self._attributes_of_file(hidden)
        node_path = self._node_path(path)
        file = self._parts.table.peek(node_path)
        if file is not None:
            return self._attributes_of_file(file)
        node = self._parts.tree.lookup(node_path)
        return self._parts.told.noted(
            node_path, self._attributes(node, self._parts.inodes.of(node_path))
        )

    def _attributes_of_file(self, file: CachedFile) -> Attributes:
        """R15: while a CachedFile exists, its size and time are the only ones told.

        They are told also when the service cannot be asked for the rest.
        """
        node = local_node(file)
        if not file.is_local and not file.is_detached:
            with suppress(NodeNotFound, RemoteError):
                node = self._parts.tree.lookup(file.path)
        overlay = Overlay(size=file.size, mtime_ns=file.mtime_ns, mode=file.mode)
        attributes = self._attributes(node, self._parts.inodes.of_file(file), overlay)
        return self._parts.told.noted(file.path, attributes)

    def _attributes(self, node: NodeInfo, inode: int, overlay: Overlay | None = None) -> Attributes:
        return attributes_of(
            node, inode, self._parts.owner, overlay, tells_rights=self._parts.rights.tells_rights
        )

    def access(self, path: str, mode: int) -> None:
        """access(2)."""
        attributes = self.getattr(path)
        if mode & W_OK:
            self._parts.rights.require_writable_mount()
        wanted = (mode & (R_OK | W_OK | X_OK)) << 6
        if mode != F_OK and attributes.mode & wanted != wanted:
            raise PermissionDenied(path)

    def utimens(self, path: str, times: tuple[int, int] | None) -> None:
        """Set times: kept for a file with changes of its own, accepted for all others."""
        self._parts.rights.require_writable_mount()
        with self._in_use(path) as file:
            if file is None:
                self.getattr(path)
            elif file.is_dirty:
                file.set_mtime(self._parts.clock.time_ns() if times is None else times[1])

    @contextmanager
    def _in_use(self, path: str) -> Iterator[CachedFile | None]:
        """The file at `path` if it is in memory, which it does not leave meanwhile.

        An object that had left would save its row over the changes of the one that came after.
        """
        table, file = self._parts.table, self._hidden.get(path)
        if file is not None:
            table.share(file)
        else:
            file = table.use(self._node_path(path))
        try:
            yield file
        finally:
            if file is not None:
                table.release(file)

    def chmod(self, path: str, mode: int) -> None:
        """Kept here for a file with changes of its own; rights on the service are not changed yet.

        What VOSpace cannot hold, the owner's bits and execution, is accepted and not kept.

        Raises:
            NotSupported: it would change who may read or write on the service.
        """
        self._parts.rights.require_writable_mount()
        with self._in_use(path) as file:
            if file is not None and file.is_dirty:
                file.set_mode(stat.S_IMODE(mode))
            elif (self.getattr(path).mode ^ mode) & HELD_BITS:
                raise NotSupported("chmod: changing rights on the service is not built yet")

    def chown(self, path: str, uid: int, gid: int) -> None:
        """To oneself a no-op, else refused: a VOSpace node keeps its owner."""
        attributes = self.getattr(path)
        if uid not in (-1, attributes.uid) or gid not in (-1, attributes.gid):
            raise OperationForbidden("a node's owner cannot be changed")

    def statfs(self, path: str) -> dict[str, int]:
        """df(1): quota and used length of the mounted container, without listing anything."""
        total, used = self._parts.properties.space(self._parts.service.root)
        free = max(0, (UNLIMITED if total is None else total) - used)
        blocks = (used + free) // STATFS_BLOCK
        return {
            "f_bsize": STATFS_BLOCK, "f_frsize": STATFS_BLOCK, "f_blocks": blocks,
            "f_bfree": free // STATFS_BLOCK, "f_bavail": free // STATFS_BLOCK,
            "f_namemax": 255,
        }  # fmt: skip

    def getxattr(self, path: str, name: str) -> bytes:
        """One property of the node, or one of vofs' own."""
        file = self._hidden.get(path)
        return self._parts.properties.get(
            self._node_path(path) if file is None else None, file, name
        )

    def listxattr(self, path: str) -> list[str]:
        """The names of all properties."""
        return [] if path in self._hidden else self._parts.properties.names(self._node_path(path))

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        """Not built yet."""
        raise NotSupported("setting properties is not built yet")

    def removexattr(self, path: str, name: str) -> None:
        """Not built yet."""
        raise NotSupported("removing properties is not built yet")

    # -- names ----------------------------------------------------------------------------------

    def unlink(self, path: str) -> None:
        """Remove a file; libfuse's hidden name of an open one vanishes with the last handle."""
        hidden = self._hidden.pop(path, None)
        if hidden is not None:
            self._parts.table.release(hidden)
            return
        node_path = self._node_path(path)
        self._parts.rights.require_removal(self._parts.tree.lookup(node_path))
        self._parts.namespace.unlink(node_path)
        self._parts.told.forget(node_path)

    def rename(self, source: str, destination: str) -> None:
        """rename(2); libfuse's renaming to a hidden name is the unlink of an open file (R9)."""
        source_path = self._node_path(source)
        if uris.name_of(destination).startswith(HIDDEN):
            self._hide(source_path, destination)
            return
        replaced = self._hidden_for_this_rename()
        destination_path = self._node_path(destination)
        if source_path == destination_path:
            return  # also two spellings of one name: services normalise to NFC
        self._parts.namespace.begin_replacing(destination_path)
        try:
            self._parts.rights.require_removal(self._parts.tree.lookup(source_path))
            self._parts.rights.require_entry(destination_path)
            self._parts.renaming.rename(source_path, destination_path)
        except Exception:
            if replaced is not None and replaced.path == destination_path:
                self._parts.namespace.attach_again(replaced)
                self._parts.inodes.name_back(replaced)
            raise
        finally:
            self._parts.namespace.end_replacing(destination_path)
        self._parts.told.renamed(source_path, destination_path)
        self._parts.inodes.renamed(source_path, destination_path)

    def _hidden_for_this_rename(self) -> CachedFile | None:
        """The file that libfuse hid a moment ago, in this thread, to make room for a rename."""
        file, at = getattr(self._request, "hidden", None) or (None, 0.0)
        self.forget_request()
        return file if self._parts.clock.monotonic() - at < HIDE_TO_RENAME_S else None

    def forget_request(self) -> None:
        """A request has ended: a hide in it does not belong to a rename that comes later."""
        self._request.hidden = None

    def _hide(self, node_path: str, hidden: str) -> None:
        """Unlink a file that libfuse takes for open; a rename onto its name may follow at once.

        Raises:
            OperationForbidden: a user chose that name.
        """
        if not LIBFUSE_NAME.fullmatch(uris.name_of(hidden)):
            raise OperationForbidden(f"names that begin with {HIDDEN} are libfuse's")
        table, tree = self._parts.table, self._parts.tree
        self._parts.rights.require_removal(tree.lookup(node_path))
        if not table.in_use(node_path) and not self._released.recently(node_path):
            raise OperationForbidden(f"names that begin with {HIDDEN} are libfuse's")
        file = table.use(node_path)
        if file is None:  # looked up again: what was only here may have arrived meanwhile
            asked = table.mark()
            node = tree.lookup_version(node_path)
            file = table.acquire(node_path, version_token(node), mtime_ns_of(node), asked)
        self._parts.namespace.detach(node_path)
        self._parts.inodes.name_lost(file)
        self._hidden[hidden] = file
        self._request.hidden = file, self._parts.clock.monotonic()
        self._parts.told.forget(node_path)
