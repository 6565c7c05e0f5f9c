"""Bytes of files, through the kernel: what is read, what is written, what the service then holds.

Most run on a `corner`: a directory of a fresh mount whose daemon checks the order of its locks.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest

from tests.mounted.conftest import Corner, MakeMount
from tests.support.mounted import errno_of, eventually, pattern, run, shell

MB = 1 << 20
THREE_MB = pattern(3 * MB)
VERA = "ivo://ivoa.net/vospace/core#description"


# -- reading --------------------------------------------------------------------------------------


def test_B4_stat_and_ls_tell_what_the_service_holds(corner: Corner) -> None:
    """stat and ls show the node's size, kind and date."""
    path = corner.put("a.fits", b"x" * 1234)
    found = os.stat(path)
    assert found.st_size == 1234 and stat.S_ISREG(found.st_mode)
    assert found.st_uid == os.getuid() and found.st_nlink == 1
    assert stat.S_ISDIR(os.stat(corner.path).st_mode)
    assert abs(found.st_mtime - os.stat(corner.path.parent).st_mtime) < 86400
    assert "1234" in shell('ls -l "$1"', corner.path)
    assert os.listdir(corner.path) == ["a.fits"]


@pytest.mark.portable
def test_R14_reads_give_every_byte(corner: Corner) -> None:
    """cat, open().read() and reads at any offset give exactly the file's bytes."""
    path = corner.put("big", THREE_MB)
    assert hashlib.md5(shell_bytes("cat", path)).digest() == hashlib.md5(THREE_MB).digest()
    assert path.read_bytes() == THREE_MB
    with open(path, "rb", buffering=0) as file:
        for offset in (0, 1, 65535, 65537, MB - 7, 3 * MB - 5):
            assert os.pread(file.fileno(), 4096, offset) == THREE_MB[offset : offset + 4096]


def shell_bytes(*words: str | Path) -> bytes:
    """What a command prints."""
    return run(*words).stdout.encode(errors="surrogateescape")


