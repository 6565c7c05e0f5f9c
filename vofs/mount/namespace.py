"""Changes of names: synchronous at the service, journalled before, carried out here after (R8).

Every change follows one shape, `_change`: hold the paths, so that nothing is uploaded or fetched
under them; commit the intent; ask the service; carry the result out here in one transaction that
also ends the intent; let the paths go.  When the service's answer is lost, the caller looks.  When
even looking fails within the timeout, the caller gets ETIMEDOUT, the intent keeps standing with its
paths held, and the scheduler goes on looking until it is settled; a restart does the same.

What the service never had is changed here alone, without a request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from vofs.cache.cachedfile import CachedFile
from vofs.cache.emptyfile import RECREATE
from vofs.cache.firstsight import is_ours
from vofs.cache.journal import Intent, end_intent
from vofs.cache.rowchanges import delete_file
from vofs.cache.waiting import never
from vofs.core.attributes import version_token
from vofs.core.errors import (
    CacheError,
    ContainerNotEmpty,
    IsAContainer,
    NodeNotFound,
    NotAContainer,
    RemoteUnavailable,
    VofsError,
)
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.mount.followed import Followed, Parts, Unsettled
from vofs.mount.hiding import Hiding

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.2
LOOK = "look"  # the step of an unlink before its DELETE


class Namespace(Hiding):
    """mkdir, rmdir, unlink.  Unlinks of open files are in `hiding`, renames in `renaming`.

    Args:
        parts: what changes of names work with.
        followed: where changes in doubt go.
    """

    def __init__(self, parts: Parts, followed: Followed) -> None:
        super().__init__(parts)
        self._followed = followed

    # -- containers -----------------------------------------------------------------------------

    def make_container(self, path: str) -> None:
        """mkdir(2).

        Raises:
            NodeExists, ContainerNotFound, NodeLocked, PermissionDenied, RemoteError.
        """
        self._parts.tombstones.bury(path)
        with self._change(Intent("mkdir", path), self._settle_mkdir) as intent:
            try:
                made = self._parts.remote.create_node(NodeInfo(path, NodeKind.CONTAINER))
            except RemoteUnavailable as exc:
                if not exc.sent or not self._until_known(lambda: self._is_container(path)):
                    raise
                self._settle_mkdir(intent)
            else:
                self._parts.tree.added(made, empty=True)
                self._parts.journal.forget(intent)

    def _is_container(self, path: str) -> bool:
        try:
            return self._parts.remote.get_node(path).kind is NodeKind.CONTAINER
        except NodeNotFound:
            return False

    def _settle_mkdir(self, intent: Intent) -> None:
        if self._is_container(intent.source):
            self._parts.tree.added(self._parts.remote.get_node(intent.source))
        self._parts.journal.forget(intent)

    def remove_container(self, path: str) -> None:
        """rmdir(2).

        Raises:
            ContainerNotEmpty, NotAContainer, NodeNotFound, NodeLocked, RemoteError.
        """
        if self._parts.tree.lookup(path).kind is not NodeKind.CONTAINER:
            raise NotAContainer(path)
        self._require_nothing_unsent(path)
        for buried in self._parts.tombstones.below(path):
            self._parts.tombstones.bury(buried)
        with self._change(Intent("rmdir", path), self._settle_delete, ends=True) as intent:
            self._require_nothing_unsent(path)  # from now on nothing is made there
            self._delete(intent)

    def _require_nothing_unsent(self, path: str) -> None:
        if self._parts.table.unsent_below(path):
            raise ContainerNotEmpty(f"{path} holds files that are not on the service yet")

    # -- files ----------------------------------------------------------------------------------

    def unlink(self, path: str) -> None:
        """unlink(2) of a file that nobody has open: gone on the service when this returns.

        A pending upload is given up only after the deletion is confirmed.  A file with unsent
        changes shows its user nothing of what somebody else stored under its name meanwhile; so
        the service is asked first, and what is there by then stays, whatever `--on-conflict` says:
        ours is removed, and the name shows theirs (R11).

        Raises:
            IsAContainer, NodeNotFound, NodeLocked, NodeBusy, RemoteError.
        """
        parts = self._parts
        file = parts.table.peek(path)
        is_ours = file is not None and file.is_dirty
        if not is_ours and parts.tree.lookup(path).kind is NodeKind.CONTAINER:
            raise IsAContainer(path)
        intent = Intent("unlink", path, step=LOOK)
        with self._change(intent, self._settle_delete, durable=False) as standing:
            file = parts.table.peek(path)
            if file is not None and file.is_local and file.put is None:
                self._gone_here(standing)
                return
            if file is not None and file.is_dirty and self._look_at(file)[1]:
                self._gone_here(standing)
                parts.tree.appeared(path)
                log.warning("%s is removed here; what somebody else stored there stays", path)
                return
            token = self._known_version(path, file)
            intent = replace(standing, step="delete", source_token=token)
            self._delete(self._parts.journal.advance(intent))

    def _known_version(self, path: str, file: CachedFile | None) -> VersionToken | None:
        """The version that the service is known to hold; None while that is in doubt."""
        if file is None:  # asked now: an upload that was waited for has made another version
            return self._parts.tree.known_version(path)
        base, put, _ = file.provenance
        return base if put is None and not self._is_hearsay(file) else None

    def _delete(self, intent: Intent) -> None:
        """DELETE, looking when the answer is lost, then carry it out here."""
        clock = self._parts.clock
        deadline = clock.monotonic() + self._parts.timeout_s
        gone = False
        while not gone:
            try:
                self._parts.remote.delete_node(intent.source)
                gone = True
            except NodeNotFound:
                gone = True
            except RemoteUnavailable as exc:
                if not exc.sent:
                    raise
                gone = self._until_known(
                    lambda: self._is_gone(intent, lambda: clock.monotonic() >= deadline)
                )
                if not gone and clock.monotonic() >= deadline:
                    raise Unsettled(f"the deletion of {intent.source} is not confirmed") from exc
        self._gone_here(intent)

    def _is_gone(self, intent: Intent, given_up: Callable[[], bool] = never) -> bool:
        """Whether a deletion happened: 404, or another node or version has the name by now.

        Without a version that was known for sure, only 404 says so.

        Args:
            intent: the deletion.
            given_up: whether finding out takes too long for whoever waits.
        """
        try:
            node = self._parts.remote.get_node(intent.source)
        except NodeNotFound:
            return True
        if (node.kind is NodeKind.CONTAINER) != (intent.op == "rmdir"):
            return True
        token = intent.source_token
        return token is not None and not is_ours(
            self._parts.remote, intent.source, token, version_token(node), given_up=given_up
        )

    def _gone_here(self, intent: Intent) -> None:
        parts, path = self._parts, intent.source
        file = parts.table.peek(path)
        synced = file is not None and file.is_synced  # on the disk as it is: so is its end
        with parts.table.changing_names(path):
            with parts.index.transaction(durable=synced) as connection:
                delete_file(connection, path)
                end_intent(connection, intent)
            file = parts.table.peek(path)
            if file is not None:
                parts.writeback.forget(file)
            parts.table.forget(path)
            parts.tree.removed(path)

    def _settle_delete(self, intent: Intent) -> None:
        """After a lost answer: 404 or another version is done; the same one is not done.

        Nor is what the service was never asked for, whatever it holds: a file that was not sent.
        """
        intent = self._parts.journal.find(intent.number)
        if intent.step != LOOK and self._is_gone(intent):
            self._gone_here(intent)
        else:
            self._parts.journal.forget(intent)

    # -- the common shape -----------------------------------------------------------------------

    @contextmanager
    def _change(
        self,
        intent: Intent,
        settle: Callable[[Intent], None],
        *,
        durable: bool = True,
        ends: bool = False,
    ) -> Iterator[Intent]:
        """Hold the paths and journal the intent around one change of the service.

        With `durable` false the caller brings the intent to the disk before he asks the service;
        with `ends` nothing is made below the paths meanwhile.
        """
        hold = self._parts.gate.hold(intent.paths, self._parts.timeout_s, ends=ends)
        followed = False
        try:
            standing = self._parts.journal.begin(intent, durable=durable)
            try:
                yield standing
            except Unsettled:
                followed = True
                self._followed.add(standing, hold, settle)
                raise
            except CacheError as exc:  # the service may be ahead of the journal: looking helps
                followed = True
                self._followed.add(standing, hold, settle)
                raise Unsettled(
                    f"{intent.op} of {intent.source} could not be noted: {exc}"
                ) from exc
            except VofsError:
                try:
                    self._parts.journal.forget(standing)
                except CacheError:  # refused, that is known: only the journal is still to be told
                    followed = True
                    self._followed.add(standing, hold, self._parts.journal.forget)
                raise
        finally:
            if not followed:
                self._parts.gate.release(hold)

    def _until_known(self, look: Callable[[], bool]) -> bool:
        """Repeat `look` until the service answers it.

        Raises:
            Unsettled: it does not within the timeout.
        """
        deadline = self._parts.clock.monotonic() + self._parts.timeout_s
        while True:
            try:
                return look()
            except VofsError as exc:  # also a refusal: it says nothing of what happened
                if self._parts.clock.monotonic() >= deadline:
                    raise Unsettled(f"the service does not say what happened: {exc}") from exc
                self._parts.clock.sleep(LOOK_AGAIN_S)

    # -- restart --------------------------------------------------------------------------------

    def recover(self, intent: Intent) -> None:
        """Settle an intent that an earlier mount left.

        Raises:
            RemoteUnavailable: the service does not answer; it stands and is looked at again.
        """
        log.warning("%s of %s was interrupted: looking what became of it", intent.op, intent.source)
        match intent.op:
            case "mkdir":
                self._settle_mkdir(intent)
            case "rmdir" | "unlink":
                self._settle_delete(intent)
            case op if op == RECREATE:
                self._parts.empty.settle(intent)
            case op:
                raise AssertionError(f"intent {op}")
