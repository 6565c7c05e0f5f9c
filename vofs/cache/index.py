"""The index: what the cache must still know after a crash, in SQLite.

Which rows there are, and which change of them is one commit.  The file itself, its transactions and
what they survive are `indexfile`'s business.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace

from vofs.cache.indexfile import IndexFile, is_content
from vofs.cache.putrecord import PutRecord
from vofs.cache.rowchanges import below, delete_file, delete_number, insert_file, save_file
from vofs.cache.rows import COLUMNS, MARKS, DamagedRow, FileRow, file_row, values
from vofs.core.errors import CacheDamaged, UnknownIndex
from vofs.core.spans import Span


class Index(IndexFile):
    """The rows of an open index; arguments and errors are those of `IndexFile`."""

    def check(self, *, thoroughly: bool) -> None:
        """Read what a mount is about to read.

        Args:
            thoroughly: and all the rest: after a power loss.

        Raises:
            UnknownIndex: it cannot be read.
        """
        try:
            self.dirty()
            with self.transaction() as connection:
                for table in ("intent", "tombstone", "damaged"):
                    connection.execute(f"SELECT * FROM {table}").fetchall()
                pragma = "PRAGMA quick_check(1)"
                found = connection.execute(pragma).fetchone()[0] if thoroughly else "ok"
        except CacheDamaged as exc:
            if isinstance(exc.__cause__, sqlite3.Error) and is_content(exc.__cause__):
                raise UnknownIndex(str(exc)) from exc
            raise
        except ValueError as exc:  # a column that holds something else
            raise UnknownIndex(f"the index is damaged: {exc}") from exc
        if found != "ok":
            raise UnknownIndex(f"the index is damaged: {found}")

    # -- files ----------------------------------------------------------------------------------

    def find(self, path: str) -> FileRow | None:
        """The row of the file at `path`, or None."""
        with self.transaction() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS} FROM file WHERE path=?", (path,)
            ).fetchone()  # fmt: skip
            return None if row is None else file_row(connection, row)

    def dirty(self) -> list[FileRow]:
        """All files with something that the service does not have (loaded before the mount)."""
        with self.transaction() as connection:
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM file WHERE generation != stored_generation"
            ).fetchall()
            return [file_row(connection, row) for row in rows]

    def rows(self) -> list[FileRow]:
        """All files, by path."""
        with self.transaction() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM file ORDER BY path").fetchall()
            return [file_row(connection, row) for row in rows]

    def set_aside(self, row: FileRow, reason: str) -> None:
        """Unsent data that cannot be read: the row leaves its name, its data file stays."""
        spans = [(0, row.size, True)] if row.whole else list(row.spans)
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO damaged VALUES (?, ?, ?, ?, ?)",
                (row.number, row.path, row.size, reason, json.dumps(spans)),
            )
            delete_number(connection, row.number)

    def damaged(self) -> list[DamagedRow]:
        """What was set aside."""
        with self.transaction() as connection:
            rows = connection.execute(
                "SELECT number, path, size, reason, spans FROM damaged ORDER BY path"
            ).fetchall()
        return [
            DamagedRow(number, path, size, reason, tuple(map(tuple, json.loads(spans))))
            for number, path, size, reason, spans in rows
        ]

    def insert(self, row: FileRow, create_data: Callable[[int], None]) -> tuple[FileRow, bool]:
        """Store a new row, or find the one that is there.

        Args:
            row: what to store.
            create_data: makes the data file; called before the commit, so that a row without a
                data file always means damage.

        Returns:
            The stored row, with its number, and whether it was added.
        """
        with self.transaction() as connection:
            return insert_file(connection, replace(row, losses=self.losses), create_data)

    def replace(self, row: FileRow, create_data: Callable[[int], None]) -> FileRow:
        """Give the file of `row` a new number and a new data file, in one step (R12).

        The caller takes what the old data file holds off the count.
        """
        with self.transaction() as connection:
            connection.execute("UPDATE file SET present_bytes=0 WHERE path=?", (row.path,))
            delete_file(connection, row.path)
            return insert_file(connection, replace(row, losses=self.losses), create_data)[0]

    def restore(self, row: FileRow) -> None:
        """Store a row again whose data file never went: a name that comes back (R9).

        Its tombstone goes in the same transaction; a file that the service never had has none.
        On the disk, or a power loss would leave the tombstone and no row.

        Raises:
            CacheDamaged: another file has that name by now.
        """
        with self.transaction(durable=True) as connection:
            if row.base is not None:
                connection.execute("DELETE FROM tombstone WHERE path=?", (row.path,))
            delete_number(connection, row.number)
            connection.execute(
                f"INSERT INTO file ({COLUMNS}) VALUES (?, {MARKS})", (row.number, *values(row))
            )
            connection.executemany(
                "INSERT INTO span VALUES (?, ?, ?, ?)", [(row.number, *span) for span in row.spans]
            )

    def save(self, row: FileRow, *, durable: bool = False) -> bool:
        """Replace all that is known of one file, spans included; a file without a row is let be.

        The path is not written: only `rename` changes it, so a save that was under way during a
        rename cannot bring the old name back.

        Returns:
            Whether there is a row.
        """
        with self.transaction(durable=durable) as connection:
            return save_file(connection, row)

    def save_as(self, row: FileRow, path: str) -> None:
        """Replace all that is known of one file, and its name, in one step.

        Raises:
            CacheDamaged: another file has that name.
        """
        with self.transaction() as connection:
            connection.execute("UPDATE file SET path=? WHERE number=?", (path, row.number))
            save_file(connection, row)

    def mark_dirty(
        self, number: int, generation: int, *, whole: bool, durable: bool = False
    ) -> bool:
        """Commit that the file is about to change, before its first changed byte is written.

        Returns:
            False when the file has no row: what is written cannot be found after a crash.
        """
        with self.transaction(durable=durable) as connection:
            marked = connection.execute(
                "UPDATE file SET generation=max(generation, ?), whole=? WHERE number=?",
                (generation, whole, number),
            ).rowcount
            return bool(marked)

    def add_dirty_span(
        self, number: int, span: Span, size: int, generation: int, mtime_ns: int
    ) -> None:
        """Commit one write of a file that is not whole, before the write returns.

        A file without a row is let be.
        """
        with self.transaction() as connection:
            changed = connection.execute(
                "UPDATE file SET size=?, generation=?, mtime_ns=? WHERE number=?",
                (size, generation, mtime_ns, number),
            ).rowcount
            if changed:
                connection.execute("INSERT INTO span VALUES (?, ?, ?, 1)", (number, *span))

    def put_started(self, number: int, put: PutRecord, *, durable: bool) -> None:
        """R2: commit that the first body byte of a PUT is about to leave, or the last has left."""
        with self.transaction(durable=durable) as connection:
            connection.execute(
                "UPDATE file SET put_generation=?, put_size=?, put_md5=?, put_detail=?"
                " WHERE number=?",
                (put.generation, put.size, put.md5, put.detail, number),
            )

    def clean_below(self, path: str) -> list[str]:
        """The paths of all clean files at and below `path`."""
        with self.transaction() as connection:
            return [
                found
                for (found,) in connection.execute(
                    "SELECT path FROM file WHERE generation = stored_generation"
                    " AND (path=? OR (path >= ? AND path < ?))",
                    (path, *below(path)),
                )
            ]

    def delete_clean(self, path: str) -> int | None:
        """Drop the row of a clean file; returns its number, or None when it is not clean."""
        with self.transaction() as connection:
            row = connection.execute(
                "SELECT number FROM file WHERE path=? AND generation = stored_generation", (path,)
            ).fetchone()
            if row is None:
                return None
            delete_file(connection, path)
            return int(row[0])
