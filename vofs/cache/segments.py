"""Uploads of large files in segments, where the service has transactions (protocol.md 6.3).

Each segment is confirmed by the MD5 of everything so far.  The transaction is on record, so that an
upload that breaks, or whose daemon is killed, goes on behind the last confirmed segment.  Whether
what the service has is the beginning of what is to be sent now is told by hashing those bytes once
more: no state of a hash can be stored, and a file that was changed meanwhile begins anew.

What was begun for a file that is gone is aborted by the scheduler; nobody waits for that, and where
it cannot be done the service lets it expire.
"""

from __future__ import annotations

import hashlib
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from vofs.cache.cachedfile import CachedFile
from vofs.core.errors import TransferCorrupted, VofsError
from vofs.core.filestate import Ticket
from vofs.remote.api import PutReceipt, PutTransaction, PutTransactions, Remote

log = logging.getLogger(__name__)

TRIES_OF_A_SEGMENT = 3


@dataclass(frozen=True, slots=True)
class SegmentSizes:
    """Which uploads are segmented, and how.

    Attributes:
        above: files of more bytes than this are.
        bytes: of one segment, as far as the service allows it.
    """

    above: int = 5 << 30
    bytes: int = 2 << 30


class Segments:
    """See the module's docstring.

    Args:
        remote: the service.
        sizes: what is segmented.
    """

    def __init__(self, remote: Remote, sizes: SegmentSizes) -> None:
        self._remote, self._sizes = remote, sizes
        self._left: deque[tuple[str, str]] = deque()

    def gone(self, file: CachedFile) -> None:
        """`file` has no name and no use any more: what was begun for it is to be aborted."""
        begun = file.transaction
        if begun is not None:
            self._left.append((file.path, begun[0]))

    def abort_left(self) -> None:
        """Abort what was begun for files that are gone; called by the scheduler."""
        transactions = self._remote.transactions
        while self._left and transactions is not None:
            path, number = self._left.popleft()
            with suppress(VofsError):
                transactions.abort(path, number, gone=True)

    def store(self, file: CachedFile, ticket: Ticket) -> tuple[PutReceipt, str] | None:
        """Send the ticket in segments.

        Returns:
            What the service said of the whole, and the hex MD5 of what was sent; None when this
            is for one plain PUT.

        Raises:
            TransferCorrupted: a segment arrived wrong three times; the transaction is aborted.
            VofsError: as for `PutTransactions`.
        """
        transactions = self._remote.transactions
        if transactions is None:
            return None
        if ticket.size <= self._sizes.above:
            self._abandon(file, transactions)
            return None
        found = self._resumed(file, ticket, transactions)
        if found is None:
            begun = transactions.start(file.path, ticket.size)
            if begun is None:
                return None
            file.transaction_began((begun.number, ticket.size))
            found = begun, hashlib.md5(usedforsecurity=False)
        transaction, digest = found
        md5 = self._send(file, ticket, transactions, transaction, digest)
        file.body_read(md5)
        return transactions.commit(file.path, transaction.number), md5

    def _send(
        self, file: CachedFile, ticket: Ticket, transactions: PutTransactions,
        transaction: PutTransaction, digest: hashlib._Hash,
    ) -> str:  # fmt: skip
        """Send what is missing; returns the hex MD5 of everything."""
        step = min(max(self._sizes.bytes, transaction.least), transaction.most)
        position, tries = transaction.length, 0
        while position < ticket.size:
            end = min(position + step, ticket.size)
            so_far = digest.copy()
            body = _body(file, ticket, position, end, so_far)
            receipt = transactions.append(file.path, transaction.number, body, end - position)
            if receipt.md5 in (None, so_far.hexdigest()):
                digest, position, tries = so_far, end, 0
                file.segment_stored(position)
                continue
            tries += 1
            reverted = transactions.revert(file.path, transaction.number)
            if tries == TRIES_OF_A_SEGMENT or not reverted:
                self._abandon(file, transactions)
                raise TransferCorrupted(
                    f"{file.path}: bytes {position} to {end} arrived wrong {tries} times"
                )
        return digest.hexdigest()

    def _resumed(
        self, file: CachedFile, ticket: Ticket, transactions: PutTransactions
    ) -> tuple[PutTransaction, hashlib._Hash] | None:
        """The transaction of an earlier try, if what it has is the beginning of the ticket."""
        if file.transaction is None:
            return None
        number, size = file.transaction
        for may_revert in (True, False) if size == ticket.size else ():
            found = transactions.find(file.path, number)
            if found is None:
                break
            digest = hashlib.md5(usedforsecurity=False)
            if found.length <= ticket.size:
                for chunk in file.ticket_chunks(ticket, 0, found.length, keep=True):
                    digest.update(chunk)
                if not found.length or digest.hexdigest() == found.md5:
                    log.info("%s: goes on at %d of %d", file.path, found.length, ticket.size)
                    file.segment_stored(found.length)
                    return found, digest
            # Perhaps the last segment only, whose answer nobody read.
            if not may_revert or not transactions.revert(file.path, number):
                break
        self._abandon(file, transactions)
        return None

    def _abandon(self, file: CachedFile, transactions: PutTransactions) -> None:
        """What an earlier try left is of no use."""
        if file.transaction is not None:
            transactions.abort(file.path, file.transaction[0])
            file.transaction_began(None)


def _body(
    file: CachedFile, ticket: Ticket, start: int, end: int, digest: hashlib._Hash
) -> Iterator[bytes]:
    """One segment; its bytes stay wanted until it is confirmed."""
    for chunk in file.ticket_chunks(ticket, start, end, keep=True):
        digest.update(chunk)
        yield chunk
