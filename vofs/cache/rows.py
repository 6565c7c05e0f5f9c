"""The rows of the index as values: what is stored of a cached file, and how.

Only the order of columns lives here; `index.py` decides what is written when.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vofs.cache.putrecord import PutRecord, put_record
from vofs.core.nodes import VersionToken

COLUMNS = (
    "number, path, size, backing_end, generation, stored_generation, whole, base_length, base_md5,"
    " base_date_ms, base_md5_proves, mtime_ns, mode, put_generation, put_size, put_md5, state,"
    " error, attempts, put_detail, durable_generation, losses, present_bytes, used_at"
)
SYNC_FAILED = -2  # in place of a durable generation
MARKS = ", ".join("?" for _ in COLUMNS.split(",")[1:])  # for all values but the number


@dataclass(frozen=True, slots=True)
class FileRow:
    """One file as the index knows it.

    Attributes:
        number: names the data file; 0 for a row that is not stored yet.
        path: decoded node path.
        whole: every byte of the data file is present, and its size is the file's size.
        put: a PUT that began and whose end is not known (R2), or None.
        state: "", "failed" or "conflict".
        spans: (start, end, dirty) of a file that is not whole.
        size, backing_end, generation, stored_generation, base: see `FileState`.
        mtime_ns: modification time in nanoseconds since 1970.
        mode: permission bits asked for at creation, or None.
        error: the last error of an upload.
        attempts: how many uploads failed in a row.
        durable_generation: the generation that fsync(2) brought to the disk, -1 for none (R5);
            `SYNC_FAILED`: the disk has refused to take what was written.
        losses: how many power losses the cache had seen when the bytes could last be trusted (R5).
        present_bytes: space that the data file takes, as of the last save.
        used_at: when it was used last, in the ticks of `Space`.
    """

    number: int
    path: str
    size: int
    backing_end: int
    generation: int
    stored_generation: int
    whole: bool
    base: VersionToken | None
    mtime_ns: int
    mode: int | None = None
    put: PutRecord | None = None
    state: str = ""
    error: str = ""
    attempts: int = 0
    durable_generation: int = -1
    losses: int = 0
    spans: tuple[tuple[int, int, bool], ...] = ()
    present_bytes: int = 0
    used_at: int = 0

    @property
    def promises(self) -> bool:
        """Whether it says of any clean byte that it is in the data file (R12)."""
        return self.whole or any(not dirty for _, _, dirty in self.spans)


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """Unsent data that cannot be read, or not all of it.

    Attributes:
        number: names the data file.
        path: what the file was called.
        size: its size in bytes.
        reason: why it cannot be read.
        spans: (start, end, dirty) of what was here.
    """

    number: int
    path: str
    size: int
    reason: str
    spans: tuple[tuple[int, int, bool], ...]


def token_columns(
    token: VersionToken | None,
) -> tuple[int | None, str | None, int | None, bool | None]:
    """A version token as four columns."""
    if token is None:
        return None, None, None, None
    return token.length, token.md5, token.date_ms, token.md5_proves


def token_of(columns: Iterable[object]) -> VersionToken | None:
    """The version token that `token_columns` wrote."""
    length, md5, date_ms, md5_proves = columns
    if not isinstance(length, int):
        return None
    return VersionToken(
        length,
        md5 if isinstance(md5, str) else None,
        date_ms if isinstance(date_ms, int) else None,
        bool(md5_proves),
    )


def values(row: FileRow) -> tuple[object, ...]:
    """The columns of `row` after its number, in the order of `COLUMNS`."""
    put = (None, None, None) if row.put is None else (row.put.generation, row.put.size, row.put.md5)
    return (
        row.path, row.size, row.backing_end, row.generation, row.stored_generation, row.whole,
        *token_columns(row.base), row.mtime_ns, row.mode, *put, row.state, row.error, row.attempts,
        "" if row.put is None else row.put.detail, row.durable_generation, row.losses,
        row.present_bytes, row.used_at,
    )  # fmt: skip


def file_row(connection: sqlite3.Connection, row: tuple[Any, ...]) -> FileRow:
    """The value of one fetched row, with its spans."""
    (number, path, size, backing_end, generation, stored, whole, *base) = row[:11]
    mtime_ns, mode, put_generation, put_size, put_md5, state, error, attempts, *more = row[11:]
    put_detail, durable_generation, losses, *held = more
    spans = connection.execute("SELECT start, stop, dirty FROM span WHERE number=?", (number,))
    put = put_record(put_generation, put_size, put_md5, put_detail)
    return FileRow(
        number, path, size, backing_end, generation, stored, bool(whole), token_of(base),
        mtime_ns, mode, put, state, error, attempts, durable_generation, losses,
        tuple((start, stop, bool(dirty)) for start, stop, dirty in spans), *held,
    )  # fmt: skip
