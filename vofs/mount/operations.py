"""The operations of the file system, one short method each.

Plain Python: paths and handles in, values out, errors of `core.errors`; no errno, no FUSE.  Names
that libfuse makes for files unlinked while open (`.fuse_hidden...`) exist only here, in `_hidden`.

What is not built yet answers `NotSupported` (EOPNOTSUPP) or is said in docs/semantics.md: symlink,
setting extended attributes, chmod that changes what VOSpace holds.
"""

from __future__ import annotations

import itertools
import re
import stat
from collections.abc import Callable, Iterator

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.writeback import WriteBack
from vofs.core import uris
from vofs.core.attributes import (
    Attributes,
    MountOwner,
    Overlay,
    attributes_of,
    mtime_ns_of,
    version_token,
)
from vofs.core.errors import (
    InvalidName,
    IsAContainer,
    NodeExists,
    NodeNotFound,
    NotAContainer,
    NotSupported,
    OperationForbidden,
    PermissionDenied,
    UploadConflict,
    UploadFailed,
    WrongHandleMode,
)
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.core.openflags import Access, access_of
from vofs.core.uris import ServiceUri
from vofs.mount.handles import Handles, OpenDirectory, OpenHandle, Released
from vofs.mount.namespace import Namespace
from vofs.mount.properties import Properties
from vofs.mount.renaming import Renaming
from vofs.mount.rights import Rights
from vofs.mount.toldsizes import ToldSizes
from vofs.mount.tree import Tree, local_node

HIDDEN = ".fuse_hidden"
LIBFUSE_NAME = re.compile(r"\.fuse_hidden[0-9a-f]{16}")
F_OK, X_OK, W_OK, R_OK = 0, 1, 2, 4  # access(2)
STATFS_BLOCK = 4096
UNLIMITED = 1 << 50  # bytes that df shows where no quota is told


