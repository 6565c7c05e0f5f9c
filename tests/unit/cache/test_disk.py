"""The cache directory: ours alone, one holder, no links, no more than there is room for."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.support.sessions import ManualClock
from vofs.cache.datafile import local_errors
from vofs.cache.disk import Disk
from vofs.core.errors import CacheDamaged, CacheFull, MountUnusable


def test_what_it_makes_is_private(tmp_path: Path) -> None:
    """R23."""
    root = tmp_path / "a" / "b"
    disk = Disk(root)
    try:
        disk.create_data(7)
        disk.lock(ManualClock(), 0)
        assert stat.S_IMODE(root.stat().st_mode) == 0o700
        assert stat.S_IMODE((root / "data").stat().st_mode) == 0o700
        assert stat.S_IMODE((root / "data" / "7").stat().st_mode) == 0o600
        assert stat.S_IMODE((root / "lock").stat().st_mode) == 0o600
    finally:
        disk.close()


def test_a_directory_that_is_open_to_others_is_refused_unless_empty(tmp_path: Path) -> None:
    """R23."""
    empty, used = tmp_path / "empty", tmp_path / "used"
    for root in (empty, used):
        root.mkdir()
        root.chmod(0o755)
    (used / "something").touch()
    Disk(empty).close()
    assert stat.S_IMODE(empty.stat().st_mode) == 0o700
    with pytest.raises(MountUnusable, match="open to other users"):
        Disk(used)


def test_a_link_is_no_cache_directory(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(MountUnusable):
        Disk(tmp_path / "link")
    (tmp_path / "file").touch()
    with pytest.raises(MountUnusable):
        Disk(tmp_path / "file")


def test_a_link_is_no_data_file(tmp_path: Path) -> None:
    """R23: O_NOFOLLOW."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    disk = Disk(tmp_path / "cache")
    try:
        (tmp_path / "cache" / "data" / "5").symlink_to(victim)
        with pytest.raises(CacheDamaged):
            disk.open_data(5, create=False)
        with pytest.raises(CacheDamaged):
            disk.open_data(5, create=True)
        disk.create_data(5)
        data = disk.open_data(5, create=False)
        data.write(0, b"ours")
        data.close()
        disk.remove_data(5)
        assert victim.read_bytes() == b"precious"
    finally:
        disk.close()


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = Disk(tmp_path / "c"), Disk(tmp_path / "c")
    clock = ManualClock()
    try:
        first.lock(clock, 0)
        began = clock.monotonic()
        with pytest.raises(MountUnusable, match="in use by another mount"):
            second.lock(clock, 3.0)
        assert clock.monotonic() - began >= 3.0
        first.close()
        second.lock(clock, 0)
    finally:
        second.close()


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if not child:
        disk = Disk(tmp_path / "c")
        disk.lock(ManualClock(), 0)
        os.write(write, b"x")
        os.kill(os.getpid(), 9)
    os.close(write)
    assert os.read(read, 1) == b"x"
    os.close(read)
    os.waitpid(child, 0)
    disk = Disk(tmp_path / "c")
    disk.lock(ManualClock(), 0)
    disk.close()


def test_room_is_refused_before_it_is_used(tmp_path: Path) -> None:
    free = os.statvfs(tmp_path)
    available = free.f_bavail * free.f_frsize
    disk = Disk(tmp_path / "c", min_free_bytes=available // 2)
    try:
        disk.require_room(1)
        with pytest.raises(CacheFull):
            disk.require_room(available // 2 + (1 << 32))
    finally:
        disk.close()


def test_data_files_are_numbers(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "c")
    try:
        for number in (10, 9):
            disk.create_data(number)
        (tmp_path / "c" / "data" / "notes").touch()
        assert disk.data_numbers() == [9, 10]
        disk.remove_data(9)
        disk.remove_data(9)
        assert disk.data_numbers() == [10]
        with pytest.raises(CacheDamaged):
            disk.open_data(9, create=False)
    finally:
        disk.close()


def test_an_aside_file_has_no_name(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "c")
    aside = disk.open_aside()
    try:
        aside.write(100, b"x")
        assert disk.data_numbers() == []
        assert aside.read(0, 101) == bytes(100) + b"x"
    finally:
        aside.close()
        aside.close()
        disk.close()


def test_reads_are_complete_or_an_error(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "c")
    data = disk.open_data(1, create=True)
    try:
        data.write(0, b"12345")
        assert data.read(1, 3) == b"234"
        with pytest.raises(CacheDamaged):
            data.read(3, 3)
        data.truncate(7)
        assert data.read(3, 4) == b"45\0\0"
        assert data.size == 7
        data.sync()
    finally:
        data.close()
        disk.close()


@pytest.mark.parametrize(
    ("number", "error"),
    [(28, CacheFull), (122, CacheFull), (27, CacheFull), (5, CacheDamaged), (2, CacheDamaged)],
)
def test_local_errors_have_a_meaning(number: int, error: type[Exception]) -> None:
    with pytest.raises(error), local_errors("this"):
        raise OSError(number, os.strerror(number))
