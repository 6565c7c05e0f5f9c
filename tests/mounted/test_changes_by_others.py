"""Changes that others make on the service: seen after a while, and never mixed with ours (R11)."""

from __future__ import annotations

import os
import threading

import pytest

from tests.mounted.conftest import MakeMount
from tests.support.mounted import Mounted, errno_of, eventually, pattern, shell

MB = 1 << 20
DATA = pattern(3 * MB)


@pytest.mark.parametrize("size", [len(DATA), 100, len(DATA) + 5], ids=["same size", "less", "more"])
def test_B12_a_change_on_the_service_is_seen_after_the_ttl(
    make_mount: MakeMount, personality: str, size: int
) -> None:
    """A closed file that somebody else replaced, be it by as many bytes: the new bytes are read,
    never a mixture."""
    mount = make_mount(personality, "--attr-ttl", "0.3", prepare=lambda f: f.put("file", DATA))
    assert (mount.path / "file").read_bytes() == DATA
    theirs = pattern(size, seed=99)
    mount.fake.put("file", theirs)
    seen = eventually(lambda: _unless((mount.path / "file").read_bytes(), DATA), 10)
    assert seen == theirs
    assert os.stat(mount.path / "file").st_size == size


def _unless(found: bytes, old: bytes) -> bytes | None:
    return None if found == old else found


def test_R12_a_change_while_it_is_read_is_an_error_not_a_mixture(
    make_mount: MakeMount, personality: str
) -> None:
    """The file is replaced between two reads of one open handle: old bytes or an error."""
    mount = make_mount(personality, prepare=lambda fake: fake.put("file", DATA))
    with open(mount.path / "file", "rb", buffering=0) as file:
        if personality == "vault":  # cavern streams the whole body at the first read
            assert os.pread(file.fileno(), 4096, 0) == DATA[:4096]
        mount.fake.put("file", pattern(3 * MB + 5, seed=99))
        try:
            found = os.pread(file.fileno(), 4096, 2 * MB)
        except OSError:
            return
        assert found == DATA[2 * MB : 2 * MB + 4096]


def change_on_both_sides(mount: Mounted) -> None:
    """Open for writing here, replaced there, and closed past --attr-ttl."""
    with open(mount.path / "file", "r+b", buffering=0) as file:
        os.pread(file.fileno(), len(DATA), 0)
        os.pwrite(file.fileno(), b"ours", 0)
        mount.fake.put("file", b"theirs")
        threading.Event().wait(0.3)  # what we know of the node is old


def test_R11_a_conflict_keeps_both(make_mount: MakeMount, personality: str) -> None:
    """Changed here and there: the name shows theirs, ours is beside it; both on the service."""
    mount = make_mount(personality, "--attr-ttl", "0.2", prepare=lambda f: f.put("file", DATA))
    change_on_both_sides(mount)
    mount.wait()
    assert eventually(lambda: (mount.path / "file").read_bytes() == b"theirs")
    (kept,) = [name for name in os.listdir(mount.path) if ".conflict-" in name]
    assert (mount.path / kept).read_bytes() == mount.fake.get(kept) == b"ours" + DATA[4:]


def test_R11_on_conflict_fail_keeps_ours_unsent(make_mount: MakeMount, personality: str) -> None:
    """The service keeps theirs; ours is kept, readable and listed; `vofs wait` exits 1."""
    mount = make_mount(personality, "--attr-ttl", "0.2", "--on-conflict", "fail",
                       prepare=lambda f: f.put("file", DATA))  # fmt: skip
    mount.expect_error("file cannot be sent")
    assert errno_of(lambda: change_on_both_sides(mount)) == "EIO"
    assert mount.fake.get("file") == b"theirs"
    assert mount.state("file") == "conflict"
    (upload,) = mount.status(code=1)["uploads"]
    assert upload["state"] == "conflict"
    mount.wait(code=1)
    shell('cp "$1" "$2"', mount.path / "file", mount.path / "ours", code=None)
