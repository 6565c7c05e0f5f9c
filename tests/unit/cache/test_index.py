"""The index: transactions, names, identity, and what survives whom."""

from __future__ import annotations

import sqlite3
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.cache.conftest import IDENTITY, Parts
from vofs.cache import coldrows
from vofs.cache.index import Index
from vofs.cache.putrecord import PutFate, PutRecord
from vofs.cache.rowchanges import delete_file, rename_files
from vofs.cache.rows import FileRow
from vofs.cache.schema import FORMAT
from vofs.core.errors import CacheDamaged, CacheFull, UnknownIndex
from vofs.core.nodes import VersionToken

TOKEN = VersionToken(10, "ab" * 16, 123, True)


def row(path: str, **values: object) -> FileRow:
    fields: dict[str, object] = {
        "number": 0, "path": path, "size": 10, "backing_end": 10, "generation": 1,
        "stored_generation": 0, "whole": False, "base": TOKEN, "mtime_ns": 5,
    }  # fmt: skip
    return FileRow(**{**fields, **values})  # type: ignore[arg-type]


def nothing(number: int) -> None:
    """A data file that nobody needs here."""


def paths(index: Index) -> set[str]:
    with index.transaction() as connection:
        return {path for (path,) in connection.execute("SELECT path FROM file")}


def test_a_row_comes_back_as_it_went(parts: Parts) -> None:
    stored, added = parts.index.insert(row("/a b"), nothing)
    full = row(
        "/a b", number=stored.number, base=VersionToken(3, None, None, False), mode=0o640,
        put=PutRecord(4, 9, "cd" * 16, PutFate.ARRIVED, True), state="conflict",
        error="E: text", attempts=2,
        durable_generation=1, losses=7,
        spans=((0, 3, True), (5, 7, False)),
    )  # fmt: skip
    parts.index.save(full)
    assert added
    assert parts.index.find("/a b") == full


def test_an_insert_finds_what_is_there(parts: Parts) -> None:
    first, _ = parts.index.insert(row("/f"), nothing)
    second, added = parts.index.insert(row("/f", size=99), nothing)
    assert (second, added) == (first, False)


def test_no_row_without_its_data_file(parts: Parts) -> None:
    def fails(number: int) -> None:
        raise CacheFull("no room")

    with pytest.raises(CacheFull):
        parts.index.insert(row("/f"), fails)
    assert parts.index.find("/f") is None


def test_numbers_are_never_used_again(parts: Parts) -> None:
    """R12."""
    first, _ = parts.index.insert(row("/f"), nothing)
    second = parts.index.replace(row("/f"), nothing)
    assert second.number > first.number
    with parts.index.transaction() as connection:
        delete_file(connection, "/f")
    third, _ = parts.index.insert(row("/f"), nothing)
    assert third.number > second.number


def test_a_transaction_that_fails_changed_nothing(parts: Parts) -> None:
    parts.index.insert(row("/a"), nothing)
    with pytest.raises(KeyError), parts.index.transaction() as connection:
        rename_files(connection, "/a", "/b")
        raise KeyError
    assert paths(parts.index) == {"/a"}
    with pytest.raises(CacheDamaged), parts.index.transaction() as connection:
        delete_file(connection, "/a")
        connection.execute("SELECT nonsense")
    assert paths(parts.index) == {"/a"}


NFC, NFD = (unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("source", "destination", "before", "after"),
    [
        ("/a", "/z", {"/a", "/a/x", "/ab", "/a.b", "/a0", "/a!"},
         {"/z", "/z/x", "/ab", "/a.b", "/a0", "/a!"}),
        ("/a%", "/z", {"/a%", "/a%/x", "/ab", "/ab/x"}, {"/z", "/z/x", "/ab", "/ab/x"}),
        ("/a_", "/z", {"/a_", "/a_/x", "/ab", "/ab/x"}, {"/z", "/z/x", "/ab", "/ab/x"}),
        ("/" + NFC, "/z", {f"/{NFC}/x", f"/{NFD}/x", "/e/x"}, {"/z/x", f"/{NFD}/x", "/e/x"}),
        ("/空", "/白", {"/空/空/空", "/空白"}, {"/白/空/空", "/空白"}),
        ("/a", "/a/b/c", {"/x"}, {"/x"}),
        ("/d", "/d2", {"/d/d/d", "/d2"}, {"/d2/d/d", "/d2"}),
        ("/a*", "/z", {"/a*/x", "/ab/x"}, {"/z/x", "/ab/x"}),
        ("/a'b", "/z", {"/a'b/x\n"}, {"/z/x\n"}),
        ("/a", "/z", {"/a/\U0010ffff", "/a/\x7f"}, {"/z/\U0010ffff", "/z/\x7f"}),
    ],
)  # fmt: skip
def test_a_rename_takes_just_what_is_below(
    parts: Parts, source: str, destination: str, before: set[str], after: set[str]
) -> None:
    for path in before:
        parts.index.insert(row(path), nothing)
    with parts.index.transaction() as connection:
        rename_files(connection, source, destination)
    assert paths(parts.index) == after


def test_a_rename_drops_what_it_replaces_and_keeps_numbers(parts: Parts) -> None:
    kept, _ = parts.index.insert(row("/a", spans=()), nothing)
    parts.index.save(replace(kept, spans=((1, 2, True),)))
    parts.index.insert(row("/b"), nothing)
    with parts.index.transaction() as connection:
        rename_files(connection, "/a", "/b")
    found = parts.index.find("/b")
    assert found is not None
    assert (found.number, found.spans) == (kept.number, ((1, 2, True),))
    assert parts.numbers() == {kept.number}


