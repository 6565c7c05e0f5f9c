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
from pathlib import Path

from vofs.cache import coldrows
from vofs.cache.rows import COLUMNS, FileRow, PutRecord, file_row, token_columns, values
from vofs.core.errors import CacheDamaged, CacheFull, MountUnusable
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span
from vofs.locks import Level, OrderedLock

FORMAT = 1

SCHEMA = """
-- identity and format of this cache
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- one row for each cached file; number names the data file and is never used again
CREATE TABLE file (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    path TEXT NOT NULL UNIQUE,              -- decoded node path
    size INTEGER NOT NULL,
    backing_end INTEGER NOT NULL,           -- nothing at or beyond it is ever fetched
    generation INTEGER NOT NULL,            -- counts changes
    stored_generation INTEGER NOT NULL,     -- the one that the service has; equal = clean
    whole INTEGER NOT NULL,                 -- 1: all of the data file is present, its size decides
    base_length INTEGER,                    -- the version on the service; NULL: it never had it
    base_md5 TEXT,
    base_date_ms INTEGER,
    base_md5_proves INTEGER,
    mtime_ns INTEGER NOT NULL,
    mode INTEGER,                           -- permission bits asked for at creation
    put_generation INTEGER,                 -- R2: a PUT of this generation began
    put_size INTEGER,
    put_md5 TEXT,                           -- of its body, once the whole of it has left
    state TEXT NOT NULL DEFAULT '',         -- '', 'failed' or 'conflict'
    error TEXT NOT NULL DEFAULT '',         -- the last error of an upload
    attempts INTEGER NOT NULL DEFAULT 0,
    present_bytes INTEGER NOT NULL DEFAULT 0, -- space that its data file takes, as of the last save
    used_at INTEGER NOT NULL DEFAULT 0       -- the order of use, see space.py
);
-- spans of files that are not whole: appended by each write, rewritten when the file is saved
CREATE TABLE span (number INTEGER NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL,
    dirty INTEGER NOT NULL);
CREATE INDEX span_of ON span (number);
-- R8: a synchronous change that began and is not known to have ended
CREATE TABLE intent (id INTEGER PRIMARY KEY AUTOINCREMENT, op TEXT NOT NULL, detail TEXT NOT NULL);
-- R9: a node that was unlinked while open and is still to be deleted
CREATE TABLE tombstone (path TEXT PRIMARY KEY, length INTEGER NOT NULL, md5 TEXT,
    date_ms INTEGER, md5_proves INTEGER NOT NULL) WITHOUT ROWID;
"""


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
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as exc:
            raise _unusable(path, exc) from exc
        try:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._prepare(path, identity)
            for statement in coldrows.SCHEMA.split(";\n"):
                self._connection.execute(statement)
        except BaseException as exc:
            self._connection.close()
            if isinstance(exc, sqlite3.Error):
                raise _unusable(path, exc) from exc
            raise

    def _prepare(self, path: Path, identity: str) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA.split(";\n"):
                self._connection.execute(statement)
            self._connection.execute("INSERT INTO meta VALUES ('identity', ?)", (identity,))
            self._connection.execute(f"PRAGMA user_version={FORMAT}")
            self._connection.execute("COMMIT")
            return
        if version != FORMAT:
            raise MountUnusable(
                f"cache index {path} has format {version}, this vofs reads {FORMAT}"
            )
        owner = self._connection.execute(
            "SELECT value FROM meta WHERE key='identity'"
        ).fetchone()  # fmt: skip
        if owner is None or owner[0] != identity:
            raise MountUnusable(
                f"cache {path.parent} belongs to {owner and owner[0]}, not to {identity}:"
                " give another --cache-dir"
            )

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
            return _insert(connection, row, create_data)

    def replace(self, row: FileRow, create_data: Callable[[int], None]) -> FileRow:
        """Give the file of `row` a new number and a new data file, in one step (R12).

        The caller takes what the old data file holds off the count.
        """
        with self.transaction() as connection:
            connection.execute("UPDATE file SET present_bytes=0 WHERE path=?", (row.path,))
            delete_file(connection, row.path)
            return _insert(connection, row, create_data)[0]

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
                f"INSERT INTO file ({COLUMNS}) VALUES (?{', ?' * 20})", (row.number, *values(row))
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
        assignments = ", ".join(
            f"{name.strip()}=?" for name in COLUMNS.split(",")[2:]
        )  # fmt: skip
        with self.transaction(durable=durable) as connection:
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

    def mark_dirty(self, number: int, generation: int, *, whole: bool) -> None:
        """Commit that the file is about to change, before its first changed byte is written."""
        with self.transaction() as connection:
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
                "UPDATE file SET put_generation=?, put_size=?, put_md5=? WHERE number=?",
                (put.generation, put.size, put.md5, number),
            )

    def clean_below(self, path: str) -> list[str]:
        """The paths of all clean files at and below `path`."""
        with self.transaction() as connection:
            return [
                found
                for (found,) in connection.execute(
                    "SELECT path FROM file WHERE generation = stored_generation"
                    " AND (path=? OR (path >= ? AND path < ?))",
                    (path, *_below(path)),
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


def _insert(
    connection: sqlite3.Connection, row: FileRow, create_data: Callable[[int], None]
) -> tuple[FileRow, bool]:
    added = connection.execute(
        f"INSERT INTO file ({COLUMNS}) VALUES (NULL{', ?' * 20}) ON CONFLICT (path) DO NOTHING",
        values(row),
    ).rowcount
    stored = connection.execute(f"SELECT {COLUMNS} FROM file WHERE path=?", (row.path,)).fetchone()
    if added:
        create_data(stored[0])
    return file_row(connection, stored), bool(added)


def set_base(connection: sqlite3.Connection, number: int, base: VersionToken) -> None:
    """Within a transaction: the file's next upload replaces the version `base`."""
    connection.execute(
        "UPDATE file SET base_length=?, base_md5=?, base_date_ms=?, base_md5_proves=?"
        " WHERE number=?",
        (*token_columns(base), number),
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
        (source, *_below(source)),
    ).fetchall()
    for number, path in moved:
        target = destination + path[len(source) :]
        delete_file(connection, target)
        connection.execute("UPDATE file SET path=? WHERE number=?", (target, number))


def _below(path: str) -> tuple[str, str]:
    """The range of all paths below `path`; "0" is the character after "/"."""
    stem = path.rstrip("/")
    return f"{stem}/", f"{stem}0"
