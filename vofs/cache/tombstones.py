"""Deletes nodes that were unlinked while they were open (R9).

The name is gone for the user at once; the node is deleted when nobody needs its bytes any more:
when the last handle closes, shortly after the unlink if every byte is here, or before something
else is stored under its name.  After a restart it is deleted only if the service still holds the
version that was unlinked: whatever came there later is somebody else's.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from vofs.cache.clock import Clock
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.firstsight import is_ours
from vofs.cache.gate import PathGate
from vofs.cache.index import Index
from vofs.cache.journal import Journal, Tombstone, add_tombstone
from vofs.cache.rowchanges import delete_number
from vofs.cache.unlinked import NEVER, Unlinked, UnlinkedNames
from vofs.core.attributes import version_token
from vofs.core.errors import CacheError, NodeBusy, NodeNotFound, RemoteUnavailable, VofsError
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.core.uploadqueue import backoff_s
from vofs.remote.api import Remote

log = logging.getLogger(__name__)


class Tombstones(UnlinkedNames):
    """See the module's docstring.

    Args:
        remote: the service.
        journal: where tombstones are kept.
        index: where the rows of unlinked files still are.
        table: knows the files without a name.
        fetcher: brings what an open handle still lacks before its node goes.
        gate: keeps transfers out of the name meanwhile.
        clock: for times.
        timeout_s: how long to wait for transfers of the name.
        on_buried: told the path of a node that is gone.
    """

    def __init__(
        self,
        remote: Remote,
        journal: Journal,
        index: Index,
        table: FileTable,
        fetcher: Fetcher,
        gate: PathGate,
        clock: Clock,
        timeout_s: float,
        on_buried: Callable[[str], None],
    ) -> None:
        super().__init__(table, clock)
        self._on_buried = on_buried
        self._remote, self._journal, self._index = remote, journal, index
        self._fetcher, self._gate, self._timeout_s = fetcher, gate, timeout_s

    def recover(self) -> None:
        """Load what an earlier mount left; all of it is due."""
        for tombstone in self._journal.tombstones():
            self.placed(tombstone)

    # -- the end of a node ----------------------------------------------------------------------

    def bury_due(self) -> None:
        """Delete what is due and needed by nobody; called by the scheduler."""
        now = self._clock.monotonic()
        with self._lock:
            due = [entry.path for entry in self._unlinked.values() if entry.due_at <= now]
        for path in due:
            try:
                self.commit(path)
                if not any(file.gaps for file in self._table.find_detached(path)):
                    self.bury(path)
            except VofsError as exc:
                self._postpone(path, exc)

    def _postpone(self, path: str, failure: VofsError) -> None:
        entry = self.find(path)
        if entry is None:
            return
        attempts = entry.attempts + 1
        self._change(
            path, due_at=self._clock.monotonic() + backoff_s(attempts, None), attempts=attempts
        )
        if not isinstance(failure, NodeBusy | RemoteUnavailable) and attempts == 1:
            log.error("%s: unlinked here, but the service refuses to delete it: %s", path, failure)

    def commit(self, path: str) -> None:
        """Make the unlink at `path` durable: its row goes, its tombstone comes, in one step.

        On the disk, because the node is deleted next.
        """
        if self.is_uncommitted(path):
            with self._index.transaction(durable=True) as connection:
                written = self.write(connection, path)
            self.written(written)

    def is_uncommitted(self, path: str) -> bool:
        """Whether something was unlinked at `path` that only memory knows of."""
        entry = self.find(path)
        return entry is not None and not entry.committed

    def write(self, connection: sqlite3.Connection, path: str) -> Unlinked | None:
        """Within a transaction: what `commit` does; when it has ended well, call `written`."""
        entry = self.find(path)
        if entry is None or entry.committed:
            return None
        if entry.file is not None:
            delete_number(connection, entry.file.number)
        if entry.tombstone is not None:
            add_tombstone(connection, entry.tombstone)
        return entry

    def written(self, entry: Unlinked | None) -> None:
        """The transaction of `write`, which returned `entry`, has ended well."""
        if entry is None:
            return
        path = entry.path
        with self._lock:
            now = self._unlinked.get(path)
            if now is None or now.committed or now.file is not entry.file:
                return
            if entry.tombstone is not None:
                self._unlinked[path] = replace(now, committed=True, file=None)
            elif entry.older is not None:
                self._unlinked[path] = entry.older
            else:
                del self._unlinked[path]
        self._release(entry)

    def commit_all(self) -> None:
        """The mount goes away: make all unlinks durable."""
        for path in self.below("/"):
            self.commit(path)

    def bury(self, path: str) -> None:
        """Delete the node of the tombstone at `path` now; nothing when there is none.

        Raises:
            NodeBusy: transfers of the name did not end.
            RemoteError: the node could not be deleted; the tombstone stands.
        """
        if self.find(path) is None:
            return
        self.commit(path)
        self._rescue(path, inside=False)
        hold = self._gate.hold((path,), self._timeout_s)
        try:
            self._bury_alone(path, given_up=False)
        finally:
            self._gate.release(hold)

    def bury_from_inside(self, path: str) -> None:
        """The same for whoever is inside the gate at `path` and would wait for himself.

        Raises:
            RemoteError: the node could not be deleted; the tombstone stands.
        """
        if self.find(path) is not None:
            self.commit(path)
            self._rescue(path, inside=True)
            self._bury_alone(path, given_up=True)

    def _rescue(self, path: str, *, inside: bool) -> None:
        """Bring what open handles still lack, as long as the node is there."""
        files = self._table.use_detached(path)
        try:
            for file in files:
                self._fetcher.fill(file, inside=inside)
        finally:
            for file in files:
                self._table.release(file)

    def _bury_alone(self, path: str, *, given_up: bool) -> None:
        """Nobody else is at work at `path`; another thread may have been faster.

        Args:
            path: the name.
            given_up: another file has the name by now.  Otherwise a rename onto it may have begun
                meanwhile, and failed, and is about to give it back: then the node must stay.
        """
        entry = self.find(path)
        if entry is None or entry.tombstone is None:
            return
        if given_up or entry.due_at != NEVER:
            self._keep_successor(path)
            self._delete(entry.tombstone)
            self._journal.drop_tombstone(path)
            self._on_buried(path)
            self.consumed(path)

    def _keep_successor(self, path: str) -> None:
        """R9: what has the name now is on the disk before the node goes, or both could be lost.

        A disk that does not take it takes nothing: then it is sent all the sooner.
        """
        successor = self._table.peek(path)
        if successor is not None and successor.is_dirty and not successor.is_synced:
            with suppress(CacheError):
                successor.sync()

    def _delete(self, tombstone: Tombstone) -> None:
        path = tombstone.path
        try:
            if self._is_what_was_unlinked(tombstone, self._remote.get_node(path)):
                self._remote.delete_node(path)
            else:
                log.warning("%s was replaced on the service: not deleted", path)
        except NodeNotFound:
            return

    def _is_what_was_unlinked(self, tombstone: Tombstone, node: NodeInfo) -> bool:
        """Whether `node` is the version from before, or what a PUT of ours left of it."""
        found, token, torn_size = version_token(node), tombstone.token, tombstone.torn_size
        if node.kind is not NodeKind.DATA:
            return False
        if found.md5 is not None and (found.length, found.md5) in tombstone.whole:
            return True
        if torn_size is not None and found.length <= torn_size:
            # As long as the whole, and with an MD5 of its own, it was stored by somebody else.
            is_whole = found.length == torn_size > 0
            return not is_whole or found.md5 in (None, token.md5)
        return is_ours(self._remote, tombstone.path, token, found)
