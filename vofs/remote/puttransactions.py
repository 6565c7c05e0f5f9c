"""Uploads in several requests, as the rest of vofs knows them: a part of `remote.api`.

`transactions.HttpTransactions` is what they are over HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["PutReceipt", "PutTransaction", "PutTransactions"]


@dataclass(frozen=True, slots=True)
class PutReceipt:
    """What the service said about bytes it stored.

    Attributes:
        md5: hex MD5 that the service computed (Digest of the PUT's reply, or of a HEAD of the
            byte URL right after it), or None when it offered no proof.
        length: the length in bytes that the service named, or None.
    """

    md5: str | None
    length: int | None


@dataclass(frozen=True, slots=True)
class PutTransaction:
    """A content that arrives in several requests and shows only when it is committed.

    Attributes:
        number: names it, as long as it lives; it belongs to one file.
        length: bytes that the service has of it.
        md5: hex MD5 of those, or None: not said.
        least: bytes that a segment must have, the last one excepted.
        most: bytes that a segment may have.
    """

    number: str
    length: int
    md5: str | None
    least: int
    most: int


class PutTransactions(Protocol):
    """Uploads in segments, where a service has them (protocol.md 6.3).

    Every method raises `RemoteUnavailable` as `Remote` does; the fate of what failed is found out
    by `find`, or for a commit by looking at the node.
    """

    def start(self, path: str, size: int) -> PutTransaction | None:
        """Begin one of `size` bytes in all; None: the service has none of this after all."""
        ...

    def append(self, path: str, number: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """Send the next segment; a segment that fails leaves the transaction as it was.

        Returns:
            The MD5 of everything so far, None when it is not said.

        Raises:
            RemoteFailed: there is no such transaction any more.
        """
        ...

    def find(self, path: str, number: str) -> PutTransaction | None:
        """How far it is; None: it was committed or aborted, or has expired."""
        ...

    def revert(self, path: str, number: str) -> bool:
        """Take the last segment back; False: there was none, or no such transaction."""
        ...

    def commit(self, path: str, number: str) -> PutReceipt:
        """Let the file have this content; nothing has changed before this.

        Raises:
            RemoteFailed: there is no such transaction any more.
        """
        ...

    def abort(self, path: str, number: str, *, gone: bool = False) -> None:
        """Throw it away; one that cannot be reached expires by itself, so nothing is raised.

        Args:
            path: the file.
            number: of the transaction.
            gone: the node may be gone: only a way that is known already is gone, because to ask
                for one would make the node again.
        """
        ...
