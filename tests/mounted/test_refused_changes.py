"""What a mount refuses, and with which errno: changes of what is read-only or locked, and system
calls for what a VOSpace cannot hold.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable

import pytest

from fakevospace import FakeVOSpace
from tests.mounted.conftest import Corner, MakeMount
from tests.support.mounted import errno_of, eventually, shell

LOCKED = "ivo://cadc.nrc.ca/vospace/core#islocked"


@pytest.mark.parametrize("option", [["--readonly"], ["--anonymous"], ["-o", "ro"]], ids=str)
def test_a_read_only_mount_refuses_every_change(
    make_mount: MakeMount, personality: str, option: list[str]
) -> None:
    """EROFS for all that would change something; reading works."""
    mount = make_mount(personality, *option, prepare=lambda fake: fake.put("file", b"bytes"),
                       mount=False)  # fmt: skip
    done = mount.mountvofs(*mount.words())
    mount.adopt()
    assert ("no credential" in done.stderr) == (option == ["--anonymous"])
    path = mount.path / "file"
    assert path.read_bytes() == b"bytes"
    changes: list[Callable[[], object]] = [
        lambda: path.write_bytes(b""),
        lambda: os.open(path, os.O_RDWR),
        lambda: os.truncate(path, 0),
        lambda: (mount.path / "new").write_bytes(b""),
        lambda: os.mkdir(mount.path / "new"),
        lambda: os.unlink(path),
        lambda: os.rename(path, mount.path / "new"),
        lambda: os.utime(path),
        lambda: os.chmod(path, 0o600),
        lambda: os.symlink("a", mount.path / "new"),
    ]
    assert [errno_of(change) for change in changes] == ["EROFS"] * len(changes)
    assert not os.access(path, os.W_OK)
    assert os.listdir(mount.path) == ["file"]
    assert mount.fake.journal.count(method="PUT") == 0


def test_B10_locked_nodes_are_EPERM(make_mount: MakeMount) -> None:
    """A locked node: no writing, truncating, unlinking, renaming; reading is allowed.  A locked
    container: nothing new in it, nothing out of it."""

    def prepare(fake: FakeVOSpace) -> None:
        fake.put("file", b"bytes")
        fake.mkdir("box")
        fake.put("box/inside", b"inside")
        fake.mkdir("free")
        for path in ("file", "box"):
            fake.set_property(path, LOCKED, "true")

    mount = make_mount("vault", prepare=prepare)
    file, box = mount.path / "file", mount.path / "box"
    assert file.read_bytes() == b"bytes" and (box / "inside").read_bytes() == b"inside"
    refused: list[Callable[[], object]] = [
        lambda: os.open(file, os.O_WRONLY),
        lambda: os.open(file, os.O_RDWR | os.O_TRUNC),
        lambda: os.truncate(file, 0),
        lambda: os.unlink(file),
        lambda: os.rename(file, mount.path / "other"),
        lambda: os.open(box / "inside", os.O_WRONLY),
        lambda: os.unlink(box / "inside"),
        lambda: os.mkdir(box / "new"),
        lambda: (box / "new").write_bytes(b""),
        lambda: os.rename(mount.path / "free", box / "free"),
        lambda: os.rename(box / "inside", mount.path / "outside"),
        lambda: os.rmdir(box),
    ]
    assert [errno_of(one) for one in refused] == ["EPERM"] * len(refused)
    assert mount.fake.get("file") == b"bytes" and mount.fake.get("box/inside") == b"inside"
    assert mount.fake.journal.count(method="PUT") == 0


def test_B10_unlink_of_an_open_locked_file_is_EPERM(make_mount: MakeMount) -> None:
    """R9: libfuse hides the file first; its EPERM reaches the caller of unlink."""

    def prepare(fake: FakeVOSpace) -> None:
        fake.put("file", b"bytes")
        fake.set_property("file", LOCKED, "true")

    mount = make_mount("vault", prepare=prepare)
    with open(mount.path / "file", "rb") as file:
        assert errno_of(lambda: os.unlink(mount.path / "file")) == "EPERM"
        assert file.read() == b"bytes"
    assert mount.fake.get("file") == b"bytes"


def test_R17_no_operation_is_ever_ENOSYS(corner: Corner) -> None:
    """Every system call that reaches a file system: it works, or it says something else; for
    ENOSYS the kernel would never ask again, and flush and fsync be silently off."""
    path, missing = corner.put("file", b"bytes"), corner.path / "missing"
    fd, directory = os.open(path, os.O_RDWR), os.open(corner.path, os.O_RDONLY)
    link = corner.path / "link"
    calls: dict[str, Callable[[], object]] = {
        "link": lambda: os.link(path, link),
        "symlink": lambda: os.symlink("file", link),
        "readlink": lambda: os.readlink(path),
        "mkfifo": lambda: os.mkfifo(missing),
        "mknod device": lambda: os.mknod(missing, stat.S_IFCHR | 0o600, os.makedev(1, 3)),
        "mknod socket": lambda: os.mknod(missing, stat.S_IFSOCK | 0o600),
        "setxattr": lambda: os.setxattr(path, "user.vos.x", b"1"),
        "setxattr system": lambda: os.setxattr(path, "system.posix_acl_access", b"1"),
        "removexattr": lambda: os.removexattr(path, "user.vos.length"),
        "listxattr": lambda: os.listxattr(path),
        "getxattr system": lambda: os.getxattr(path, "system.posix_acl_access"),
        "getxattr directory": lambda: os.getxattr(corner.path, "user.vofs.state"),
        "chmod": lambda: os.chmod(path, 0o777),
        "fchmod": lambda: os.fchmod(fd, 0o777),
        "chown": lambda: os.chown(path, 1, 1),
        "fchown": lambda: os.fchown(fd, 1, 1),
        "utimes": lambda: os.utime(fd),
        "statvfs": lambda: os.fstatvfs(fd),
        "access": lambda: os.access(path, os.X_OK),
        "fsync": lambda: os.fsync(fd),
        "fdatasync": lambda: os.fdatasync(fd),
        "fsync directory": lambda: os.fsync(directory),
        "ftruncate": lambda: os.ftruncate(fd, 3),
        "fallocate": lambda: os.posix_fallocate(fd, 0, 100),
        "fadvise": lambda: os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED),
        "seek data": lambda: os.lseek(fd, 0, os.SEEK_DATA),
        "seek hole": lambda: os.lseek(fd, 0, os.SEEK_HOLE),
        "copy_file_range": lambda: os.copy_file_range(fd, fd, 1, 0, 1),
        "sendfile": lambda: os.sendfile(fd, fd, 0, 1),
        "lockf": lambda: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
        "flock": lambda: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB),
        "ioctl": lambda: fcntl.ioctl(fd, 0x5401, b"\0" * 64),
        "flags": lambda: fcntl.ioctl(fd, 0x80086601, b"\0" * 8),
        "O_TMPFILE": lambda: os.close(os.open(corner.path, os.O_TMPFILE | os.O_RDWR)),
        "O_DIRECT": lambda: os.close(os.open(path, os.O_DIRECT | os.O_RDONLY)),
        "rename": lambda: os.rename(path, corner.path / "renamed"),
        "rename back": lambda: os.rename(corner.path / "renamed", path),
        "close a duplicate": lambda: os.close(os.dup(fd)),
    }
    found = {name: errno_of(call) for name, call in calls.items()}
    print(found)
    os.close(fd)
    os.close(directory)
    assert "ENOSYS" not in found.values(), found
    unix = {name: found[name] for name in ("fsync", "fdatasync", "lockf", "flock", "fallocate")}
    assert unix.pop("fallocate") in ("", "EOPNOTSUPP")
    assert set(unix.values()) == {""}, found


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("link", "EPERM"),
        ("symlink", "EOPNOTSUPP"),
        ("mkfifo", "EPERM"),
        ("setxattr", "EOPNOTSUPP"),
    ],
)
def test_B22_what_a_VOSpace_cannot_hold(corner: Corner, call: str, expected: str) -> None:
    """Hard links and devices are EPERM; what is not built yet is EOPNOTSUPP."""
    path, other = corner.put("file", b"x"), corner.path / "other"
    calls: dict[str, Callable[[], object]] = {
        "link": lambda: os.link(path, other),
        "symlink": lambda: os.symlink("file", other),
        "mkfifo": lambda: os.mkfifo(other),
        "setxattr": lambda: os.setxattr(path, "user.vos.x", b"1"),
    }
    assert errno_of(calls[call]) == expected
    assert os.listdir(corner.path) == ["file"]


def test_B22_mknod_of_a_regular_file_makes_one(corner: Corner) -> None:
    """mknod(2) as some programs create files."""
    os.mknod(corner.path / "new", stat.S_IFREG | 0o600)
    assert os.listdir(corner.path) == ["new"]
    eventually(lambda: errno_of(lambda: corner.get("new")) == "")


@pytest.mark.promise("Differences", "Locks between processes")
def test_B27_locks_between_processes(corner: Corner) -> None:
    """flock(2) and fcntl(2) locks work between the processes of one machine; other machines do not
    see them."""
    path = corner.put("file", b"x")
    with open(path, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert shell('flock -n "$1" true; echo $?', path).strip() == "1"
        fcntl.flock(file, fcntl.LOCK_UN)
        assert shell('flock -n "$1" true; echo $?', path).strip() == "0"
