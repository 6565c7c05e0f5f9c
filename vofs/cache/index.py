"""The index: what the cache must still know after a crash, in SQLite.

One connection for the process, used under the lock of level INDEX.  Write-ahead logging makes one
commit one append to a file, so every acknowledged change survives a killed process; `synchronous`
is NORMAL, and FULL for the one commit that fsync(2) asks for, because NORMAL alone does not reach
the disk (architecture.md section 3).  `locking_mode=EXCLUSIVE` comes before WAL: then there is no
shared-memory file that a full disk or NFS could break (R21).

An index belongs to one service identity; another one's is refused, never adopted, because its
unsent files would go to the wrong place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from vofs.cache import schema
from vofs.cache.putrecord import PutRecord
from vofs.cache.rowchanges import below, delete_file, delete_number, insert_file, save_file
from vofs.cache.rows import COLUMNS, MARKS, FileRow, file_row, values
from vofs.core.errors import CacheDamaged, CacheFull, MountUnusable
from vofs.core.spans import Span
from vofs.locks import Level, OrderedLock


class Index:
    """An open index.

    Args:
        path: the database file; made when missing.
        identity: the service identity that this cache must belong to.

    Raises:
        MountUnusable: another identity's cache, another format, or a file that is no index.
    """

    def __init__(self, path: Path, identity: str) -> None:
        self._lock = OrderedLock(Level.INDEX)
        self.losses = 0  # power losses that this cache has seen (R5)
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as exc:
            raise _unusable(path, exc) from exc
        try:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._prepare(path, identity)
        except BaseException as exc:
            self._connection.close()
            if isinstance(exc, sqlite3.Error):
                raise _unusable(path, exc) from exc
            raise

    def _prepare(self, path: Path, identity: str) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            schema.create(self._connection, identity)
            return
        if version != schema.FORMAT and version not in schema.MIGRATIONS:
            raise MountUnusable(
                f"cache index {path} has format {version}, this vofs reads {schema.FORMAT}"
            )
        owner = self._meta("identity")
        if owner != identity:
            raise MountUnusable(
                f"cache {path.parent} belongs to {owner}, not to {identity}:"
                " give another --cache-dir"
            )
        if version != schema.FORMAT:
            schema.migrate(self._connection, version)
        self.losses = int(self._meta("losses") or 0)

    def _meta(self, key: str) -> str | None:
        found = self._connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def started(self, boot_id: str) -> bool:
        """A mount begins: note under which boot, on the disk, before anything else changes (R5).

        Args:
            boot_id: what the kernel calls this boot.

        Returns:
            True when the machine went down since the last mount, and that did not end in order:
            what the cache holds may then be older than what the index says.
        """
        with self.transaction(durable=True) as connection:
            before, clean = self._meta("boot_id"), self._meta("clean_stop") == "1"
            lost = before is not None and before != boot_id and not clean
            self.losses += lost
            connection.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [("boot_id", boot_id), ("clean_stop", "0"), ("losses", str(self.losses))],
            )
        return lost

    def stopped(self) -> None:
        """The mount ends, and everything that it wrote is on the disk."""
        with self.transaction(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('clean_stop', '1')")

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One atomic change of the index.

        Args:
            durable: reach the disk before returning (fsync(2)), not only the kernel.

        Raises:
            CacheFull: the local file system is full; nothing was changed.
            CacheDamaged: the index cannot be written; nothing was changed.
        """
        with self._lock:
            try:
                if durable:
                    self._connection.execute("PRAGMA synchronous=FULL")
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
                finally:
                    if durable:
                        self._connection.execute("PRAGMA synchronous=NORMAL")
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise CacheFull("the cache's index has no room on its disk") from exc
                raise CacheDamaged(f"index: {exc}") from exc
            except sqlite3.Error as exc:
                raise CacheDamaged(f"index: {exc}") from exc

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

        Raises:
            CacheDamaged: another file has that name by now.
        """
        with self.transaction() as connection:
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
    ) -> None:
        """Commit that the file is about to change, before its first changed byte is written."""
        with self.transaction(durable=durable) as connection:
            marked = connection.execute(
                "UPDATE file SET generation=max(generation, ?), whole=? WHERE number=?",
                (generation, whole, number),
            ).rowcount
            if not marked:  # what would be written could not be found again after a crash
                raise CacheDamaged(f"the index has no file {number}")

    def add_dirty_span(
        self, number: int, span: Span, size: int, generation: int, mtime_ns: int
    ) -> None:
        """Commit one write of a file that is not whole, before the write returns."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE file SET size=?, generation=?, mtime_ns=? WHERE number=?",
                (size, generation, mtime_ns, number),
            )
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

    def close(self) -> None:
        """Close the connection; its lock on the file goes with it."""
        with self._lock:
            self._connection.close()


def _unusable(path: Path, exc: sqlite3.Error) -> MountUnusable:
    return MountUnusable(
        f"cache index {path} cannot be used ({exc}); it may hold unsent data:"
        " keep it and give another --cache-dir"
    )
