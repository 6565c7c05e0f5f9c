"""R9, R12, R21: three places where two things meet in one file, each once wrong."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.support.blockfiles import BLOCKS, SIZE, fetch, token
from tests.support.faultydisk import WRITE, Changes, DiskFault, FaultyDisk
from tests.support.sessions import Background, HeldAt, ManualClock, until
from tests.support.simulatednodes import token_of
from tests.unit.cache.conftest import IDENTITY, Parts, WatchedIndex
from tests.unit.cache.test_cachedfile import OLD
from vofs.cache.disk import Disk
from vofs.cache.filetable import FileTable
from vofs.cache.rowchanges import delete_file
from vofs.core.eviction import BLOCK


@pytest.mark.parametrize("dirty", [False, True])
def test_r09_a_release_while_a_name_is_being_lost_leaves_nothing_open(
    tmp_path: Path, checked_locks: None, dirty: bool
) -> None:
    """R9: the last handle closes in the middle: the file is nowhere, and its data file is gone.

    The file's lock is held by a disk that is slow; so the loss of the name has begun, and waits.
    """
    changes, gate = Changes(), HeldAt()
    with (
        closing(FaultyDisk(tmp_path / "c", 0, changes)) as disk,
        closing(disk.open_index(IDENTITY)) as index,
    ):
        table = FileTable(disk, index, ManualClock(), 1 << 30)
        if dirty:
            file = table.create("/f", 0o600)
            file.write(0, b"unsent")
        else:
            file = table.acquire("/f", token_of(OLD), 1)
            (claim,), _ = file.claim_missing(0, len(OLD), ranges=True)
        with index.transaction() as connection:
            delete_file(connection, "/f")
        changes.plan(DiskFault(name=WRITE, before=gate.arrive))
        slow = Background(lambda: file.write(0, b"m") if dirty else file.accept(claim, 0, OLD))
        gate.wait_until_reached()
        losing = Background(lambda: table.forget("/f"))
        until(lambda: losing.is_inside("detach"), "the name is being lost")
        closing_it = Background(lambda: table.release(file))
        until(lambda: closing_it.ended or closing_it.is_inside("settle"), "the close")
        gate.open()
        for job in (slow, losing, closing_it):
            job.result()
        assert table.find_detached("/f") == []
        assert table.files() == []
        table.evict()
        assert not disk.has_data(file.number)
        table.close()


def test_r12_r13_an_eviction_leaves_bytes_alone_that_are_held_back(parts: Parts) -> None:
    """They are in the data file and not present yet: a hole there would be served as zeros."""
    file = parts.load(parts.row("/f", base=token_of(OLD)))
    try:
        claims, _ = file.claim_missing(0, len(OLD), ranges=True)
        half = len(OLD) // 2
        assert file.accept(claims[0], 0, OLD[:half])
        file.accept(claims[0], half, OLD[half:])
        assert file.read(half, 1) is None, "held back until it is compared"
        assert file.evict(range(1)) == 0
        assert file.evict_rest(BLOCK)[0] == 0
        assert file.check(claims) is not None
        file.release_claim(claims[0], None)
        assert file.read(0, len(OLD)) == OLD
    finally:
        file.close()


def test_r05_r12_of_a_synced_file_nothing_goes_before_the_disk_knows(tmp_path: Path) -> None:
    """R5: a power loss must not leave a hole in what the row calls as it was synced."""
    with closing(Disk(tmp_path / "c")) as disk, closing(WatchedIndex(disk.root / "i")) as index:
        clock = ManualClock()
        table = FileTable(disk, index, clock, 1 << 30)
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        file.write(0, b"changed")
        file.sync()
        file.confirm(clock.monotonic())
        index.durable.clear()
        assert file.evict(range(2, BLOCKS)) > 0
        assert index.durable[0] is True
        table.release(file)
        table.close()
