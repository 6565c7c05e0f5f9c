"""Older formats of the index become this one, with everything that they hold."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.support.oldformats import old_index
from tests.unit.cache.conftest import IDENTITY
from vofs.cache import schema
from vofs.cache.index import Index
from vofs.cache.journal import Intent, Journal, Tombstone
from vofs.cache.putrecord import PutRecord
from vofs.cache.rows import FileRow
from vofs.core.errors import MountUnusable
from vofs.core.nodes import VersionToken


def test_the_first_format_is_migrated_with_all_it_holds(tmp_path: Path) -> None:
    """Clean copies of that format are checked before they are served: it kept no boot_id (R5)."""
    path = tmp_path / "index.sqlite"
    old_index(path)
    index = Index(path, IDENTITY)
    assert index.dirty() == [
        FileRow(
            9, "/dirty", 30, 20, 4, 2, False, VersionToken(20, "def", 6, True), 10, 420,
            PutRecord(3, 25, "ff"), "conflict", "E: text", 2, losses=1, spans=((2, 10, True),),
            present_bytes=8, used_at=2,
        )
    ]  # fmt: skip
    assert index.find("/clean") == FileRow(
        7, "/clean", 3, 3, 2, 2, True, VersionToken(3, "abc", 5, True), 9, present_bytes=3,
        used_at=1,
    )  # fmt: skip
    assert index.losses == 1
    assert Journal(index).intents() == [Intent("mkdir", "/d", number=1)]
    assert Journal(index).tombstones() == [
        Tombstone("/gone", VersionToken(4, "aa", None, True)),
        Tombstone("/torn", VersionToken(5, None, None, False), torn_size=5),
    ]
    stored, _ = index.insert(FileRow(0, "/new", 0, 0, 1, 0, True, None, 1), lambda number: None)
    assert (stored.number, stored.losses) == (10, 1)
    index.close()
    again = Index(path, IDENTITY)
    assert again.find("/new") == stored
    again.close()


def columns(connection: sqlite3.Connection) -> dict[str, set[tuple[object, ...]]]:
    """What each table and index is made of; the order of columns is nobody's business."""
    names = connection.execute("SELECT name, type FROM sqlite_master").fetchall()
    found = {}
    for name, kind in names:
        pragma = "table_info" if kind == "table" else "index_info"
        rows = connection.execute(f"PRAGMA {pragma}({name})").fetchall()
        found[name] = {row[1:] if kind == "table" else row[2:] for row in rows}
    return found


def test_a_migrated_index_is_made_as_a_new_one(tmp_path: Path) -> None:
    old_index(tmp_path / "old.sqlite")
    made = []
    for name in ("old.sqlite", "new.sqlite"):
        index = Index(tmp_path / name, IDENTITY)
        with index.transaction() as connection:
            made.append(columns(connection))
            assert connection.execute("PRAGMA user_version").fetchone() == (schema.FORMAT,)
        index.close()
    assert made[0] == made[1]


def test_a_kill_during_the_migration_leaves_the_older_format(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    old_index(path)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    for statement in schema.statements(schema.MIGRATIONS[1])[:3]:
        connection.execute(statement)
    connection.close()  # no COMMIT
    index = Index(path, IDENTITY)
    assert [row.path for row in index.dirty()] == ["/dirty"]
    index.close()


def test_another_identity_is_refused_before_anything_is_migrated(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    old_index(path)
    with pytest.raises(MountUnusable, match="belongs to"):
        Index(path, "another")
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_r8_what_a_mount_loads_is_found_without_a_scan(tmp_path: Path) -> None:
    """R8: however large the cache, only unsent rows are looked at before the mount answers."""
    index = Index(tmp_path / "index.sqlite", IDENTITY)
    with index.transaction() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT path FROM file WHERE generation != stored_generation"
        ).fetchall()
    index.close()
    assert "file_unsent" in plan[0][-1]


@pytest.mark.parametrize(
    ("clean_stop", "boots", "lost"),
    [(True, ("b1", "b1"), False), (True, ("b1", "b2"), False), (False, ("b1", "b1"), False),
     (False, ("b1", "b2"), True)],
)  # fmt: skip
def test_r5_only_another_boot_after_an_unclean_stop_is_a_power_loss(
    tmp_path: Path, clean_stop: bool, boots: tuple[str, str], lost: bool
) -> None:
    """R5: boot_id and clean-stop mark."""
    first = Index(tmp_path / "index.sqlite", IDENTITY)
    assert not first.started(boots[0])
    if clean_stop:
        first.stopped()
    first.close()
    second = Index(tmp_path / "index.sqlite", IDENTITY)
    assert second.started(boots[1]) is lost
    assert second.losses == int(lost)
    second.close()
