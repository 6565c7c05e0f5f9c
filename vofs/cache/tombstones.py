"""Deletes nodes that were unlinked while they were open (R9).

The name is gone for the user at once; the node is deleted when nobody needs its bytes any more:
when the last handle closes, shortly after the unlink if every byte is here, or before something
else is stored under its name.  After a restart it is deleted only if the service still holds the
version that was unlinked: whatever came there later is somebody else's.

A rename over an open file arrives as the same hide, followed at once by the rename.  So for a
moment, `GRACE_S`, nothing is committed: the row stays, and a crash undoes an unlink, which loses
nothing, instead of deleting a file that was only about to be replaced.  Until that is decided the
file is kept in use from here, because its data must not go before its row.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.firstsight import is_ours
from vofs.cache.gate import PathGate
from vofs.cache.index import Index
from vofs.cache.journal import Journal, Tombstone, add_tombstone
from vofs.cache.rowchanges import delete_number
from vofs.core.attributes import version_token
from vofs.core.errors import NodeBusy, NodeNotFound, RemoteUnavailable, VofsError
from vofs.core.nodes import VersionToken
from vofs.core.uploadqueue import backoff_s
from vofs.locks import Level, OrderedLock
from vofs.remote.api import Remote

log = logging.getLogger(__name__)

GRACE_S = 0.2
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Unlinked:
    """One name that is gone here.

    Attributes:
        path: the name.
        token: the version that the service had then; None: it never had the file.
        file: the open file, as long as its row is there; None when that is gone.
        committed: it is in the journal, and the file's row is gone.
        due_at: when the node may go, monotonic seconds.
        attempts: how often the service refused to delete it.
        older: what stood at the name before, when that was unlinked, made again and unlinked
            again: its node is still to go.
    """

    path: str
    token: VersionToken | None
    file: CachedFile | None
    committed: bool
    due_at: float
    attempts: int = 0
    older: Unlinked | None = None


class Tombstones:
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
        self._on_buried = on_buried
        self._remote, self._journal, self._index, self._table = remote, journal, index, table
        self._fetcher, self._gate, self._clock = fetcher, gate, clock
        self._timeout_s = timeout_s
        self._lock = OrderedLock(Level.LEAF)
        self._unlinked: dict[str, Unlinked] = {}

    def recover(self) -> None:
        """Load what an earlier mount left; all of it is due."""
        for tombstone in self._journal.tombstones():
            self.placed(tombstone)

    def placed(self, tombstone: Tombstone) -> None:
        """A tombstone is in the journal: its node goes when it is due."""
        entry = Unlinked(tombstone.path, tombstone.token, None, True, self._clock.monotonic())
        with self._lock:
            self._unlinked[tombstone.path] = entry

    def raised(self, file: CachedFile, path: str, token: VersionToken | None) -> None:
        """The open file `file` was unlinked; nothing is committed yet."""
        due_at = self._clock.monotonic() + GRACE_S
        self._table.share(file)
        with self._lock:
            older = self._unlinked.get(path)
            self._unlinked[path] = Unlinked(path, token, file, False, due_at, older=older)

    def find(self, path: str) -> Unlinked | None:
        """What stands at `path`, or None."""
        with self._lock:
            return self._unlinked.get(path)

    def consumed(self, path: str) -> None:
        """What stood at `path` is needed no longer (already out of the journal)."""
        with self._lock:
            entry = self._unlinked.pop(path, None)
        self._release(entry)

    def given_back(self, path: str) -> None:
        """The file that was unlinked last has its name back."""
        with self._lock:
            entry = self._unlinked.pop(path, None)
            if entry is not None and entry.older is not None:
                self._unlinked[path] = entry.older
        self._release(entry)

    def _release(self, entry: Unlinked | None) -> None:
        if entry and entry.file:
            self._table.release(entry.file)

    def hold_off(self, path: str) -> None:
        """A rename onto `path` begins: it will consume what stands there, or give the name back."""
        self._change(path, due_at=NEVER)

    def let_go(self, path: str) -> None:
        """The rename did neither: the node goes after all."""
        self._change(path, due_at=self._clock.monotonic())

    def _change(self, path: str, **fields: float) -> None:
        with self._lock:
            entry = self._unlinked.get(path)
            if entry is not None:
                self._unlinked[path] = replace(entry, **fields)  # type: ignore[arg-type]

    def below(self, path: str) -> list[str]:
        """Paths of all tombstones below the container `path`."""
        prefix = path.rstrip("/") + "/"
        with self._lock:
            return [name for name in self._unlinked if name.startswith(prefix)]

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
        if entry.token is not None:
            add_tombstone(connection, Tombstone(path, entry.token))
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
            if entry.token is not None:
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
        if entry is None or entry.token is None:
            return
        if given_up or entry.due_at != NEVER:
            self._delete(path, entry.token)
            self._journal.drop_tombstone(path)
            self._on_buried(path)
            self.consumed(path)

    def _delete(self, path: str, token: VersionToken) -> None:
        try:
            found = version_token(self._remote.get_node(path))
            torn = token == VersionToken(token.length, md5_proves=False)
            is_torn = torn and found.length <= token.length
            if is_torn or is_ours(self._remote, path, token, found):
                self._remote.delete_node(path)
            else:
                log.warning("%s was replaced on the service: not deleted", path)
        except NodeNotFound:
            return
