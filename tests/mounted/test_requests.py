"""What an operation asks of the service: targets.md section 1, row by row, by the fake's journal.

Discovery is not counted (it happens at the mount), and names are looked up before in a listed
directory, as the table has it.  Each test prints what it saw, and the exact requests are what it
asserts: one more, and it fails.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fakevospace import FakeVOSpace
from tests.mounted.conftest import MakeMount
from tests.support.mounted import BOTH, Mounted, errno_of, pattern, shell

KB, MB = 1 << 10, 1 << 20
BLOCK = pattern(MB)
FOREVER = ("--attr-ttl", "600", "--negative-ttl", "600")  # "within the TTL", however slow the test
BOTH_SERVICES = pytest.mark.parametrize("service", BOTH)
VAULT = pytest.mark.parametrize("service", ["vault"])
CAVERN = pytest.mark.parametrize("service", ["cavern"])


@pytest.fixture
def listed(make_mount: MakeMount) -> Callable[..., Mounted]:
    """Make a mount with files on its service, whose directory has been listed."""

    def make(service: str, *options: str, **files: bytes) -> Mounted:
        def prepare(fake: FakeVOSpace) -> None:
            for name, data in files.items():
                fake.put(name, data)

        mount = make_mount(service, *FOREVER, *options, prepare=prepare)
        assert sorted(os.listdir(mount.path)) == sorted(files)
        mount.fake.journal.clear()
        return mount

    return make


def asked(mount: Mounted, step: Callable[[], object], what: str = "") -> list[str]:
    """The requests that `step` causes, all of which have come when it returns."""
    mount.fake.journal.clear()
    step()
    found = mount.requests()
    print(what or "requests", found)
    return found


def write(path: Path, data: bytes, offset: int = 0) -> None:
    """One open, one write, one close."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)


def read(path: Path, size: int, offset: int) -> bytes:
    """One open, one read, one close."""
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), size, offset)


Listed = Callable[..., Mounted]
PUT = {
    "vault": ["POST synctrans  -> 303", "PUT bytes {} -> 201"],
    "cavern": ["PUT bytes {} -> 201"],
}


def put(service: str, path: str) -> list[str]:
    """The service's minimum for storing bytes."""
    return [line.format(path) for line in PUT[service]]


@BOTH_SERVICES
def test_stat_after_ls(listed: Listed, service: str) -> None:
    """Stat of what was listed, and of a name that was not: 0."""
    mount = listed(service, **{f"f{number}": b"x" for number in range(20)})

    def stat_all() -> None:
        for number in range(20):
            os.stat(mount.path / f"f{number}")
        assert errno_of(lambda: os.stat(mount.path / "missing")) == "ENOENT"

    assert asked(mount, stat_all) == []


@BOTH_SERVICES
def test_ls_l_of_n_nodes(make_mount: MakeMount, service: str) -> None:
    """`ls -l`: 1, or 1 for each page; never one for an entry.

    Where the service pages, a page that is not known to be cut must be followed by another one
    before it counts as the last: so the longest directory seen so far costs one more.
    """

    def prepare(fake: FakeVOSpace) -> None:
        for name, count in {"long": 30, "d": 20}.items():
            fake.mkdir(name)
            for number in range(count):
                fake.put(f"{name}/f{number}", b"x")

    mount = make_mount(service, *FOREVER, prepare=prepare)
    assert sorted(os.listdir(mount.path)) == ["d", "long"]
    long = asked(mount, lambda: shell('ls -l "$1"', mount.path / "long"))
    assert long == ["GET nodes /long -> 200"] * {"vault": 2, "cavern": 1}[service]
    assert asked(mount, lambda: shell('ls -l "$1"', mount.path / "d")) == ["GET nodes /d -> 200"]


@VAULT
def test_4_kib_at_the_end_of_a_cold_file(listed: Listed, service: str) -> None:
    """2: negotiation and one range."""
    mount = listed(service, big=BLOCK * 256)
    lines = asked(mount, lambda: read(mount.path / "big", 4 * KB, 256 * MB - 4 * KB))
    assert lines == ["GET files /big -> 303", "GET bytes /big -> 206"]


