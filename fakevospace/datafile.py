"""The one file that a data directory keeps beside the bytes: an SQLite database.

Commits survive a kill of the process (write-ahead log, no fsync: power loss is not promised).  The
connection holds the file exclusively: a second service on the same directory is refused.

Safe to use from any thread.  `_lock` guards the connection, and nothing else is called with it
held but what stands in a `together` block; it is taken last, after all other locks.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LAYOUT = 1
SCHEMA = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists nodes (number integer primary key, parent integer, record text not null);
create table if not exists generated (container integer primary key, recipe text not null);
create table if not exists gone (number integer primary key);
create table if not exists jobs (place integer primary key, number text unique, record text);
create table if not exists transactions (number text primary key, record text not null);
"""


class DataDirectoryError(RuntimeError):
    """The data directory is in use, is no such directory, or belongs to another personality."""


class DataFile:
    """The database of one service."""

    def __init__(self, file: Path, personality: str) -> None:
        """Open or make it.

        Raises:
            DataDirectoryError: another process holds it, or it belongs to something else.
        """
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(
                file, timeout=0.2, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("pragma locking_mode=exclusive")
            self._connection.execute("pragma journal_mode=wal")
            self._connection.execute("pragma synchronous=off")
            self._connection.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise DataDirectoryError(f"cannot use {file}: {error}") from error
        found = self._meta("identity", f"{personality} {LAYOUT}")
        if found != f"{personality} {LAYOUT}":
            self.close()
            raise DataDirectoryError(f"{file.parent} belongs to personality and layout {found}")
        self.secret = bytes.fromhex(self._meta("secret", secrets.token_hex(32)))

    def _meta(self, key: str, default: str) -> str:
        """Return a value of the file, storing the default when there is none."""
        self.run("insert or ignore into meta values (?, ?)", key, default)
        return str(self.rows("select value from meta where key = ?", key)[0][0])

    def run(self, statement: str, *values: int | str | None) -> None:
        """Change something."""
        with self._lock:
            self._connection.execute(statement, values)

    def run_many(self, statement: str, values: Iterable[tuple[int | str | None, ...]]) -> None:
        """Change something once per tuple of values; in a `together` block, to be fast."""
        with self._lock:
            self._connection.executemany(statement, values)

    def rows(self, statement: str, *values: int | str | None) -> list[tuple[Any, ...]]:
        """Return all rows of a question."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make changes that survive a kill all or not at all; such blocks may be nested."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("begin")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
