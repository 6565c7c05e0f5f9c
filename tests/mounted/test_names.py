"""Names, through the kernel: making, removing, renaming, listing, attributes, refusals."""

from __future__ import annotations

import fcntl
import os
import stat
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from fakevospace import FakeVOSpace
from tests.mounted.conftest import Corner, MakeMount
from tests.support.mounted import errno_of, eventually, pattern, run, shell

MB = 1 << 20
CORE = "ivo://ivoa.net/vospace/core#"
LOCKED = "ivo://cadc.nrc.ca/vospace/core#islocked"
ODD_NAMES = (
    "with space",
    "a#b",
    "what?",
    "100%",
    "%41",
    "a+b",
    "a&b=c;d",
    "über-größe",
    "日本語",
    "quote'\"",
    "back\\slash",
    "...dots",
    "-dash",
    "~tilde",
    "colon:name",
    "tab\tname",
    "x" * 255,
    "é" * 127,
)


def test_B7_mkdir_and_B8_rmdir(corner: Corner) -> None:
    """Both are synchronous at the service; what exists, is missing or is full is said so."""
    path = corner.path / "new"
    os.mkdir(path)
    assert corner.fake.node(f"{corner.name}/new")["type"] == "ContainerNode"
    assert errno_of(lambda: os.mkdir(path)) == "EEXIST"
    assert errno_of(lambda: os.mkdir(corner.path / "no" / "way")) == "ENOENT"
    (path / "file").write_bytes(b"x")
    assert errno_of(lambda: os.rmdir(path)) == "ENOTEMPTY"
    os.unlink(path / "file")
    os.rmdir(path)
    assert errno_of(lambda: os.stat(path)) == "ENOENT"
    assert errno_of(lambda: corner.fake.node(f"{corner.name}/new")) != ""
    assert errno_of(lambda: os.rmdir(path)) == "ENOENT"
    plain = corner.put("plain", b"x")
    assert errno_of(lambda: os.rmdir(plain)) == "ENOTDIR"
    assert errno_of(lambda: os.mkdir(plain / "below")) == "ENOTDIR"


def test_B8_rmdir_of_a_directory_filled_by_somebody_else(corner: Corner) -> None:
    """The service's own refusal is ENOTEMPTY too."""
    os.mkdir(corner.path / "dir")
    assert os.listdir(corner.path / "dir") == []
    corner.put("dir/theirs", b"x")
    assert errno_of(lambda: os.rmdir(corner.path / "dir")) == "ENOTEMPTY"
    assert corner.get("dir/theirs") == b"x"


def test_B19_rename_of_a_file(corner: Corner) -> None:
    """The node moves, with its bytes; the old name is gone at once."""
    path = corner.put("old", b"bytes")
    os.rename(path, corner.path / "new")
    assert corner.get("new") == b"bytes"
    assert os.listdir(corner.path) == ["new"]
    assert errno_of(lambda: os.stat(path)) == "ENOENT"
    assert (corner.path / "new").read_bytes() == b"bytes"


@pytest.mark.portable
def test_R10_rename_over_an_existing_file(corner: Corner) -> None:
    """The destination is replaced; nothing of the steps in between stays behind."""
    source, target = corner.put("a", b"from a"), corner.put("b", b"from b")
    assert target.read_bytes() == b"from b"
    os.rename(source, target)
    assert target.read_bytes() == b"from a" and corner.get("b") == b"from a"
    assert os.listdir(corner.path) == ["b"]
    eventually(lambda: _names(corner) == {"b"})


def _names(corner: Corner) -> set[str]:
    """The names that the service has (a listing by another mount would)."""
    found = set()
    for name in ("a", "b", "c"):
        if errno_of(lambda name=name: corner.fake.node(f"{corner.name}/{name}")) == "":  # type: ignore[misc]
            found.add(name)
    return found


