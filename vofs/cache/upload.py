"""One upload of one file, from "it is due" to "it is proved to be there".

A procedure without threads: `WriteBack` calls it in a worker, with the file's path entered at the
gate, so no rename or unlink of it can happen meanwhile.  It ends in one of the outcomes below and
leaves the file's state, its row and the service in a combination that a kill at any line survives:

1. what an earlier, broken PUT left is settled by looking (R1, R2);
2. a tombstone under this name is executed first (R9);
3. the version on the service is confirmed to be the one that the changes are based on (R11);
4. holes are filled from that version and no other, and what fills them is compared with its MD5
   (R6, R13);
5. a ticket is cut, put_started is committed, the body is sent as it was when cut (R2, R3);
6. only proof makes the file clean, and only for the ticket's generation (R7).
"""

from __future__ import annotations

from contextlib import ExitStack

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.doubt import Doubts, OnStored
from vofs.cache.emptyfile import EmptyFiles
from vofs.cache.fetcher import Fetcher
from vofs.cache.foreign import is_foreign
from vofs.cache.outcome import Outcome, is_final
from vofs.cache.storing import Storing
from vofs.cache.tombstones import Tombstones
from vofs.core.errors import (
    CacheDamaged,
    CacheError,
    CacheFull,
    ContentLost,
    NodeBusy,
    NodeNotFound,
    ProtocolViolation,
    RemoteFailed,
    RemoteTimeout,
    RemoteUnavailable,
    TransferCorrupted,
    UploadConflict,
    UploadFailed,
    VersionChanged,
    VofsError,
)
from vofs.core.filestate import Ticket
from vofs.core.lifecycle import Event, Upload
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.core.spans import Span
from vofs.remote.api import Remote

LOOKS_BEFORE_A_PUT = 3
TURN_S = 0.5  # between two looks whether another large file has been sent (R6)
MOMENT_S = 1.0  # an answer is good for that long at least: with --attr-ttl 0 one look is enough
TRIES_TO_BE_WHOLE = 20  # a writer that keeps making holes may be faster than the downloads


