"""R5: which commits reach the disk before a byte of the data file may change."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from tests.support.sessions import ManualClock
from tests.unit.cache.conftest import WatchedIndex
from vofs.cache.disk import Disk
from vofs.cache.filetable import FileTable


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
