"""Races of opening, closing and putting away, and of the mount's two ends: scenarios 37 on."""

from __future__ import annotations

import os
import threading

import pytest

from tests.integration.session.conftest import Open
from tests.support.faultydisk import REMOVE, DiskFault
from tests.support.logs import ExpectLog
from tests.support.sessions import (
    Background,
    Fault,
    HeldAt,
    Mounted,
    Stage,
    raising,
    together,
    until,
)
from vofs.core.errors import RemoteUnavailable

DATA = bytes(range(251)) * 4000  # 1 MB
SMALL = DATA[:100_000]


def test_s37_two_first_opens_after_a_remount_have_one_file(stage: Stage) -> None:
    """Each thread finds a row and no object; what both write is in one."""
    stage.store("/f", DATA)
    mount = stage.mount()
    assert mount.get("/f") == DATA
    mount.stop()
    again = stage.mount()
    handles: list[int] = []

    def open_it() -> None:
        handles.append(again.open("/f", 2))

    assert together(*[open_it] * 4) == [None] * 4
    for number, handle in enumerate(handles):
        again.write(handle, bytes([number]), number)
    for handle in handles:
        again.close(handle)
    again.stop()
    assert stage.stored("/f") == bytes(range(4)) + DATA[4:]


def test_s38_an_open_waits_for_a_file_that_is_being_given_up(stage: Stage) -> None:
    """`vofs drop`, or eviction, is taking the data file away: the open gets a new one."""
    stage.store("/f", DATA)
    mount = stage.mount()
    assert mount.get("/f") == DATA
    gate = HeldAt()
    stage.changes.plan(DiskFault(name=REMOVE, before=gate.arrive))
    dropping = Background(lambda: mount.control(command="drop", path="/"))
    gate.wait_until_reached()
    reading = Background(lambda: mount.get("/f"))
    gate.open()
    dropping.result()
    assert reading.result() == DATA
    assert mount.get("/f") == DATA


def test_s39_an_open_during_the_last_release_finds_everything(stage: Stage) -> None:
    """The object leaves memory with its row saved before another one is made from the row."""
    stage.store("/f", DATA)
    mount = stage.mount()
    for _ in range(10):
        handle = mount.open("/f")
        assert mount.call("read", handle, 1000, 5000) == DATA[5000:6000]
        outcome: list[object] = []
        closing = lambda: mount.close(handle)  # noqa: E731, B023
        assert together(closing, lambda: outcome.append(mount.get("/f"))) == [None, None]  # noqa: B023
        assert outcome == [DATA]
    asked = stage.remote.count("open_bytes")
    assert mount.get("/f") == DATA
    assert stage.remote.count("open_bytes") == asked


def test_s40_an_open_right_after_our_upload_is_of_what_we_sent(stage: Stage) -> None:
    """The open asked before the upload ended, and was answered with the version before it."""
    stage.store("/f", DATA)
    mount = stage.mount(attr_ttl_s=0.0)
    gate = stage.remote.hold_answer("get_node", stage.path("/f"))
    opening = Background(lambda: mount.open("/f"))
    gate.wait_until_reached()
    mount.overwrite("/f", b"ours")
    gate.open()
    handle = opening.result()
    assert isinstance(handle, int)
    assert mount.call("read", handle, len(DATA), 0) == b"ours" + DATA[4:]
    mount.close(handle)
    assert mount.get("/f") == b"ours" + DATA[4:]


def test_s40_an_open_that_looks_at_the_container_while_our_upload_ends(stage: Stage) -> None:
    """R13: its answer about the file was right, and is older than what is here now."""
    stage.mkdir("/d")
    stage.store("/d/f", DATA)
    mount = stage.mount(attr_ttl_s=0.0)
    gate = stage.remote.hold_answer("get_node", stage.path("/d"))
    opening = Background(lambda: mount.open("/d/f", os.O_RDWR))
    gate.wait_until_reached()
    mount.overwrite("/d/f", b"ours")
    gate.open()
    handle = opening.result()
    assert isinstance(handle, int)
    assert mount.call("read", handle, len(DATA), 0) == b"ours" + DATA[4:]
    mount.write(handle, b"and more", 4)
    mount.close(handle)
    mount.wait_sent()
    assert stage.stored("/d/f") == b"oursand more" + DATA[12:]
    assert stage.names() == {"d"}


