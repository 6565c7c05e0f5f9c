"""One upload of one file, from "it is due" to "it is proved to be there".

A procedure without threads: `WriteBack` calls it in a worker, with the file's path entered at the
gate, so no rename or unlink of it can happen meanwhile.  It ends in one of the outcomes below and
leaves the file's state, its row and the service in a combination that a kill at any line survives:

1. what an earlier, broken PUT left is settled by looking (R1, R2);
2. a tombstone under this name is executed first (R9);
3. the version on the service is confirmed to be the one that the changes are based on (R11);
4. holes are filled from that version and no other (R6);
5. a ticket is cut, put_started is committed, the body is sent as it was when cut (R2, R3);
6. only proof makes the file clean, and only for the ticket's generation (R7).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.emptyfile import EmptyFiles
from vofs.cache.fetcher import Fetcher
from vofs.cache.tombstones import Tombstones
from vofs.core.attributes import version_token
from vofs.core.errors import (
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
    VersionChanged,
    VofsError,
)
from vofs.core.filestate import Ticket
from vofs.core.lifecycle import Event, Upload
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.remote.api import PutReceipt, Remote

log = logging.getLogger(__name__)

ATTEMPTS_OF_A_FAILING_SERVICE = 3
TRIES_TO_BE_WHOLE = 20  # a writer that keeps making holes may be faster than the downloads


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an upload ended.

    Attributes:
        failure: None when nothing is left to send of what was there; else why not.
        retry_after_s: the earliest repetition; None: by backoff.
        final: repeating it by itself makes no sense.
        waits: nothing failed, it is too early; no try is counted.
    """

    failure: VofsError | None = None
    retry_after_s: float | None = None
    final: bool = False
    waits: bool = False