@pytest.mark.parametrize("reader", [True, False], ids=["open for reading", "open for writing"])
def test_R9_rename_over_an_open_file(corner: Corner, reader: bool) -> None:
    """Whoever has the replaced file open goes on with its bytes, also those not yet cached."""
    old = pattern(3 * MB, seed=5)
    source, target = corner.put("a", b"from a"), corner.put("b", old)
    descriptor = os.open(target, os.O_RDONLY if reader else os.O_RDWR)
    assert os.pread(descriptor, 10, 0) == old[:10]
    os.rename(source, target)
    assert target.read_bytes() == b"from a"
    assert os.pread(descriptor, 100, 2 * MB) == old[2 * MB : 2 * MB + 100]
    assert os.fstat(descriptor).st_size == len(old)
    os.close(descriptor)
    eventually(lambda: _names(corner) == {"b"})
    assert corner.get("b") == b"from a"
    assert os.listdir(corner.path) == ["b"]


def test_B19_rename_of_an_open_file(corner: Corner) -> None:
    """A handle follows its file: what is written after the rename arrives under the new name."""
    corner.put("a", b"old bytes")
    with open(corner.path / "a", "r+b", buffering=0) as file:
        os.rename(corner.path / "a", corner.path / "b")
        file.write(b"NEW")
    eventually(lambda: _names(corner) == {"b"})
    assert corner.get("b") == b"NEW bytes"
    assert (corner.path / "b").read_bytes() == b"NEW bytes"


def test_B19_rename_kinds(corner: Corner) -> None:
    """A file over a directory is EISDIR, a directory over a file ENOTDIR, over a full one
    ENOTEMPTY, over an empty one fine, into itself EINVAL."""
    file = corner.put("file", b"x")
    for name in ("one", "two", "full"):
        os.mkdir(corner.path / name)
    corner.put("full/file", b"y")
    corner.put("one/inside", b"z")
    assert errno_of(lambda: os.rename(file, corner.path / "one")) == "EISDIR"
    assert errno_of(lambda: os.rename(corner.path / "one", file)) == "ENOTDIR"
    assert errno_of(lambda: os.rename(corner.path / "one", corner.path / "full")) == "ENOTEMPTY"
    assert errno_of(lambda: os.rename(corner.path / "one", corner.path / "one/sub")) == "EINVAL"
    assert errno_of(lambda: os.rename(corner.path / "nix", corner.path / "nox")) == "ENOENT"
    os.rename(corner.path / "one", corner.path / "two")
    assert (corner.path / "two" / "inside").read_bytes() == b"z"
    assert corner.get("two/inside") == b"z" and corner.get("full/file") == b"y"
    assert sorted(os.listdir(corner.path)) == ["file", "full", "two"]


def test_B19_rename_of_a_directory_takes_its_children_along(corner: Corner) -> None:
    """Open, cached and unsent children follow."""
    os.makedirs(corner.path / "old" / "sub")
    corner.put("old/cached", b"cached")
    eventually(lambda: os.path.exists(corner.path / "old" / "cached"))
    assert (corner.path / "old" / "cached").read_bytes() == b"cached"
    with open(corner.path / "old" / "sub" / "open", "wb", buffering=0) as file:
        file.write(b"before")
        os.rename(corner.path / "old", corner.path / "new")
        file.write(b" after")
    assert (corner.path / "new" / "cached").read_bytes() == b"cached"
    eventually(lambda: errno_of(lambda: corner.get("new/sub/open")) == "")
    assert corner.get("new/sub/open") == b"before after"
    assert errno_of(lambda: os.stat(corner.path / "old")) == "ENOENT"


def test_R8_a_file_never_sent_is_renamed_here_alone(
    make_mount: MakeMount, personality: str
) -> None:
    """With --close-wait 0 and the upload held: the temporary name never reaches the service."""
    mount = make_mount(personality)
    with open(mount.path / "tmp", "wb", buffering=0) as file:
        file.write(b"content")
        os.rename(mount.path / "tmp", mount.path / "final")
    eventually(lambda: mount.state("final") == "clean")
    assert mount.fake.get("final") == b"content"
    assert not [line for line in mount.requests() if "/tmp" in line and "GET" not in line]


