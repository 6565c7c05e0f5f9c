"""How the bytes of a ticket get to the service, and what proves that they arrived (R7).

Files without bytes go through `EmptyFiles` where the service takes no empty PUT, large ones through
`Segments` where it has transactions; all others are one PUT.  The proof is, best first: the digest
in the reply, the node's digest and length, its length.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import suppress

from vofs.cache.cachedfile import CachedFile
from vofs.cache.emptyfile import EmptyFiles
from vofs.cache.segments import Segments
from vofs.core.errors import CacheError, RemoteUnavailable, TransferCorrupted, VofsError
from vofs.core.filestate import Ticket
from vofs.core.nodes import VersionToken
from vofs.remote.api import PutReceipt, Remote

log = logging.getLogger(__name__)


class Storing:
    """See the module's docstring.

    Args:
        remote: the service.
        empty: stores files without bytes.
        segments: stores large ones.
    """

    def __init__(self, remote: Remote, empty: EmptyFiles, segments: Segments) -> None:
        self._remote, self._empty, self._segments = remote, empty, segments

    def store(self, file: CachedFile, ticket: Ticket) -> VersionToken:
        """Send the ticket and return the version that it is proved to be.

        Args:
            file: the file.
            ticket: what is sent.

        Raises:
            TransferCorrupted: something else arrived.
            RemoteUnavailable: nobody says what arrived: the upload is in doubt.
            VofsError: the service refused.
        """
        caps = self._remote.capabilities
        if ticket.size == 0 and not caps.empty_put:
            self._empty.store(file.path, existed=ticket.base is not None)
            return VersionToken(0, None, None, caps.atomic_put)
        sent = self._segments.store(file, ticket)
        if sent is None:
            digest = hashlib.md5(usedforsecurity=False)
            receipt = self._remote.put_bytes(file.path, _body(file, ticket, digest), ticket.size)
            sent = receipt, digest.hexdigest()
        receipt, md5 = sent
        _check_proof(file.path, self._proof(file.path, receipt), receipt, ticket.size, md5)
        return VersionToken(ticket.size, md5, None, caps.atomic_put)

    def _proof(self, path: str, receipt: PutReceipt) -> PutReceipt:
        """The reply's word; without a digest the node's, where node documents do not lag.

        The bytes have left: a look that fails leaves the upload in doubt, whatever the reason.
        """
        if receipt.md5 is not None or self._remote.capabilities.listing_lags:
            return receipt
        try:
            node = self._remote.get_node(path)
        except VofsError as exc:
            raise RemoteUnavailable(f"{path}: sent, but not to be seen: {exc}", sent=True) from exc
        return PutReceipt(node.md5, node.length)


def _check_proof(path: str, proof: PutReceipt, reply: PutReceipt, size: int, md5: str) -> None:
    """Digest, or at least length; nothing at all proves nothing.

    What the reply itself names is what became of our bytes; what a node names may be another's.
    """
    if proof.md5 is None and proof.length is None:
        raise RemoteUnavailable(f"{path}: sent, but nothing proves that it arrived", sent=True)
    length = size if reply.length is None else reply.length
    if proof.md5 not in (None, md5) or proof.length not in (None, size):
        raise TransferCorrupted(
            f"{path}: the service stored {proof.length} bytes with MD5 {proof.md5},"
            f" sent were {size} with {md5}",
            stored=None if reply.md5 is None else (length, reply.md5),
        )
    if proof.md5 is None and size:
        log.info("%s: stored, but the service offers no digest to verify it", path)


def _body(file: CachedFile, ticket: Ticket, digest: hashlib._Hash) -> Iterator[bytes]:
    """The ticket's bytes; before the last of them leave, the digest of all is put on record.

    A service that has the whole body then never holds a version that a restart takes for foreign.
    """
    left = ticket.size
    for chunk in file.ticket_chunks(ticket):
        digest.update(chunk)
        left -= len(chunk)
        if not left:
            with suppress(CacheError):  # a begun PUT is never broken off (R1)
                file.body_read(digest.hexdigest())
        yield chunk
