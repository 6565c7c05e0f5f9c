"""The uploading side of a cached file: tickets, and what became of them.

A ticket freezes the content; its bytes are sent as they were when it was cut, whatever is written
meanwhile (R3).  That a PUT began is committed before its first byte (R2), and only proof of arrival
makes the file clean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from vofs.cache.filecore import BLOCK, FileCore
from vofs.core.errors import TransferError, UploadConflict, UploadFailed, VofsError
from vofs.core.filestate import Event, Life, Ticket, Upload
from vofs.core.nodes import VersionToken


class Sending(FileCore):
    """See the module's docstring; the arguments are those of `FileCore`."""

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
        """Freeze the content for an upload; None when holes are to be filled first."""
        with self.lock:
            return self.state.cut_ticket() if self.state.is_whole else None

    def begin_put(self, ticket: Ticket, *, durable: bool) -> None:
        """R2: note in the index that the first body byte is about to leave.

        Args:
            ticket: the upload.
            durable: also bring the data to the disk first (services that truncate).
        """
        with self.lock:
            if durable:
                self._data.sync()
            self.put = (ticket.generation, ticket.size)
            self._index.put_started(self.number, self.put, durable=durable)

    def ticket_chunks(self, ticket: Ticket) -> Iterator[bytes]:
        """The bytes of the ticket in order, whatever is written meanwhile (R3)."""
        for offset in range(0, ticket.size, BLOCK):
            end = min(offset + BLOCK, ticket.size)
            with self.lock:
                if self.state.ticket is not ticket:
                    raise TransferError("the upload was taken back")
                parts = []
                for (start, stop), from_aside in self.state.ticket_sources(offset, end):
                    source = self._aside if from_aside and self._aside else self._data
                    parts.append(source.read(start, stop - start))
                self.state.sent(end)
                self.progress_at = self._clock.monotonic()
                self.lock.notify_all()
            yield parts[0] if len(parts) == 1 else b"".join(parts)

    def stored(self, token: VersionToken) -> None:
        """The upload is proved to have arrived as version `token`."""
        with self.lock:
            self.confirmed_at = self._clock.monotonic()
            self.state.stored(token)
            self._upload_ended(None, keep_put=False)

    def not_stored(self, event: Event, failure: VofsError) -> None:
        """The upload ended with RETRY, DOUBT or FAIL; that a PUT began stays on record (R2)."""
        with self.lock:
            self.state.not_stored(event)
            self._upload_ended(failure, keep_put=True)

    def settle_if_held(self, token: VersionToken) -> bool:
        """An earlier PUT is in doubt: when the service holds just our content, it arrived.

        Returns:
            False when `token` is not what this file holds now.
        """
        with self.lock:
            size = self.state.size
            if token.md5 is None or token.length != size or not self.state.is_whole:
                return False
            digest = hashlib.md5(usedforsecurity=False)
            for offset in range(0, size, BLOCK):
                digest.update(self._data.read(offset, min(BLOCK, size - offset)))
            if digest.hexdigest() != token.md5:
                return False
            self.confirmed_at = self._clock.monotonic()
            self.state.stored_after_all(token, self.state.generation)
            self._upload_ended(None, keep_put=False)
            return True

    def settle_as_lost(self) -> None:
        """An earlier PUT is in doubt no longer: it did not arrive, and is sent again.

        It stays on record: a node that is shorter than it is our torn PUT (R2).
        """
        with self.lock:
            self.state.apply(Event.RESEND)
            self._upload_ended(None, keep_put=True)

    def give_up(self, event: Event, failure: VofsError) -> None:
        """Before any ticket: CONFLICT or FAIL; kept, listed, never sent by itself."""
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
        if not keep_put:
            self.put = None
        if self._aside is not None and self.state.ticket is None:
            self._aside.close()
            self._aside = None
        self._save()
        self.lock.notify_all()

    def wait_stored(self, generation: int, timeout_s: float) -> None:
        """Wait until the changes up to `generation` are on the service, or the upload failed.

        Returns quietly when `timeout_s` seconds pass first: the upload goes on by itself.

        Raises:
            UploadFailed: it failed for good; the data is kept and listed.
            UploadConflict: the service holds somebody else's version.
        """
        deadline = self._clock.monotonic() + timeout_s
        with self.lock:
            while self.state.stored_generation < generation:
                if self.state.upload is Upload.FAILED:
                    raise UploadFailed(self.error)
                if self.state.upload is Upload.CONFLICT:
                    raise UploadConflict(self.error)
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0 or self.state.life is not Life.ATTACHED:
                    return
                self.lock.wait(remaining)

    def replaces(self, token: VersionToken) -> None:
        """A file made here has got the name of a node: its upload replaces version `token`."""
        with self.lock:
            self.state.base = token
            self.confirmed_at = self._clock.monotonic()
            self._save()
