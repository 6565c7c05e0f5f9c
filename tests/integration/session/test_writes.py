"""Writing in every order: cutting and growing again, holes, far offsets, appending."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import ManualClock, Mounted, Stage
from tests.support.steps import sent
from vofs.core.conflicts import OnConflict
from vofs.core.errors import RemoteUnavailable

OLD = bytes(range(1, 252)) * 40  # 10 kB without a zero
GIB = 1 << 30


@pytest.fixture(params=["vault", "cavern"])
def stage(request: pytest.FixtureRequest, open_stage: Open) -> Stage:
    """One stage for each personality, on a clock that stands: nothing is put off."""
    return open_stage(request.param, ManualClock(), close_wait_s=0.0)


# -- cut and grown again ---------------------------------------------------------------------------


def nothing(stage: Stage, mount: Mounted) -> Mounted:
    return mount


def upload(stage: Stage, mount: Mounted) -> Mounted:
    sent(mount)
    assert mount.uploads() == []
    return mount


def remount(stage: Stage, mount: Mounted) -> Mounted:
    mount.leave()
    return stage.mount(threads=False)


def killed(stage: Stage, mount: Mounted) -> Mounted:
    with pytest.raises(RemoteUnavailable):
        stage.kill()
    return stage.reopen(threads=False)


BETWEEN: tuple[Callable[[Stage, Mounted], Mounted], ...] = (nothing, upload, remount, killed)


def cut(mount: Mounted, size: int) -> None:
    mount.call("truncate", "/f", size)


CUTS = [(False, first, second) for first, second in itertools.product(BETWEEN, BETWEEN)]
CUTS += [(True, first, nothing) for first in BETWEEN]


@pytest.mark.parametrize(
    ("cached", "first", "second"), CUTS,
    ids=[f"{'' if cached else 'un'}cached-{first.__name__}-{second.__name__}"
         for cached, first, second in CUTS],
)  # fmt: skip
def test_what_was_cut_off_never_comes_back(
    stage: Stage, expect_log: ExpectLog, cached: bool,
    first: Callable[[Stage, Mounted], Mounted], second: Callable[[Stage, Mounted], Mounted],
) -> None:  # fmt: skip
    """Truncated to 100 bytes, made longer again, and longer still by a write: zeros between, with
    or without an upload, a remount or a kill in between, whatever the service still holds."""
    if {first, second} & {remount, killed}:
        expect_log("earlier mount|for the next mount", count=None)
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    if cached:
        assert mount.get("/f") == OLD
    cut(mount, 100)
    mount = first(stage, mount)
    cut(mount, 5000)
    assert mount.get("/f") == OLD[:100] + bytes(4900)
    mount = second(stage, mount)
    handle = mount.open("/f", 2)
    mount.write(handle, b"end", 9000)
    wanted = OLD[:100] + bytes(8900) + b"end"
    assert mount.call("read", handle, 20_000, 0) == wanted
    mount.close(handle)
    upload(stage, mount)
    assert stage.stored("/f") == wanted
    assert mount.get("/f") == wanted


def test_cut_under_an_upload_and_grown_again(stage: Stage) -> None:
    """R3: the upload sends the bytes as they were; what was cut meanwhile is gone all the same."""
    mount = stage.mount(threads=False)
    handle = mount.create("/f")
    mount.write(handle, OLD)

    def cut_and_grow() -> None:
        for size in (100, 5000):
            mount.call("truncate", None, size, handle)

    hold_in_body(stage, cut_and_grow)
    mount.call("flush", handle)
    assert mount.step()
    assert stage.stored("/f") == OLD
    wanted = OLD[:100] + bytes(4900)
    assert mount.get("/f") == wanted
    mount.close(handle)
    upload(stage, mount)
    assert stage.stored("/f") == wanted


def hold_in_body(stage: Stage, act: Callable[[], None]) -> None:
    """Do something when the first body byte of the next PUT is asked for."""
    put_bytes = stage.remote.put_bytes

    def put(path: str, body: object, size: int) -> object:
        stage.remote.put_bytes = put_bytes  # type: ignore[method-assign]

        def chunks() -> object:
            act()
            yield from body  # type: ignore[misc]

        return put_bytes(path, chunks(), size)  # type: ignore[arg-type]

    stage.remote.put_bytes = put  # type: ignore[method-assign,assignment]


# -- holes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [len(OLD) - 5, len(OLD), len(OLD) + 1, 70_000, 3_000_000])
def test_a_write_behind_the_end_of_an_uncached_file(stage: Stage, offset: int) -> None:
    """What lies between the old end and the write is zeros, here and there; nothing is downloaded
    before the upload."""
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    mount.overwrite("/f", b"written", offset)
    assert stage.remote.count("open_bytes") == 0
    wanted = bytearray(OLD.ljust(max(len(OLD), offset + 7), b"\0"))
    wanted[offset : offset + 7] = b"written"
    upload(stage, mount)
    assert stage.stored("/f") == bytes(wanted)
    assert mount.get("/f") == bytes(wanted)


def test_r06_holes_of_a_version_that_is_gone_are_never_filled_from_another(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """R6: written in the middle of an uncached file that somebody then replaced by another of the
    same size, in the same second: no mixture is ever sent."""
    expect_log("cannot be sent", level=logging.ERROR)
    theirs = bytes(len(OLD))
    stage.service.fake.clock.freeze(1_700_000_000.25)
    stage.store("/f", OLD)
    mount = stage.mount(threads=False, attr_ttl_s=3600.0,
                        on_conflict=OnConflict.FAIL)  # fmt: skip
    mount.overwrite("/f", b"ours", 5000)
    stage.service.fake.clock.advance(0.005)
    stage.store("/f", theirs)
    sent(mount)
    assert stage.stored("/f") == theirs
    assert [upload["state"] for upload in mount.uploads()] == ["conflict (partial)"]
    handle = mount.open("/f")
    assert mount.call("read", handle, 4, 5000) == b"ours"
    if stage.vault:  # cavern's replies tell versions apart by the second only
        with pytest.raises(OSError, match="Stale"):
            mount.call("read", handle, 4096, 0)
    mount.call("release", handle)
    mount.leave()


# -- far offsets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("on_service", [False, True], ids=["new", "uncached"])
def test_writes_past_4_gib(stage: Stage, on_service: bool) -> None:
    """Offsets and sizes beyond 32 bits, sparse on the disk; cut again before anything is sent."""
    if on_service:
        stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", 2) if on_service else mount.create("/f")
    base = OLD if on_service else b""
    for offset in (4 * GIB - 3, 5 * GIB, 6 * GIB + 1):
        mount.write(handle, b"beyond", offset)
    assert mount.stat("/f").size == 6 * GIB + 7
    reader = mount.open("/f")
    for offset in (4 * GIB - 3, 5 * GIB, 6 * GIB + 1):
        found = mount.call("read", reader, 12, offset - 3)
        assert found[:9] == b"\0\0\0beyond"
    assert mount.call("read", reader, 10, 6 * GIB + 7) == b""
    mount.call("release", reader)
    mount.call("truncate", None, 4 * GIB + 1, handle)
    assert mount.stat("/f").size == 4 * GIB + 1
    mount.call("truncate", None, len(base) + 5, handle)
    mount.close(handle)
    upload(stage, mount)
    assert stage.stored("/f") == base + bytes(5)


# -- appending -------------------------------------------------------------------------------------


def test_r15_two_handles_append_while_the_file_is_sent(stage: Stage) -> None:
    """Each write goes to the file's own end, whatever offset the kernel thought of."""
    stage.store("/f", b"start\n")
    mount = stage.mount(threads=False)
    one, two = (mount.open("/f", 1 | 0o2000) for _ in range(2))
    lines = [b"%d\n" % number for number in range(9)]
    for number, line in enumerate(lines):
        mount.write(one if number % 2 else two, line, 0)
        if number == 4:
            mount.call("flush", two)
            sent(mount)
    mount.close(one)
    mount.close(two)
    upload(stage, mount)
    assert stage.stored("/f") == b"start\n" + b"".join(lines)
