"""The uploading side of a cached file: tickets, and what became of them.

A ticket freezes the content; its bytes are sent as they were when it was cut, whatever is written
meanwhile (R3).  That a PUT began is committed before its first byte (R2), and only proof of arrival
makes the file clean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.evictable import Evictable
from vofs.cache.filecore import BLOCK
from vofs.cache.index import Index
from vofs.cache.putrecord import PutFate, PutRecord
from vofs.cache.rows import FileRow
from vofs.cache.space import Space
from vofs.cache.waiting import POLL_S, never
from vofs.core.errors import (
    CacheDamaged,
    CacheError,
    ProtocolViolation,
    RemoteFailed,
    TransferCorrupted,
    TransferError,
    UploadConflict,
    UploadFailed,
    VofsError,
)
from vofs.core.filestate import Ticket
from vofs.core.lifecycle import Event, Life, Upload
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span


class Sending(Evictable):
    """See the module's docstring; the arguments are those of `FileCore`."""

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self.conflict_kept = False  # its conflict stays until somebody does something about it
        self.answered_failures = 0  # in a row, of a service that was there to answer
        self._put_before: PutRecord | None = row.put
        self.arrived_at = clock.monotonic()  # when the service accepted what is not yet believed

    def queue(self) -> bool:
        """Mark the file as due for upload.

        Returns:
            False when there is nothing to send, or it may not be sent.
        """
        with self.lock:
            if not self.state.is_dirty or self.state.life is not Life.ATTACHED:
                return False
            self.state.apply(Event.QUEUE)
            return self.state.upload is not Upload.CONFLICT

    def cut_ticket(self) -> Ticket | None:
        """Freeze the content for an upload; None when holes are to be filled first, and proved."""
        with self.lock:
            return self.state.cut_ticket() if self.state.is_sound else None

    def take_back(self, spans: list[Span]) -> None:
        """R6: what was filled in there did not come from the base version; it is missing again."""
        with self.lock:
            self.state.take_back(spans)
            self._save(whole=self.state.is_whole)

    def begin_put(self, ticket: Ticket, *, durable: bool, after_broken: bool = False) -> None:
        """R2: note in the index that the first body byte is about to leave.

        From now on the node may be torn, so every byte that was fetched to fill holes is needed:
        the row says with the same commit that the file is whole.

        Args:
            ticket: the upload.
            durable: also bring the data to the disk first (services that truncate).
            after_broken: a PUT to this path broke before, see `PutRecord`.

        Raises:
            CacheFull, CacheDamaged: the local disk does not take it: nothing may be sent, and
                nothing is in doubt.
        """
        with self.lock:
            self._put_before, sent_before = self.put, self._sent_at
        if durable and not self._sync_failed:  # else it is in memory alone: the sooner it is sent
            self.sync_data()
        with self.lock:
            if durable:
                self._is_durable(ticket.generation)
            before = self._put_before
            others = before is not None and ticket.generation not in (
                before.generation, self._sent_at,
            )  # fmt: skip
            self._sent_at = ticket.generation
            self.put = PutRecord(
                ticket.generation, ticket.size, after_broken=after_broken,
                mixed=others or (before is not None and before.mixed),
                transaction=None if before is None else before.transaction,
                longest_before=0 if before is None else before.longest,
                whole_before=() if before is None else before.whole,
            )  # fmt: skip
            try:
                self._save(whole=self.state.is_whole, durable=durable or not self._name_is_durable)
            except CacheError:
                self.put, self._sent_at = before, sent_before
                raise
            self._name_is_durable = True

    def body_read(self, md5: str) -> None:
        """The last of the body is about to leave; by its MD5 the whole is known again.

        Args:
            md5: hex, of the whole body.
        """
        with self.lock:
            if self.put is not None:
                self.put = replace(self.put, md5=md5)
                self._index.put_started(self.number, self.put, durable=False)

    @property
    def transaction(self) -> tuple[str, int] | None:
        """The put transaction that an upload of this file began, see `PutRecord`."""
        with self.lock:
            return None if self.put is None else self.put.transaction

    def transaction_began(self, transaction: tuple[str, int] | None) -> None:
        """An upload in segments began, or None: is over, without success."""
        with self.lock:
            assert self.put is not None
            self.put = replace(self.put, transaction=transaction)
            self._index.put_started(self.number, self.put, durable=False)

    def segment_stored(self, upto: int) -> None:
        """The service has the ticket's bytes below `upto`: nobody asks for them again."""
        with self.lock:
            self.state.sent(upto)

    def ticket_chunks(
        self, ticket: Ticket, start: int = 0, stop: int | None = None, *, keep: bool = False
    ) -> Iterator[bytes]:
        """The bytes of the ticket in order, whatever is written meanwhile (R3).

        Args:
            ticket: the upload.
            start: first byte.
            stop: one past the last byte; None: all.
            keep: they may be asked for again, until `segment_stored`.

        Raises:
            UploadFailed: they cannot be read here, and repeating it makes no sense (R18).
        """
        last = ticket.size if stop is None else stop
        for offset in range(start, last, BLOCK):
            end = min(offset + BLOCK, last)
            with self.lock:
                if self.state.ticket != ticket:
                    raise TransferError("the upload was taken back")
                parts = self._ticket_parts(offset, end)
                if not keep:
                    self.state.sent(end)
                self.progress_at = self._clock.monotonic()
                self.lock.notify_all()
            yield parts[0] if len(parts) == 1 else b"".join(parts)

    def _ticket_parts(self, start: int, end: int) -> list[bytes]:
        parts, cut_from = [], self._frozen or self._data
        try:
            for (first, last), from_aside in self.state.ticket_sources(start, end):
                source = self._aside if from_aside and self._aside else cut_from
                parts.append(source.read(first, last - first))
        except CacheDamaged as exc:
            raise UploadFailed(f"{self.path}: what was written cannot be read here: {exc}") from exc
        return parts

    def stored(self, token: VersionToken) -> None:
        """The upload is proved to have arrived as version `token`."""
        with self.lock:
            self.confirmed_at = self._clock.monotonic()
            self.state.stored(token)
            self._index.base_changes.noted(self.path)
            self._upload_ended(None, keep_put=False)

    def arrived(self, md5: str) -> None:
        """The service accepted the upload, but a broken one before it may still spoil it (R1).

        Args:
            md5: of what was sent.
        """
        with self.lock:
            assert self.put is not None
            self.state.not_stored(Event.DOUBT)
            self.put = replace(self.put, md5=md5, fate=PutFate.ARRIVED)
            self.arrived_at = self._clock.monotonic()
            self._upload_ended(None, keep_put=True)

    def not_stored(
        self,
        event: Event,
        failure: VofsError,
        *,
        began: bool,
        left: tuple[int, str] | None = None,
    ) -> None:
        """The upload ended with RETRY, DOUBT or FAIL.

        Args:
            event: which of them.
            failure: why.
            began: the service may hold a trace of it: that stays on record (R2).
            left: length and hex MD5 of what the service says that it stored.
        """
        with self.lock:
            self.state.not_stored(event)
            if not began and self.put is not None and self.put.transaction is None:
                self.put = self._put_before
            elif event is not Event.DOUBT and self.put is not None:
                whole = self.put.whole_before if left is None else (*self.put.whole_before, left)
                self.put = replace(self.put, fate=PutFate.OVER, whole_before=whole)
            self._upload_ended(failure, keep_put=True)

    def give_up(self, event: Event, failure: VofsError) -> None:
        """Before any ticket: FAIL; kept, listed, never sent by itself."""
        with self.lock:
            self.state.apply(event)
            self._upload_ended(failure, keep_put=True)

    def note_failure(self, failure: VofsError) -> None:
        """A try failed before anything was sent; it is repeated."""
        with self.lock:
            self._upload_ended(failure, keep_put=True)

    def _upload_ended(self, failure: VofsError | None, *, keep_put: bool) -> None:
        self.error = "" if failure is None else f"{type(failure).__name__}: {failure}"
        self.attempts = 0 if failure is None else self.attempts + 1
        answered = isinstance(failure, RemoteFailed | ProtocolViolation | TransferCorrupted)
        if answered:
            self.answered_failures += 1
        elif failure is not None or not keep_put:
            self.answered_failures = 0
        if not keep_put:
            self.put = None
        if self.state.ticket is None:
            self._close_kept()
        self._account()
        if (
            self.state.may_forget and self.put is None
        ):  # all of it: what was dirty is listed nowhere
            self._unlisted = True
            self._offer_again()
        try:
            self._save()
        finally:
            self.lock.notify_all()

    def wait_stored(
        self,
        generation: int,
        timeout_s: float,
        *,
        moving: bool = False,
        given_up: Callable[[], bool] = never,
    ) -> bool:
        """Wait until the changes up to `generation` are on the service, or the upload failed.

        Args:
            generation: what is waited for.
            timeout_s: how long; after it the upload goes on by itself.
            moving: the timeout counts from the last progress, not from the call.
            given_up: whether the process that waits is being killed (R19): as if the time ran out.

        Returns:
            False when the time ran out; a file that has lost its name has nothing to wait for.

        Raises:
            UploadFailed: it failed for good; the data is kept and listed.
            UploadConflict: the service holds somebody else's version.
        """
        began = self._clock.monotonic()
        with self.lock:
            while self.state.stored_generation < generation:
                if self.state.upload is Upload.FAILED:
                    raise UploadFailed(self.error)
                if self.state.upload is Upload.CONFLICT:
                    raise UploadConflict(self.error)
                if self.state.life is not Life.ATTACHED:
                    return True
                since = max(began, self.progress_at) if moving else began
                remaining = since + timeout_s - self._clock.monotonic()
                if remaining <= 0 or given_up():
                    return False
                self.lock.wait(remaining if given_up is never else min(remaining, POLL_S))
            return True

    def takes_name(self, put: PutRecord | None, *, confirmed: bool) -> None:
        """It has got a name (already in its row), where `put` may have left something (R11)."""
        with self.lock:
            self.put = self._put_before = put
            if not confirmed:
                self.confirmed_at = float("-inf")

    def replaces(self, token: VersionToken) -> None:
        """A file made here has got the name of a node (already in its row): it replaces `token`."""
        with self.lock:
            self.state.base = token
            self.confirmed_at = self._clock.monotonic()
