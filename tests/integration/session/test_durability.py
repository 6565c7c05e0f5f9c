"""R2, R5, R18: what is on the disk when, shown by cutting the power.

A simulated power cut takes back what nobody had brought to the disk: data, commits of the index, or
one without the other, because the kernel writes back in any order (tests/support/powercut.py).
"""

from __future__ import annotations

import itertools
import logging

import pytest

from tests.integration.session.conftest import Open
from tests.support.faultydisk import SYNC, DiskFault
from tests.support.logs import ExpectLog
from tests.support.recovered import content
from tests.support.sessions import Fault, Mounted, PowerCut, Stage, allowing
from vofs.core.errors import CacheDamaged, RemoteUnavailable

OLD = bytes(range(251)) * 100  # 25 kB: seven pages
NEW = OLD[:10_000] + b"!" * 5000 + OLD[15_000:] + b"behind the end" * 500
MACHINE = "the machine went down"
AFTERWARDS = (
    MACHINE,
    "of an earlier mount",
    "its last changes may be lost with the power",
    "cannot be read, it is set aside",
    "is not sent yet",
    "cached copy of .* is damaged; it is fetched again",
    "stay in .* for the next mount",
    "could not be saved",
    "in disorder",
)


def cut_power(stage: Stage, cut: PowerCut) -> None:
    with pytest.raises(RemoteUnavailable):
        stage.lose_power(cut)


def change(mount: Mounted) -> int:
    """Make NEW of OLD, in place and behind the end, and leave the file open."""
    handle = mount.open("/f", 2)
    mount.write(handle, b"!" * 5000, 10_000)
    mount.write(handle, b"behind the end" * 500, len(OLD))
    return handle


@pytest.mark.parametrize("cut", PowerCut)
@pytest.mark.parametrize("cached", [False, True])
def test_r18_a_power_loss_during_fsync_leaves_no_mixture(
    open_stage: Open, cut: PowerCut, cached: bool
) -> None:
    """R18, R5: at each step of fsync(2): data first, then the index that vouches for it."""
    for number in itertools.count(1):
        for after in (False, True):
            stage = open_stage("vault", close_wait_s=0.0)
            if not cut_during_fsync(stage, cut, number, after=after, cached=cached):
                assert number > 2  # the data, the index
                return
            assert stage.stored("/f") in (OLD, NEW), f"change {number}, after: {after}"


def cut_during_fsync(
    stage: Stage, cut: PowerCut, number: int, *, after: bool, cached: bool
) -> bool:
    """Cut the power at that change, and let the next mount send all; False: there is no such."""
    stage.store("/f", OLD)
    mount = stage.mount(threads=False, boot_id="first")
    if cached:
        mount.get("/f")
    handle = change(mount)

    def act() -> None:
        stage.lose_power(cut)

    stage.changes.plan(DiskFault(number, after=act) if after else DiskFault(number, before=act))
    with allowing(*AFTERWARDS):
        try:
            mount.call("fsync", handle, 0)
        except OSError:
            assert stage.was_killed
        stage.changes.heal()
        if stage.was_killed:
            again = stage.reopen(boot_id="second")
            again.wait_for(lambda: all_settled(again), "uploads end")
            again.leave()
    return stage.was_killed


def all_settled(mount: Mounted) -> bool:
    """Nothing is to be sent but what was set aside."""
    return all("vofs cache recover" in upload["error"] for upload in mount.uploads())


@pytest.mark.parametrize("cut", PowerCut)
def test_r02_put_started_is_on_the_disk_with_all_that_a_torn_put_needs(
    open_stage: Open, expect_log: ExpectLog, cut: PowerCut
) -> None:
    """R2: nobody called fsync(2); cavern has truncated the node, and has a part of the body."""
    expect_log(MACHINE)
    expect_log("of an earlier mount")
    expect_log("is not sent yet: killed")
    stage = open_stage("cavern", close_wait_s=0.0)
    stage.store("/f", OLD)
    mount = stage.mount(threads=False, boot_id="first")
    mount.call("release", change(mount))

    def torn() -> None:
        stage.store("/f", NEW[:7000])
        stage.lose_power(cut)

    stage.remote.plan(Fault("put_bytes", before=torn))
    mount.step()
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage) == {"f": NEW}


@pytest.mark.parametrize("cut", PowerCut)
def test_r05_after_a_clean_stop_everything_is_on_the_disk(
    stage: Stage, expect_log: ExpectLog, cut: PowerCut
) -> None:
    """R5, decision 0009: unmounting has synced the cache, so nothing is doubted or fetched."""
    expect_log("stay in .* for the next mount")
    expect_log("of an earlier mount")
    stage.store("/f", OLD)
    stage.store("/read", OLD)
    mount = stage.mount(boot_id="first", close_wait_s=0.0)
    assert mount.get("/read") == OLD
    stage.remote.plan(
        Fault("put_bytes", times=99, before=lambda: pytest.fail("nothing is sent here"))
    )
    handle = change(mount)
    mount.leave()
    stage.remote.heal()
    assert handle
    cut_power(stage, cut)
    again = stage.reopen(boot_id="second")
    assert again.get("/read") == OLD
    again.wait_sent()
    assert ("open_bytes", stage.path("/read")) not in stage.remote.calls
    assert content(stage) == {"f": NEW, "read": OLD}