class Uploader:
    """See the module's docstring.

    Args:
        remote: the service.
        fetcher: fills holes.
        tombstones: what must go before something is stored under its name.
        empty: finishes what it began.
        storing: sends a ticket.
        doubts: settles what broke.
        clock: for times.
        confirm_s: how long a confirmation of the service's version is good (--attr-ttl).
        keeps_conflicts: nothing is done about a conflict (--on-conflict fail).
        on_stored: told what arrived: the path, the version there before, the version now.
    """

    def __init__(
        self,
        remote: Remote,
        fetcher: Fetcher,
        tombstones: Tombstones,
        empty: EmptyFiles,
        storing: Storing,
        doubts: Doubts,
        clock: Clock,
        *,
        confirm_s: float,
        keeps_conflicts: bool,
        on_stored: OnStored,
    ) -> None:
        self._remote, self._fetcher, self._tombstones = remote, fetcher, tombstones
        self._empty, self._clock = empty, clock
        self._confirm_s = confirm_s
        self._keeps_conflicts, self._on_stored = keeps_conflicts, on_stored
        self._storing = storing
        self._doubts = doubts

    def upload(self, file: CachedFile) -> Outcome:
        """Send what `file` holds; see the module's docstring.

        Raises nothing that the service does; a failing disk or a defect may raise.
        """
        try:
            if file.upload_state is Upload.IN_DOUBT:
                waiting = self._doubts.settle(file)
                if waiting is not None or not file.is_dirty:
                    return waiting or Outcome()
            if not file.queue():
                return Outcome(contact=False)
            waiting = self._doubts.wait_until_quiet(file.path)
            if waiting is not None:
                return waiting
            with ExitStack() as stack:
                try:
                    stack.enter_context(file.completed())
                except NodeBusy:  # its turn comes: nothing has failed, so nothing is put off
                    return Outcome(waits=True, retry_after_s=TURN_S, contact=False)
                return self._send(file)
        except RemoteUnavailable as exc:
            file.note_failure(exc)
            return Outcome(exc, retry_after_s=exc.retry_after_s)
        except (UploadConflict, VersionChanged, ContentLost) as exc:
            conflict = exc if isinstance(exc, UploadConflict) else UploadConflict(str(exc))
            file.conflicted(conflict, kept=self._keeps_conflicts)
            return Outcome(conflict, final=True)
        except VofsError as exc:
            if not file.is_dirty:
                return Outcome()  # stored, and only its row is behind: a full disk
            # What is in doubt stays so until its fate is known (R1).
            queued = file.upload_state is Upload.QUEUED
            if not queued or not is_final(exc, file.answered_failures + 1):
                file.note_failure(exc)
                return Outcome(exc)
            file.give_up(Event.FAIL, exc)
            return Outcome(exc, final=True)

    def _send(self, file: CachedFile) -> Outcome:
        self._tombstones.bury_from_inside(file.path)
        self._empty.finish(file.path, existed=file.provenance[0] is not None)
        if file.is_uncertain:  # R5: whole first, as long as its base version can be had
            self._fill(file)
            raise UploadConflict(f"{file.path}: its last changes may be lost with the power")
        self._confirm_base(file)
        ticket = self._whole_ticket(file)
        atomic = self._remote.capabilities.atomic_put
        provisional = self._doubts.is_provisional(file.path)
        try:
            file.begin_put(ticket, durable=not atomic, after_broken=provisional)
        except CacheError as exc:  # before anything left: nothing is in doubt
            file.not_stored(Event.RETRY, exc, began=False)
            return Outcome(exc, contact=False)
        try:
            token = self._storing.store(file, ticket)
        except Exception as exc:
            return self._not_stored(file, exc)
        return self._stored(file, ticket, token, provisional=provisional)

    def _not_stored(self, file: CachedFile, failure: Exception) -> Outcome:
        """What an upload that failed leaves: nothing, something to be looked at, or its traces.

        Raises:
            UploadConflict: another node has the name by now.
            Exception: `failure` itself, when it is a defect.
        """
        match failure:
            case RemoteUnavailable(sent=False):
                file.not_stored(Event.RETRY, failure, began=False)
                return Outcome(failure, retry_after_s=failure.retry_after_s)
            case RemoteUnavailable():
                self._doubts.broke(file.path)  # first: the row may not be writable (R1)
                file.not_stored(Event.DOUBT, failure, began=True)
                return Outcome(failure, retry_after_s=failure.retry_after_s)
            case UploadConflict():  # another node appeared where an empty one was to be made
                file.not_stored(Event.RETRY, failure, began=False)
                raise failure
            case UploadFailed():  # our own disk does not give the bytes back
                self._doubts.broke(file.path)
                file.not_stored(Event.FAIL, failure, began=True)
                return Outcome(failure, final=True, contact=False)
            case CacheFull() | CacheDamaged():  # broken off on our side, and broken all the same
                self._doubts.broke(file.path)
                file.not_stored(Event.DOUBT, failure, began=True)
                return Outcome(failure)
            case VofsError():
                return self._refused(file, failure)
            case _:  # a defect, or a library's: the PUT may have begun
                unknown = RemoteUnavailable(repr(failure), sent=True)
                self._doubts.broke(file.path)
                file.not_stored(Event.DOUBT, unknown, began=True)
                raise failure

    def _refused(self, file: CachedFile, failure: VofsError) -> Outcome:
        """The service answered that it did not take the upload, or took something else."""
        final = is_final(failure, file.answered_failures + 1)
        replaced = self._is_other_kind(file.path)
        event = Event.FAIL if final and not replaced else Event.RETRY
        left = failure.stored if isinstance(failure, TransferCorrupted) else None
        began = not self._remote.capabilities.atomic_put or _may_have_arrived(file, failure)
        file.not_stored(event, failure, began=began, left=left)
        if replaced:
            raise UploadConflict(f"{file.path} is no file on the service now") from failure
        return Outcome(failure, final=final)

    def _stored(
        self, file: CachedFile, ticket: Ticket, token: VersionToken, *, provisional: bool
    ) -> Outcome:
        """The service proved to have the ticket, as version `token`."""
        try:
            self._on_stored(file.path, ticket.base, token)  # first: lag is understood from now on
        except Exception as exc:  # it is there, but not noted: a look will recognise it
            file.not_stored(Event.DOUBT, RemoteTimeout(f"{file.path}: {exc}"), began=True)
            raise
        if provisional:
            assert token.md5 is not None  # sent by a PUT, whose bytes were hashed
            file.arrived(token.md5)
            return self._doubts.settle(file) or Outcome()
        file.stored(token)
        return Outcome()

    def _whole_ticket(self, file: CachedFile) -> Ticket:
        for _ in range(TRIES_TO_BE_WHOLE):
            self._fill(file)
            self._confirm_again(file)
            ticket = file.cut_ticket()
            if ticket is not None:
                return ticket
        raise RemoteTimeout(f"{file.path}: its holes change faster than they can be filled")

    def _fill(self, file: CachedFile) -> None:
        """R6: what is missing comes from the base version, proved, or the upload ends here."""
        holes = file.gaps
        self._fetcher.fill(file, inside=True, look=lambda: self._confirm_base(file, anew=True))
        if holes and not self._remote.capabilities.atomic_put:
            self._confirm_filling(file, holes)

    def _confirm_filling(self, file: CachedFile, holes: list[Span]) -> None:
        """R6: what has just been filled came from the base version.

        Where a reply proves its version to the second only (cavern), another version of the same
        length may have slipped in: the node's date says it to the millisecond.
        """
        try:
            self._confirm_base(file, anew=True)
        except VofsError:
            file.take_back(holes)
            raise

    # -- what the service has -------------------------------------------------------------------

    def _look(self, path: str) -> NodeInfo | None:
        try:
            return self._remote.get_node(path)
        except NodeNotFound:
            return None

    def _is_other_kind(self, path: str) -> bool:
        """After a refusal: whether another kind of node has the name by now."""
        try:
            node = self._look(path)
        except VofsError:
            return False
        return node is not None and node.kind is not NodeKind.DATA

    def _confirm_base(self, file: CachedFile, *, anew: bool = False) -> None:
        """R11: the node is still the version that our changes are based on.

        Args:
            file: the file.
            anew: ask, however fresh the last confirmation is.

        Raises:
            UploadConflict: it is another one; ours is kept.
        """
        _, put, confirmed_at = file.provenance
        fresh = self._clock.monotonic() - confirmed_at <= self._confirm_s
        if fresh and put is None and not anew:
            return
        asked_at = self._clock.monotonic()
        node = self._look(file.path)  # gone or never there: it is created (again)
        if node is not None and node.kind is not NodeKind.DATA:
            raise UploadConflict(f"{file.path} is a {node.kind.value} on the service now")
        if node is not None and is_foreign(self._remote, file, node):
            raise UploadConflict(
                f"{file.path} changed on the service since it was read: ours is kept here,"
                " copy it to another name"
            )
        file.confirm(asked_at)

    def _confirm_again(self, file: CachedFile) -> None:
        """R11: the answer, or what was to be filled, may have taken longer than it is good for.

        A service that is always as slow as that is believed after some tries.

        Raises:
            UploadConflict: see `_confirm_base`.
        """
        for _ in range(LOOKS_BEFORE_A_PUT):
            if self._clock.monotonic() - file.provenance[2] <= max(self._confirm_s, MOMENT_S):
                return
            self._confirm_base(file, anew=True)


def _may_have_arrived(file: CachedFile, failure: VofsError) -> bool:
    """Whether the whole body has left, and the answer does not say that nothing was stored."""
    put = file.provenance[1]
    ambiguous = isinstance(failure, RemoteFailed | ProtocolViolation | TransferCorrupted)
    return ambiguous and put is not None and put.md5 is not None
