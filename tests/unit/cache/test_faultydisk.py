"""The faulty disk of the tests misses no change, and a fault leaves what a real one would."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.faultydisk import (
    COMMIT,
    CREATE,
    WRITE,
    Changes,
    DiskFault,
    FaultyDataFile,
    FaultyDisk,
)  # fmt: skip
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.core.errors import CacheFull

UNCHANGING = {
    Disk: {
        "lock", "has_data", "data_numbers", "require_room", "missing_room", "free_bytes", "close",
        "create_data",  # by open_data
        "hold_ballast", "drop_ballast",  # nothing is in it
    },
    DataFile: {
        "read", "size", "allocated", "close",
        "copy_to",  # by write
    },
}  # fmt: skip


def full() -> None:
    raise CacheFull("full")


@pytest.mark.parametrize(("real", "faulty"), [(Disk, FaultyDisk), (DataFile, FaultyDataFile)])
def test_every_change_that_the_disk_offers_can_fail(real: type, faulty: type) -> None:
    offered = {name for name in vars(real) if not name.startswith("_")}
    assert offered == UNCHANGING[real] | {name for name in vars(faulty) if name[0] != "_"}


def test_a_fault_midway_leaves_half_a_write(tmp_path: Path) -> None:
    changes = Changes()
    disk = FaultyDisk(tmp_path / "c", 0, changes)
    data = disk.open_data(1, create=True)
    changes.plan(DiskFault(2, WRITE, midway=full))
    data.write(0, b"first")
    with pytest.raises(CacheFull):
        data.write(5, b"second")
    assert (tmp_path / "c" / "data" / "1").read_bytes() == b"firstsec"
    changes.heal()
    data.write(5, b"second")
    assert (tmp_path / "c" / "data" / "1").read_bytes() == b"firstsecond"
    assert changes.made == [CREATE, WRITE, WRITE, WRITE]
    data.close()
    disk.close()


@pytest.mark.parametrize("before", [True, False])
def test_a_commit_fails_before_it_or_after_it(tmp_path: Path, before: bool) -> None:
    changes = Changes()
    disk = FaultyDisk(tmp_path / "c", 0, changes)
    index = disk.open_index("an identity")
    assert index.find("/f") is None
    changes.plan(DiskFault(name=COMMIT, before=full) if before else DiskFault(after=full))
    with pytest.raises(CacheFull), index.transaction() as connection:
        connection.execute("INSERT INTO intent (op, detail) VALUES ('mkdir', '{}')")
    assert changes.made == [COMMIT]  # reading is no change
    with index.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM intent").fetchone()[0] == (not before)
    index.close()
    disk.close()
