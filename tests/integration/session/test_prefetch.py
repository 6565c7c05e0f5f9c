"""How far downloads run ahead of their readers (R24), and how many requests they are."""

from __future__ import annotations

import pytest

from fakevospace import Hang, Rule
from tests.integration.session.conftest import Open
from tests.support.sessions import Background, ManualClock, Mounted, Stage, until
from vofs.cache.cachedfile import CachedFile
from vofs.core.prefetch import FREE, PAUSE_S, PrefetchBudget

KB, MB = 1024, 1 << 20
READ = 128 * KB
CHUNKS = 1 * MB  # what may be on its way when a download stops: a chunk for each of its parts


def content(size: int) -> bytes:
    """Bytes of which no two blocks are the same."""
    block = bytes(range(256)) * 255
    return b"".join(
        number.to_bytes(8, "big") + block for number in range(size // (len(block) + 8) + 1)
    )[:size]


BIG = content(70 * MB)


def file_of(mount: Mounted) -> CachedFile:
    (file,) = mount.session.files
    return file


def until_it_pauses(file: CachedFile, downloads: int = 1) -> None:
    until(lambda: file.pauses == downloads, "the download pauses")


def read(mount: Mounted, handle: int, start: int, end: int) -> None:
    """Read [start, end) as the kernel does, piece by piece."""
    for offset in range(start, end, READ):
        size = min(READ, end - offset)
        assert mount.call("read", handle, size, offset) == BIG[offset : offset + size]


def test_r24_a_download_runs_ahead_by_a_quarter_and_8_MiB(open_stage: Open) -> None:
    """A sequential read of 12 MiB that stops: what came and was not read keeps to the budget; the
    pause ends when the reading goes on, with the same requests."""
    clock = ManualClock()
    stage = open_stage("vault", clock=clock)
    stage.store("/f", BIG)
    mount = stage.mount()
    handle = mount.open("/f")
    read(mount, handle, 0, 12 * MB)
    file = file_of(mount)
    until_it_pauses(file, 2)  # a long window comes in two parts at a time
    ahead = file.state.present.total - 12 * MB
    assert 4 * MB <= ahead <= 12 * MB / 4 + FREE + CHUNKS
    requests = stage.remote.count("open_bytes")
    read(mount, handle, 12 * MB, len(BIG))
    assert stage.remote.count("open_bytes") == requests <= 4
    mount.close(handle)


@pytest.mark.promise("Reading", "Ahead")
def test_r24_a_body_that_nobody_wants_pauses_and_ends(open_stage: Open) -> None:
    """What is read in sequence is downloaded ahead: bytes that nobody has read yet are at most a
    quarter of those read, plus 8 MiB a minute. A download that got so far pauses, and is ended
    when nobody has read on for 30 s. `--prefetch off` downloads blocks of 64 KiB that are asked
    for. A service without ranges sends the whole file: it is kept to its end when half of it has
    come, or when it has at most 64 MiB."""
    clock = ManualClock()
    stage = open_stage("cavern", clock=clock)
    stage.store("/f", BIG)
    mount = stage.mount()
    handle = mount.open("/f")
    read(mount, handle, 0, 4 * KB)
    file = file_of(mount)
    until_it_pauses(file)
    assert file.state.present.total <= FREE + CHUNKS
    read(mount, handle, 0, 16 * MB)
    assert stage.remote.count("open_bytes") == 1
    until_it_pauses(file)
    clock.advance(PAUSE_S)
    file.wake()
    until(lambda: not file.state.claimed, "it ends")
    read(mount, handle, 30 * MB, 31 * MB)
    assert stage.remote.count("open_bytes") == 2
    mount.close(handle)


def test_r24_half_a_body_is_kept_to_its_end(open_stage: Open) -> None:
    stage = open_stage("cavern", clock=ManualClock())
    stage.store("/f", BIG)
    mount = stage.mount()
    handle = mount.open("/f")
    read(mount, handle, 36 * MB, 37 * MB)
    until(lambda: file_of(mount).state.is_whole, "all of it comes")
    assert stage.remote.count("open_bytes") == 1
    mount.close(handle)


def test_r24_a_body_of_64_MiB_is_kept_to_its_end(open_stage: Open) -> None:
    stage = open_stage("cavern", clock=ManualClock())
    stage.store("/f", BIG[: 20 * MB])
    mount = stage.mount()
    handle = mount.open("/f")
    read(mount, handle, 0, 4 * KB)
    until(lambda: file_of(mount).state.is_whole, "all of it comes")
    mount.close(handle)


def paused(open_stage: Open, **settings: int) -> tuple[Stage, Mounted, int]:
    """A mount with a body that pauses, and the handle that read its beginning."""
    stage = open_stage("cavern", clock=ManualClock(), **settings)
    stage.store("/f", BIG)
    stage.store("/other", b"other")
    mount = stage.mount()
    handle = mount.open("/f")
    read(mount, handle, 0, 4 * KB)
    until_it_pauses(file_of(mount))
    return stage, mount, handle


def test_r24_a_pause_ends_when_another_download_needs_its_thread(open_stage: Open) -> None:
    _, mount, handle = paused(open_stage, fetch_workers=1)
    assert mount.get("/other") == b"other"
    until(lambda: not file_of(mount).state.claimed, "the paused download ends")
    mount.close(handle)


def test_r24_a_pause_holds_up_no_change_of_the_name(open_stage: Open) -> None:
    """And what is read afterwards comes from the same body."""
    stage, mount, handle = paused(open_stage)
    mount.call("rename", "/f", "/g")
    read(mount, handle, 0, 12 * MB)
    assert stage.remote.count("open_bytes") == 1
    mount.call("unlink", "/g")
    mount.close(handle)


def test_r24_a_pause_does_not_hold_up_the_unmount(open_stage: Open) -> None:
    _, mount, handle = paused(open_stage)
    mount.close(handle)
    mount.stop()


@pytest.mark.parametrize("limit", [100 * KB, 300 * KB, 1 * MB])
@pytest.mark.parametrize("step", [64 * KB, -64 * KB])
def test_r24_a_body_larger_than_the_cache_does_not_push_itself_out(
    open_stage: Open, limit: int, step: int
) -> None:
    """Without ranges, whoever reads slowly through a small cache, from the beginning or from the
    end, asks for the whole file now and then, and not for each piece of it."""
    stage = open_stage("cavern", cache_limit_bytes=limit)
    stage.store("/f", BIG[: 6 * MB])
    mount = stage.mount()
    handle = mount.open("/f")
    file = file_of(mount)
    offsets = range(0, 6 * MB, abs(step))
    for offset in offsets if step > 0 else reversed(offsets):
        assert mount.call("read", handle, abs(step), offset) == BIG[offset : offset + abs(step)]
        until(lambda: bool(file.pauses) or not file.state.claimed, "it runs ahead no further")
    requests = stage.remote.count("open_bytes")
    assert requests <= len(offsets)
    if limit >= 1 * MB:
        assert requests <= len(offsets) / 2
    mount.close(handle)


def test_r24_what_a_body_has_passed_is_asked_for_anew(open_stage: Open) -> None:
    """A reader of bytes for which there was no room when they came does not wait until whoever
    reads behind them has got all of his."""
    stage = open_stage("cavern", cache_limit_bytes=1 * KB)
    stage.store("/f", BIG[: 6 * MB])
    mount = stage.mount()
    handle = mount.open("/f")
    faults = stage.service.fake.faults
    faults.add(Rule(Hang(after_bytes=4 * MB), method="GET", path=stage.path("/f"), times=1))
    try:
        far = Background(lambda: mount.call("read", handle, 4 * KB, 5 * MB))
        faults.wait_until_hanging()
        assert mount.call("read", handle, 4 * KB, 1 * MB) == BIG[1 * MB : 1 * MB + 4 * KB]
        assert not far.ended
    finally:
        faults.clear()
    assert far.result() == BIG[5 * MB : 5 * MB + 4 * KB]
    mount.close(handle)


def test_r24_prefetch_off_downloads_what_is_asked_for(open_stage: Open) -> None:
    stage = open_stage("vault", prefetch=False)
    stage.store("/f", BIG)
    mount = stage.mount()
    handle = mount.open("/f")
    read(mount, handle, 0, 1 * MB)
    read(mount, handle, 5 * MB, 5 * MB + 4 * KB)
    until(lambda: not file_of(mount).state.claimed, "the block is complete")
    assert file_of(mount).state.present.total == 1 * MB + 64 * KB
    mount.close(handle)


def test_r24_the_heads_of_many_files_are_not_windows(open_stage: Open) -> None:
    """The budget is the mount's: after some files of which only the head is read, heads it is."""
    clock = ManualClock()
    stage = open_stage("vault", clock=clock)
    for number in range(16):
        stage.store(f"/{number}", BIG[: 2 * MB])
    mount = stage.mount()
    came = 0
    for number in range(16):
        handle = mount.open(f"/{number}")
        assert mount.call("read", handle, 4 * KB, 0) == BIG[: 4 * KB]
        (file,) = mount.session.files
        until(lambda file=file: file.pauses or not file.state.claimed, "it is done")  # type: ignore[misc]
        came += file.state.present.total
        mount.close(handle)
        until(lambda: not mount.session.files, "it is put away")
    assert came <= FREE + 16 * 64 * KB + CHUNKS


def test_r24_the_budget() -> None:
    budget = PrefetchBudget(0.0)
    budget.spend(FREE, 0.0)
    assert budget.balance(0.0) == 0
    assert budget.balance(30.0) == FREE / 2
    assert budget.balance(600.0) == FREE
    budget.spend(FREE, 600.0)
    budget.earn(4 * MB, 2 * MB, 600.0)
    assert budget.balance(600.0) == 3 * MB
    budget.spend(5 * MB, 600.0)
    assert budget.balance(600.0) == -2 * MB