@pytest.mark.parametrize("cut", PowerCut)
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [1, 2])
def test_r05_a_power_loss_while_unmounting_is_no_clean_stop(
    stage: Stage, cut: PowerCut, number: int, after: bool
) -> None:
    """R5: before the sync, between it and the mark, behind the mark: nothing wrong is served."""
    stage.store("/f", OLD)
    stage.store("/read", OLD)
    mount = stage.mount(threads=False, boot_id="first")
    mount.get("/read")
    mount.call("release", change(mount))

    def act() -> None:
        stage.lose_power(cut)

    def armed() -> None:
        stage.changes.plan(DiskFault(number, after=act) if after else DiskFault(number, before=act))

    stage.changes.plan(DiskFault(name=SYNC, before=armed))
    with allowing(*AFTERWARDS):
        mount.stop()
        if not stage.was_killed:
            cut_power(stage, cut)
        again = stage.reopen(boot_id="second")
        assert again.get("/read") == OLD
        again.wait_for(lambda: all_settled(again), "uploads end")
        again.leave()
    assert stage.stored("/f") in (OLD, NEW)


def test_r05_a_sync_that_failed_is_no_clean_stop(stage: Stage, expect_log: ExpectLog) -> None:
    """R5: the disk would not take it: what it holds is compared before it is served."""
    expect_log(MACHINE)
    expect_log("could not be saved", level=logging.ERROR)
    stage.store("/read", OLD)
    mount = stage.mount(threads=False, boot_id="first")
    mount.get("/read")

    def failing() -> None:
        raise CacheDamaged("syncfs: Input/output error")

    stage.changes.plan(DiskFault(name=SYNC, before=failing))
    mount.stop()
    cut_power(stage, PowerCut.DATA)
    again = stage.reopen(boot_id="second")
    assert again.get("/read") == OLD
    assert stage.remote.count("open_bytes") == 1


@pytest.mark.parametrize("cut", PowerCut)
def test_r05_what_nobody_synced_is_neither_served_nor_sent_over_a_node(
    stage: Stage, cut: PowerCut
) -> None:
    """R5: copies are compared first; unsent changes go beside the node, or are set aside."""
    for name in ("f", "read", "other"):
        stage.store(f"/{name}", OLD)
    mount = stage.mount(threads=False, boot_id="first", close_wait_s=0.0)
    mount.get("/read")
    mount.call("release", change(mount))
    mount.write(mount.create("/new"), NEW)
    mount.overwrite("/other", b"synced")
    other = mount.open("/other", 2)
    mount.call("fsync", other, 0)
    cut_power(stage, cut)
    with allowing(*AFTERWARDS):
        again = stage.reopen(boot_id="second")
        assert again.get("/read") == OLD
        again.wait_for(lambda: all_settled(again), "uploads end")
        again.leave()
    found = content(stage)
    assert found["f"] == found["read"] == OLD
    assert found["other"] == b"synced" + OLD[6:]
    assert found.keys() - {"f.recovered", "new"} == {"f", "read", "other"}


@pytest.mark.parametrize("cut", PowerCut)
def test_r18_fsync_of_a_file_that_was_cut_under_its_upload(
    open_stage: Open, expect_log: ExpectLog, cut: PowerCut
) -> None:
    """R3, R18: the upload keeps the old data file; the new one's name is on the disk, too."""
    expect_log(MACHINE)
    expect_log("of an earlier mount")
    expect_log("is not sent yet: killed", count=None)
    expect_log("stay in .* for the next mount")
    stage = open_stage("vault", close_wait_s=0.0)
    mount = stage.mount(boot_id="first")
    handle = mount.create("/f")
    mount.write(handle, 100 * NEW)  # more than an upload reads at once
    half = stage.remote.hold("put_body")
    mount.call("flush", handle)
    half.wait_until_reached()
    mount.call("truncate", None, 6000, handle)
    mount.write(handle, b"after the cut", 6000)
    mount.call("fsync", handle, 0)
    cut_power(stage, cut)
    half.open()
    stage.reopen(boot_id="second").wait_sent()
    assert content(stage) == {"f": NEW[:6000] + b"after the cut"}


@pytest.mark.parametrize("cut", [PowerCut.ALL, PowerCut.PAGES])
def test_r05_a_power_loss_at_any_change_leaves_one_version_or_the_other(
    stage: Stage, cut: PowerCut
) -> None:
    """R2, R5: from the first change to the clean stop; /f holds theirs or all of ours."""
    for number in itertools.count(1):
        stage.store("/f", OLD)
        mount = stage.mount(threads=False, boot_id=f"boot {number}", close_wait_s=0.0)
        reached = cut_during_a_life(stage, mount, cut, number)
        assert stage.stored("/f") in (OLD, NEW), f"change {number}"
        if not reached:
            assert number > 5
            assert stage.stored("/f") == NEW
            return


def cut_during_a_life(stage: Stage, mount: Mounted, cut: PowerCut, number: int) -> bool:
    """Change /f, send it, unmount; cut the power after that change of the disk; mount again."""
    cut_there = False

    def act() -> None:
        nonlocal cut_there
        cut_there = True
        stage.lose_power(cut)

    stage.changes.plan(DiskFault(number, after=act))
    with allowing("", when=lambda: cut_there):
        try:
            mount.call("release", change(mount))
            mount.step()
        except OSError:
            assert cut_there
        mount.stop()
    if cut_there:
        with allowing(*AFTERWARDS):
            again = stage.reopen(boot_id=f"boot {number} and a half", close_wait_s=0.0)
            again.wait_for(lambda: all_settled(again), "uploads end")
            shown = again.get("/f")
            again.leave()
        assert shown == stage.stored("/f")
    return cut_there
