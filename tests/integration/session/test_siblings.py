"""Files that are fetched because those before them in the directory were read (R24)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.session.conftest import Open
from tests.support.sessions import Background, Fault, ManualClock, Mounted, Stage, raising, until
from vofs.core.errors import PermissionDenied, RemoteUnavailable
from vofs.core.prefetch import FREE
from vofs.core.siblings import AHEAD, LARGEST_SIBLING

KB = 1024
SIZE = 3 * KB


def content(number: int, size: int = SIZE) -> bytes:
    return f"{number:08}".encode() * (size // 8)


def name(number: int) -> str:
    return f"/d/{number:03}"


def filled(stage: Stage, count: int, size: int = SIZE) -> None:
    """A directory of files whose bytes tell whose they are."""
    stage.mkdir("/d")
    for number in range(count):
        stage.store(name(number), content(number, size))


def listed(stage: Stage, **settings: Any) -> Mounted:
    mount = stage.mount(**settings)
    mount.ls("/d")
    return mount


def read(mount: Mounted, *numbers: int, size: int = SIZE) -> None:
    """Read files one after the other, and let what that begins end."""
    for number in numbers:
        assert mount.get(name(number)) == content(number, size)
        mount.wait_for_siblings()


def fetched(stage: Stage) -> list[str]:
    """What was downloaded, in order."""
    return [path[-3:] for method, path in stage.remote.calls if method == "open_bytes"]


def asked(stage: Stage) -> int:
    return len(stage.remote.calls)


@pytest.mark.promise("Reading", "The next files")
def test_r24_after_three_in_listing_order_the_next_files_are_fetched(open_stage: Open) -> None:
    """When three files of a listed directory were read in listing order, or its first after the
    directory before was read so to its end, the following ones of up to 256 KiB are fetched in the
    background, up to 32 ahead. They count as bytes that nobody has read yet, push out nothing that
    is in use, and opening one needs no question for `--attr-ttl` seconds after it was fetched.
    `--prefetch off` fetches none."""
    clock = ManualClock()
    stage = open_stage("vault", clock=clock)
    filled(stage, 50)
    mount = listed(stage)
    clock.advance(mount.options.attr_ttl_s * 0.9)
    read(mount, 0, 1)
    assert fetched(stage) == ["000", "001"]
    read(mount, 2)
    assert sorted(fetched(stage)) == [f"{number:03}" for number in range(3 + AHEAD)]
    clock.advance(mount.options.attr_ttl_s * 0.9)
    before = asked(stage)
    for number in range(3, 12):
        assert mount.get(name(number)) == content(number)
    mount.wait_for_siblings()
    new = stage.remote.calls[before:]
    assert all(path > stage.path(name(2 + AHEAD)) for _, path in new), new
    read(mount, *range(12, 50))
    assert sorted(fetched(stage)) == [f"{number:03}" for number in range(50)]


def test_r24_it_is_the_same_without_ranges(open_stage: Open) -> None:
    stage = open_stage("cavern")
    filled(stage, 10)
    mount = listed(stage)
    read(mount, 0, 1, 2)
    assert len(fetched(stage)) == 10
    read(mount, *range(3, 10))
    assert len(fetched(stage)) == 10


@pytest.mark.parametrize("numbers", [(0, 2, 4, 6), (3, 2, 1, 0), (0, 1, 5, 6), (0, 0, 1, 1)])
def test_r24_in_another_order_nothing_is(open_stage: Open, numbers: tuple[int, ...]) -> None:
    stage = open_stage("vault")
    filled(stage, 10)
    mount = listed(stage)
    read(mount, *numbers)
    assert fetched(stage) == list(dict.fromkeys(f"{number:03}" for number in numbers))


def test_r24_a_tree_that_is_read_in_order_is_one_walk(open_stage: Open) -> None:
    """The first file of the next directory is enough, once one was read to its end."""
    stage = open_stage("vault")
    filled(stage, 4)
    for folder in ("/e", "/f"):
        stage.mkdir(folder)
        for number in range(4):
            stage.store(f"{folder}/{number:03}", content(number))
    mount = listed(stage)
    read(mount, 0, 1, 2, 3)
    mount.ls("/e")
    assert mount.get("/e/000") == content(0)
    mount.wait_for_siblings()
    assert stage.remote.count("open_bytes") == 8
    mount.ls("/f")
    assert mount.get("/f/000") == content(0)  # the directory before it was not read to its end
    mount.wait_for_siblings()
    assert stage.remote.count("open_bytes") == 9


def test_r24_prefetch_off_fetches_no_sibling(open_stage: Open) -> None:
    stage = open_stage("vault")
    filled(stage, 6)
    mount = listed(stage, prefetch=False)
    read(mount, 0, 1, 2, 3)
    assert fetched(stage) == ["000", "001", "002", "003"]


def test_r24_only_small_files_are_fetched(open_stage: Open) -> None:
    """Containers and empty files are passed over, and are no gap in the order."""
    stage = open_stage("vault")
    filled(stage, 3)
    stage.mkdir("/d/000a")
    stage.store("/d/001a", b"")
    stage.store("/d/003", bytes(LARGEST_SIBLING))
    stage.store("/d/004", bytes(LARGEST_SIBLING + 1))
    mount = listed(stage)
    read(mount, 0, 1, 2)
    assert sorted(fetched(stage)) == ["000", "001", "002", "003"]


def test_r24_unread_siblings_keep_to_the_budget(open_stage: Open) -> None:
    """A quarter of what was read and 8 MiB; what is read comes back to it."""
    stage = open_stage("vault", clock=ManualClock())
    big = LARGEST_SIBLING
    filled(stage, 60, big)
    mount = listed(stage)
    read(mount, 0, 1, 2, size=big)
    unread = (len(fetched(stage)) - 3) * big
    assert FREE - 3 * big < unread <= FREE + 3 * big / 4
    read(mount, 30, 31, size=big)
    unread = (len(fetched(stage)) - 5) * big
    assert FREE - 3 * big < unread <= FREE + 5 * big / 4
    read(mount, 32, 33, 34, 35, size=big)
    assert len(set(fetched(stage))) == len(fetched(stage))


def test_r24_files_in_use_and_files_with_changes_are_left_alone(open_stage: Open) -> None:
    stage = open_stage("vault")
    filled(stage, 8)
    mount = listed(stage, threads=False, close_wait_s=0.0)
    mount.overwrite(name(4), b"ours")
    handle = mount.open(name(5))
    read(mount, 0, 1, 2)
    assert sorted(fetched(stage)) == ["000", "001", "002", "003", "006", "007"]
    assert mount.get(name(4)) == b"ours" + content(4)[4:]
    mount.call("release", handle)


def test_r24_what_is_here_is_not_fetched_again(open_stage: Open) -> None:
    stage = open_stage("vault")
    filled(stage, 6)
    mount = listed(stage)
    read(mount, 4)
    read(mount, 0, 1, 2)
    assert sorted(fetched(stage)) == [f"{number:03}" for number in range(6)]


def test_r24_a_name_that_is_being_changed_is_left_alone(open_stage: Open) -> None:
    stage = open_stage("vault")
    filled(stage, 6)
    mount = listed(stage)
    gate = stage.remote.hold("delete_node", stage.path(name(4)))
    unlink = Background(lambda: mount.call("unlink", name(4)))
    gate.wait_until_reached()
    read(mount, 0, 1, 2)
    gate.open()
    unlink.result()
    assert sorted(fetched(stage)) == ["000", "001", "002", "003", "005"]


def test_r20_r24_no_sibling_is_asked_of_a_service_that_does_not_answer(open_stage: Open) -> None:
    stage = open_stage("vault")
    filled(stage, 9)
    mount = listed(stage)
    read(mount, 3, 1, 2)
    stage.store("/other", b"?")
    stage.remote.plan(Fault("get_node", times=99, before=raising(RemoteUnavailable("gone"))))
    for _ in range(2):
        with pytest.raises(OSError, match=r"Errno"):
            mount.stat("/other")
    before = fetched(stage)
    read(mount, 3)
    assert fetched(stage) == before


def test_r20_r24_a_sibling_that_hangs_costs_no_reader_a_thread(open_stage: Open) -> None:
    stage = open_stage("vault", fetch_workers=1)
    filled(stage, 6)
    stage.store("/other", b"other")
    mount = listed(stage)
    gate = stage.remote.hold("open_bytes", stage.path(name(3)))
    for number in range(3):
        mount.get(name(number))
    gate.wait_until_reached()
    assert mount.get("/other") == b"other"
    gate.open()
    read(mount, 3)
    assert fetched(stage).count("003") == 1


def test_r24_a_sibling_that_cannot_be_had_ends_the_walk_without_a_word(open_stage: Open) -> None:
    stage = open_stage("vault", fetch_workers=1)
    filled(stage, 9)
    mount = listed(stage)
    stage.remote.plan(
        Fault("open_bytes", path=stage.path(name(3)), before=raising(PermissionDenied("no")))
    )
    read(mount, 0, 1, 2)
    read(mount, 3)
    assert fetched(stage).count("003") == 2


def test_r24_nothing_in_use_gives_way_to_a_sibling(open_stage: Open) -> None:
    """What an open handle has read stays; what nobody uses goes."""
    limit = 16 * 1024 * KB
    stage = open_stage("vault", cache_limit_bytes=2 * limit)  # reading far ahead takes room, too
    filled(stage, 20, 64 * KB)
    stage.store("/open", bytes(limit - 5 * 64 * KB))
    mount = listed(stage)
    handle = mount.open("/open")
    size = mount.stat("/open").size
    for offset in range(0, size, 1024 * KB):
        mount.call("read", handle, 1024 * KB, offset)
    (file,) = mount.session.files
    until(lambda: file.state.is_whole, "all of it is here")
    mount.session._table.space.limit_bytes = limit
    read(mount, 0, 1, 2, size=64 * KB)
    assert file.state.is_whole
    assert len(fetched(stage)) > 4
    mount.call("release", handle)


def test_r24_an_unmount_does_not_wait_for_siblings_that_have_not_begun(open_stage: Open) -> None:
    stage = open_stage("vault", fetch_workers=1)
    filled(stage, 20)
    mount = listed(stage)
    gate = stage.remote.hold("open_bytes", stage.path(name(3)))
    for number in range(3):
        mount.get(name(number))
    gate.wait_until_reached()
    stop = Background(mount.stop)
    gate.open()
    stop.result()
