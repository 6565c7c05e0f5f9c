"""R5: which commits reach the disk before a byte of the data file may change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support.sessions import ManualClock
from tests.unit.cache.conftest import IDENTITY
from vofs.cache.disk import Disk
from vofs.cache.filetable import FileTable
from vofs.cache.index import Index


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


def test_r05_the_first_change_after_fsync_is_marked_on_the_disk(tmp_path: Path) -> None:
    """R5: else a power loss could leave a mixture that the index calls durable."""
    with closing(Disk(tmp_path / "c")) as disk, closing(WatchedIndex(disk.root / "i")) as index:
        table = FileTable(disk, index, ManualClock(), 1 << 30)
        file = table.create("/f", 0o600)
        file.write(0, b"first")
        file.sync()
        for change, marks in ((b"second", [True]), (b"third", [])):
            index.durable.clear()
            file.write(0, change)
            assert [durable for durable in index.durable if durable] == marks
        table.close()
