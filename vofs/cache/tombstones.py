"""Deletes nodes that were unlinked while they were open (R9).

The name is gone for the user at once; the node is deleted when nobody needs its bytes any more:
when the last handle closes, shortly after the unlink if every byte is here, or before something
else is stored under its name.  After a restart it is deleted only if the service still holds the
version that was unlinked: whatever came there later is somebody else's.
"""

from __future__ import annotations

import logging

from vofs.cache.clock import Clock
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.gate import PathGate
from vofs.cache.journal import Journal, Tombstone
from vofs.core.attributes import version_token
from vofs.core.errors import NodeBusy, NodeNotFound, RemoteUnavailable, VofsError
from vofs.core.uploadqueue import backoff_s
from vofs.locks import Level, OrderedLock
from vofs.remote.api import Remote

log = logging.getLogger(__name__)

GRACE_S = 0.2  # a rename over an open file arrives as hide, then rename: it consumes the tombstone


class Tombstones:
    """See the module's docstring.

    Args:
        remote: the service.
        journal: where tombstones are kept.
        table: knows the files without a name.
        fetcher: brings what an open handle still lacks before its node goes.
        gate: keeps transfers out of the name meanwhile.
        clock: for times.
        timeout_s: how long to wait for transfers of the name.
    """

    def __init__(
        self,
        remote: Remote,
        journal: Journal,
        table: FileTable,
        fetcher: Fetcher,
        gate: PathGate,
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self._remote, self._journal, self._table = remote, journal, table
        self._fetcher, self._gate, self._clock = fetcher, gate, clock
        self._timeout_s = timeout_s
        self._lock = OrderedLock(Level.LEAF)
        self._standing: dict[str, Tombstone] = {}
        self._due_at: dict[str, float] = {}
        self._attempts: dict[str, int] = {}

    def recover(self) -> None:
        """Load what an earlier mount left; all of it is due."""
        for tombstone in self._journal.tombstones():
            self.raised(tombstone)

    def raised(self, tombstone: Tombstone) -> None:
        """A node was unlinked while open; its tombstone is in the journal."""
        with self._lock:
            self._standing[tombstone.path] = tombstone
            self._due_at[tombstone.path] = self._clock.monotonic() + GRACE_S

    def find(self, path: str) -> Tombstone | None:
        """The tombstone at `path`, or None."""
        with self._lock:
            return self._standing.get(path)

    def consumed(self, path: str) -> None:
        """The tombstone at `path` is no longer needed (already out of the journal)."""
        with self._lock:
            self._standing.pop(path, None)
            self._due_at.pop(path, None)
            self._attempts.pop(path, None)

    def below(self, path: str) -> list[str]:
        """Paths of all tombstones below the container `path`."""
        with self._lock:
            return [name for name in self._standing if name.startswith(f"{path}/")]

    def bury_due(self) -> None:
        """Delete what is due and needed by nobody; called by the scheduler."""
        now = self._clock.monotonic()
        with self._lock:
            due = [path for path, due_at in self._due_at.items() if due_at <= now]
        for path in due:
            file = self._table.find_detached(path)
            if file is not None and file.gaps:
                continue
            try:
                self.bury(path)
            except VofsError as exc:
                self._postpone(path, exc)

    def _postpone(self, path: str, failure: VofsError) -> None:
        with self._lock:
            attempts = self._attempts[path] = self._attempts.get(path, 0) + 1
            self._due_at[path] = self._clock.monotonic() + backoff_s(attempts, None)
        if not isinstance(failure, NodeBusy | RemoteUnavailable) and attempts == 1:
            log.error("%s: unlinked here, but the service refuses to delete it: %s", path, failure)

    def bury(self, path: str) -> None:
        """Delete the node of the tombstone at `path` now; nothing when there is none.

        Raises:
            NodeBusy: transfers of the name did not end.
            RemoteError: the node could not be deleted; the tombstone stands.
        """
        if self.find(path) is None:
            return
        self._rescue(path)
        hold = self._gate.hold((path,), self._timeout_s)
        try:
            self._bury_alone(path)
        finally:
            self._gate.release(hold)

    def bury_from_inside(self, path: str) -> None:
        """The same for an upload to `path`, which is inside the gate and would wait for itself.

        Raises:
            RemoteError: the node could not be deleted; the tombstone stands.
        """
        if self.find(path) is not None:
            self._rescue(path)
            self._bury_alone(path)

    def _rescue(self, path: str) -> None:
        """Bring what an open handle still lacks, as long as the node is there."""
        file = self._table.find_detached(path)
        if file is not None:
            self._fetcher.fill(file)

    def _bury_alone(self, path: str) -> None:
        """Nobody else is at work at `path`; another thread may have been faster."""
        tombstone = self.find(path)
        if tombstone is not None:
            self._delete(tombstone)
            self._journal.drop_tombstone(path)
            self.consumed(path)

    def _delete(self, tombstone: Tombstone) -> None:
        try:
            node = self._remote.get_node(tombstone.path)
            if version_token(node).same_version(tombstone.token):
                self._remote.delete_node(tombstone.path)
            else:
                log.warning("%s was replaced on the service: not deleted", tombstone.path)
        except NodeNotFound:
            return
