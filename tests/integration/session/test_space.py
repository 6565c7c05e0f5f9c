"""Files larger than the cache, through a session: right bytes, a small disk (row 29)."""

from __future__ import annotations

import hashlib
import os
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.integration.session.conftest import Open
from tests.support.sessions import Mounted, Stage, together, until

BUDGET = 4 << 20
SIZE = 20 << 20
REQUEST = 128 << 10
SLACK = 2 << 20  # the index, its log, and what is reserved and not given back yet


def pattern(seed: int, size: int = SIZE) -> bytes:
    """Bytes that tell where they are."""
    blocks = (hashlib.sha256(f"{seed}/{n}".encode()).digest() * 2048 for n in range(size >> 16))
    return b"".join(blocks)


def on_disk(cache: Path) -> int:
    """What the data files take."""
    total = 0
    for entry in os.scandir(cache / "data"):
        try:
            total += entry.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def read_through(stage: Stage, mount: Mounted, path: str, data: bytes) -> int:
    """Read a file in order as a program does, and compare; returns the most that was on disk."""
    handle = mount.open(path)
    most = 0
    for offset in range(0, len(data), REQUEST):
        assert mount.call("read", handle, REQUEST, offset) == data[offset : offset + REQUEST]
        if offset % (8 * REQUEST) == 0:
            most = max(most, on_disk(stage.cache_dir))
    mount.close(handle)
    return most


def test_a_file_larger_than_the_cache_is_read_in_few_requests(open_stage: Open) -> None:
    """Row 29, targets 3, scaled down: five times the budget goes through, the disk stays small."""
    stage = open_stage("vault", cache_limit_bytes=BUDGET)
    data = pattern(1)
    stage.store("/f", data)
    mount = stage.mount()
    most = read_through(stage, mount, "/f", data)
    assert most <= BUDGET + SLACK
    windows = SIZE // (BUDGET // 4)
    assert stage.remote.count("open_bytes") <= windows + 4
    assert read_through(stage, mount, "/f", data) <= BUDGET + SLACK


@pytest.mark.promise("Space", "Files larger than the cache")
@pytest.mark.parametrize("personality", ["vault", "cavern"])
def test_two_handles_read_and_write_a_file_larger_than_the_cache(
    open_stage: Open, personality: str
) -> None:
    """A file may be larger than `--cache-limit`, and be read and written at the same time. Clean
    data is given up to stay within the limit, in blocks of 64 KiB, least recently used first, of
    open files as well; what is not on the service is never given up. Unsent data may exceed the
    limit, down to `--min-free` of the disk; below that a write is ENOSPC, before anything of it was
    accepted. What a reader waits for is stored even then."""
    stage = open_stage(personality, cache_limit_bytes=BUDGET, close_wait_s=60.0, timeout_s=30.0)
    size = 8 << 20
    data = bytearray(pattern(2, size))
    stage.store("/f", bytes(data))
    mount = stage.mount()
    writer, reader = mount.open("/f", 2), mount.open("/f")
    marks = range(0, size, 1 << 20)

    def write() -> None:
        for offset in marks:
            mount.write(writer, b"changed", offset)

    def read() -> None:
        for offset in range(0, size, REQUEST):
            found = mount.call("read", reader, REQUEST, offset)
            assert len(found) == REQUEST
            assert found[7:] == data[offset + 7 : offset + REQUEST]

    assert together(write, read, read) == [None] * 3
    for offset in marks:
        data[offset : offset + 7] = b"changed"
        assert mount.call("read", reader, 9, offset) == data[offset : offset + 9]
    mount.close(reader)
    mount.close(writer)
    mount.wait_sent()
    assert stage.stored("/f") == bytes(data)
    assert mount.get("/f") == bytes(data)
    mount.wait_for(lambda: on_disk(stage.cache_dir) <= BUDGET + SLACK, "the budget holds again")


def test_r06_large_files_with_holes_are_sent_one_after_the_other_without_backing_off(
    open_stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only one may exceed the budget: waiting for that is no failure, and is not put off."""
    size = 2 << 20
    stage = open_stage(
        "vault", cache_limit_bytes=1 << 20, close_wait_s=0.0, upload_workers=2, prefetch=False
    )
    for name in ("/a", "/b"):
        stage.store(name, pattern(7, size))
    mount = stage.mount()
    space, asked = mount.session._table.space, []
    holes = space.holes

    def counted(size: int, path: str) -> AbstractContextManager[None]:
        asked.append(path)
        return holes(size, path)

    monkeypatch.setattr(space, "holes", counted)
    gate = stage.remote.hold("open_bytes", stage.path("/a"))
    for name in ("/a", "/b"):
        handle = mount.open(name, os.O_WRONLY | os.O_APPEND)
        mount.write(handle, b"more", size)
        mount.close(handle)
        if name == "/a":
            gate.wait_until_reached()
    until(lambda: asked.count(stage.path("/b")) > 1, "it has looked for its turn twice")
    gate.open()
    mount.wait_sent()
    assert stage.stored("/a") == stage.stored("/b") == pattern(7, size) + b"more"