def test_editor_save(corner: Corner) -> None:
    """Write a temporary file, fsync, rename it over the old one: as editors save."""
    corner.put("b", b"old text")
    assert (corner.path / "b").read_bytes() == b"old text"
    for text in (b"first save", b"second save"):
        with open(corner.path / "a", "wb", buffering=0) as file:
            file.write(text)
            os.fsync(file.fileno())
        os.rename(corner.path / "a", corner.path / "b")
        assert (corner.path / "b").read_bytes() == text
        eventually(lambda text=text: corner.get("b") == text)  # type: ignore[misc]
    assert os.listdir(corner.path) == ["b"]


@pytest.mark.portable
def test_B20_unlink(corner: Corner) -> None:
    """The node is gone when unlink returns."""
    path = corner.put("file", b"x")
    os.unlink(path)
    assert errno_of(lambda: corner.get("file")) != ""
    assert errno_of(lambda: os.stat(path)) == "ENOENT"
    assert os.listdir(corner.path) == []
    assert errno_of(lambda: os.unlink(path)) == "ENOENT"
    os.mkdir(corner.path / "dir")
    assert errno_of(lambda: os.unlink(corner.path / "dir")) == "EISDIR"


def test_B20_unlink_while_open(corner: Corner) -> None:
    """Reads and writes go on, also of bytes that were not here yet; the node goes in the end."""
    data = pattern(3 * MB, seed=7)
    path = corner.put("file", data)
    descriptor = os.open(path, os.O_RDWR)
    assert os.pread(descriptor, 10, 0) == data[:10]
    os.unlink(path)
    assert os.listdir(corner.path) == []
    assert errno_of(lambda: os.stat(path)) == "ENOENT"
    assert os.pread(descriptor, 100, 3 * MB - 100) == data[-100:]
    os.pwrite(descriptor, b"still", 5)
    assert os.pread(descriptor, 10, 0) == data[:5] + b"still"
    assert os.fstat(descriptor).st_size == len(data)
    os.close(descriptor)
    eventually(lambda: errno_of(lambda: corner.get("file")) != "")
    assert os.listdir(corner.path) == []
    eventually(lambda: os.listdir(corner.path) == [])


def test_B20_unlink_of_a_new_file_while_open(corner: Corner) -> None:
    """A temporary file that nobody else ever sees: nothing of it reaches the service."""
    with open(corner.path / "tmp", "w+b", buffering=0) as file:
        file.write(b"secret")
        os.unlink(corner.path / "tmp")
        file.write(b" more")
        assert os.pread(file.fileno(), 100, 0) == b"secret more"
    assert os.listdir(corner.path) == []
    assert not corner.fake.journal.count(method="PUT", endpoint="bytes")
    assert errno_of(lambda: corner.get("tmp")) != ""


def test_B20_a_name_unlinked_while_open_can_be_made_again(corner: Corner) -> None:
    """The new file is another one; the old handle keeps the old bytes."""
    data = pattern(MB, seed=8)
    path = corner.put("file", data)
    descriptor = os.open(path, os.O_RDONLY)
    os.unlink(path)
    path.write_bytes(b"new file")
    assert path.read_bytes() == b"new file"
    assert os.pread(descriptor, 100, 500_000) == data[500_000:500_100]
    os.close(descriptor)
    corner.eventually_holds("file", b"new file")
    assert os.listdir(corner.path) == ["file"]


def test_rm_r(corner: Corner) -> None:
    """rm -r of a tree, as users do it."""
    os.makedirs(corner.path / "a" / "b" / "c")
    for name in ("a/1", "a/b/2", "a/b/c/3"):
        (corner.path / name).write_bytes(b"x")
    run("rm", "-r", corner.path / "a")
    assert os.listdir(corner.path) == []
    assert errno_of(lambda: corner.fake.node(f"{corner.name}/a")) != ""


# -- names ----------------------------------------------------------------------------------------


