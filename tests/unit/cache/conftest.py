"""A cache directory and its parts, without a service."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.sessions import ManualClock
from vofs import locks
from vofs.cache.cachedfile import CachedFile
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.cache.filetable import FileTable
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.core.nodes import VersionToken

IDENTITY = "host|ivo://service|account"


@dataclass
class Parts:
    """One cache directory, opened."""

    root: Path
    disk: Disk
    index: Index
    clock: ManualClock
    table: FileTable
    opened: list[Disk]

    def row(
        self, path: str, data: bytes | None = None, base: VersionToken | None = None
    ) -> FileRow:
        """Insert a row: of a clean file with data, or of one that is all holes."""
        length = base.length if base is not None else len(data or b"")
        row = FileRow(0, path, length, length, 0, 0, data is not None, base, 1)
        stored, added = self.index.insert(row, self.disk.create_data)
        assert added
        if data:
            file = self.disk.open_data(stored.number, create=False)
            file.write(0, data)
            file.close()
        return stored

    def numbers(self) -> set[int]:
        """The numbers of all rows."""
        with self.index.transaction() as connection:
            return {number for (number,) in connection.execute("SELECT number FROM file")}

    def load(self, row: FileRow) -> CachedFile:
        return CachedFile(row, self.disk, self.index, self.clock, self.table.space)

    def again(self, path: str) -> CachedFile:
        """The file at `path` as the next mount would find it: a second object on the same row."""
        row = self.index.find(path)
        assert row is not None
        return self.load(row)


class WatchedIndex(Index):
    """Remembers which of its transactions had to reach the disk."""

    def __init__(self, path: Path) -> None:
        self.durable: list[bool] = []
        super().__init__(path, IDENTITY)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        self.durable.append(durable)
        with super().transaction(durable=durable) as connection:
            yield connection


def disk_with(parts: Parts, kind: type[DataFile]) -> Disk:
    """A disk on the same directory, with data files of another kind."""

    class Special(Disk):
        def open_data(self, number: int, *, create: bool) -> DataFile:
            flags = os.O_RDWR | (os.O_CREAT if create else 0)
            return kind(os.open(self.root / "data" / str(number), flags, 0o600))

    disk = Special(parts.root)
    parts.opened.append(disk)
    return disk


@contextmanager
def table_of(parts: Parts, limit: int, disk: Disk | None = None) -> Iterator[FileTable]:
    """Another table of the same cache, with a budget of `limit` bytes."""
    table = FileTable(disk or parts.disk, parts.index, parts.clock, limit)
    try:
        yield table
    finally:
        table.close()


@pytest.fixture
def checked_locks() -> Iterator[None]:
    locks.checking(True)
    yield
    locks.checking(True)


@pytest.fixture
def parts(tmp_path: Path, checked_locks: None) -> Iterator[Parts]:
    with ExitStack() as stack:
        root = tmp_path / "cache"
        disk = Disk(root)
        stack.callback(disk.close)
        index = Index(root / "index.sqlite", IDENTITY)
        stack.callback(index.close)
        clock = ManualClock()
        table = FileTable(disk, index, clock, 1 << 30)
        opened: list[Disk] = []
        yield Parts(root, disk, index, clock, table, opened)
        for other in opened:
            other.close()
