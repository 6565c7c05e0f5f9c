"""Put transactions: bytes that come in several requests and show only when committed (6.3).

A `Transaction` is a frozen value: a content of its own, and the length and MD5 after each part
that was accepted, so that the last one can be taken back.  `Transactions` holds those that are
open.  Contents are written and deleted by the byte endpoint (`endpoints/puts.py`), not here.
Every change is told to a log before the call returns.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import md5
from typing import Protocol

SEGMENT_MIN_BYTES = 1 << 20  # what clients are told; the last segment may be smaller
SEGMENT_MAX_BYTES = 5 << 30


class Hash(Protocol):
    """A hash under way."""

    def copy(self) -> Hash:
        """Return an independent copy."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes in."""

    def hexdigest(self) -> str:
        """Return the digest so far."""


def new_md5() -> Hash:
    """Return an MD5 of nothing."""
    return md5(usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a transaction is: length in bytes, and the MD5 of all of them."""

    length: int
    md5: Hash


@dataclass(frozen=True, slots=True)
class Transaction:
    """Bytes on their way in.

    Attributes:
        storage_id: what they are for.
        content: key in the byte store.
        marks: nothing, then one per accepted part.
        headers: Content-Type and Content-Encoding of the request that started it.
        total_length: what the client announced, None when it did not.
    """

    number: str
    storage_id: str
    content: str
    marks: tuple[Mark, ...]
    headers: tuple[tuple[str, str], ...] = ()
    total_length: int | None = None

    @property
    def reached(self) -> Mark:
        """Where the transaction is now."""
        return self.marks[-1]

    def appended(self, mark: Mark) -> Transaction:
        """Return the transaction with one part more."""
        return replace(self, marks=(*self.marks, mark))

    def reverted(self) -> Transaction | None:
        """Return the transaction without its last part, None when there is none to take back."""
        return replace(self, marks=self.marks[:-1]) if len(self.marks) > 1 else None


class TransactionLog(Protocol):
    """Where changes are told, in order; persistence is behind it."""

    def saved(self, transaction: Transaction) -> None:
        """The transaction is new or has changed."""

    def removed(self, number: str) -> None:
        """The transaction is over."""


class NoTransactionLog:
    """The log of transactions that live in memory only."""

    def saved(self, transaction: Transaction) -> None:
        """Nothing to keep."""

    def removed(self, number: str) -> None:
        """Nothing to keep."""


class Transactions:
    """The open transactions; safe to use from any thread.

    A transaction that a request is working on is taken out meanwhile: a second request for it
    finds none, while the log still has it as it was.  `_lock` protects the dictionary; nothing
    but the log is called with it held.
    """

    def __init__(
        self, log: TransactionLog | None = None, transactions: Iterable[Transaction] = ()
    ) -> None:
        """Start with the transactions given.

        Args:
            log: told of every change; None: nobody is.
        """
        self._lock = threading.Lock()
        self._log: TransactionLog = log or NoTransactionLog()
        self._open = {one.number: one for one in transactions}

    def start(
        self, storage_id: str, content: str, headers: tuple[tuple[str, str], ...], total: int | None
    ) -> Transaction:
        """Make a transaction that holds nothing yet; `put_back` opens it to other requests."""
        nothing = (Mark(0, new_md5()),)
        return Transaction(uuid.uuid4().hex, storage_id, content, nothing, headers, total)

    def get(self, number: str, storage_id: str) -> Transaction | None:
        """Return a transaction, None when there is none of that number for these bytes."""
        with self._lock:
            found = self._open.get(number)
        return found if found is not None and found.storage_id == storage_id else None

    def take(self, number: str, storage_id: str) -> Transaction | None:
        """Take a transaction out, to be put back or ended; None as in `get`."""
        with self._lock:
            found = self._open.get(number)
            if found is None or found.storage_id != storage_id:
                return None
            return self._open.pop(number)

    def put_back(self, transaction: Transaction) -> None:
        """Open a transaction to requests (again)."""
        with self._lock:
            self._open[transaction.number] = transaction
            self._log.saved(transaction)

    def end(self, transaction: Transaction) -> None:
        """Forget a transaction that was taken out."""
        with self._lock:
            self._log.removed(transaction.number)

    def end_all(self) -> list[Transaction]:
        """Forget all transactions that no request is working on, and return them."""
        with self._lock:
            ended = list(self._open.values())
            self._open.clear()
            for one in ended:
                self._log.removed(one.number)
            return ended