def test_odd_names(corner: Corner) -> None:
    """Names arrive as they are: made, listed, renamed and removed."""
    for name in ODD_NAMES:
        path = corner.path / name
        path.write_bytes(b"content")
        assert os.listdir(corner.path) == [name]
        assert corner.get(name) == b"content", name
        os.rename(path, corner.path / "plain")
        os.rename(corner.path / "plain", path)
        assert path.read_bytes() == b"content" and os.listdir(corner.path) == [name]
        os.unlink(path)
        os.mkdir(path)
        assert os.listdir(corner.path) == [name]
        os.rmdir(path)
        assert os.listdir(corner.path) == []


def test_names_too_long(corner: Corner) -> None:
    """256 bytes are ENAMETOOLONG, whatever is done with them."""
    path = corner.path / ("x" * 256)
    assert errno_of(lambda: os.mkdir(path)) == "ENAMETOOLONG"
    assert errno_of(lambda: path.write_bytes(b"")) == "ENAMETOOLONG"


def test_B18_NFD_names_are_sent_as_NFC(corner: Corner) -> None:
    """A decomposed name and its composed form are one node, whichever made it."""
    composed = unicodedata.normalize("NFC", "café")
    decomposed = unicodedata.normalize("NFD", "café")
    (corner.path / decomposed).write_bytes(b"content")
    eventually(lambda: errno_of(lambda: corner.get(composed)) == "")
    assert (corner.path / composed).read_bytes() == b"content"
    names = os.listdir(corner.path)
    assert [unicodedata.normalize("NFC", name) for name in names] == [composed]


def test_B18_a_name_that_is_not_UTF8(corner: Corner) -> None:
    """Bytes that are no UTF-8 are refused, and nothing else suffers."""
    path = os.fsencode(corner.path) + b"/\xff\xfe"
    assert errno_of(lambda: os.mkdir(path)) in ("EILSEQ", "EINVAL")
    assert errno_of(lambda: os.stat(path)) in ("EILSEQ", "ENOENT", "EINVAL")
    assert os.listdir(corner.path) == []


def test_B18_a_directory_of_two_thousand(make_mount: MakeMount, personality: str) -> None:
    """Listed completely, with attributes, in one request per page and none per entry."""

    def prepare(fake: FakeVOSpace) -> None:
        fake.mkdir("many")
        for number in range(2000):
            fake.put(f"many/f{number:04d}", b"x" * (number % 7))

    mount = make_mount(personality, prepare=prepare)
    found = {entry.name: entry.stat().st_size for entry in os.scandir(mount.path / "many")}
    assert found == {f"f{number:04d}": number % 7 for number in range(2000)}
    assert len(mount.requests()) <= 25, mount.requests()


def test_B18_what_appears_on_the_service_is_seen_after_the_ttl(corner: Corner) -> None:
    """Names made and deleted by others appear and vanish."""
    corner.put("one", b"1")
    assert os.listdir(corner.path) == ["one"]
    corner.put("two", b"2")
    corner.fake.delete(f"{corner.name}/one")
    eventually(lambda: os.listdir(corner.path) == ["two"])
    eventually(lambda: errno_of(lambda: os.stat(corner.path / "one")) == "ENOENT")


# -- attributes -----------------------------------------------------------------------------------


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


def test_R16_a_new_file_is_never_missing_from_a_listing(corner: Corner) -> None:
    """A listing under way while an upload ends: the name is in it, be it from here or there."""
    for number in range(60):
        path = corner.path / f"new{number}"
        os.mknod(path, stat.S_IFREG | 0o600)
        assert path.name in os.listdir(corner.path)
        assert os.stat(path).st_size == 0


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


def test_links_of_the_service(make_mount: MakeMount, tmp_path: Path) -> None:
    """A link whose target is in the mount is relative and resolves; reading goes through it."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", b"bytes"))
    run(_beside("vln"), "vault:file", "vault:link", env=mount.env)
    eventually(lambda: "link" in os.listdir(mount.path))
    assert os.readlink(mount.path / "link") == "file"
    assert (mount.path / "link").read_bytes() == b"bytes"


def _beside(name: str) -> Path:
    import sys

    return Path(sys.executable).with_name(name)
