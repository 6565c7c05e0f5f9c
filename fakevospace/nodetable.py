"""The node tree on disk: one SQLite row per node, keyed by its number.

A row names its parent by number, so that a move is one row.  Commits survive a kill of the
process (write-ahead log, no fsync: power loss is not promised).  The connection holds the file
exclusively: a second service on the same directory is refused.

Not thread safe: every call with the lock of `State` held.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fakevospace.nodes import Children, Kind, Node
from fakevospace.storage import ByteStore

LAYOUT = 1
SCHEMA = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists nodes (number integer primary key, parent integer, record text not null);
"""
PLAIN_FIELDS = (
    "name", "owner", "date_ms", "properties", "target", "storage_id", "content", "length", "md5",
    "content_date_ms",
)  # fmt: skip


class DataDirectoryError(RuntimeError):
    """The data directory is in use, is no such directory, or belongs to another personality."""


class NodeTable:
    """The log of changes of a `Space`, kept in a file."""

    def __init__(self, file: Path, personality: str) -> None:
        """Open or make the table.

        Raises:
            DataDirectoryError: another process holds it, or it belongs to something else.
        """
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
        """Return a value of the table, storing the default when there is none."""
        self._connection.execute("insert or ignore into meta values (?, ?)", (key, default))
        row = self._connection.execute("select value from meta where key = ?", (key,)).fetchone()
        return str(row[0])

    def saved(self, node: Node) -> None:
        """Write the row of a node."""
        record: dict[str, Any] = {name: getattr(node, name) for name in PLAIN_FIELDS}
        record["kind"] = node.kind.value
        parent = None if node.parent is None else node.parent.number
        self._connection.execute(
            "insert or replace into nodes values (?, ?, ?)",
            (node.number, parent, json.dumps(record)),
        )

    def removed(self, node: Node) -> None:
        """Delete the row of a node."""
        self._connection.execute("delete from nodes where number = ?", (node.number,))

    def replace_all(self, nodes: Iterable[Node]) -> None:
        """Forget all rows and write these instead; at once, should the process be killed."""
        self._connection.execute("begin")
        self._connection.execute("delete from nodes")
        for node in nodes:
            self.saved(node)
        self._connection.execute("commit")

    def load(self, store: ByteStore) -> list[Node]:
        """Read the tree; sizes are those of the bytes, which a kill may have left behind.

        Returns:
            All nodes, linked to each other; empty for a new table.
        """
        nodes: dict[int, Node] = {}
        parents: dict[int, int | None] = {}
        for number, parent, text in self._connection.execute("select * from nodes"):
            record = json.loads(text)
            kind = Kind(record.pop("kind"))
            node = Node(number=number, kind=kind, parent=None, **record)
            if kind is Kind.CONTAINER:
                node.children = Children()
            if node.content is not None:
                node.length = store.size(node.content)
            nodes[number], parents[number] = node, parent
        for number in sorted(nodes):
            parent_number = parents[number]
            if parent_number is not None:
                nodes[number].parent = nodes[parent_number]
                nodes[parent_number].children.add(nodes[number])
        store.retain(node.content for node in nodes.values() if node.content is not None)
        return list(nodes.values())

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class NoTable:
    """The log of changes of a `Space` that lives in memory only."""

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(32)

    def saved(self, node: Node) -> None:
        """Nothing to keep."""

    def removed(self, node: Node) -> None:
        """Nothing to keep."""

    def replace_all(self, nodes: Iterable[Node]) -> None:
        """Nothing to keep."""

    def close(self) -> None:
        """Nothing to close."""