class VOFS:
    """See the module's docstring.

    Args:
        service: the service and the container that is mounted.
        tree: names and attributes.
        table: cached files.
        fetcher: brings missing bytes.
        writeback: sends changed files.
        namespace: changes of names.
        renaming: renames.
        rights: who may change what.
        properties: extended attributes.
        told: sizes that the kernel believes.
        clock: for times.
        owner: to whom everything belongs.
        close_wait_s: how long close waits for the upload (--close-wait).
        thread_group: the process that a thread id belongs to.
    """

    def __init__(
        self,
        service: ServiceUri,
        tree: Tree,
        table: FileTable,
        fetcher: Fetcher,
        writeback: WriteBack,
        namespace: Namespace,
        renaming: Renaming,
        rights: Rights,
        properties: Properties,
        told: ToldSizes,
        clock: Clock,
        *,
        owner: MountOwner,
        close_wait_s: float,
        thread_group: Callable[[], int],
    ) -> None:
        self._service, self._tree, self._table = service, tree, table
        self._fetcher, self._writeback, self._namespace = fetcher, writeback, namespace
        self._renaming, self._rights, self._properties = renaming, rights, properties
        self._told, self._clock, self._owner = told, clock, owner
        self._close_wait_s, self._thread_group = close_wait_s, thread_group
        self._hidden: dict[str, CachedFile] = {}
        self._released = Released(clock)
        self.handles = Handles()

    def _node_path(self, path: str) -> str:
        return uris.join(self._service.root, path)

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
        file = self._table.peek(node_path)
        if file is not None:
            return self._attributes_of_file(file)
        return self._told.noted(node_path, self._attributes(self._tree.lookup(node_path), None))

    def _attributes_of_file(self, file: CachedFile) -> Attributes:
        """R15: while a CachedFile exists, its size and time are the only ones told."""
        here_alone = file.is_local or file.is_detached
        node = local_node(file) if here_alone else self._tree.lookup(file.path)
        overlay = Overlay(size=file.size, mtime_ns=file.mtime_ns, mode=file.mode)
        return self._told.noted(file.path, self._attributes(node, overlay))

    def _attributes(self, node: NodeInfo, overlay: Overlay | None) -> Attributes:
        uri = uris.node_uri(self._service, node.path)
        return attributes_of(
            node, uri, self._owner, overlay, tells_rights=self._rights.tells_rights
        )

    def access(self, path: str, mode: int) -> None:
        """access(2)."""
        attributes = self.getattr(path)
        if mode & W_OK:
            self._rights.require_writable_mount()
        wanted = (mode & (R_OK | W_OK | X_OK)) << 6
        if mode != F_OK and attributes.mode & wanted != wanted:
            raise PermissionDenied(path)

    def utimens(self, path: str, times: tuple[int, int] | None) -> None:
        """Set times: kept for a file with changes of its own, accepted for all others."""
        self._rights.require_writable_mount()
        file = self._hidden.get(path) or self._table.peek(self._node_path(path))
        if file is None:
            self.getattr(path)
        elif file.is_dirty:
            file.set_mtime(self._clock.time_ns() if times is None else times[1])

    def chmod(self, path: str, mode: int) -> None:
        """Kept here for a file with changes of its own; rights on the service are not changed yet.

        Raises:
            NotSupported: it would change what the service holds.
        """
        self._rights.require_writable_mount()
        file = self._hidden.get(path) or self._table.peek(self._node_path(path))
        if file is not None and file.is_dirty:
            file.set_mode(stat.S_IMODE(mode))
        elif stat.S_IMODE(self.getattr(path).mode) != stat.S_IMODE(mode):
            raise NotSupported("chmod: changing rights on the service is not built yet")

    def chown(self, path: str, uid: int, gid: int) -> None:
        """To oneself a no-op, else refused: a VOSpace node keeps its owner."""
        attributes = self.getattr(path)
        if uid not in (-1, attributes.uid) or gid not in (-1, attributes.gid):
            raise OperationForbidden("a node's owner cannot be changed")

    def statfs(self, path: str) -> dict[str, int]:
        """df(1): quota and used length of the mounted container, without listing anything."""
        total, used = self._properties.space(self._service.root)
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
        return self._properties.get(self._node_path(path) if file is None else None, file, name)

    def listxattr(self, path: str) -> list[str]:
        """The names of all properties."""
        return [] if path in self._hidden else self._properties.names(self._node_path(path))

    def setxattr(self, path: str, name: str, value: bytes, flags: int) -> None:
        """Not built yet."""
        raise NotSupported("setting properties is not built yet")

    def removexattr(self, path: str, name: str) -> None:
        """Not built yet."""
        raise NotSupported("removing properties is not built yet")

    # -- directories ----------------------------------------------------------------------------

    def opendir(self, path: str) -> int:
        """Open a directory; it keeps its own path (nopath)."""
        node_path = self._node_path(path)
        if self._tree.lookup(node_path).kind is not NodeKind.CONTAINER:
            raise NotAContainer(path)
        return self.handles.add(OpenDirectory(node_path))

    def readdir(self, fh: int) -> Iterator[str]:
        """The names in a directory, "." and ".." first."""
        directory = self.handles.directory(fh)
        names = [node.name for node in self._tree.children(directory.path)]
        return itertools.chain((".", ".."), filter(_kernel_can_hold, names))

    def releasedir(self, fh: int) -> None:
        """Close a directory."""
        self.handles.remove(fh)

    def mkdir(self, path: str, mode: int) -> None:
        """Make a container."""
        node_path = self._node_path(path)
        self._rights.require_entry(node_path)
        self._namespace.make_container(node_path)

    def rmdir(self, path: str) -> None:
        """Remove an empty container."""
        node_path = self._node_path(path)
        self._rights.require_removal(self._tree.lookup(node_path))
        self._namespace.remove_container(node_path)

    def readlink(self, path: str) -> str:
        """The target of a link: relative when it is in the mount, else its URI."""
        node = self._tree.lookup(self._node_path(path))
        return self._properties.link_text(node)

    def symlink(self, path: str, target: str) -> None:
        """Not built yet."""
        raise NotSupported("making links is not built yet")

    def link(self, path: str, target: str) -> None:
        """Refused: a node has one name."""
        raise OperationForbidden("VOSpace has no hard links")

    # -- opening and closing --------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """open(2) of an existing file."""
        access = access_of(flags)
        node_path = self._node_path(path)
        file = self._table.acquire_dirty(node_path)
        if file is None:
            file = self._open_clean(node_path, access)
        elif access.changes_file:
            self._rights.require_entry(node_path)
        self._told.wait_until_forgotten(node_path, file.size)
        return self._opened(file, access)

    def _open_clean(self, node_path: str, access: Access) -> CachedFile:
        node = self._tree.lookup(node_path)
        if node.kind is NodeKind.CONTAINER:
            raise IsAContainer(node_path)
        if access.changes_file:
            self._rights.require_content(node)
        file = self._table.acquire(node_path, version_token(node), mtime_ns_of(node))
        file.confirm()
        return file

    def _opened(self, file: CachedFile, access: Access) -> int:
        handle = OpenHandle(file, access, self._thread_group())
        if access.write:
            file.writer_opened()
        if access.truncate:
            self._truncate(file, 0)
            handle.changed = True
        return self.handles.add(handle)

    def create(self, path: str, mode: int, flags: int) -> int:
        """open(2) that makes the file."""
        node_path = self._node_path(path)
        if uris.name_of(node_path).startswith(HIDDEN):
            raise OperationForbidden(f"names that begin with {HIDDEN} are libfuse's")
        self._rights.require_entry(node_path)
        try:
            self._tree.lookup(node_path)
        except NodeNotFound:
            pass
        else:
            if access_of(flags).exclusive:
                raise NodeExists(path)
            return self.open(path, flags)
        file = self._table.create(node_path, stat.S_IMODE(mode))
        file.confirm()
        self._told.forget(node_path)
        handle = self._opened(file, access_of(flags))
        self.handles.file(handle).changed = True
        self._writeback.submit(file, flushed=False)
        return handle

    def mknod(self, path: str, mode: int, device: int) -> None:
        """Only regular files: made, and sent as empty."""
        if not stat.S_ISREG(mode):
            raise OperationForbidden("a VOSpace holds no devices")
        self.release(self.create(path, mode, 0))

    def flush(self, fh: int) -> None:
        """close(2), once for each descriptor: bytes written are sent, the opener waits (R4, R19).

        Raises:
            UploadFailed, UploadConflict: once for each handle; the data is kept and listed.
        """
        handle = self.handles.file(fh)
        if not handle.wrote:
            return
        handle.wrote = False
        self._writeback.submit(handle.file, flushed=True)
        remaining = self._close_wait_s - handle.waited_s
        if remaining <= 0 or self._thread_group() != handle.opener:
            return
        began = self._clock.monotonic()
        try:
            handle.file.wait_stored(handle.file.generation, remaining)
        except (UploadFailed, UploadConflict):
            if not handle.reported:
                handle.reported = True
                raise
        finally:
            handle.waited_s += self._clock.monotonic() - began

    def fsync(self, fh: int, datasync: int) -> None:
        """fsync(2): on the local disk when this returns (R18)."""
        handle = self.handles.file(fh)
        if handle.access.write:
            handle.file.sync()

    def release(self, fh: int) -> None:
        """The last descriptor is closed; whatever is dirty is queued (mmap stores come late)."""
        handle = self.handles.remove(fh)
        assert isinstance(handle, OpenHandle)
        file = handle.file
        left = file.writer_closed() if handle.access.write else file.writing(0.0)[0]
        if left == 0:
            self._writeback.submit(file, flushed=True)
        self._released.noted(file.path)
        self._table.release(file)

    # -- bytes ----------------------------------------------------------------------------------

    def read(self, fh: int, size: int, offset: int) -> bytes:
        """Every byte up to the end of the file, or an error; never less (R14)."""
        return self._fetcher.read(self.handles.readable(fh).file, offset, size)

    def write(self, fh: int, data: bytes, offset: int) -> int:
        """Kept on this machine when this returns; survives a killed daemon (R18)."""
        handle = self.handles.writable(fh)
        written = handle.file.write(offset, data, append=handle.access.append)
        handle.wrote = handle.changed = True
        return written

    def truncate(self, path: str | None, size: int, fh: int | None = None) -> None:
        """truncate(2) and ftruncate(2)."""
        if fh is not None:
            handle = self.handles.file(fh)
            if not handle.access.write:
                raise WrongHandleMode("opened for reading only")
            handle.changed = True
            self._truncate(handle.file, size)
            return
        assert path is not None
        handle_number = self.open(path, 1)  # O_WRONLY
        try:
            self._truncate(self.handles.file(handle_number).file, size)
        finally:
            self.release(handle_number)

    def _truncate(self, file: CachedFile, size: int) -> None:
        file.truncate(size)
        self._writeback.submit(file, flushed=False)

    # -- names ----------------------------------------------------------------------------------

    def unlink(self, path: str) -> None:
        """Remove a file; libfuse's hidden name of an open one vanishes with the last handle."""
        if self._hidden.pop(path, None) is not None:
            return
        node_path = self._node_path(path)
        self._rights.require_removal(self._tree.lookup(node_path))
        self._namespace.unlink(node_path)
        self._told.forget(node_path)

    def rename(self, source: str, destination: str) -> None:
        """rename(2); libfuse's renaming to a hidden name is the unlink of an open file (R9)."""
        source_path = self._node_path(source)
        if uris.name_of(destination).startswith(HIDDEN):
            self._hide(source, source_path, destination)
            return
        destination_path = self._node_path(destination)
        self._rights.require_removal(self._tree.lookup(source_path))
        self._rights.require_entry(destination_path)
        try:
            self._renaming.rename(source_path, destination_path)
        except Exception:
            self._unhide(destination_path)
            raise
        self._told.renamed(source_path, destination_path)

    def _hide(self, path: str, node_path: str, hidden: str) -> None:
        """Unlink a file that libfuse takes for open.

        Raises:
            OperationForbidden: a user chose that name.
        """
        node = self._tree.lookup(node_path)
        self._rights.require_removal(node)
        file = self._table.peek(node_path)
        if file is not None and self._table.in_use(node_path):
            self._namespace.detach(node_path)
            self._hidden[hidden] = file
        elif self._released.recently(node_path) and LIBFUSE_NAME.fullmatch(uris.name_of(hidden)):
            self._namespace.unlink(node_path)  # its release was under way when libfuse looked
        else:
            raise OperationForbidden(f"names that begin with {HIDDEN} are libfuse's")
        self._told.forget(node_path)

    def _unhide(self, node_path: str) -> None:
        """R9: the rename over an open file failed: its name comes back."""
        file = self._table.find_detached(node_path)
        if file is not None:
            self._namespace.attach_again(file)


def _kernel_can_hold(name: str) -> bool:
    """Whether a directory entry may have that name; one that may not must not spoil the rest."""
    try:
        return uris.check_name(name) != ""
    except InvalidName:
        return False
