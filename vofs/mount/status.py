"""What the mount says of itself: the value behind `vofs status`, as plain data for JSON."""

from __future__ import annotations

import os
from typing import Any

from vofs.cache.cachedfile import CachedFile
from vofs.cache.disk import set_aside_in
from vofs.cache.filetable import FileTable
from vofs.cache.tombstones import Tombstones
from vofs.cache.writeback import WriteBack
from vofs.core import uris
from vofs.mount.options import MountOptions
from vofs.mount.properties import state_word
from vofs.remote.api import Remote


class Status:
    """See the module's docstring.

    Args:
        options: the mount's settings.
        remote: the service.
        table: the cached files.
        writeback: the uploads.
        tombstones: what is still to be deleted.
        credential: one phrase about the credential, without its secret.
    """

    def __init__(
        self,
        options: MountOptions,
        remote: Remote,
        table: FileTable,
        writeback: WriteBack,
        tombstones: Tombstones,
        credential: str,
    ) -> None:
        self._options, self._remote, self._table = options, remote, table
        self._writeback, self._tombstones = writeback, tombstones
        self._credential = credential

    def of(self, path: str) -> dict[str, Any]:
        """The mount, and the uploads at and below the node path `path`."""
        options = self._options
        uploads = [self._upload(file) for file in self._table.unsent_below(path)]
        uploads += [
            {"path": self._shown(row.path), "size": row.size, "state": "failed", "attempts": 0,
             "permanent": True, "retry_in_s": None,
             "error": f"its cached data cannot be read (vofs cache recover): {row.reason}"}
            for row in self._table.damaged() if uris.is_below(row.path, path)
        ]  # fmt: skip
        return {
            "mount": str(options.mount_point),
            "service": uris.node_uri(options.service, options.service.root),
            "identity": self._remote.capabilities.identity,
            "credential": self._credential,
            "read_only": options.read_only,
            "pid": os.getpid(),
            "cache": {
                "directory": str(options.cache_dir),
                "used_bytes": self._table.used_bytes(),
                "limit_bytes": options.cache_limit_bytes,
                "set_aside": [str(kept) for kept in set_aside_in(options.cache_dir)],
            },
            "to_be_deleted": len(self._tombstones.below("/")),
            "uploads": uploads,
        }

    def _upload(self, file: CachedFile) -> dict[str, Any]:
        state = state_word(file)
        return {
            "path": self._shown(file.path),
            "size": file.size,
            "state": "conflict (partial)" if state == "conflict" and file.gaps else state,
            "permanent": file.is_given_up,
            "attempts": file.attempts,
            "error": file.error,
            "retry_in_s": self._writeback.retry_due_s(file),
        }

    def _shown(self, node_path: str) -> str:
        """The path below the mount point."""
        root = self._options.service.root
        if not uris.is_below(node_path, root):
            return uris.node_uri(self._options.service, node_path)  # of another mount of the cache
        return uris.replace_prefix(node_path, root, "/") if root != "/" else node_path
