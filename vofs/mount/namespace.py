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
from vofs.cache.journal import Intent, end_intent
from vofs.cache.putrecord import PutRecord
from vofs.cache.rowchanges import delete_file
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

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.2


class Namespace:
    """mkdir, rmdir, unlink, and the unlink of open files.  Renames are in `renaming`.

    Args:
        parts: what changes of names work with.
        followed: where changes in doubt go.
    """

    def __init__(self, parts: Parts, followed: Followed) -> None:
        self._parts, self._followed = parts, followed

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
        if self._parts.table.unsent_below(path):
            raise ContainerNotEmpty(f"{path} holds files that are not on the service yet")
        for buried in self._parts.tombstones.below(path):
            self._parts.tombstones.bury(buried)
        with self._change(Intent("rmdir", path), self._settle_delete) as intent:
            self._delete(intent)

    # -- files ----------------------------------------------------------------------------------

    def unlink(self, path: str) -> None:
        """unlink(2) of a file that nobody has open: gone on the service when this returns.

        A pending upload is given up only after the deletion is confirmed.

        Raises:
            IsAContainer, NodeNotFound, NodeLocked, RemoteError.
        """
        if self._parts.tree.lookup(path).kind is NodeKind.CONTAINER:
            raise IsAContainer(path)
        with self._change(Intent("unlink", path), self._settle_delete) as standing:
            file = self._parts.table.peek(path)
            if file is not None and file.is_local and file.put is None:
                self._gone_here(standing)
                return
            token = self._known_version(path, file)
            self._delete(self._parts.journal.advance(replace(standing, source_token=token)))

    def _known_version(self, path: str, file: CachedFile | None) -> VersionToken | None:
        """The version that the service is known to hold; None while a PUT is in doubt."""
        if file is None:  # asked now: an upload that was waited for has made another version
            return version_token(self._parts.tree.lookup(path))
        base, put, _ = file.provenance
        return base if put is None else None

    def _delete(self, intent: Intent) -> None:
        """DELETE, looking when the answer is lost, then carry it out here."""
        deadline = self._parts.clock.monotonic() + self._parts.timeout_s
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
                gone = self._until_known(lambda: self._is_gone(intent))
                if not gone and self._parts.clock.monotonic() >= deadline:
                    raise Unsettled(f"the deletion of {intent.source} is not confirmed") from exc
        self._gone_here(intent)

    def _is_gone(self, intent: Intent) -> bool:
        """Whether a deletion happened: 404, or another node or version has the name by now.

        Without a version that was known for sure, only 404 says so.
        """
        try:
            node = self._parts.remote.get_node(intent.source)
        except NodeNotFound:
            return True
        if (node.kind is NodeKind.CONTAINER) != (intent.op == "rmdir"):
            return True
        token = intent.source_token
        return token is not None and not token.same_version(version_token(node))

    def _gone_here(self, intent: Intent) -> None:
        parts, path = self._parts, intent.source
        with parts.table.changing_names(path):
            with parts.index.transaction() as connection:
                delete_file(connection, path)
                end_intent(connection, intent)
            file = parts.table.peek(path)
            if file is not None:
                parts.writeback.forget(file)
            parts.table.forget(path)
            parts.tree.removed(path)

    def _settle_delete(self, intent: Intent) -> None:
        """After a lost answer: 404 or another version is done; the same one is not done."""
        if self._is_gone(intent):
            self._gone_here(intent)
        else:
            self._parts.journal.forget(intent)

    def detach(self, path: str) -> None:
        """The file at `path` is unlinked, or is about to be replaced, while it is open (R9).

        The node goes when nobody needs its bytes any more: a tombstone sees to that.

        Raises:
            NodeBusy: an upload of it did not end within the timeout.
        """
        parts = self._parts
        file = parts.table.peek(path)
        if file is None:
            raise NodeNotFound(path)
        hold = parts.gate.hold((path,), parts.timeout_s)
        try:
            token = file.provenance[0]
            if file.put is not None:  # what a PUT in doubt left there is what is unlinked
                token = self._version_left_by(file.put, path)
            parts.writeback.forget(file)
            with parts.table.changing_names(path):
                parts.table.detached(path)
            parts.tombstones.raised(file, path, token)
            parts.tree.removed(path)
        finally:
            parts.gate.release(hold)

    def _version_left_by(self, put: PutRecord, path: str) -> VersionToken | None:
        """The version at `path` after a PUT that broke; see `Tombstone.token`."""
        if not self._parts.remote.capabilities.atomic_put:
            return VersionToken(put.size, md5_proves=False)
        try:
            return version_token(self._parts.remote.get_node(path))
        except NodeNotFound:
            return None

    def make_room(self, path: str) -> None:
        """A file is about to be made where one was just unlinked: commit that unlink first."""
        self._parts.tombstones.commit(path)

    def begin_replacing(self, path: str) -> None:
        """A rename onto `path` begins: what was hidden there is not deleted meanwhile."""
        self._parts.tombstones.hold_off(path)

    def end_replacing(self, path: str) -> None:
        """The rename has ended, well or not; what still stands there may go."""
        self._parts.tombstones.let_go(path)

    def attach_again(self, file: CachedFile) -> None:
        """The rename over an open file failed: the file has its name, its row and its node back."""
        parts = self._parts
        unlinked = parts.tombstones.find(file.path)
        node_is_there = unlinked is not None and unlinked.file in (None, file)
        parts.table.reattached(file, node_is_there=node_is_there)
        parts.tombstones.given_back(file.path)
        parts.tree.appeared(file.path)
        parts.writeback.submit(file, flushed=False)

    # -- the common shape -----------------------------------------------------------------------

    @contextmanager
    def _change(self, intent: Intent, settle: Callable[[Intent], None]) -> Iterator[Intent]:
        """Hold the paths and journal the intent around one change of the service."""
        hold = self._parts.gate.hold(intent.paths, self._parts.timeout_s)
        followed = False
        try:
            standing = self._parts.journal.begin(intent)
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
                except CacheError:
                    followed = True
                    self._followed.add(standing, hold, settle)
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
