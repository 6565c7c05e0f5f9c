"""Changes of rows that are steps of a larger transaction of the index.

Each takes the connection that `Index.transaction` gave; nothing here begins or commits.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from vofs.cache.putrecord import PutRecord
from vofs.cache.rows import COLUMNS, MARKS, FileRow, file_row, token_columns, values
from vofs.core.nodes import VersionToken


def insert_file(
    connection: sqlite3.Connection, row: FileRow, create_data: Callable[[int], None]
) -> tuple[FileRow, bool]:
    """Within a transaction: store a new row, or find the one that is there; see `Index.insert`."""
    added = connection.execute(
        f"INSERT INTO file ({COLUMNS}) VALUES (NULL, {MARKS}) ON CONFLICT (path) DO NOTHING",
        values(row),
    ).rowcount
    stored = connection.execute(f"SELECT {COLUMNS} FROM file WHERE path=?", (row.path,)).fetchone()
    if added:
        create_data(stored[0])
    return file_row(connection, stored), bool(added)


def save_file(connection: sqlite3.Connection, row: FileRow) -> bool:
    """Within a transaction: replace all that is known of one file but its path.

    Returns:
        Whether there is a row.
    """
    assignments = ", ".join(f"{name.strip()}=?" for name in COLUMNS.split(",")[2:])
    changed = connection.execute(
        f"UPDATE file SET {assignments} WHERE number=?", (*values(row)[1:], row.number)
    ).rowcount
    connection.execute("DELETE FROM span WHERE number=?", (row.number,))
    if changed:
        connection.executemany(
            "INSERT INTO span VALUES (?, ?, ?, ?)",
            [(row.number, start, stop, dirty) for start, stop, dirty in row.spans],
        )
    return changed > 0


def set_base(connection: sqlite3.Connection, number: int, base: VersionToken) -> None:
    """Within a transaction: the file's next upload replaces the version `base`."""
    connection.execute(
        "UPDATE file SET base_length=?, base_md5=?, base_date_ms=?, base_md5_proves=?"
        " WHERE number=?",
        (*token_columns(base), number),
    )


def set_put(connection: sqlite3.Connection, number: int, put: PutRecord | None) -> None:
    """Within a transaction: `put` is what may have left something at the file's name (R2)."""
    known = (put.generation, put.size, put.md5, put.detail) if put else (None, None, None, "")
    connection.execute(
        "UPDATE file SET put_generation=?, put_size=?, put_md5=?, put_detail=? WHERE number=?",
        (*known, number),
    )


def delete_number(connection: sqlite3.Connection, number: int) -> None:
    """Within a transaction: drop the row of that number, whatever its path."""
    connection.execute("DELETE FROM span WHERE number=?", (number,))
    connection.execute("DELETE FROM file WHERE number=?", (number,))


def delete_file(connection: sqlite3.Connection, path: str) -> None:
    """Within a transaction: drop the row at `path`."""
    connection.execute(
        "DELETE FROM span WHERE number IN (SELECT number FROM file WHERE path=?)", (path,)
    )
    connection.execute("DELETE FROM file WHERE path=?", (path,))


def rename_files(connection: sqlite3.Connection, source: str, destination: str) -> None:
    """Within a transaction: move the row at `source`, and all below it, to `destination`.

    Rows in the way are dropped: the caller has replaced what they cached.
    """
    if source == destination:
        return
    moved = connection.execute(
        "SELECT number, path FROM file WHERE path=? OR (path >= ? AND path < ?)",
        (source, *below(source)),
    ).fetchall()
    for number, path in moved:
        target = destination + path[len(source) :]
        delete_file(connection, target)
        connection.execute("UPDATE file SET path=? WHERE number=?", (target, number))


def below(path: str) -> tuple[str, str]:
    """The range of all paths below `path`; "0" is the character after "/"."""
    stem = path.rstrip("/")
    return f"{stem}/", f"{stem}0"
