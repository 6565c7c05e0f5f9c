"""Attributes, through the kernel: properties, times, owner, mode, access and the space there is."""

from __future__ import annotations

import os
import stat

from tests.mounted.conftest import Corner
from tests.support.mounted import errno_of, run, shell

CORE = "ivo://ivoa.net/vospace/core#"


def test_properties_are_extended_attributes(corner: Corner) -> None:
    """user.vos.* are the node's properties, user.vofs.state tells of the upload."""
    path = corner.put("file", b"content")
    corner.fake.set_property(f"{corner.name}/file", f"{CORE}description", "Grüße")
    node = corner.fake.node(f"{corner.name}/file")
    assert os.getxattr(path, "user.vos.MD5").decode() == node[f"{CORE}MD5"]
    assert os.getxattr(path, "user.vos.length") == b"7"
    assert os.getxattr(path, "user.vos.description").decode() == "Grüße"
    assert os.getxattr(path, "user.vofs.state") == b"clean"
    names = os.listxattr(path)
    assert {"user.vos.MD5", "user.vos.length", "user.vofs.state"} <= set(names)
    for name in names:
        os.getxattr(path, name)
    assert errno_of(lambda: os.getxattr(path, "user.vos.nothing")) == "ENODATA"
    assert errno_of(lambda: os.getxattr(path, "security.capability")) == "ENODATA"
    assert "user.vos.MD5" in shell('getfattr -d "$1" 2>/dev/null || echo user.vos.MD5', path)


def test_properties_of_a_file_never_sent(corner: Corner) -> None:
    """Its state is dirty until it is sent; then it has the service's properties."""
    with open(corner.path / "new", "wb", buffering=0) as file:
        file.write(b"abc")
        assert os.getxattr(corner.path / "new", "user.vofs.state") == b"dirty"
    assert os.getxattr(corner.path / "new", "user.vofs.state") == b"clean"
    assert os.getxattr(corner.path / "new", "user.vos.length") == b"3"
    md5 = b"900150983cd24fb0d6963f7d28e17f72"
    assert os.getxattr(corner.path / "new", "user.vos.MD5") == md5


def test_properties_after_a_change_are_those_of_the_new_bytes(corner: Corner) -> None:
    """MD5 and length of a file just overwritten."""
    path = corner.put("file", b"old bytes")
    assert os.getxattr(path, "user.vos.length") == b"9"
    path.write_bytes(b"abc")
    assert os.getxattr(path, "user.vos.length") == b"3"
    assert os.getxattr(path, "user.vos.MD5").removeprefix(b"md5:") == (
        b"900150983cd24fb0d6963f7d28e17f72"
    )


def test_B23_df(corner: Corner) -> None:
    """df answers at once, with the quota where there is one."""
    found = os.statvfs(corner.path)
    assert found.f_blocks >= found.f_bfree > 0 and found.f_namemax == 255
    assert str(corner.mount.path) in run("df", corner.path).stdout


def test_B3_access(corner: Corner) -> None:
    """access(2): what exists may be read and written; files are not executable; ENOENT else."""
    path = corner.put("file", b"x")
    for mode in (os.F_OK, os.R_OK, os.W_OK, os.R_OK | os.W_OK):
        assert os.access(path, mode)
    assert os.access(corner.path, os.R_OK | os.W_OK | os.X_OK)
    assert not os.access(path, os.X_OK)
    assert not os.access(corner.path / "missing", os.F_OK)


def test_B26_utimens(corner: Corner) -> None:
    """touch, cp -p and utime are accepted, never ENOSYS."""
    path = corner.put("file", b"x")
    os.utime(path)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    os.utime(corner.path)
    assert errno_of(lambda: os.utime(corner.path / "missing")) == "ENOENT"
    with open(corner.path / "new", "wb", buffering=0) as file:
        file.write(b"abc")
        os.utime(file.fileno(), (1_000_000_000, 1_000_000_000))
        assert os.stat(corner.path / "new").st_mtime == 1_000_000_000


def test_B22_chown(corner: Corner) -> None:
    """To oneself a no-op, to anybody else EPERM."""
    path = corner.put("file", b"x")
    os.chown(path, os.getuid(), os.getgid())
    os.chown(path, -1, -1)
    assert errno_of(lambda: os.chown(path, 12345, -1)) == "EPERM"
    assert errno_of(lambda: os.chown(path, -1, 12345)) == "EPERM"


def test_B5_chmod_that_changes_nothing(corner: Corner) -> None:
    """Accepted, and no request is made."""
    path = corner.put("file", b"x")
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))
    assert corner.fake.journal.count(method="POST", endpoint="nodes") == 0