class Uploader:
    """See the module's docstring.

    Args:
        remote: the service.
        fetcher: fills holes.
        tombstones: what must go before something is stored under its name.
        empty: stores files without bytes.
        clock: for times.
        confirm_s: how long a confirmation of the service's version is good (--attr-ttl).
        settle_s: how long a broken PUT must have left no trace (R1).
        keeps_conflicts: nothing is done about a conflict (--on-conflict fail).
        on_stored: told the path of a file that arrived.
    """

    def __init__(
        self,
        remote: Remote,
        fetcher: Fetcher,
        tombstones: Tombstones,
        empty: EmptyFiles,
        clock: Clock,
        *,
        confirm_s: float,
        settle_s: float,
        keeps_conflicts: bool,
        on_stored: Callable[[str], None],
    ) -> None:
        self._remote, self._fetcher, self._tombstones = remote, fetcher, tombstones
        self._empty, self._clock = empty, clock
        self._confirm_s, self._settle_s = confirm_s, settle_s
        self._keeps_conflicts, self._on_stored = keeps_conflicts, on_stored
        self._seen_in_doubt: dict[int, tuple[VersionToken | None, float]] = {}

    def upload(self, file: CachedFile) -> Outcome:
        """Send what `file` holds; see the module's docstring.

        Raises nothing that the service does; a failing disk or a defect may raise.
        """
        try:
            if file.upload_state is Upload.IN_DOUBT:
                waiting = self._settle_doubt(file)
                if waiting is not None or not file.is_dirty:
                    return waiting or self._arrived(file)
            if not file.queue():
                return Outcome()
            return self._send(file)
        except RemoteUnavailable as exc:
            file.note_failure(exc)
            return Outcome(exc, retry_after_s=exc.retry_after_s)
        except (UploadConflict, VersionChanged, ContentLost) as exc:
            conflict = exc if isinstance(exc, UploadConflict) else UploadConflict(str(exc))
            file.conflicted(conflict, kept=self._keeps_conflicts)
            return Outcome(conflict, final=True)
        except VofsError as exc:
            if not is_final(exc, file.answered_failures + 1):
                file.note_failure(exc)
                return Outcome(exc)
            file.give_up(Event.FAIL, exc)
            return Outcome(exc, final=True)

    def _arrived(self, file: CachedFile) -> Outcome:
        self._on_stored(file.path)
        return Outcome()

    def _send(self, file: CachedFile) -> Outcome:
        self._tombstones.bury_from_inside(file.path)
        self._empty.finish(file.path)
        if file.is_uncertain:  # R5: whole first, as long as its base version can be had
            self._fetcher.fill(file, inside=True)
            raise UploadConflict(f"{file.path}: its last changes may be lost with the power")
        self._confirm_base(file)
        ticket = self._whole_ticket(file)
        atomic = self._remote.capabilities.atomic_put
        broke_before = file.provenance[1] is not None
        try:
            file.begin_put(ticket, durable=not atomic)
            token = self._store(file, ticket, distrust_reply=broke_before and not atomic)
        except RemoteUnavailable as exc:
            event = Event.DOUBT if exc.sent else Event.RETRY
            file.not_stored(event, exc, began=exc.sent)
            return Outcome(exc, retry_after_s=exc.retry_after_s)
        except UploadConflict as exc:  # another node appeared where an empty one was to be made
            file.not_stored(Event.RETRY, exc, began=False)
            raise
        except VofsError as exc:
            final = is_final(exc, file.answered_failures + 1)
            replaced = self._is_other_kind(file.path)
            event = Event.FAIL if final and not replaced else Event.RETRY
            file.not_stored(event, exc, began=not atomic)
            if replaced:
                raise UploadConflict(f"{file.path} is no file on the service now") from exc
            return Outcome(exc, final=final)
        except Exception as exc:  # a defect, or a library's: the PUT may have begun
            file.not_stored(Event.DOUBT, RemoteUnavailable(repr(exc), sent=True), began=True)
            raise
        file.stored(token)
        return self._arrived(file)

    def _whole_ticket(self, file: CachedFile) -> Ticket:
        for _ in range(TRIES_TO_BE_WHOLE):
            self._fetcher.fill(file, inside=True)
            ticket = file.cut_ticket()
            if ticket is not None:
                return ticket
        raise RemoteTimeout(f"{file.path}: its holes change faster than they can be filled")

    def _store(self, file: CachedFile, ticket: Ticket, *, distrust_reply: bool) -> VersionToken:
        """Send the ticket and return the version that it is proved to be (R7).

        Args:
            file: the file.
            ticket: what is sent.
            distrust_reply: a PUT of this name broke before on a service that truncates: the
                digest in the reply is the stream's, not the file's, so the bytes are read back.
        """
        caps = self._remote.capabilities
        if ticket.size == 0 and not caps.empty_put:
            self._empty.store(file.path, existed=ticket.base is not None)
            return VersionToken(0, None, None, caps.atomic_put)
        digest = hashlib.md5(usedforsecurity=False)
        receipt = self._remote.put_bytes(file.path, _body(file, ticket, digest), ticket.size)
        md5 = digest.hexdigest()
        proof = self._read_back(file.path) if distrust_reply else self._proof(file.path, receipt)
        self._check_proof(file.path, proof, ticket.size, md5)
        return VersionToken(ticket.size, md5, None, caps.atomic_put)

    def _read_back(self, path: str) -> PutReceipt:
        """What the service really holds at `path`, by reading it."""
        node = self._remote.get_node(path)
        digest = hashlib.md5(usedforsecurity=False)
        with self._remote.open_bytes(path, 0, node.length, version_token(node)) as source:
            for chunk in source.chunks():
                digest.update(chunk)
        return PutReceipt(digest.hexdigest(), node.length)

    def _proof(self, path: str, receipt: PutReceipt) -> PutReceipt:
        """The reply's word; without a digest the node's, where node documents do not lag."""
        if receipt.md5 is not None or self._remote.capabilities.listing_lags:
            return receipt
        node = self._remote.get_node(path)
        return PutReceipt(node.md5, node.length)

    def _check_proof(self, path: str, proof: PutReceipt, size: int, md5: str) -> None:
        """R7: digest, or at least length; nothing at all proves nothing.

        Raises:
            TransferCorrupted: something else is there.
            RemoteUnavailable: nobody says what is there: the upload is in doubt.
        """
        if proof.md5 is None and proof.length is None:
            raise RemoteUnavailable(f"{path}: sent, but nothing proves that it arrived", sent=True)
        if proof.md5 not in (None, md5) or proof.length not in (None, size):
            raise TransferCorrupted(
                f"{path}: the service stored {proof.length} bytes with MD5 {proof.md5},"
                f" sent were {size} with {md5}"
            )
        if proof.md5 is None and size:
            log.info("%s: stored, but the service offers no digest to verify it", path)

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

    def _confirm_base(self, file: CachedFile) -> None:
        """R11: the node is still the version that our changes are based on.

        Raises:
            UploadConflict: it is another one; ours is kept.
        """
        base, put, confirmed_at = file.provenance
        if self._clock.monotonic() - confirmed_at <= self._confirm_s and put is None:
            return
        node = self._look(file.path)
        if node is None:
            return  # gone or never there: it is created (again)
        if node.kind is not NodeKind.DATA:
            raise UploadConflict(f"{file.path} is a {node.kind.value} on the service now")
        token = version_token(node)
        if base is not None and base.same_version(token):
            return
        if token.length == 0 and (base is None or put is not None):
            return  # the empty node that a negotiation made: nothing can be lost in it
        atomic = self._remote.capabilities.atomic_put
        if put is not None and not atomic and token.length <= put.size:
            return  # R2: our own torn PUT
        raise UploadConflict(
            f"{file.path} changed on the service since it was read: ours is kept here,"
            " copy it to another name"
        )

    def _settle_doubt(self, file: CachedFile) -> Outcome | None:
        """R1: find out what became of a PUT that broke.

        Returns:
            None when it is settled, else how long to wait before looking again.
        """
        node = self._look(file.path)
        token = None if node is None or node.kind is not NodeKind.DATA else version_token(node)
        if token is not None and file.settle_if_sent(token):
            return None
        now = self._clock.monotonic()
        if not self._remote.capabilities.atomic_put:
            seen, since = self._seen_in_doubt.get(file.number, (token, now))
            if seen != token:
                since = now
            self._seen_in_doubt[file.number] = (token, since)
            remaining = since + self._settle_s - now
            if remaining > 0:
                return Outcome(
                    retry_after_s=min(remaining, max(1.0, self._settle_s / 8)), waits=True
                )
        self._seen_in_doubt.pop(file.number, None)
        file.settle_as_lost()
        return None


def is_final(failure: VofsError, attempts: int) -> bool:
    """Whether repeating an upload by itself makes no sense.

    What the node or the credential refuses is final at once; a service that fails, or bytes that
    arrive wrong, are tried three times (R7); what is merely out of reach is never given up.

    Args:
        failure: how it failed.
        attempts: how many times in a row the service answered so, this time included.
    """
    if isinstance(failure, RemoteUnavailable | NodeBusy | CacheFull):
        return False
    if isinstance(failure, RemoteFailed | ProtocolViolation | TransferCorrupted):
        return attempts >= ATTEMPTS_OF_A_FAILING_SERVICE
    return True


def _body(file: CachedFile, ticket: Ticket, digest: hashlib._Hash) -> Iterator[bytes]:
    """The ticket's bytes; when all have left, their digest is put on record."""
    for chunk in file.ticket_chunks(ticket):
        digest.update(chunk)
        yield chunk
    file.body_left(digest.hexdigest())
