"""R23 on a real mount: numbers of files, as programs see them."""

from __future__ import annotations

import os
import stat

import pytest

from tests.mounted.conftest import Corner


def test_R23_numbers_survive_a_remount(corner: Corner) -> None:
    """What a backup or git remembers of a file's inode is still true in the next mount."""
    file = corner.put("a", b"bytes")
    numbers = [os.stat(path).st_ino for path in (corner.mount.path, corner.path, file)]
    corner.mount.remount()
    assert [os.stat(path).st_ino for path in (corner.mount.path, corner.path, file)] == numbers


def test_R23_readdir_tells_numbers_and_kinds(corner: Corner) -> None:
    """readdir(3) gives the number that stat(2) gives, and the kind, so `find` need not ask."""
    corner.put("file", b"bytes")
    corner.fake.mkdir(f"{corner.name}/below")
    with os.scandir(corner.path) as entries:
        found = {entry.name: (entry.inode(), entry.is_dir()) for entry in entries}
    assert found == {
        name: (os.stat(corner.path / name).st_ino, name == "below") for name in ("file", "below")
    }


@pytest.mark.promise("Names", "Inode numbers stay")
def test_R23_a_rename_keeps_the_number_and_the_old_name_gets_another(corner: Corner) -> None:
    """A file has the same inode number in every mount, and keeps it when it is renamed; what is
    made under its old name next has another, as has what is made in place of a file that was
    unlinked while open.
    """
    (corner.path / "log").write_bytes(b"old")
    number = os.stat(corner.path / "log").st_ino
    os.rename(corner.path / "log", corner.path / "log.1")
    (corner.path / "log").write_bytes(b"new")
    assert os.stat(corner.path / "log.1").st_ino == number
    assert os.stat(corner.path / "log").st_ino != number


def test_R23_an_unlinked_open_file_is_not_the_one_made_after_it(corner: Corner) -> None:
    """fstat(2) of a file unlinked while open never equals stat(2) of a new one of that name."""
    path = corner.put("a", b"old")
    with open(path, "rb") as file:
        number = os.fstat(file.fileno()).st_ino
        os.unlink(path)
        path.write_bytes(b"new")
        assert os.fstat(file.fileno()).st_ino == number != os.stat(path).st_ino
        assert stat.S_ISREG(os.fstat(file.fileno()).st_mode)