def test_s41_the_last_close_of_an_unlinked_file_while_its_rest_is_fetched(stage: Stage) -> None:
    """A new file of the name is to be sent: what the old handle lacks is fetched first."""
    stage.store("/f", DATA)
    mount = stage.mount(close_wait_s=0.0)
    old = mount.open("/f")
    hidden = mount.hide("/f")
    gate = stage.remote.hold_answer("open_bytes")
    mount.put("/f", b"new")
    gate.wait_until_reached()
    mount.call("release", old)
    mount.call("unlink", hidden)
    gate.open()
    mount.wait_sent()
    assert (stage.stored("/f"), mount.get("/f")) == (b"new", b"new")
    mount.stop()
    assert stage.left() == ([], [], [])


def test_s42_what_was_left_is_there_before_the_first_open(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """Dirty rows are loaded before the mount answers: an open finds the unsent bytes, and its own
    go into the same file."""
    expect_log("of an earlier mount")
    stage.store("/f", DATA)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", 2)
    mount.write(handle, b"left")
    with pytest.raises(RemoteUnavailable):
        stage.kill()
    again = stage.reopen(close_wait_s=0.0)
    handle = again.open("/f", 2)
    again.write(handle, b"more", 4)
    assert again.call("read", handle, 10, 0) == b"leftmore" + DATA[8:10]
    again.close(handle)
    again.wait_sent()
    assert stage.stored("/f") == b"leftmore" + DATA[8:]


def test_s43_an_unmount_waits_for_a_running_upload(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0)
    gate = stage.remote.hold("put_body")
    mount.put("/f", DATA)
    gate.wait_until_reached()
    stopping = Background(mount.stop)
    until(lambda: mount.session._leave_uploads is False, "it began")
    assert not stopping.ended
    gate.open()
    stopping.result()
    assert (mount.session.left, stage.stored("/f")) == (0, DATA)
    assert stage.left() == ([], [], [])


def test_s44_an_unmount_with_open_files_sends_what_they_wrote(stage: Stage) -> None:
    stage.store("/old", DATA)
    mount = stage.mount(close_wait_s=0.0)
    reader, writer, new = mount.open("/old"), mount.open("/old", 2), mount.create("/new")
    mount.call("read", reader, 1000, 500_000)
    mount.write(writer, b"ours")
    mount.write(new, b"new")
    mount.stop()
    assert stage.stored("/old") == b"ours" + DATA[4:]
    assert stage.stored("/new") == b"new"
    assert stage.left() == ([], [], [])


def test_s45_one_upload_of_a_name_at_a_time(stage: Stage) -> None:
    """However often it is closed, renamed over or made anew."""
    mount = stage.mount(close_wait_s=0.0, upload_workers=4)
    running, most, lock = 0, 0, threading.Lock()

    def begin() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)

    def end() -> None:
        nonlocal running
        with lock:
            running -= 1

    stage.remote.plan(Fault("put_bytes", path=stage.path("/f"), times=999, before=begin, after=end))

    def write(number: int) -> None:
        for turn in range(6):
            if turn % 3 == 2:
                mount.put(f"/tmp{number}", b"%d" % turn)
                mount.call("rename", f"/tmp{number}", "/f")
            else:
                handle = int(mount.call("create", "/f", 0o644, 2 | 0o100))
                mount.write(handle, b"%d" % turn)
                mount.close(handle)

    assert together(lambda: write(1), lambda: write(2)) == [None, None]
    mount.wait_sent()
    assert most == 1
    assert stage.stored("/f") == mount.get("/f")


def test_s46_an_open_puts_off_the_end_of_a_conflict(stage: Stage, expect_log: ExpectLog) -> None:
    """R11: the conflict is about to be ended, when somebody opens the file and writes more."""
    expect_log("changed here and on the service; ours is kept as f.conflict-")
    stage.store("/f", b"base")
    mount = stage.mount(attr_ttl_s=0.0, close_wait_s=0.0)
    handle = mount.open("/f", 1 | 0o1000)
    mount.write(handle, b"ours")
    stage.store("/f", b"foreign")
    look = stage.remote.hold("get_node", stage.path("/f"), nth=2)  # the upload's is the first
    mount.close(handle)
    look.wait_until_reached()
    handle = mount.open("/f", 2)
    look.open()
    mount.write(handle, b", more", 4)
    assert mount.call("read", handle, 100, 0) == b"ours, more"
    assert stage.stored("/f") == b"foreign"
    mount.close(handle)
    mount.wait_sent()
    (kept,) = stage.names() - {"f"}
    assert (stage.stored("/f"), stage.stored(f"/{kept}")) == (b"foreign", b"ours, more")
    assert (mount.get("/f"), mount.get(f"/{kept}")) == (b"foreign", b"ours, more")


