"""Which files are in memory: one object for a row, whoever comes at the same time."""

from __future__ import annotations

import hashlib

import pytest

from tests.support.sessions import together
from tests.unit.cache.conftest import Parts
from vofs.cache.cachedfile import CachedFile
from vofs.cache.filetable import FileTable
from vofs.cache.rowchanges import delete_file, rename_files
from vofs.core.errors import NodeExists
from vofs.core.nodes import VersionToken

DATA = b"0123456789"
TOKEN = VersionToken(10, hashlib.md5(DATA).hexdigest())


def filled(parts: Parts, path: str) -> None:
    """A clean, whole file that nobody uses."""
    file = parts.table.acquire(path, TOKEN, 1)
    for claim in file.claim_missing(0, 10, ranges=True)[0]:
        file.accept(claim, claim.start, DATA[claim.start : claim.end])
        file.release_claim(claim, None)
    parts.table.release(file)


def next_mount(parts: Parts) -> FileTable:
    return FileTable(parts.disk, parts.index, parts.clock, 1 << 30)


def test_a_clean_file_that_nobody_uses_is_only_a_row(parts: Parts) -> None:
    filled(parts, "/f")
    assert parts.table.peek("/f") is None
    assert parts.table.used_bytes() == 10
    file = parts.table.acquire("/f", TOKEN, 1)
    assert file.read(0, 10) == DATA
    assert parts.table.in_use("/f")
    assert parts.table.release(file) == 0
    assert not parts.table.in_use("/f")


def test_r12_an_eviction_that_comes_late_leaves_the_row_to_who_has_the_file_now(
    parts: Parts,
) -> None:
    """It took the file before that was put away: its row, saved over a dirty one, lost a change."""
    filled(parts, "/f")
    late = parts.table.acquire("/f", TOKEN, 1)
    parts.table.release(late)
    file = parts.table.acquire("/f", TOKEN, 1)
    file.write(0, b"NEW")
    assert late.evict(range(1)) == 0
    assert late.evict_rest(100) == (0, False)
    survivor = parts.again("/f")
    assert (survivor.is_dirty, survivor.read(0, 10)) == (True, b"NEW3456789")
    survivor.close()
    parts.table.close()


def test_another_version_drops_the_bytes(parts: Parts) -> None:
    filled(parts, "/f")
    file = parts.table.acquire("/f", VersionToken(3, "ab"), 2)
    assert (file.size, file.read(0, 3)) == (3, None)
    parts.table.release(file)
    assert parts.disk.data_numbers() == [file.number]


def test_there_is_one_object_for_all(parts: Parts) -> None:
    first = parts.table.acquire("/f", TOKEN, 1)
    second = parts.table.acquire("/f", TOKEN, 1)
    assert first is second
    assert parts.table.release(first) == 1
    assert parts.table.peek("/f") is first
    parts.table.release(second)


def test_opens_and_closes_race_with_eviction(parts: Parts) -> None:
    """One object at a time, no use lost, no data file left over."""
    table = FileTable(parts.disk, parts.index, parts.clock, 0)
    seen: list[bytes | None] = []

    def use() -> None:
        for _ in range(60):
            file = table.acquire("/f", TOKEN, 1)
            for claim in file.claim_missing(0, 10, ranges=True)[0]:
                file.accept(claim, claim.start, DATA[claim.start : claim.end])
                file.release_claim(claim, None)
            seen.append(file.read(0, 10))
            table.release(file)

    def evict() -> None:
        for _ in range(60):
            table.evict()
            table.drop_clean("/")

    assert together(use, use, use, evict, evict) == [None] * 5
    assert set(seen) <= {DATA, None}
    assert table.peek("/f") is None
    table.drop_clean("/")
    assert parts.numbers() == set()
    assert parts.disk.data_numbers() == []
    table.close()


def test_eviction_takes_the_oldest_and_never_dirty_or_used(parts: Parts) -> None:
    table = parts.table
    for name in ("/old", "/new", "/used", "/dirty"):
        filled(parts, name)
    used = table.acquire("/used", TOKEN, 1)
    dirty = table.acquire("/dirty", TOKEN, 1)
    dirty.write(0, b"x")
    table.release(dirty)
    assert table.used_bytes() == 40
    table.space.limit_bytes = 30
    table.evict()
    assert parts.index.find("/old") is None
    assert table.used_bytes() == 30
    assert {row.path for row in parts.index.dirty()} == {"/dirty"}
    assert parts.index.find("/new") is not None
    table.drop_clean("/")
    assert parts.index.find("/used") is not None
    assert parts.index.find("/dirty") is not None
    assert parts.index.find("/new") is None
    table.release(used)
    table.close()