@CAVERN
def test_4_kib_at_the_end_of_a_cold_small_file(listed: Listed, service: str) -> None:
    """Without ranges: 1, the whole body of a small file."""
    mount = listed(service, small=BLOCK)
    lines = asked(mount, lambda: read(mount.path / "small", 4 * KB, MB - 4 * KB))
    assert lines == ["GET bytes /small -> 200"]


@CAVERN
def test_4_kib_at_the_end_of_a_cold_large_file_without_ranges(listed: Listed, service: str) -> None:
    """1: the body is streamed, the reader served when his bytes come, and it is asked for once."""
    mount = listed(service, big=BLOCK * 80)
    lines = asked(mount, lambda: read(mount.path / "big", 4 * KB, 80 * MB - 4 * KB))
    assert lines == ["GET bytes /big -> 200"]


@BOTH_SERVICES
def test_a_second_read_of_what_was_read(listed: Listed, service: str) -> None:
    """0, and 0 after a remount but for the listing that looks the name up."""
    mount = listed(service, f=BLOCK)
    assert read(mount.path / "f", MB, 0) == BLOCK
    assert asked(mount, lambda: read(mount.path / "f", 100 * KB, 5000)) == []
    mount.remount()
    assert os.listdir(mount.path) == ["f"]
    assert asked(mount, lambda: read(mount.path / "f", 100 * KB, 5000)) == []


@BOTH_SERVICES
def test_a_second_read_after_the_ttl(make_mount: MakeMount, service: str) -> None:
    """1 revalidation for each open after the TTL, whatever the file has cached."""
    mount = make_mount(
        service, "--attr-ttl", "0", "--negative-ttl", "0", prepare=lambda fake: fake.put("f", BLOCK)
    )
    with open(mount.path / "f", "rb", buffering=0) as file:
        assert file.read(MB) == BLOCK
        again = asked(mount, lambda: os.pread(file.fileno(), 100 * KB, 5000))
        assert again == []
    lines = asked(mount, lambda: read(mount.path / "f", 100 * KB, 5000))
    assert set(lines) == {"GET nodes /f -> 200"}
    assert len(lines) <= 2  # the kernel looks the name up, and then opens it


@VAULT
def test_a_sequential_read_of_256_mb(listed: Listed, service: str) -> None:
    """At most 4 requests for bytes."""
    mount = listed(service, big=BLOCK * 256)
    lines = asked(mount, lambda: shell('cat "$1" > /dev/null', mount.path / "big"))
    assert len([line for line in lines if line.startswith("GET bytes")]) <= 4


@BOTH_SERVICES
def test_create_write_and_close(listed: Listed, service: str) -> None:
    """A new file of 4 KiB is the service's minimum: vault 2, cavern 1."""
    mount = listed(service)
    assert asked(mount, lambda: write(mount.path / "new", BLOCK[: 4 * KB])) == put(service, "/new")
    assert mount.fake.get("new") == BLOCK[: 4 * KB]


@BOTH_SERVICES
def test_overwriting_in_place_a_cached_file(listed: Listed, service: str) -> None:
    """10 bytes of 10 MB, within the TTL: the same minimum, and no download."""
    data = BLOCK * 10
    mount = listed(service, f=data)
    assert (mount.path / "f").read_bytes() == data
    lines = asked(mount, lambda: write(mount.path / "f", b"0123456789", 5 * MB))
    assert lines == put(service, "/f")
    assert mount.fake.get("f") == data[: 5 * MB] + b"0123456789" + data[5 * MB + 10 :]


@BOTH_SERVICES
def test_overwriting_after_the_ttl_looks_once(make_mount: MakeMount, service: str) -> None:
    """R11: 1 more, because the version was confirmed longer ago than the TTL."""
    ttl = ("--attr-ttl", "0", "--negative-ttl", "0")
    mount = make_mount(service, *ttl, prepare=lambda fake: fake.put("f", BLOCK))
    assert (mount.path / "f").read_bytes() == BLOCK
    descriptor = os.open(mount.path / "f", os.O_WRONLY)
    os.pwrite(descriptor, b"0123456789", 0)
    lines = asked(mount, lambda: os.close(descriptor))
    assert lines == ["GET nodes /f -> 200", *put(service, "/f")]


