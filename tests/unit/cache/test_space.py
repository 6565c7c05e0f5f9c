"""The budget: what counts, who may exceed it, and what a full disk means."""

from __future__ import annotations

import pytest

from tests.support.blockfiles import BLOCKS, SIZE, content, fetch, fill, token, whole_row
from tests.support.logs import ExpectLog
from tests.unit.cache.conftest import Parts, table_of
from vofs.cache.disk import Disk
from vofs.cache.space import Need
from vofs.core.errors import CacheFull, NodeBusy, UploadFailed
from vofs.core.eviction import BLOCK
from vofs.core.nodes import VersionToken


class SmallDisk(Disk):
    """A disk whose free space a test sets; it is not used up."""

    free = 1 << 40

    @property
    def free_bytes(self) -> int:
        return self.free


def small_disk(parts: Parts) -> SmallDisk:
    """One on the same directory, of which 1000 bytes are never used."""
    disk = SmallDisk(parts.root, 1000)
    parts.opened.append(disk)
    return disk


def test_who_may_exceed_the_budget(parts: Parts) -> None:
    """R21: reserved before anything is accepted; written data down to --min-free, then CacheFull;
    readahead never."""
    disk = small_disk(parts)
    with table_of(parts, 100, disk) as table:
        space = table.space
        with space.reserved(60, Need.AHEAD) as first, space.reserved(41, Need.AHEAD) as second:
            assert (first, second) == (True, False)
            with space.reserved(500, Need.KEPT) as granted:
                assert granted
        disk.free = 1400
        with (
            space.reserved(300, Need.KEPT),
            pytest.raises(CacheFull, match="min-free"),
            space.reserved(101, Need.KEPT),
        ):
            pass
        with space.reserved(400, Need.KEPT), space.reserved(1 << 20, Need.AWAITED) as granted:
            assert granted
        with space.reserved(100, Need.AHEAD) as granted:
            assert granted, "all was given back"


def test_r24_what_nobody_asked_for_makes_no_room_of_a_file_in_use(parts: Parts) -> None:
    """Data of a file that is only cached goes for it; that of one in use goes for a reader only."""
    with table_of(parts, 2 * SIZE) as table:
        unused, used = (table.acquire(path, token(), 1) for path in ("/unused", "/used"))
        fetch(used, 0, SIZE)
        fetch(unused, 0, SIZE)
        table.release(unused)
        with table.space.reserved(SIZE, Need.SPARE) as granted:
            assert granted
            with table.space.reserved(1, Need.SPARE) as granted:
                assert not granted
            assert not used.gaps
            with table.space.reserved(1, Need.AHEAD) as granted:
                assert granted
            assert used.gaps
        table.release(used)


def test_r24_what_is_fetched_ahead_of_a_reader_makes_room_of_what_was_read(parts: Parts) -> None:
    """A file that is read in order through a small cache is not asked for piece by piece."""
    with table_of(parts, 2 * SIZE) as table:
        files = [table.acquire(f"/{number}", token(), 1) for number in range(3)]
        for file in files:
            (claim,) = file.state.claim(0, SIZE)  # of which no reader has asked for anything yet
            for offset in range(0, SIZE, BLOCK):
                file.accept(claim, offset, content()[offset : offset + BLOCK])
            file.release_claim(claim, None)
        assert not files[2].gaps
        assert files[0].gaps
        for file in files:
            table.release(file)


def test_no_byte_is_written_that_there_is_no_room_for(parts: Parts) -> None:
    """ENOSPC before accepting: the file is as it was, and still clean."""
    disk = small_disk(parts)
    with table_of(parts, 1 << 30, disk) as table:
        file = table.acquire("/f", token(), 1)
        disk.free = 1001
        with pytest.raises(CacheFull):
            file.write(0, b"two or more")
        assert table.unsent_below("/") == []
        disk.free = 1 << 30
        file.write(0, b"now there is")
        assert table.unsent_below("/") == [file]
        table.release(file)


def test_room_below_min_free_is_made_of_clean_data(parts: Parts) -> None:
    disk = small_disk(parts)
    with table_of(parts, 1 << 30, disk) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        disk.free = 900
        table.evict()
        assert table.used_bytes() == SIZE - BLOCK
        table.release(file)


def test_downloads_count_as_they_arrive(parts: Parts) -> None:
    """Issue: a budget including in-flight data."""
    with table_of(parts, 2 * BLOCK) as table:
        file = table.acquire("/f", token(), 1)
        (claim, *_), _ = file.claim_missing(0, SIZE, ranges=True)
        seen = []
        for number in range(BLOCKS):
            offset = number * BLOCK
            if claim.end >= offset + BLOCK:
                file.accept(claim, offset, content()[offset : offset + BLOCK])
                seen.append(table.used_bytes())
        assert seen[0] == BLOCK
        assert max(seen) <= 2 * BLOCK
        file.release_claim(claim, None)
        table.release(file)


def test_zeros_that_were_never_written_take_no_room(parts: Parts) -> None:
    with table_of(parts, 1 << 40) as table:
        file = table.create("/f", 0o600)
        file.write(1 << 36, b"end")
        assert table.used_bytes() < 1 << 20
        file.truncate(1 << 38)
        assert table.used_bytes() < 1 << 20
        file.write(1 << 20, bytes(BLOCK))
        assert table.used_bytes() >= BLOCK
        file.truncate(0)
        assert table.used_bytes() == 0
        table.release(file)