def test_a_made_file_exists_from_its_commit_on(parts: Parts) -> None:
    """R8."""
    file = parts.table.create("/f", 0o640)
    table = next_mount(parts)
    assert table.recover()[0].path == "/f"
    table.close()
    with pytest.raises(NodeExists):
        parts.table.create("/f", 0o640)
    assert parts.table.dirty_children("/") == [file]
    assert parts.table.release(file) == 0
    assert parts.table.peek("/f") is file  # dirty
    parts.table.close()


def test_a_stale_clean_row_does_not_stop_a_new_file(parts: Parts) -> None:
    filled(parts, "/f")
    file = parts.table.create("/f", 0o640)
    assert (file.size, file.is_local) == (0, True)
    parts.table.release(file)
    parts.table.close()


def test_recovery_takes_what_is_dirty_and_leaves_the_rest(parts: Parts) -> None:
    filled(parts, "/clean")
    file = parts.table.acquire("/dirty", TOKEN, 1)
    file.write(4, b"new")
    table = next_mount(parts)
    (recovered,) = table.recover()
    assert recovered.path == "/dirty"
    assert recovered.read(4, 3) == b"new"
    assert table.peek("/clean") is None
    table.close()
    parts.table.close()


def test_unsent_data_that_is_gone_is_reported_not_served(parts: Parts, expect_log: object) -> None:
    assert callable(expect_log)
    expect_log("unsent data of /f cannot be read", level=40)
    file = parts.table.create("/f", 0o644)
    number = file.number
    parts.table.close()
    parts.disk.remove_data(number)
    table = next_mount(parts)
    assert table.recover() == []
    assert [row.path for row in table.damaged()] == ["/f"]
    file = table.acquire("/f", TOKEN, 1)
    assert file.read(0, 10) is None  # the service's version is fetched
    table.close()


def test_a_clean_copy_that_is_gone_is_fetched_again(parts: Parts, expect_log: object) -> None:
    assert callable(expect_log)
    expect_log("cached copy of /f is damaged")
    filled(parts, "/f")
    parts.disk.remove_data(parts.disk.data_numbers()[0])
    file = parts.table.acquire("/f", TOKEN, 1)
    assert (file.size, file.read(0, 10)) == (10, None)
    parts.table.release(file)


def test_a_rename_takes_files_in_memory_along(parts: Parts) -> None:
    inside = parts.table.create("/d/f", 0o644)
    beside = parts.table.create("/de", 0o644)
    with parts.index.transaction() as connection:
        rename_files(connection, "/d", "/e")
    parts.table.renamed("/d", "/e")
    assert parts.table.peek("/e/f") is inside
    assert inside.path == "/e/f"
    assert parts.table.peek("/d/f") is None
    assert parts.table.peek("/de") is beside
    assert parts.table.unsent_below("/e") == [inside]
    parts.table.close()


def test_a_file_without_a_name_goes_with_its_last_user(parts: Parts) -> None:
    file = parts.table.create("/f", 0o644)
    file.write(0, b"bytes")
    with parts.index.transaction() as connection:
        delete_file(connection, "/f")
    parts.table.forget("/f")
    assert parts.table.peek("/f") is None
    assert parts.table.find_detached("/f") == [file]
    assert file.read(0, 5) == b"bytes"
    file.write(5, b"!")
    second = parts.table.create("/f", 0o644)
    assert second is not file
    assert parts.table.release(file) == 0
    assert parts.table.find_detached("/f") == []
    assert parts.disk.data_numbers() == [second.number]
    parts.table.close()


def test_a_name_that_comes_back_has_its_row_back(parts: Parts) -> None:
    """R9."""
    file = parts.table.create("/f", 0o644)
    file.write(0, b"bytes")
    with parts.index.transaction() as connection:
        delete_file(connection, "/f")
    parts.table.detached("/f")
    file.write(5, b"more")
    parts.table.reattached(file, node_is_there=True)
    killed = parts.again("/f")
    assert killed.is_dirty
    assert killed.read(0, 9) == b"bytesmore"
    killed.close()
    parts.table.close()


def test_makers_race(parts: Parts) -> None:
    made: list[CachedFile] = []
    errors = together(*[lambda: made.append(parts.table.create("/f", 0o644))] * 4)
    assert len(made) == 1
    assert sum(isinstance(error, NodeExists) for error in errors) == 3
    parts.table.close()
