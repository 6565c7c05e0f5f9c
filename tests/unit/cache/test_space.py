"""The budget: what counts, who may exceed it, and what goes when room is needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.logs import ExpectLog
from tests.unit.cache.conftest import Parts
from vofs.cache import coldrows
from vofs.cache.cachedfile import CachedFile
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.cache.filetable import FileTable
from vofs.cache.space import BATCH, Need
from vofs.core.contentcheck import Verdict
from vofs.core.errors import CacheDamaged, CacheFull, NodeBusy, RemoteUnavailable, UploadFailed
from vofs.core.eviction import BLOCK
from vofs.core.lifecycle import Event
from vofs.core.nodes import VersionToken

BLOCKS = 8
SIZE = BLOCKS * BLOCK


def content(size: int = SIZE) -> bytes:
    return bytes(range(1, 251)) * (size // 250 + 1)


class SmallDisk(Disk):
    """A disk whose free space a test sets; it is not used up."""

    free = 1 << 40

    @property
    def free_bytes(self) -> int:
        return self.free


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
    table = FileTable(disk or parts.disk, parts.index, parts.clock, limit)
    try:
        yield table
    finally:
        table.close()


def token(size: int = SIZE) -> VersionToken:
    return VersionToken(size, hashlib.md5(content(size)[:size]).hexdigest())


def fetch(file: CachedFile, start: int, end: int) -> None:
    """What a download does."""
    data = content(file.size)
    claims, _ = file.claim_missing(start, end, ranges=True)
    for claim in claims:
        for offset in range(max(claim.start, start), min(claim.end, end), BLOCK):
            file.accept(claim, offset, data[offset : min(offset + BLOCK, claim.end, end)])
    file.check(claims)
    for claim in claims:
        file.release_claim(claim, None)


def fill(file: CachedFile) -> None:
    """What an upload does first."""
    fetch(file, 0, SIZE)
    assert file.judge(token().md5, file.state.epoch) is Verdict.RIGHT


def present(file: CachedFile) -> list[int]:
    """The blocks that are here."""
    return [
        number
        for number in range(BLOCKS)
        if file.state.present.covers(number * BLOCK, (number + 1) * BLOCK)
    ]


def test_the_longest_unused_block_goes_first_of_a_file_in_use(parts: Parts) -> None:
    """Row 29: by block, of an open file, and the disk has the space back."""
    with table_of(parts, 1 << 30) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        assert table.used_bytes() == SIZE
        file.read(0, BLOCK)
        before = file._data.allocated
        table.space.limit_bytes = SIZE - 2 * BLOCK
        table.evict()
        assert 0 in present(file)
        assert table.used_bytes() <= SIZE - 2 * BLOCK
        assert file._data.allocated <= before - 2 * BLOCK
        assert file.read(0, BLOCK) == content()[:BLOCK]
        gone = next(number for number in range(BLOCKS) if number not in present(file))
        assert file.read(gone * BLOCK, BLOCK) is None
        table.space.limit_bytes = SIZE
        fetch(file, 0, SIZE)
        assert file.read(gone * BLOCK, 9) == content()[gone * BLOCK : gone * BLOCK + 9]
        table.release(file)


def test_present_shrinks_in_the_index_before_the_hole_is_punched(parts: Parts) -> None:
    """R12."""
    rows: list[object] = []

    class Watching(DataFile):
        def punch(self, start: int, end: int) -> bool:
            row = parts.index.find("/f")
            assert row is not None
            rows.append((row.whole, row.spans))
            return super().punch(start, end)

    with table_of(parts, 1 << 30) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        table.release(file)
    row = parts.index.find("/f")
    assert row is not None
    assert row.whole
    disk = disk_with(parts, Watching)
    with table_of(parts, 1 << 30, disk) as table:
        file = table.acquire("/f", token(), 1)
        assert file.evict(range(0, 2)) == 2 * BLOCK
        assert rows == [(False, ())]
        killed = parts.again("/f")
        assert killed.read(0, 1) is None
        assert killed.read(SIZE - 1, 1) is None
        killed.close()
        assert file.evict(range(2, 3)) == BLOCK
        table.release(file)
    later = parts.again("/f")
    assert later.gaps == [(0, 3 * BLOCK)]
    assert later.read(3 * BLOCK, 9) == content()[3 * BLOCK : 3 * BLOCK + 9]
    later.close()


def test_r12_a_row_that_a_failed_truncation_left_promises_nothing_that_is_evicted(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row of the cut file was committed; the cut failed, and so did putting the row right."""
    with table_of(parts, 1 << 30) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE - BLOCK)
        file.evict(range(1))

        def fail(*_: object, **__: object) -> None:
            raise CacheDamaged("the disk failed")

        with monkeypatch.context() as patch:
            patch.setattr(file._data, "truncate", fail)
            patch.setattr(file, "_save", fail)
            with pytest.raises(CacheDamaged):
                file.truncate(SIZE - BLOCK // 2)
        file.confirm(parts.clock.monotonic())
        assert file.evict(range(1, 3)) == 2 * BLOCK
        killed = parts.again("/f")
        assert killed.read(BLOCK, 2 * BLOCK) is None
        killed.close()
        table.release(file)


def test_eviction_of_a_file_read_through_costs_one_commit(parts: Parts) -> None:
    """Row 29: constant work, not a walk of what is cached."""
    for number in range(300):
        parts.row(f"/other-{number}", b"x", VersionToken(1, "cd" * 16))
    with table_of(parts, 1 << 30) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        file.save()
        statements: list[str] = []
        with parts.index.transaction() as connection:
            connection.set_trace_callback(statements.append)
        for number in range(BLOCKS):
            file.evict(range(number, number + 1))
        with parts.index.transaction() as connection:
            connection.set_trace_callback(None)
        assert len([s for s in statements if s.startswith("UPDATE")]) == 1
        table.release(file)


def test_dirty_never_goes_and_clean_parts_only_while_their_base_is_proven(parts: Parts) -> None:
    """R6, row 29: what is clean of a changed file can come back from its base version only."""
    with table_of(parts, 1 << 30) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        file.write(BLOCK + 5, b"new")
        parts.clock.advance(3600)
        table.space.limit_bytes = 0
        table.evict()
        assert present(file) == list(range(BLOCKS))
        file.confirm(parts.clock.monotonic())
        table.evict()
        assert present(file) == [1]
        assert file.read(BLOCK + 5, 3) == b"new"
        killed = parts.again("/f")
        assert killed.is_dirty
        assert killed.read(BLOCK + 5, 3) == b"new"
        assert killed.read(BLOCK + 8, 1) is None
        assert killed.read(0, 1) is None
        killed.close()
        table.space.limit_bytes = 1 << 30
        fetch(file, 0, SIZE)
        old = content()
        assert file.read(0, SIZE) == old[: BLOCK + 5] + b"new" + old[BLOCK + 8 : SIZE]
        table.release(file)


def test_nothing_goes_of_a_file_whose_upload_has_begun(parts: Parts) -> None:
    """R2: from put_started until success all of it counts as dirty, after a restart as well."""
    with table_of(parts, 1 << 30) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        file.write(0, b"new")
        assert file.queue()
        ticket = file.cut_ticket()
        assert ticket is not None
        assert file.evict(range(BLOCKS)) == 0
        file.begin_put(ticket, durable=False)
        file.not_stored(Event.DOUBT, RemoteUnavailable("broken"), began=True)
        file.confirm(parts.clock.monotonic())
        assert file.evict(range(BLOCKS)) == 0
        file.settle_as_lost()
        assert file.evict(range(BLOCKS)) == 0
        file.queue()
        ticket = file.cut_ticket()
        assert ticket is not None
        file.stored(token())
        table.space.limit_bytes = 0
        table.evict()
        assert file.gaps == [(0, SIZE)]
        table.release(file)


def test_what_a_reader_waits_for_stays_until_it_has_read(parts: Parts) -> None:
    """Row 29: or two readers of one file that is larger than the budget would starve each other."""
    with table_of(parts, 0) as table:
        file = table.acquire("/f", token(), 1)
        with file.awaiting(BLOCK, BLOCK + 10):
            fetch(file, 0, SIZE)
            table.evict()
            assert present(file) == [1]
            assert file.read(BLOCK, 10) == content()[BLOCK : BLOCK + 10]
        table.evict()
        assert file.read(BLOCK, 10) is None
        table.release(file)


def test_where_no_hole_can_be_punched_the_end_is_given_back(parts: Parts) -> None:
    class Solid(DataFile):
        def punch(self, start: int, end: int) -> bool:
            return False

    disk = disk_with(parts, Solid)
    with table_of(parts, 1 << 30, disk) as table:
        file = table.acquire("/f", token(), 1)
        fetch(file, 0, SIZE)
        assert file.evict(range(4, BLOCKS)) == 4 * BLOCK
        assert file._data.allocated <= 4 * BLOCK
        assert file.evict(range(0, 1)) == BLOCK
        assert file.read(BLOCK, 9) == content()[BLOCK : BLOCK + 9]
        assert file.read(0, 1) is None
        assert file._data.size == SIZE
        table.release(file)


def test_who_may_exceed_the_budget(parts: Parts) -> None:
    """R21: reserved before anything is accepted; written data down to --min-free, then CacheFull;
    readahead never."""
    disk = SmallDisk(parts.root, 1000)
    parts.opened.append(disk)
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
        with table.space.reserved(SIZE, Need.UNASKED) as granted:
            assert granted
            with table.space.reserved(1, Need.UNASKED) as granted:
                assert not granted
            assert not used.gaps
            with table.space.reserved(1, Need.AHEAD) as granted:
                assert granted
            assert used.gaps
        table.release(used)


def test_no_byte_is_written_that_there_is_no_room_for(parts: Parts) -> None:
    """ENOSPC before accepting: the file is as it was, and still clean."""
    disk = SmallDisk(parts.root, 1000)
    parts.opened.append(disk)
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
    disk = SmallDisk(parts.root, 1000)
    parts.opened.append(disk)
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


def whole_row(table: FileTable, path: str, size: int = SIZE) -> None:
    """A clean file that nobody uses."""
    file = table.acquire(path, token(size), 1)
    for start in range(0, size, BLOCK):
        fetch(file, start, min(size, start + BLOCK))
    assert not file.gaps
    table.release(file)


def test_files_in_use_and_files_that_are_only_rows_have_one_order(parts: Parts) -> None:
    """Row 29: least recently used, whether open or not."""
    with table_of(parts, 1 << 30) as table:
        opened = table.acquire("/open", token(), 1)
        fetch(opened, 0, SIZE)
        whole_row(table, "/middle")
        opened.read(0, BLOCK)
        whole_row(table, "/young")
        table.space.limit_bytes = table.used_bytes() - BLOCK
        table.evict()
        assert present(opened) in ([0], list({0} | set(range(2, BLOCKS))))
        assert parts.index.find("/middle") is not None
        table.space.limit_bytes = SIZE + BLOCK
        table.evict()
        assert parts.index.find("/middle") is None
        assert parts.index.find("/young") is not None
        assert 0 in present(opened)
        table.space.limit_bytes = SIZE
        table.evict()
        assert present(opened) == []
        assert parts.index.find("/young") is not None
        table.release(opened)


def test_a_large_file_that_nobody_uses_loses_its_beginning(parts: Parts) -> None:
    size = 10 << 20
    with table_of(parts, 1 << 30) as table:
        whole_row(table, "/large", size)
        table.space.limit_bytes = size - BATCH
        table.evict()
        assert size - 2 * BATCH <= table.used_bytes() <= size - BATCH
        file = table.acquire("/large", token(size), 1)
        assert file.read(0, 1) is None
        assert file.read(size - 9, 9) == content(size)[size - 9 : size]
        assert table.peek("/large") is file
        table.release(file)


def test_rows_in_use_do_not_stand_in_the_way_of_older_ones(parts: Parts) -> None:
    """However many are open: they become young in the index, and are met once."""
    with table_of(parts, 1 << 30) as table:
        held = []
        for number in range(130):
            path = f"/held-{number:03}"
            whole_row(table, path, 100)
            held.append(table.acquire(path, token(100), 1))
        whole_row(table, "/free", 100)
        table.space.limit_bytes = 0
        table.evict()
        assert parts.index.find("/free") is None
        assert table.used_bytes() == 0
        with parts.index.transaction() as connection:
            assert coldrows.usage(connection)[1] > 0
        for file in held:
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
    disk = SmallDisk(parts.root, 1000)
    parts.opened.append(disk)
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
