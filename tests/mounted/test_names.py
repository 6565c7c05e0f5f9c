"""Names, through the kernel: making, removing, renaming and listing them."""

from __future__ import annotations

import os
import stat
import sys
import unicodedata
from pathlib import Path

import pytest

from fakevospace import FakeVOSpace
from tests.mounted.conftest import Corner, MakeMount
from tests.support.mounted import errno_of, eventually, pattern, run

MB = 1 << 20
CORE = "ivo://ivoa.net/vospace/core#"
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


def test_R16_a_new_file_is_never_missing_from_a_listing(corner: Corner) -> None:
    """A listing under way while an upload ends: the name is in it, be it from here or there."""
    for number in range(60):
        path = corner.path / f"new{number}"
        os.mknod(path, stat.S_IFREG | 0o600)
        assert path.name in os.listdir(corner.path)
        assert os.stat(path).st_size == 0


def test_links_of_the_service(make_mount: MakeMount, tmp_path: Path) -> None:
    """A link whose target is in the mount is relative and resolves; reading goes through it."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", b"bytes"))
    run(_beside("vln"), "vault:file", "vault:link", env=mount.env)
    eventually(lambda: "link" in os.listdir(mount.path))
    assert os.readlink(mount.path / "link") == "file"
    assert (mount.path / "link").read_bytes() == b"bytes"


def _beside(name: str) -> Path:
    return Path(sys.executable).with_name(name)