def test_what_others_delete_is_taken_off_the_count(parts: Parts) -> None:
    """However a row goes, its data file is removed and counted no more, after a kill as well."""
    with table_of(parts, 1 << 30) as table:
        whole_row(table, "/f")
        whole_row(table, "/g")
        with parts.index.transaction() as connection:
            connection.execute("DELETE FROM file WHERE path='/f'")
        assert table.used_bytes() == 2 * SIZE
        with table_of(parts, 1 << 30) as after_a_kill:
            assert after_a_kill.used_bytes() == 2 * SIZE
            after_a_kill.evict()
            assert after_a_kill.used_bytes() == SIZE
            assert len(parts.disk.data_numbers()) == 1


def test_a_new_version_and_a_closed_file_keep_the_count_right(parts: Parts) -> None:
    with table_of(parts, 1 << 30) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        file.revalidate(token(100), 2)
        assert table.used_bytes() == 0
        fetch(file, 0, 100)
        assert table.used_bytes() == 100
        table.release(file)
        table.evict()
        assert table.used_bytes() == 100
        assert table.drop_clean("/") == 1
        assert table.used_bytes() == 0
        assert parts.disk.data_numbers() == []


def test_r06_one_upload_at_a_time_may_exceed_the_budget(parts: Parts) -> None:
    """R6: down to --min-free, else it is told how much is missing; those that fit do not wait."""
    disk = small_disk(parts)
    with table_of(parts, 100, disk) as table:
        space = table.space
        with space.holes(101, "/large"):
            with space.holes(0, "/whole"), space.holes(100, "/small"):
                pass
            with pytest.raises(NodeBusy, match="/other"), space.holes(200, "/other"):
                pass
        disk.free = 1000 + (3 << 20)
        with pytest.raises(UploadFailed, match="needs 4 MB more"), space.holes(4 << 20, "/other"):
            pass
        with space.holes(2 << 20, "/other"):
            pass


def test_r06_what_fills_a_hole_stays_until_the_upload_ends(parts: Parts) -> None:
    with table_of(parts, 0) as table:
        file = table.acquire("/f", token(), 1)
        file.write(0, b"new")
        with file.completed(), file.filling():
            fill(file)
            table.evict()
            assert not file.gaps
            file.queue()
            assert file.cut_ticket() is not None
        table.evict()
        assert not file.gaps
        file.stored(token())
        table.evict()
        assert file.gaps == [(0, SIZE)]
        table.release(file)


def test_r21_a_ballast_is_given_up_when_the_index_finds_no_room(
    parts: Parts, expect_log: ExpectLog
) -> None:
    """R21: at ENOSPC 4 MiB are freed, nothing is changed, and the next commit gets through."""
    expect_log("no room below")
    parts.disk.hold_ballast()
    ballast = parts.root / "ballast"
    assert ballast.stat().st_blocks * 512 >= 4 << 20
    index = parts.index
    called: list[bool] = []

    def drop() -> bool:
        called.append(parts.disk.drop_ballast())
        return True

    index._on_full = drop
    with index.transaction() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(CacheFull), index.transaction() as connection:
        connection.executemany(
            "INSERT INTO tombstone VALUES (?, 1, NULL, NULL, 0, NULL, '[]')",
            [(f"/{n}",) for n in range(5000)],
        )
    assert called == [True]
    assert not ballast.exists()
    with index.transaction() as connection:
        connection.execute("PRAGMA max_page_count=1000000")
        assert connection.execute("SELECT count(*) FROM tombstone").fetchone() == (0,)
        connection.execute("INSERT INTO tombstone VALUES ('/x', 1, NULL, NULL, 0, NULL, '[]')")
    parts.disk.hold_ballast()
    assert ballast.exists()


def test_r21_the_log_is_brought_in_by_the_scheduler_and_nobody_else(parts: Parts) -> None:
    log = parts.root / "index.sqlite-wal"
    for start in range(0, 100000, 20000):
        with parts.index.transaction() as connection:
            connection.executemany(
                "INSERT INTO tombstone VALUES (?, 1, NULL, NULL, 0, NULL, '[]')",
                [(f"/a long name that fills the log {start + n}",) for n in range(20000)],
            )
    assert log.stat().st_size > 4 << 20
    parts.index.checkpoint()
    assert log.stat().st_size == 0
    parts.index.checkpoint()


def test_a_mount_over_many_clean_rows_does_as_much_as_over_none(parts: Parts) -> None:
    """R8, targets 3: clean rows are lazy, so a mount reads none of them, nor the directory."""

    class Unlisted(Disk):
        def data_numbers(self) -> list[int]:
            raise AssertionError("the directory is walked")

    disk = Unlisted(parts.root)
    parts.opened.append(disk)
    asked: list[list[str]] = []
    for _ in range(2):
        statements: list[str] = []
        with parts.index.transaction() as connection:
            connection.set_trace_callback(statements.append)
        with table_of(parts, 1 << 30, disk) as table:
            assert table.recover() == []
            table.evict()
        with parts.index.transaction() as connection:
            connection.set_trace_callback(None)
        asked.append(statements)
        for number in range(500):
            path = f"/f-{len(asked)}-{number}"
            parts.row(path, b"x", VersionToken(1, "cd" * 16))
    assert asked[0] == asked[1]