def test_a_save_does_not_bring_an_old_name_back(parts: Parts) -> None:
    stored, _ = parts.index.insert(row("/a"), nothing)
    with parts.index.transaction() as connection:
        rename_files(connection, "/a", "/b")
    parts.index.save(stored)
    assert paths(parts.index) == {"/b"}


def test_a_save_of_a_file_without_a_row_makes_none(parts: Parts) -> None:
    stored, _ = parts.index.insert(row("/a"), nothing)
    with parts.index.transaction() as connection:
        delete_file(connection, "/a")
    parts.index.save(replace(stored, spans=((0, 1, True),)))
    with parts.index.transaction() as connection:
        assert connection.execute("SELECT count(*) FROM span").fetchone() == (0,)
    assert parts.index.find("/a") is None


def test_a_change_of_a_file_without_a_row_is_refused(parts: Parts) -> None:
    """What would be written could not be found again after a crash."""
    stored = parts.row("/a", b"bytes")
    file = parts.load(stored)
    with parts.index.transaction() as connection:
        delete_file(connection, "/a")
    assert not parts.index.mark_dirty(stored.number, 1, whole=True)
    with pytest.raises(CacheDamaged):
        file.write(0, b"new")
    assert file.read(0, 5) == b"bytes"
    file.close()


def test_dirty_and_clean_are_told_apart(parts: Parts) -> None:
    parts.index.insert(row("/dirty"), nothing)
    parts.index.insert(row("/clean", generation=3, stored_generation=3), nothing)
    assert [found.path for found in parts.index.dirty()] == ["/dirty"]
    assert parts.index.clean_below("/") == ["/clean"]
    assert parts.index.delete_clean("/dirty") is None
    assert parts.index.delete_clean("/clean") is not None
    assert paths(parts.index) == {"/dirty"}


def test_clean_rows_come_in_the_order_of_their_use(parts: Parts) -> None:
    """Row 29: the longest unused first, found without a walk of all rows."""
    for path, used_at in (("/0", 7), ("/1", 9), ("/2", 3), ("/used", 1)):
        parts.index.insert(row(path, generation=0, present_bytes=10, used_at=used_at), nothing)
    parts.index.insert(row("/dirty", present_bytes=1000, used_at=0), nothing)
    with parts.index.transaction() as connection:
        oldest = coldrows.oldest(connection, 2)
        assert [cold.path for cold in oldest] == ["/used", "/2"]
        coldrows.touch(connection, [oldest[0].number], 10)
        assert [cold.path for cold in coldrows.oldest(connection, 9)] == ["/2", "/0", "/1", "/used"]
        assert coldrows.usage(connection) == (40, 10)
        for question in (
            "SELECT * FROM file WHERE generation = stored_generation ORDER BY used_at LIMIT 1",
            "SELECT * FROM file WHERE generation != stored_generation",
        ):
            (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {question}").fetchall()
            assert "USING INDEX" in plan[3]


def test_a_row_that_goes_leaves_word_of_its_data_file(parts: Parts) -> None:
    """However it goes; and no longer when the name comes back (R9)."""
    stored, _ = parts.index.insert(row("/a", generation=0, present_bytes=10), nothing)
    with parts.index.transaction() as connection:
        delete_file(connection, "/a")
        assert coldrows.leftovers(connection, 0, 9) == [(stored.number, 10)]
        assert coldrows.usage(connection) == (10, 0)
    parts.index.restore(stored)
    with parts.index.transaction() as connection:
        assert coldrows.leftovers(connection, 0, 9) == []
        delete_file(connection, "/a")
        assert coldrows.removed(connection, stored.number)
        assert not coldrows.removed(connection, stored.number)


def test_another_format_is_refused(parts: Parts) -> None:
    with parts.index.transaction() as connection:
        connection.execute(f"PRAGMA user_version={FORMAT + 1}")
    parts.index.close()
    with pytest.raises(UnknownIndex, match="format"):
        Index(parts.root / "index.sqlite", IDENTITY)


def test_what_is_no_index_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"no database at all, but somebody's data" * 100)
    before = path.read_bytes()
    with pytest.raises(UnknownIndex):
        Index(path, IDENTITY)
    assert path.read_bytes() == before


def test_r18_pragmas(parts: Parts) -> None:
    """R18, R21: WAL, exclusive, NORMAL; FULL for the commit of fsync alone."""

    def pragma(connection: sqlite3.Connection, name: str) -> object:
        return connection.execute(f"PRAGMA {name}").fetchone()[0]

    with parts.index.transaction() as connection:
        assert pragma(connection, "journal_mode") == "wal"
        assert pragma(connection, "locking_mode") == "exclusive"
        assert pragma(connection, "synchronous") == 1
    with parts.index.transaction(durable=True) as connection:
        assert pragma(connection, "synchronous") == 2
    with parts.index.transaction() as connection:
        assert pragma(connection, "synchronous") == 1
    with pytest.raises(KeyError), parts.index.transaction(durable=True):
        raise KeyError
    with parts.index.transaction() as connection:
        assert pragma(connection, "synchronous") == 1
    assert not (parts.root / "index.sqlite-shm").exists()