@BOTH_SERVICES
def test_appending_to_an_uncached_100_mb_file(listed: Listed, service: str) -> None:
    """0 before close; then 1 download and 1 upload, and 1 look: before them where only a listing
    that may lag has told the version (R11), between them where a reply tells versions apart by the
    second only (R6)."""
    mount = listed(service, f=BLOCK * 100)
    descriptor = os.open(mount.path / "f", os.O_WRONLY | os.O_APPEND)
    assert asked(mount, lambda: os.write(descriptor, b"more"), "before close") == []
    lines = asked(mount, lambda: os.close(descriptor), "close") + asked(mount, mount.wait)
    download = {
        "vault": ["GET nodes /f -> 200", "GET files /f -> 303", "GET bytes /f -> 200"],
        "cavern": ["GET bytes /f -> 200", "GET nodes /f -> 200"],
    }
    assert lines == download[service] + put(service, "/f")
    assert mount.fake.get("f") == BLOCK * 100 + b"more"


def save(mount: Mounted, text: bytes) -> None:
    """As editors do: write another file, rename it over the old one."""
    write(mount.path / "tmp", text)
    os.rename(mount.path / "tmp", mount.path / "f")


@BOTH_SERVICES
def test_an_editor_save_without_waiting(listed: Listed, service: str) -> None:
    """--close-wait 0: one overwrite, the temporary name never reaches the service.

    Unless the editor is slower than the second for which a new file rests: then it says nothing.
    """
    mount = listed(service, "--close-wait", "0", f=b"old")
    (mount.path / "f").read_bytes()
    for number in range(5):
        text = b"new text %d" % number
        began = time.monotonic()
        lines = asked(mount, lambda: save(mount, text))  # noqa: B023
        was_quick = time.monotonic() - began < 0.5
        lines += asked(mount, mount.wait)
        assert mount.fake.get("f") == text
        if was_quick:
            break
    assert lines == ["GET nodes /f -> 200", *put(service, "/f")]  # who is replaced is looked at


@BOTH_SERVICES
def test_an_editor_save(listed: Listed, service: str) -> None:
    """By default a create, then R10's three steps: aside, move, and the deletion of the aside."""
    mount = listed(service, f=b"old")
    (mount.path / "f").read_bytes()
    lines = asked(mount, lambda: save(mount, b"new text"))
    created = put(service, "/tmp")
    assert lines[: len(created)] == created
    steps = [line.split()[:2] for line in lines[len(created) :] if not line.startswith("GET nodes")]
    move = [["POST", "transfers"], ["POST", "transfers"], ["GET", "transfers"]]
    assert steps == [*move, *move, ["DELETE", "nodes"]]
    assert mount.fake.get("f") == b"new text"


@BOTH_SERVICES
def test_mkdir_rmdir_and_unlink(listed: Listed, service: str) -> None:
    """1, 1 and 1."""
    mount = listed(service, file=b"x")
    assert asked(mount, lambda: os.mkdir(mount.path / "d")) == ["PUT nodes /d -> 201"]
    assert asked(mount, lambda: os.rmdir(mount.path / "d")) == ["DELETE nodes /d -> 200"]
    assert asked(mount, lambda: os.unlink(mount.path / "file")) == ["DELETE nodes /file -> 200"]


@BOTH_SERVICES
def test_rename_of_a_file(listed: Listed, service: str) -> None:
    """The job's minimum: is the name free, create, run, look how it ended; no pause."""
    mount = listed(service, f=b"x")
    lines = asked(mount, lambda: os.rename(mount.path / "f", mount.path / "g"))
    assert [line.split()[0] for line in lines] == ["GET", "POST", "POST", "GET"]
