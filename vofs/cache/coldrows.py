"""Rows of clean files that nobody uses, by age; and data files whose rows are gone.

Both are asked for by what they cost: an index over the clean rows in the order of their use, and a
table that a trigger fills whenever a row goes, in the same transaction.  So neither mounting nor
eviction walks the rows or the directory, however many files are cached.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColdFile:
    """A clean file that was not in memory when its row was read.

    Attributes:
        path: decoded node path.
        number: names the data file.
        present_bytes: space that the data file takes.
        used_at: tick of its last use.
    """

    path: str
    number: int
    present_bytes: int
    used_at: int


def oldest(connection: sqlite3.Connection, most: int) -> list[ColdFile]:
    """Within a transaction: the clean files whose last use is the longest ago, in that order."""
    rows = connection.execute(
        "SELECT path, number, present_bytes, used_at FROM file"
        " WHERE generation = stored_generation ORDER BY used_at LIMIT ?",
        (most,),
    )
    return [ColdFile(*row) for row in rows]


def touch(connection: sqlite3.Connection, numbers: Iterable[int], tick: int) -> None:
    """Within a transaction: these files were used at `tick`."""
    connection.executemany(
        "UPDATE file SET used_at=? WHERE number=?", [(tick, number) for number in numbers]
    )


def usage(connection: sqlite3.Connection) -> tuple[int, int]:
    """Within a transaction: what is cached of clean files and left over, and the last tick.

    Returns:
        Bytes, and the highest tick of any clean file.
    """
    files, last = connection.execute(
        "SELECT total(present_bytes), max(used_at) FROM file WHERE generation = stored_generation"
    ).fetchone()
    left = connection.execute("SELECT total(bytes) FROM leftover").fetchone()[0]
    return int(files + left), last or 0


def leftovers(connection: sqlite3.Connection, after: int, most: int) -> list[tuple[int, int]]:
    """Within a transaction: number and bytes of data files without a row, numbers above `after`."""
    return connection.execute(
        "SELECT number, bytes FROM leftover WHERE number > ?"
        " AND number NOT IN (SELECT number FROM damaged) ORDER BY number LIMIT ?",
        (after, most),
    ).fetchall()


def removed(connection: sqlite3.Connection, number: int) -> bool:
    """Within a transaction: a left-over data file is gone; False when somebody else saw to it."""
    return connection.execute("DELETE FROM leftover WHERE number=?", (number,)).rowcount > 0
