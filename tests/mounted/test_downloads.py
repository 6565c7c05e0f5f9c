"""Downloads that go wrong: what a reader gets is right and whole, or an error (R12, R14)."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from fakevospace.faults import Cut, Hang, RangeIgnored, Reset, Rule, Status
from tests.mounted.conftest import MakeMount
from tests.support.mounted import errno_of, eventually, pattern

MB = 1 << 20
DATA = pattern(3 * MB)


@pytest.mark.portable
def test_R12_a_200_in_answer_to_a_range(make_mount: MakeMount) -> None:
    """A service that ignores Range sends the whole body: bytes are taken from the right place."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", DATA))
    mount.fake.faults.add(Rule(RangeIgnored(), method="GET", endpoint="bytes"))
    with open(mount.path / "file", "rb", buffering=0) as file:
        for offset in (2 * MB + 12345, 0, MB, 3 * MB - 10):
            assert os.pread(file.fileno(), 10_000, offset) == DATA[offset : offset + 10_000]


@pytest.mark.parametrize(
    "how", [Reset(100_000), Cut(100_000), Reset(), Cut(0), Status(503, retry_after=0)], ids=str
)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "pieces"])
def test_R14_broken_downloads_never_give_wrong_or_short_data(
    make_mount: MakeMount, personality: str, how: Reset | Cut | Status, whole: bool
) -> None:
    """Every other answer breaks: what is read is right and complete."""
    mount = make_mount(personality, prepare=lambda fake: fake.put("file", DATA))
    for nth in (1, 3, 5):
        mount.fake.faults.add(Rule(how, method="GET", endpoint="bytes", nth=nth, times=1))
    if whole:
        assert (mount.path / "file").read_bytes() == DATA
        return
    with open(mount.path / "file", "rb", buffering=0) as file:
        for offset in (2 * MB + 12345, 0, MB, 3 * MB - 10):
            assert os.pread(file.fileno(), 10_000, offset) == DATA[offset : offset + 10_000]


@pytest.mark.parametrize("how", [Cut(0), Status(500), Status(404, body="NodeNotFound")], ids=str)
def test_R14_a_download_that_never_works_is_an_error(
    make_mount: MakeMount, personality: str, how: Cut | Status
) -> None:
    """Never a short read: an error, and nothing but an error; the next read works again."""
    mount = make_mount(personality, "--timeout", "4", prepare=lambda fake: fake.put("file", DATA))
    mount.fake.faults.add(Rule(how, method="GET", endpoint="bytes"))
    with open(mount.path / "file", "rb", buffering=0) as file:
        for _ in range(2):
            assert errno_of(lambda: os.pread(file.fileno(), 4096, 3 * MB - 4096)) != ""
    mount.fake.faults.clear()
    assert (mount.path / "file").read_bytes() == DATA


def test_B13_a_download_that_hangs_times_out(make_mount: MakeMount, personality: str) -> None:
    """No byte for --timeout: ETIMEDOUT, while other names go on; when the service moves again, the
    repeated read finds its bytes."""
    mount = make_mount(
        personality, "--timeout", "2",
        prepare=lambda fake: [fake.put("file", DATA), fake.put("other", b"x")],
    )  # fmt: skip
    mount.fake.faults.add(Rule(Hang(1000), method="GET", endpoint="bytes", path="/file"))
    with open(mount.path / "file", "rb", buffering=0) as file, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(errno_of, lambda: os.pread(file.fileno(), 4096, MB))
        mount.fake.faults.wait_until_hanging()
        assert (mount.path / "other").read_bytes() == b"x"
        assert sorted(os.listdir(mount.path)) == ["file", "other"]
        assert reading.result(30) in ("ETIMEDOUT", "EIO")
        mount.fake.faults.clear()
        found = eventually(lambda: _read(file.fileno(), 4096, MB))  # R20: refused for 2 s
        assert found == DATA[MB : MB + 4096]


def _read(descriptor: int, size: int, offset: int) -> bytes:
    """What is read, nothing when it times out."""
    with suppress(TimeoutError):
        return os.pread(descriptor, size, offset)
    return b""
