"""Open put transactions on disk: one SQLite row each; their bytes are in the byte store.

A row says how far a transaction is after each part.  Bytes past that, of a part that was on its way
when the process was killed, are cut off when the next part comes.  A hash under way cannot be
written down: it is made again from the bytes, and must agree with what the row says.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from fakevospace.datafile import DataFile
from fakevospace.storage import ByteStore, Reader
from fakevospace.transactions import Hash, Mark, Transaction, new_md5

READ_BYTES = 1 << 20


class TransactionTable:
    """The log of changes of `Transactions`, kept in a file."""

    def __init__(self, file: DataFile) -> None:
        self._file = file

    def saved(self, transaction: Transaction) -> None:
        """Write the row of a transaction."""
        record = {
            "storage_id": transaction.storage_id,
            "content": transaction.content,
            "marks": [(mark.length, mark.md5.hexdigest()) for mark in transaction.marks],
            "headers": transaction.headers,
            "total_length": transaction.total_length,
        }
        self._file.run(
            "insert or replace into transactions values (?, ?)",
            transaction.number,
            json.dumps(record),
        )

    def removed(self, number: str) -> None:
        """Delete the row of a transaction."""
        self._file.run("delete from transactions where number = ?", number)

    def load(self, store: ByteStore, taken: Collection[str]) -> list[Transaction]:
        """Read the open transactions.

        Args:
            taken: contents that belong to nodes; a transaction on one of them is committed, only
                its row outlived the process.
        """
        found = []
        for number, text in self._file.rows("select * from transactions"):
            record = json.loads(text)
            content = record["content"]
            marks = () if content in taken else _marks(store, content, record["marks"])
            if not marks:
                self.removed(number)
                continue
            headers = tuple((name, value) for name, value in record["headers"])
            transaction = Transaction(
                number, record["storage_id"], content, marks, headers, record["total_length"]
            )
            if len(marks) < len(record["marks"]):
                self.saved(transaction)
            found.append(transaction)
        return found


def _marks(store: ByteStore, content: str, written: list[Any]) -> tuple[Mark, ...]:
    """Hash a content again, up to the first mark that does not agree with what was written."""
    try:
        reader = store.reader(content)
    except (KeyError, FileNotFoundError):
        return ()
    marks: list[Mark] = []
    md5, reached = new_md5(), 0
    try:
        for length, digest in written:
            _hash(reader, md5, reached, length)
            if reader.size_bytes < length or md5.hexdigest() != digest:
                break
            marks.append(Mark(length, md5.copy()))
            reached = length
    finally:
        reader.close()
    return tuple(marks)


def _hash(reader: Reader, md5: Hash, begin: int, end: int) -> None:
    """Take the bytes from `begin` to `end` into a hash, as far as there are any."""
    while begin < end and (block := reader.read(begin, min(READ_BYTES, end - begin))):
        md5.update(block)
        begin += len(block)