def test_R14_a_read_past_the_end_is_empty_not_an_error(corner: Corner) -> None:
    """At and behind the end there are no bytes; just before it, the rest and no more."""
    path = corner.put("small", b"0123456789")
    with open(path, "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 100, 10) == b""
        assert os.pread(file.fileno(), 100, 10**12) == b""
        assert os.pread(file.fileno(), 100, 7) == b"789"


def test_an_empty_file_reads_as_empty(corner: Corner) -> None:
    """A file without bytes opens and ends at once."""
    path = corner.put("empty", b"")
    assert path.read_bytes() == b"" and os.stat(path).st_size == 0


# -- copying --------------------------------------------------------------------------------------


@pytest.mark.portable
def test_cp_in_and_out(corner: Corner, tmp_path: Path) -> None:
    """cp into the mount and out of it: the service and the copy hold the same bytes."""
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(THREE_MB)
    run("cp", source, corner.path / "copy")
    assert corner.get("copy") == THREE_MB
    run("cmp", source, corner.path / "copy")
    run("cp", corner.path / "copy", back)
    assert back.read_bytes() == THREE_MB


def test_cp_within_the_mount(corner: Corner) -> None:
    """A copy of a file that was never read here."""
    corner.put("one", THREE_MB)
    run("cp", corner.path / "one", corner.path / "two")
    assert corner.get("two") == THREE_MB


def test_cp_r_of_a_tree(corner: Corner, tmp_path: Path) -> None:
    """cp -r and diff -r of a small tree."""
    tree = tmp_path / "tree"
    for name in ("a", "b/c", "b/d/e"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(name.encode() * 100)
    run("cp", "-r", tree, corner.path / "tree")
    run("diff", "-r", tree, corner.path / "tree")
    assert corner.get("tree/b/d/e") == b"b/d/e" * 100


# -- changing what is there and not cached --------------------------------------------------------


@pytest.mark.portable
def test_echo_over_an_existing_file(corner: Corner) -> None:
    """`echo x > existing`: the service holds "x\\n".  (The old mount destroyed the file.)"""
    path = corner.put("existing", THREE_MB)
    shell('echo x > "$1"', path)
    assert corner.get("existing") == b"x\n"
    assert path.read_bytes() == b"x\n"


@pytest.mark.portable
def test_echo_appended_to_an_existing_file(corner: Corner) -> None:
    """`echo x >> existing` keeps what was there.  (The old mount zeroed it.)"""
    path = corner.put("existing", THREE_MB)
    shell('echo x >> "$1"', path)
    assert corner.get("existing") == THREE_MB + b"x\n"
    assert os.stat(path).st_size == len(THREE_MB) + 2


@pytest.mark.portable
def test_no_download_before_a_write(corner: Corner) -> None:
    """Ten bytes at 1 MB of 3 MB that are not cached: nothing is downloaded before the close, and
    the service then holds exactly the right bytes."""
    path = corner.put("existing", THREE_MB)
    descriptor = os.open(path, os.O_WRONLY)
    os.pwrite(descriptor, b"0123456789", MB)
    assert not corner.fake.journal.entries(method="GET", endpoint="bytes")
    assert not corner.fake.journal.entries(method="GET", endpoint="files")
    os.close(descriptor)
    assert corner.get("existing") == THREE_MB[:MB] + b"0123456789" + THREE_MB[MB + 10 :]
    assert path.read_bytes() == corner.get("existing")


def test_append_to_an_uncached_file_downloads_once(corner: Corner) -> None:
    """targets.md 1: nothing before close, then one download and one upload."""
    path = corner.put("existing", THREE_MB)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(descriptor, b"tail")
    assert corner.fake.journal.count(endpoint="bytes") == 0
    os.close(descriptor)
    assert corner.get("existing") == THREE_MB + b"tail"
    node = f"/{corner.name}/existing"
    assert corner.fake.journal.count(method="GET", endpoint="bytes", path=node) == 1
    assert corner.fake.journal.count(method="PUT", endpoint="bytes", path=node) == 1


def test_many_small_writes_are_one_upload(corner: Corner) -> None:
    """However a file is written, it is sent once."""
    with open(corner.path / "new", "wb", buffering=0) as file:
        for number in range(200):
            file.write(b"%04d" % number)
    assert corner.get("new") == b"".join(b"%04d" % number for number in range(200))
    assert corner.fake.journal.count(method="PUT", endpoint="bytes") == 1


def test_read_back_what_was_written_and_not_sent(corner: Corner) -> None:
    """Within one open file: reads see writes at once, next to bytes of the service."""
    path = corner.put("existing", THREE_MB)
    with open(path, "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"NEW", 100)
        assert os.pread(file.fileno(), 203, 0) == (THREE_MB[:100] + b"NEW" + THREE_MB[103:203])
        with open(path, "rb") as other:
            other.seek(99)
            assert other.read(5) == THREE_MB[99:100] + b"NEW" + THREE_MB[103:104]


# -- truncating -----------------------------------------------------------------------------------


def test_B24_truncate(corner: Corner) -> None:
    """truncate(2) by path, down, up, to nothing and to what it was."""
    sizes = (0, 1, MB - 1, 3 * MB, 3 * MB + 100)
    for size in sizes:
        path = corner.put(f"to{size}", THREE_MB)
        os.truncate(path, size)
        assert os.stat(path).st_size == size
    for size in sizes:
        expected = THREE_MB[:size].ljust(size, b"\0")
        corner.eventually_holds(f"to{size}", expected)
        assert (corner.path / f"to{size}").read_bytes() == expected


def test_B24_truncate_to_nothing_downloads_nothing(corner: Corner) -> None:
    """truncate to 0 never needs the old bytes."""
    path = corner.put("existing", THREE_MB)
    os.truncate(path, 0)
    corner.eventually_holds("existing", b"")
    assert corner.fake.journal.count(method="GET", endpoint="bytes") == 0


def test_ftruncate_up_and_down(corner: Corner) -> None:
    """ftruncate(2) on an open file; what is cut and added again reads as zeros."""
    path = corner.put("existing", THREE_MB)
    with open(path, "r+b", buffering=0) as file:
        file.truncate(1000)
        file.truncate(2000)
        assert os.fstat(file.fileno()).st_size == 2000
        assert os.pread(file.fileno(), 3000, 0) == THREE_MB[:1000] + bytes(1000)
    corner.eventually_holds("existing", THREE_MB[:1000] + bytes(1000))


def test_redirection_alone_empties_a_file(corner: Corner) -> None:
    """`> existing` and `: > existing` leave a file without bytes, here and on the service."""
    path = corner.put("existing", THREE_MB)
    shell('> "$1"', path)
    assert os.stat(path).st_size == 0
    corner.eventually_holds("existing", b"")


def test_R4_an_emptied_file_keeps_its_properties(corner: Corner) -> None:
    """A service that takes no empty PUT (vault) gets the node deleted and made again: with the
    properties that it had."""
    path = corner.put("existing", THREE_MB)
    corner.fake.set_property(f"{corner.name}/existing", VERA, "of Vera")
    corner.fake.set_property(f"{corner.name}/existing", "ivo://example.org/mine#tag", "kept")
    os.truncate(path, 0)
    corner.eventually_holds("existing", b"")
    eventually(lambda: corner.mount.state(f"{corner.name}/existing") == "clean")
    node = corner.fake.node(f"{corner.name}/existing")
    assert node[VERA] == "of Vera" and node["ivo://example.org/mine#tag"] == "kept"


def test_R4_the_first_flush_of_a_redirection_sends_nothing(corner: Corner) -> None:
    """`cmd > f` arrives as open, truncate, FLUSH, write, FLUSH: no empty file is sent over the old
    one in between."""
    path = corner.put("existing", THREE_MB)
    shell('{ echo one; cat "$2"; echo two; } > "$1"', path, "/dev/null")
    assert corner.get("existing") == b"one\ntwo\n"
    assert corner.fake.journal.count(method="DELETE") == 0
    sizes = [one.bytes_in for one in corner.fake.journal.entries(method="PUT", endpoint="bytes")]
    assert 0 not in sizes


def test_new_empty_files_exist_on_the_service(corner: Corner) -> None:
    """touch makes a node."""
    run("touch", corner.path / "new")
    assert os.stat(corner.path / "new").st_size == 0
    eventually(lambda: errno_of(lambda: corner.get("new")) == "")
    assert corner.get("new") == b""


# -- sparse files, handles, the cache -------------------------------------------------------------


def test_sparse_writes_leave_zeros(corner: Corner) -> None:
    """A write far behind the end: what lies between reads as zeros, here and there."""
    with open(corner.path / "sparse", "w+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"end", 2 * MB)
        os.pwrite(file.fileno(), b"mid", MB)
        assert os.pread(file.fileno(), 8, MB - 2) == b"\0\0mid\0\0\0"
    expected = bytes(MB) + b"mid" + bytes(MB - 3) + b"end"
    assert corner.get("sparse") == expected
    assert (corner.path / "sparse").read_bytes() == expected


def test_sparse_write_behind_an_uncached_file(corner: Corner) -> None:
    """The same behind a file of the service whose bytes are not here."""
    path = corner.put("existing", b"abc" * 1000)
    with open(path, "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"end", 100_000)
    assert corner.get("existing") == b"abc" * 1000 + bytes(97_000) + b"end"


def test_writes_past_4_GiB(corner: Corner) -> None:
    """Offsets beyond 32 bits, sparse; cut again before anything is sent."""
    with open(corner.path / "far", "w+b", buffering=0) as file:
        for offset in ((4 << 30) - 3, 5 << 30):
            os.pwrite(file.fileno(), b"beyond", offset)
            assert os.pread(file.fileno(), 9, offset - 3) == b"\0\0\0beyond"
        assert os.fstat(file.fileno()).st_size == (5 << 30) + 6
        os.ftruncate(file.fileno(), 10)
        os.pwrite(file.fileno(), b"near", 2)
    assert corner.get("far") == b"\0\0near\0\0\0\0"


def test_R18_fsync_and_what_follows(corner: Corner) -> None:
    """fsync and fdatasync succeed, on writers and readers, and the file goes on."""
    with open(corner.path / "new", "w+b", buffering=0) as file:
        file.write(b"one")
        os.fsync(file.fileno())
        os.fdatasync(file.fileno())
        file.write(b"two")
    with open(corner.path / "new", "rb") as file:
        os.fsync(file.fileno())
    assert corner.get("new") == b"onetwo"
    run("sync", "-f", corner.path)


def test_B11_open_with_truncation_downloads_nothing(corner: Corner) -> None:
    """O_TRUNC forgets the old bytes without fetching them."""
    path = corner.put("existing", THREE_MB)
    path.write_bytes(b"brand new")
    assert corner.get("existing") == b"brand new"
    assert corner.fake.journal.count(method="GET", endpoint="bytes") == 0


def test_B6_exclusive_creation(corner: Corner) -> None:
    """O_EXCL fails on what exists, here or on the service, and makes what does not."""
    path = corner.put("existing", b"old")
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
    assert errno_of(lambda: os.open(path, flags)) == "EEXIST"
    os.close(os.open(corner.path / "new", flags))
    assert errno_of(lambda: os.open(corner.path / "new", flags)) == "EEXIST"
    assert corner.get("existing") == b"old"


def test_B14_handles_do_only_what_they_were_opened_for(corner: Corner) -> None:
    """write on a read-only handle and read on a write-only one are EBADF."""
    path = corner.put("existing", b"old")
    reading, writing = os.open(path, os.O_RDONLY), os.open(path, os.O_WRONLY)
    assert errno_of(lambda: os.write(reading, b"x")) == "EBADF"
    assert errno_of(lambda: os.read(writing, 1)) == "EBADF"
    assert errno_of(lambda: os.ftruncate(reading, 0)) in ("EINVAL", "EBADF")
    os.close(reading)
    os.close(writing)
    assert corner.get("existing") == b"old"


def test_B12_unchanged_bytes_are_not_downloaded_again(
    make_mount: MakeMount, personality: str
) -> None:
    """A second read, and one after a remount on the same cache, use the cached bytes."""
    mount = make_mount(personality, prepare=lambda fake: fake.put("a", THREE_MB))
    assert (mount.path / "a").read_bytes() == THREE_MB
    first = mount.fake.journal.count(method="GET", endpoint="bytes")
    assert (mount.path / "a").read_bytes() == THREE_MB
    mount.remount()
    assert (mount.path / "a").read_bytes() == THREE_MB
    assert mount.fake.journal.count(method="GET", endpoint="bytes") == first
    mount.remount(fresh_cache=True)
    assert (mount.path / "a").read_bytes() == THREE_MB
    assert mount.fake.journal.count(method="GET", endpoint="bytes") > first


def test_drop_forgets_clean_bytes(make_mount: MakeMount, personality: str) -> None:
    """After `vofs drop` the bytes come from the service again, and are right."""
    mount = make_mount(personality, prepare=lambda fake: fake.put("a", THREE_MB))
    assert (mount.path / "a").read_bytes() == THREE_MB
    before = mount.fake.journal.count(method="GET", endpoint="bytes")
    assert mount.vofs("drop", mount.path).stdout == "files dropped: 1\n"
    descriptor = os.open(mount.path / "a", os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    assert (mount.path / "a").read_bytes() == THREE_MB
    assert mount.fake.journal.count(method="GET", endpoint="bytes") > before
