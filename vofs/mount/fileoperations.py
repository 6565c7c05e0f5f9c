"""The operations on files: opening, closing, bytes.

Plain Python: paths and handles in, values out, errors of `core.errors`; no errno, no FUSE.  `VOFS`
in operations.py is these and those on names and attributes.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from vofs.cache.cachedfile import CachedFile
from vofs.core import uris
from vofs.core.attributes import mtime_ns_of, version_token
from vofs.core.errors import (
    IsAContainer,
    NodeExists,
    NodeNotFound,
    OperationForbidden,
    RemoteTimeout,
    UploadConflict,
    UploadFailed,
    WrongHandleMode,
)
from vofs.core.lifecycle import Upload
from vofs.core.nodes import NodeKind
from vofs.core.openflags import Access, access_of
from vofs.mount.handles import Handles, OpenHandle, Released
from vofs.mount.machinery import Machinery
from vofs.mount.making import Making

HIDDEN = ".fuse_hidden"


class FileOperations(Making):
    """See the module's docstring.

    Args:
        parts: what the operations work with.
    """

    def __init__(self, parts: Machinery) -> None:
        super().__init__(parts)
        self._released = Released(parts.clock)
        self.handles = Handles()

    def _node_path(self, path: str) -> str:
        return uris.join(self._parts.service.root, path)

    # -- opening and closing --------------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """open(2) of an existing file."""
        access = access_of(flags)
        node_path = self._node_path(path)
        if access.changes_file:
            self._parts.followed.wait_until_settled(node_path)
        file = self._parts.table.acquire_dirty(node_path)
        if file is None:
            file = self._open_clean(node_path, access)
        try:
            if access.changes_file:
                self._parts.rights.require_unlocked_container(node_path)
            self._parts.told.wait_until_forgotten(node_path, file.size)
            return self._opened(file, access)
        except BaseException:
            self._parts.table.release(file)
            raise

    def _open_clean(self, node_path: str, access: Access) -> CachedFile:
        asked = self._parts.table.mark()
        node = self._parts.tree.lookup_version(node_path)
        if node.kind is NodeKind.CONTAINER:
            raise IsAContainer(node_path)
        if access.changes_file:
            self._parts.rights.require_content(node)
        file = self._parts.table.acquire(node_path, version_token(node), mtime_ns_of(node), asked)
        if not file.is_dirty:
            try:
                self._parts.tree.remembered(node_path)
            except NodeNotFound:  # deleted or renamed while this thread waited for its row
                self._parts.table.release(file)
                raise
            file.confirm(self._parts.tree.seen_at(node_path))
        return file

    def _opened(self, file: CachedFile, access: Access) -> int:
        handle = OpenHandle(file, access, self._parts.thread_group())
        if access.truncate:
            self._truncate(file, 0)
            handle.changed = True
        if access.write:
            file.writer_opened()
        return self.handles.add(handle)

    def create(self, path: str, mode: int, flags: int) -> int:
        """open(2) that makes the file."""
        node_path = self._node_path(path)
        if uris.name_of(node_path).startswith(HIDDEN):
            raise OperationForbidden(f"names that begin with {HIDDEN} are libfuse's")
        try:
            file = None
            while file is None:
                file = self._made(node_path, stat.S_IMODE(mode))
        except NodeExists:
            if access_of(flags).exclusive:
                raise
            self._make_again(node_path)
            return self.open(path, flags)
        file.confirm(self._parts.clock.monotonic())
        self._parts.told.forget(node_path)
        handle = self._opened(file, access_of(flags))
        self.handles.file(handle).changed = True
        self._parts.writeback.submit(file, flushed=False)
        return handle

    def mknod(self, path: str, mode: int, device: int) -> None:
        """Only regular files: made, and sent as empty."""
        if not stat.S_ISREG(mode):
            raise OperationForbidden("a VOSpace holds no devices")
        self.release(self.create(path, mode, 0))

    def flush(self, fh: int) -> None:
        """close(2), once for each descriptor: bytes written are sent, the opener waits (R4, R19).

        Raises:
            UploadFailed, UploadConflict: once for each handle; the data is kept and listed (R18).
        """
        handle = self.handles.file(fh)
        if handle.wrote:
            handle.wrote = False
            handle.file.queue()  # an earlier failure is not this flush's
            self._submit_closed(handle.file)
            handle.flushed_generation = handle.file.generation
        self._wait_for_upload(handle)
        self._report(handle)

    def _submit_closed(self, file: CachedFile) -> None:
        """Send what was closed; a new file that may be renamed over another at once rests first.

        An editor's temporary name then never reaches the service.
        """
        rests = file.is_local and self._parts.close_wait_s <= 0
        delay_s = self._parts.save_delay_s if rests else 0.0
        self._parts.writeback.submit(file, flushed=True, delay_s=delay_s)

    def _wait_for_upload(self, handle: OpenHandle) -> None:
        """Wait for what is left of --close-wait, if the process that opened the file asks."""
        remaining = self._parts.close_wait_s - handle.waited_s
        if remaining <= 0 or self._parts.thread_group() != handle.opener:
            return
        began = self._parts.clock.monotonic()
        with suppress(UploadFailed, UploadConflict):  # `_report` tells it, once
            handle.file.wait_stored(
                handle.flushed_generation, remaining, given_up=self._parts.given_up
            )
        handle.waited_s += self._parts.clock.monotonic() - began

    def _report(self, handle: OpenHandle) -> None:
        """A permanent error is told once to each handle that wrote, without new bytes too."""
        if not handle.changed or handle.reported:
            return
        if handle.file.is_given_up:
            handle.reported = True
            failed = UploadFailed if handle.file.upload_state is Upload.FAILED else UploadConflict
            raise failed(handle.file.error)

    def fsync(self, fh: int, datasync: int) -> None:
        """fsync(2): on the local disk when this returns, by `--fsync remote` on the service (R18).

        Raises:
            UploadFailed, UploadConflict: as for `flush`; with `--fsync remote` every time.
            RemoteTimeout: nothing moved for `--timeout`; the upload goes on.
        """
        handle = self.handles.file(fh)
        if not handle.access.write:
            return
        handle.file.sync()
        if self._parts.fsync_remote:
            self._send_now(handle)
        self._report(handle)

    def _send_now(self, handle: OpenHandle) -> None:
        """Upload before all others, and wait until the service has what was written so far."""
        file, generation = handle.file, handle.file.generation
        file.queue()
        self._parts.writeback.submit(file, flushed=True, urgent=True)
        handle.wrote = False
        try:
            stored = file.wait_stored(
                generation, self._parts.timeout_s, moving=True, given_up=self._parts.given_up
            )
        except (UploadFailed, UploadConflict):
            handle.reported = True
            raise
        if not stored:
            raise RemoteTimeout(f"{file.path}: not on the service yet; its upload goes on")

    def release(self, fh: int) -> None:
        """The last descriptor is closed; whatever is dirty is queued (mmap stores come late)."""
        handle = self.handles.remove(fh)
        assert isinstance(handle, OpenHandle)
        file = handle.file
        if handle.access.write and file.writer_closed() == 0:
            self._submit_closed(file)
        self._released.noted(file.path)
        self._parts.table.release(file)

    # -- bytes ----------------------------------------------------------------------------------

    def read(self, fh: int, size: int, offset: int) -> bytes:
        """Every byte up to the end of the file, or an error; never less (R14)."""
        handle = self.handles.readable(fh)
        if handle.reader.content is None:
            self._parts.siblings.reads(handle.file)
        return self._parts.fetcher.read(handle.file, offset, size, handle.reader)

    def write(self, fh: int, data: bytes, offset: int) -> int:
        """Kept on this machine when this returns; survives a killed daemon (R18).

        Raises:
            QuotaExceeded: the service has no room for it; nothing was accepted.
            CacheFull: this machine has none.
        """
        handle = self.handles.writable(fh)
        start = handle.file.size if handle.access.append else offset
        self._parts.quota.require(handle.file, start + len(data))
        written = handle.file.write(offset, data, append=handle.access.append)
        handle.wrote = handle.changed = True
        self._parts.told.changed(handle.file.path, handle.file.size)
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
        handle_number = self.open(path, os.O_WRONLY)
        try:
            self._truncate(self.handles.file(handle_number).file, size)
        finally:
            self.release(handle_number)
