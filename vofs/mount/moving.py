"""The moves of a rename on the service, which never overwrites, and what a restart makes of them.

A rename there is a move job, whose URL is journalled before it is run.  Over an existing node it
takes three steps, each journalled, so that a kill between any two loses neither (R10):

    aside    dst -> .NAME.vofs-aside-ID
    move     src -> dst
    delete   the aside is deleted, or becomes a tombstone while an open handle lacks its bytes

Another mount may miss dst between the first two (docs/semantics.md).  The service nests a move into
an existing container; so the job's destination is compared, and a nested node is moved back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from vofs.cache.gate import Hold
from vofs.cache.journal import Intent, Tombstone, add_tombstone, advance_intent, end_intent
from vofs.cache.putrecord import PutFate
from vofs.cache.rowchanges import delete_file, rename_files
from vofs.core import uris
from vofs.core.attributes import version_token
from vofs.core.errnos import error_from_fault
from vofs.core.errors import (
    CacheError,
    ContainerNotEmpty,
    IsAContainer,
    NodeBusy,
    NodeNotFound,
    RemoteUnavailable,
    VofsError,
)
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.mount.followed import Followed, Parts, Unsettled
from vofs.mount.namespace import LOOK_AGAIN_S
from vofs.remote.api import MovePhase, MoveStatus

log = logging.getLogger(__name__)

NAME_MAX = 255


def aside_of(path: str, unique: str) -> str:
    """Where the node at `path` waits while another takes its place (R10)."""
    suffix = f".vofs-aside-{unique}"
    room = NAME_MAX - 1 - len(suffix)
    name = uris.name_of(path).encode()[:room].decode(errors="ignore")
    return uris.child_path(uris.parent_of(path), f".{name}{suffix}")


class Moving:
    """See the module's docstring.

    Args:
        parts: what changes of names work with.
        followed: where changes in doubt go.
        unique: makes a part of a name that nobody else uses.
    """

    def __init__(self, parts: Parts, followed: Followed, unique: Callable[[], str]) -> None:
        self._parts, self._followed, self._unique = parts, followed, unique

    def _rename_there(
        self, moved: NodeInfo, destination: str, replaced: NodeInfo | None, hold: Hold
    ) -> None:
        """The moves on the service.

        Raises:
            Unsettled: their end is not known; the intent is followed, and keeps `hold`.
        """
        parts = self._parts
        local = parts.table.peek(destination)
        here_alone = local is not None and local.is_local and local.put is None
        if here_alone and parts.tombstones.find(destination) is None:
            replaced = None  # nothing has to make room on the service
        intent = Intent(
            "rename", moved.path, destination, step="move",
            source_token=version_token(moved),
            destination_token=_version(replaced),
        )  # fmt: skip
        if replaced is not None:
            aside = aside_of(destination, self._unique())
            intent = replace(intent, step="aside", aside=aside)
        intent = parts.journal.begin(intent, durable=False)  # before its first job runs
        try:
            self._go_on(intent)
        except Unsettled:
            self._followed.add(parts.journal.find(intent.number), hold, self.recover)
            raise
        except NodeNotFound as exc:
            for file in map(parts.table.peek, (moved.path, destination)):
                if file is not None and file.put and file.put.fate is not PutFate.OVER:
                    raise NodeBusy(
                        f"{file.path}: whether its upload has arrived is not known yet; try again"
                    ) from exc
            raise

    def _go_on(self, intent: Intent) -> None:
        """Take all steps from the intent's own on; undo what was done when one is refused.

        Raises:
            Unsettled: the last step's end, or the undoing's, is not known.
            VofsError: refused; everything is as it was.
        """
        try:
            if intent.step == "aside":
                self._move(intent, intent.destination, intent.aside)
                if intent.destination_token is None and self._has_children(intent.aside):
                    raise ContainerNotEmpty(intent.destination)
                intent = self._made_room(intent)
            self._move(intent, intent.source, intent.destination)
            self._carry_out(intent)
        except Unsettled:
            raise
        except CacheError as exc:  # the service may be ahead of the journal: only looking helps
            raise Unsettled(f"the rename of {intent.source} could not be noted: {exc}") from exc
        except VofsError:
            try:
                self._undo(intent)
            except VofsError as exc:
                raise Unsettled(f"the rename of {intent.source} is half done: {exc}") from exc
            raise

    def _made_room(self, intent: Intent) -> Intent:
        """The destination is moved aside, with what is remembered of it; the second step is due."""
        parts = self._parts
        intent = replace(intent, step="move", job_url="")
        with parts.index.transaction() as connection:
            advance_intent(connection, intent)
            parts.own.write_moved(connection, intent.destination, intent.aside)
        parts.own.moved(intent.destination, intent.aside)
        return intent

    def _undo(self, intent: Intent) -> None:
        """The move was refused: what was moved aside comes back, and the intent is forgotten.

        Decided by looking, because a refusal may have met a step that was done.
        """
        parts = self._parts
        waits = bool(intent.aside) and self._exists(intent.aside)
        if waits and not self._exists(intent.destination):
            self._move(intent, intent.aside, intent.destination)
            waits = False
        parts.tree.invalidate(intent.source)
        parts.tree.invalidate(intent.destination)
        came_back = intent.step == "move" and intent.aside != "" and not waits
        with parts.index.transaction() as connection:
            end_intent(connection, intent)
            if came_back:
                parts.own.write_moved(connection, intent.aside, intent.destination)
        if came_back:
            parts.own.moved(intent.aside, intent.destination)
        parts.own.settled(intent.source, intent.destination, intent.aside)

    def _move(self, intent: Intent, source: str, destination: str) -> None:
        """One move job, to its end.

        Raises:
            IsAContainer: the destination had become a container; the node was moved back.
            Unsettled: its end is not known within the timeout.
            VofsError: the service refused it.
        """
        parts = self._parts
        parts.own.moving(source, destination)
        job_url = parts.remote.create_move(source, destination)
        parts.journal.advance(replace(intent, job_url=job_url))
        status = self._run(job_url, source)
        if status.phase is MovePhase.FAILED:
            raise error_from_fault(status.error)
        if status.phase is not MovePhase.COMPLETED:
            raise Unsettled(f"the move of {source} to {destination}: its job is {status.phase}")
        if status.destination not in (None, destination):
            assert status.destination is not None
            self._move(intent, status.destination, source)
            raise IsAContainer(f"{destination} had become a container on the service")

    def _run(self, job_url: str, source: str) -> MoveStatus:
        """Run a job and follow it to its end, or for the timeout."""
        parts = self._parts
        deadline = parts.clock.monotonic() + parts.timeout_s
        try:
            status = parts.remote.run_move(job_url, parts.timeout_s)
        except RemoteUnavailable as exc:
            if not exc.sent:
                raise
            status = MoveStatus(MovePhase.ACTIVE)
        while status.phase in (MovePhase.ACTIVE, MovePhase.PENDING):
            if parts.clock.monotonic() >= deadline:
                break
            parts.clock.sleep(LOOK_AGAIN_S)
            try:
                status = parts.remote.move_status(job_url)
            except VofsError as exc:  # also a refusal: it says nothing of the job
                log.info("move of %s: %s", source, exc)
        return status

    def _carry_out(self, intent: Intent) -> None:
        """The service has moved: tree, files and intent follow in one transaction."""
        parts = self._parts
        source, destination = intent.source, intent.destination
        replaced = parts.table.find_detached(destination)
        waiting = None  # a replaced node whose bytes an open handle still lacks (R9)
        if intent.aside and intent.destination_token and any(file.gaps for file in replaced):
            waiting = Tombstone(intent.aside, intent.destination_token)
        with parts.table.changing_names(source, destination):
            with parts.index.transaction() as connection:
                delete_file(connection, destination)
                rename_files(connection, source, destination)
                parts.own.write_moved(connection, source, destination, intent.destination_token)
                connection.execute("DELETE FROM tombstone WHERE path=?", (destination,))
                if waiting is not None:
                    add_tombstone(connection, waiting)
                if not intent.aside or waiting is not None:
                    end_intent(connection, intent)
                else:  # with the names: carried out once more it would drop what they now mean
                    intent = replace(intent, step="delete")
                    advance_intent(connection, intent)
            parts.tombstones.consumed(destination)
            parts.table.renamed(source, destination)
            parts.own.moved(source, destination, intent.destination_token)
            parts.tree.moved(source, destination)
        if waiting is not None:
            parts.table.moved_aside(destination, intent.aside)
            parts.tombstones.placed(waiting)
        elif intent.aside:
            self._delete_aside(intent)

    def _delete_aside(self, intent: Intent) -> None:
        """The last step; when it fails the intent stands and is followed."""
        parts = self._parts
        try:
            self._delete_quietly(intent.aside)
        except VofsError as exc:
            log.warning("%s stays on the service for now: %s", intent.aside, exc)
            self._followed.add(intent, None, self.recover)
            return
        parts.journal.forget(intent)

    # -- restart --------------------------------------------------------------------------------

    def recover(self, intent: Intent) -> None:
        """Settle a rename whose end is not known, by looking.

        Raises:
            RemoteUnavailable: the service does not answer; the intent stands.
        """
        parts = self._parts
        if intent.step == "delete":
            self._delete_quietly(intent.aside)
            parts.journal.forget(intent)
            return
        way = (intent.source, intent.destination)
        parts.own.moving(*(way if intent.step == "move" else (intent.destination, intent.aside)))
        status = MoveStatus(MovePhase.UNKNOWN)
        if intent.job_url:
            status = parts.remote.move_status(intent.job_url)
        if status.phase is MovePhase.ACTIVE:
            raise RemoteUnavailable(f"the move of {intent.source} is still running", sent=True)
        done = status.phase is MovePhase.COMPLETED and intent.step == "move"
        # Its own source: that was the job which moved a nested node back, and it has done so.
        if done and status.destination not in (None, intent.destination, intent.source):
            assert status.destination is not None
            self._move(intent, status.destination, intent.source)
        if intent.step == "move" and self._has_moved(intent):
            self._carry_out(intent)
        else:
            self._undo(intent)

    def _has_moved(self, intent: Intent) -> bool:
        """Whether the second step is done: the source is gone and the destination is there."""
        return not self._exists(intent.source) and self._exists(intent.destination)

    def _has_children(self, container: str) -> bool:
        return next(iter(self._parts.remote.list_children(container)), None) is not None

    def _exists(self, path: str) -> bool:
        try:
            self._parts.remote.get_node(path)
        except NodeNotFound:
            return False
        return True

    def _delete_quietly(self, path: str) -> None:
        with suppress(NodeNotFound):
            self._parts.remote.delete_node(path)
        self._parts.tree.removed(path)


def _version(node: NodeInfo | None) -> VersionToken | None:
    """The version of a data node that is replaced; a container has none."""
    return None if node is None or node.kind is NodeKind.CONTAINER else version_token(node)
