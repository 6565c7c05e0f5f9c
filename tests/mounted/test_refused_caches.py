"""Caches and logs that a mount cannot use: taken, another's, open to others, damaged, or below the
mount point; in the background and with -f, as in test_refusals.py.
"""

from __future__ import annotations

import os

import pytest

from tests.mounted.conftest import MakeMount
from tests.support.mounted import (
    Mounted,
    is_mounted,
)
from tests.support.refusals import MOUNT, USAGE, check, refuse, refuse_any


def test_a_second_mount_on_one_cache(make_mount: MakeMount, where: list[str]) -> None:
    """Refused after --timeout; the first one goes on working."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", b"bytes"))
    other = mount.path.parent / "other"
    other.mkdir()
    done = mount.mountvofs(*where, *mount.words("--timeout", "1")[:-1], str(other), code=MOUNT)
    assert done.stderr.count("\n") == 1 and str(mount.cache) in done.stderr
    assert not is_mounted(other)
    assert (mount.path / "file").read_bytes() == b"bytes"


def test_the_cache_of_another_service(make_mount: MakeMount, where: list[str]) -> None:
    """A cache belongs to one identity; unsent data of the other is untouched."""
    first = make_mount("vault", prepare=lambda fake: fake.put("file", b"bytes"))
    assert (first.path / "file").read_bytes() == b"bytes"
    first.unmount()
    second = make_mount("cavern", mount=False)
    line = refuse(second, MOUNT, *where, *second.words("--cache-dir", str(first.cache)))
    assert str(first.cache) in line or "identity" in line, line
    first.mount()
    assert (first.path / "file").read_bytes() == b"bytes"
    assert first.fake.journal.count(method="GET", endpoint="bytes") == 1


def test_R23_a_cache_open_to_others(ready: Mounted, where: list[str]) -> None:
    """A directory with content that others may enter is refused, not chmodded."""
    ready.cache.mkdir()
    ready.cache.chmod(0o777)
    (ready.cache / "planted").touch()
    refuse(ready, MOUNT, *where, *ready.words(), says=str(ready.cache))
    assert ready.cache.stat().st_mode & 0o777 == 0o777


def test_a_cache_that_is_a_file(ready: Mounted, where: list[str]) -> None:
    """--cache-dir names a file."""
    ready.cache.touch()
    refuse(ready, MOUNT, *where, *ready.words(), says=str(ready.cache))


def test_a_cache_that_is_a_symbolic_link(ready: Mounted, where: list[str]) -> None:
    """R23: opened with O_NOFOLLOW."""
    (ready.path.parent / "elsewhere").mkdir(mode=0o700)
    ready.cache.symlink_to(ready.path.parent / "elsewhere")
    refuse(ready, MOUNT, *where, *ready.words(), says=str(ready.cache))


def test_a_cache_that_is_damaged(ready: Mounted, where: list[str]) -> None:
    """behaviours.md 30: an index that cannot be read is never trusted and never deleted."""
    ready.cache.mkdir(mode=0o700)
    (ready.cache / "index.sqlite").write_bytes(b"this is no database" * 1000)
    done = ready.mountvofs(*ready.words(), code=None)
    kept = [path.read_bytes() for path in ready.cache.rglob("*") if path.is_file()]
    assert any(data.startswith(b"this is no database") for data in kept)
    if done.returncode == 0:
        ready.adopt()
    else:
        check(ready, done, MOUNT)


@pytest.mark.parametrize("option", ["--cache-dir", "--log"])
def test_R22_files_below_the_mount_point(ready: Mounted, option: str, where: list[str]) -> None:
    """They would be in the mount itself."""
    words = [*ready.words(option, str(ready.path / "inside"))]
    line = refuse_any(ready, (USAGE, MOUNT), [*where, *words])
    assert "below the mount point" in line
    assert os.listdir(ready.path) == []


def test_the_default_cache_below_the_mount_point(ready: Mounted, where: list[str]) -> None:
    """The same where it was not named: XDG_CACHE_HOME leads into the mount."""
    ready.env["XDG_CACHE_HOME"] = str(ready.path / "cache")
    words = ["--min-free", "50", "--log", str(ready.log), "vault:", str(ready.path)]
    refuse(ready, MOUNT, *where, *words, says="below")
    assert os.listdir(ready.path) == []


def test_a_log_that_cannot_be_written(ready: Mounted, where: list[str]) -> None:
    """--log in a directory that is not there."""
    words = ready.words("--log", str(ready.path.parent / "no" / "log"))
    line = refuse_any(ready, (USAGE, MOUNT), [*where, *words])
    assert "/no/log" in line
