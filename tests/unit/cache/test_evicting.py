"""What goes when room is needed: block by block, what was used longest ago, and nothing unsent."""

from __future__ import annotations

import pytest

from tests.support.blockfiles import BLOCKS, SIZE, content, fetch, present, token, whole_row
from tests.unit.cache.conftest import Parts, disk_with, table_of
from vofs.cache import coldrows
from vofs.cache.datafile import DataFile
from vofs.cache.space import BATCH
from vofs.core.errors import CacheDamaged, RemoteUnavailable
from vofs.core.eviction import BLOCK
from vofs.core.lifecycle import Event
from vofs.core.nodes import VersionToken


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