def test_s47_readers_whose_bytes_are_given_up_for_one_another(stage: Stage) -> None:
    """Three readers of files that are larger than the cache, each at his own place."""
    data = DATA * 4
    for name in ("/a", "/b"):
        stage.store(name, data)
    mount = stage.mount(cache_limit_bytes=1 << 20)

    def read(name: str, reverse: bool) -> None:
        handle = mount.open(name)
        offsets = range(0, len(data), 131_072)
        for offset in reversed(offsets) if reverse else offsets:
            wanted = data[offset : offset + 131_072]
            assert mount.call("read", handle, 131_072, offset) == wanted
        mount.close(handle)

    jobs = [lambda: read("/a", False), lambda: read("/a", True), lambda: read("/b", False)]
    assert together(*jobs) == [None] * 3


def test_s48_holes_that_were_filled_stay_until_their_upload_has_them(stage: Stage) -> None:
    """R6: another file is read, through a cache that is too small for the two."""
    stage.store("/f", DATA)
    stage.store("/other", DATA * 2)
    mount = stage.mount(cache_limit_bytes=300_000, close_wait_s=0.0)
    put = stage.remote.hold("put_bytes")
    mount.overwrite("/f", b"ours", 500_000)
    put.wait_until_reached()
    assert mount.get("/other") == DATA * 2
    put.open()
    mount.wait_sent()
    assert stage.stored("/f") == DATA[:500_000] + b"ours" + DATA[500_004:]


def test_s49_an_unlink_ends_an_upload_whose_fate_is_not_known(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """R1, R8: the node is quiet for a while after a broken PUT; the file is removed meanwhile."""
    expect_log("is not sent yet")
    stage = open_stage("cavern", close_wait_s=0.0, settle_s=3600.0)
    mount = stage.mount()
    broke = raising(RemoteUnavailable("broke", sent=True))
    stage.remote.plan(Fault("put_bytes", after=broke))
    mount.put("/f", b"bytes")
    until(lambda: bool(mount.uploads()[0]["attempts"]), "the broken try")
    mount.call("unlink", "/f")
    assert not mount.exists("/f")
    assert mount.uploads() == []
    mount.stop()
    assert not stage.has("/f")
    assert stage.left() == ([], [], [])


def fetching_ahead(stage: Stage) -> tuple[Mounted, HeldAt]:
    """A mount that fetches `/d/3` because the files before it were read, and is held there."""
    stage.mkdir("/d")
    for number in range(4):
        stage.store(f"/d/{number}", SMALL)
    mount = stage.mount()
    mount.ls("/d")
    gate = stage.remote.hold("open_bytes", stage.path("/d/3"))
    for number in range(3):
        assert mount.get(f"/d/{number}") == SMALL
    gate.wait_until_reached()
    return mount, gate


def test_s50_whoever_opens_a_file_that_is_fetched_ahead_shares_the_download(stage: Stage) -> None:
    """R24; what he writes meanwhile stays."""
    mount, gate = fetching_ahead(stage)
    handle = mount.open("/d/3", 2)
    mount.write(handle, b"newer", 100)
    reader = Background(lambda: mount.call("read", handle, len(SMALL), 0))
    gate.open()
    wanted = SMALL[:100] + b"newer" + SMALL[105:]
    assert reader.result() == wanted
    assert stage.remote.calls.count(("open_bytes", stage.path("/d/3"))) == 1
    mount.close(handle)
    mount.stop()
    assert stage.stored("/d/3") == wanted


@pytest.mark.parametrize("change", ["rename", "unlink"])
def test_s51_a_change_of_a_name_waits_for_what_is_fetched_ahead(stage: Stage, change: str) -> None:
    """R24, R8: nothing is left over of the old name."""
    mount, gate = fetching_ahead(stage)
    words = ("/d/3", "/d/4") if change == "rename" else ("/d/3",)
    changing = Background(lambda: mount.call(change, *words))
    until(lambda: bool(mount.session._parts.gate.held), "the change waits")
    gate.open()
    changing.result()
    assert not mount.exists("/d/3")
    if change == "rename":
        assert mount.get("/d/4") == SMALL
    mount.stop()
    assert stage.left() == ([], [], [])
