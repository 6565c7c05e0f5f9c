"""Files damaged on disk, and indexes that this vofs cannot read: kept and listed, never served."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Killed, Mounted, Stage
from vofs.cache.disk import MOVING, set_aside_in
from vofs.core.errors import MountUnusable

Damage = Callable[[Path], None]


def missing(path: Path) -> None:
    path.unlink()


def short(path: Path) -> None:
    os.truncate(path, 2)


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


DAMAGES = [missing, short, a_directory, a_link]


def data_files(stage: Stage) -> list[Path]:
    return sorted((stage.cache_dir / "data").iterdir())


@pytest.mark.promise("The cache", "Damage")
@pytest.mark.parametrize("damage", DAMAGES)
def test_unsent_data_that_is_damaged_is_set_aside(
    open_stage: Open, expect_log: ExpectLog, damage: Damage
) -> None:
    """An unsent file whose cached data is missing, short or unreadable is set aside: it is not
    served, not sent and not deleted; `vofs status` lists it, also after a remount, and
    `vofs cache recover` takes out what can be read. Its name shows what the service has. A
    damaged copy of what the service has is fetched again."""
    expect_log("unsent data of /t0/f cannot be read, it is set aside", level=logging.ERROR)
    stage = open_stage("vault")
    stage.store("/f", b"theirs")
    mount = stage.mount(threads=False)
    mount.call("release", changed(mount))
    mount.stop()
    (data,) = data_files(stage)
    damage(data)
    for _ in range(2):
        again = stage.mount()
        (upload,) = again.uploads()
        assert (upload["path"], upload["state"], upload["permanent"]) == ("/f", "failed", True)
        assert again.get("/f") == b"theirs"
        again.stop()
    assert stage.stored("/f") == b"theirs"
    assert damage is missing or data in data_files(stage)


def changed(mount: Mounted) -> int:
    mount.get("/f")
    handle = mount.open("/f", 2)
    mount.write(handle, b"changed, and longer")
    return handle


def test_a_partly_cached_file_whose_changes_are_cut_off_is_set_aside(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """Nothing is filled with zeros: not on the way to a reader, nor on the way to the service."""
    expect_log("is set aside", level=logging.ERROR)
    stage = open_stage("vault")
    stage.store("/f", b"0123456789")
    mount = stage.mount(threads=False)
    handle = mount.open("/f", 2)
    mount.write(handle, b"ab", 4)
    mount.call("release", handle)
    mount.stop()
    os.truncate(data_files(stage)[0], 5)
    again = stage.mount()
    assert again.get("/f") == b"0123456789"
    again.stop()
    assert stage.stored("/f") == b"0123456789"


def test_a_file_that_was_cut_is_no_damage(open_stage: Open, expect_log: ExpectLog) -> None:
    """A cut is committed before the data file gets shorter, so a kill leaves no doubt."""
    expect_log("of an earlier mount")
    stage = open_stage("vault")
    stage.store("/f", b"0123456789")
    mount = stage.mount(threads=False)
    handle = changed(mount)
    mount.call("truncate", "/f", 3, handle)
    with pytest.raises(Killed):
        stage.kill()
    again = stage.reopen()
    again.wait_sent()
    assert stage.stored("/f") == again.get("/f") == b"cha"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_clean_copy_that_is_damaged_is_fetched_again(
    open_stage: Open, expect_log: ExpectLog, damage: Damage
) -> None:
    stage = open_stage("vault")
    if damage is not short:
        expect_log("cached copy of /t0/f is damaged")
    stage.store("/f", b"0123456789")
    first = stage.mount()
    first.get("/f")
    first.stop()
    damage(data_files(stage)[0])
    again = stage.mount()
    assert again.get("/f") == b"0123456789"


# -- the index ------------------------------------------------------------------------------------


def newer(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()


def garbage(path: Path) -> None:
    path.write_bytes(b"somebody's letter, and no database " * 100)


def of_something_else(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()


def torn(path: Path) -> None:
    """The head is right, and the page of the unsent rows is not."""
    connection = sqlite3.connect(path)
    page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name='file'").fetchone()[0]
    size = connection.execute("PRAGMA page_size").fetchone()[0]
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.promise("The cache", "An index that this vofs cannot read")
@pytest.mark.parametrize("spoil", [newer, garbage, of_something_else, torn])
def test_an_index_that_cannot_be_read_is_set_aside_with_its_data(
    open_stage: Open, expect_log: ExpectLog, spoil: Damage
) -> None:
    """An index of an older vofs is migrated. One of a newer vofs, a damaged one, or a file that is
    no index of vofs is moved with its data to `set-aside-TIME` in the cache directory, with a
    warning, and the mount begins with an empty cache; nothing of it is trusted or deleted, and
    `vofs cache` works on that directory. The cache of another identity is refused."""
    expect_log("set aside as .*/set-aside-")
    stage = open_stage("vault")
    stage.store("/f", b"theirs")
    mount = stage.mount(threads=False)
    mount.call("release", changed(mount))
    mount.stop()
    index = stage.cache_dir / "index.sqlite"
    spoil(index)
    spoilt = index.read_bytes()
    again = stage.mount()
    assert again.get("/f") == b"theirs"
    (kept,) = set_aside_in(stage.cache_dir)
    assert again.control(command="status")["cache"]["set_aside"] == [str(kept)]
    assert (kept / "index.sqlite").read_bytes() == spoilt
    assert [path.read_bytes() for path in (kept / "data").iterdir()] == [b"changed, and longer"]
    again.stop()
    third = stage.mount()
    assert set_aside_in(stage.cache_dir) == [kept]
    third.stop()


def test_setting_aside_survives_a_kill_between_two_steps(open_stage: Open) -> None:
    """A kill between two renames: data and index end in one directory, and nothing is removed."""
    stage = open_stage("vault")
    mount = stage.mount(threads=False)
    mount.stop()
    kept = stage.cache_dir / "set-aside-20260101T000000Z"
    (stage.cache_dir / "data" / "7").write_bytes(b"unsent")
    partial = kept.with_name(kept.name + MOVING)
    partial.mkdir(0o700)
    (stage.cache_dir / "data").rename(partial / "data")
    before = (stage.cache_dir / "index.sqlite").read_bytes()
    again = stage.mount()
    assert set_aside_in(stage.cache_dir) == [kept]
    assert (kept / "data" / "7").read_bytes() == b"unsent"
    assert (kept / "index.sqlite").read_bytes() == before
    again.stop()


def test_the_cache_of_another_identity_is_refused_and_left_alone(open_stage: Open) -> None:
    """interface.md 2: exit 4; its unsent data would go to the wrong service."""
    stage = open_stage("vault")
    mount = stage.mount(threads=False)
    mount.call("release", mount.create("/f"))
    mount.stop()
    with sqlite3.connect(stage.cache_dir / "index.sqlite") as connection:
        connection.execute("UPDATE meta SET value='another' WHERE key='identity'")
    connection.close()
    before = sorted(path.name for path in stage.cache_dir.iterdir())
    with pytest.raises(MountUnusable, match="belongs to another"):
        stage.mount()
    assert sorted(path.name for path in stage.cache_dir.iterdir()) == before
    assert not stage.has("/f")


def test_r08_only_unsent_files_are_loaded_before_the_mount_answers(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """R8: dirty rows before the mount answers, clean rows lazily: their data is not even opened."""
    expect_log("of an earlier mount")
    stage = open_stage("vault")
    for number in range(20):
        stage.store(f"/clean{number}", b"bytes")
    mount = stage.mount(threads=False)
    for number in range(20):
        mount.get(f"/clean{number}")
    mount.call("release", mount.create("/unsent"))
    mount.stop()
    again = stage.mount(threads=False)
    opened = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing itself
            opened.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    data = str(stage.cache_dir / "data") + "/"
    assert len([path for path in opened if path.startswith(data)]) == 1
    assert again.ls("/") == sorted([f"clean{number}" for number in range(20)] + ["unsent"])
    again.start()
    again.wait_sent()
