"""Defects that the model machine found, each reduced to what it needs."""

from __future__ import annotations

import logging
import os

import pytest

from tests.integration.session.conftest import Open
from tests.support.faultydisk import COMMIT, REMOVE, SYNC, DiskFault
from tests.support.logs import ExpectLog
from tests.support.sessions import (
    Background,
    Fault,
    Killed,
    ManualClock,
    Mounted,
    Stage,
    lost,
    raising,
    until,
)
from tests.support.steps import sent
from vofs.core import nodes
from vofs.core.errors import CacheFull, PermissionDenied, RemoteUnavailable

OLD, NEW = b"what stood at the name", b"what was moved there"


def test_r09_a_full_disk_does_not_take_the_name_from_a_file_that_was_to_be_replaced(
    stage: Stage,
) -> None:
    """It fails the rename, and whatever would be written to give the name back."""
    stage.store("/a", NEW)
    stage.store("/b", OLD)
    mount = stage.mount()
    handle = mount.open("/b")
    mount.hide("/b")
    full = DiskFault(name=COMMIT, times=99, before=raising(CacheFull("no room")))
    stage.changes.plan(full)
    with pytest.raises(OSError, match="No space left"):
        mount.call("rename", "/a", "/b")
    assert mount.stat("/b").size == len(OLD)
    stage.changes.heal()
    mount.call("release", handle)
    assert (mount.get("/a"), mount.get("/b")) == (NEW, OLD)
    mount.stop()
    assert (stage.stored("/a"), stage.stored("/b")) == (NEW, OLD)
    assert stage.left() == ([], [], [])


def test_r09_a_rename_that_is_done_does_not_fail_because_old_data_cannot_be_removed(
    stage: Stage,
) -> None:
    """The closed file that it replaces: its data file stays for a while, nothing else."""
    stage.store("/a", NEW)
    stage.store("/b", OLD)
    mount = stage.mount(threads=False)
    mount.get("/b")
    mount.call("unlink", mount.hide("/b"))  # the last handle is closed between the two renames
    stage.changes.plan(DiskFault(name=REMOVE, before=raising(CacheFull("no room"))))
    mount.call("rename", "/a", "/b")
    assert (mount.ls("/"), mount.get("/b")) == (["b"], NEW)
    mount.housekeeping()
    mount.stop()
    assert (stage.names(), stage.stored("/b")) == ({"b"}, NEW)
    assert stage.left() == ([], [], [])
    assert not stage.stray_data()


@pytest.mark.parametrize("killed", [False, True])
def test_r08_an_unlink_that_was_never_asked_for_takes_no_unsent_file(
    open_stage: Open, expect_log: ExpectLog, killed: bool
) -> None:
    """The service has no such node, because the upload broke: that does not mean "deleted"."""
    expect_log("is not sent yet")
    stage = open_stage("cavern", ManualClock(), close_wait_s=0.0, settle_s=0.0)
    mount = stage.mount(threads=False)
    stage.remote.plan(Fault("put_bytes", before=lost("it never got there")))
    mount.put("/f", NEW)
    sent(mount)
    gone = RemoteUnavailable("no answer", sent=True)
    stage.remote.plan(Fault("get_node", path=stage.path("/f"), before=raising(gone)))
    full = DiskFault(2, COMMIT, before=raising(CacheFull("no room")))
    stage.changes.plan(full)
    with pytest.raises(OSError, match="Errno"):
        mount.call("unlink", "/f")
    if killed:
        expect_log("of an earlier mount")
        expect_log("was interrupted: looking")
        with pytest.raises(Killed):
            stage.kill()
        mount = stage.reopen(threads=False)
    mount.housekeeping()
    assert mount.get("/f") == NEW
    settled(mount)
    assert stage.stored("/f") == NEW
    mount.stop()
    assert stage.left() == ([], [], [])


def settled(mount: Mounted) -> None:
    """All is sent; where a PUT broke, what comes after it is looked at again (R1)."""
    for _ in range(5):
        mount.control(command="hasten")
        sent(mount)


def new_file_over_a_tombstone(stage: Stage) -> tuple[Mounted, int]:
    """/b is open, unlinked and not yet deleted; a new /b waits to be sent; /a is on the service."""
    stage.store("/a", NEW)
    stage.store("/b", OLD)
    mount = stage.mount(threads=False, close_wait_s=0.0)
    handle = mount.open("/b")
    mount.hide("/b")
    mount.put("/b", b"new")
    return mount, handle


def test_r10_a_rename_onto_a_new_file_whose_name_still_has_its_old_node(stage: Stage) -> None:
    """The old node, unlinked and not yet deleted, makes room like any other."""
    mount, handle = new_file_over_a_tombstone(stage)
    mount.call("rename", "/a", "/b")
    assert mount.get("/b") == NEW
    assert bytes(mount.call("read", handle, 100, 0)) == OLD
    mount.call("release", handle)
    mount.housekeeping()
    assert mount.ls("/") == ["b"]
    assert (stage.names(), stage.stored("/b")) == ({"b"}, NEW)


def test_r09_an_upload_passes_a_rename_that_is_about_to_begin(stage: Stage) -> None:
    """The old node was not deleted for the sake of the rename, and taken for another client's."""
    mount, handle = new_file_over_a_tombstone(stage)
    looks = stage.remote.hold("get_node", stage.path("/a"))
    rename = Background(lambda: mount.call("rename", "/a", "/b"))
    looks.wait_until_reached()
    assert mount.step()
    looks.open()
    rename.result()
    mount.call("release", handle)
    mount.housekeeping()
    assert (stage.names(), stage.stored("/b")) == ({"b"}, NEW)


def half_emptied(open_stage: Open, expect_log: ExpectLog) -> tuple[Stage, Mounted]:
    """A file whose node was deleted, to be made again without bytes, when the service vanished."""
    expect_log("is not sent yet")
    stage = open_stage("vault", close_wait_s=0.0)
    stage.store("/f", OLD)
    stage.service.fake.set_property(stage.path("/f"), nodes.CORE + "title", "mine")
    mount = stage.mount(threads=False)
    mount.close(mount.open("/f", os.O_WRONLY | os.O_TRUNC))
    stage.remote.plan(Fault("create_node", before=raising(RemoteUnavailable("down"))))
    assert mount.step()
    assert not stage.has("/f")
    return stage, mount


def test_r04_a_file_that_was_emptied_and_filled_again_is_no_conflict(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """What stands there without bytes is what we were about to make."""
    stage, mount = half_emptied(open_stage, expect_log)
    expect_log("its node is made again")
    mount.overwrite("/f", b"filled")
    mount.control(command="hasten")
    while mount.step():
        pass
    assert (stage.names(), stage.stored("/f")) == ({"f"}, b"filled")
    assert (
        stage.service.remote.get_node(stage.path("/f")).properties[nodes.CORE + "title"] == "mine"
    )


def test_r04_a_new_file_gets_nothing_of_one_that_was_unlinked_half_emptied(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    stage, mount = half_emptied(open_stage, expect_log)
    mount.call("unlink", "/f")
    mount.put("/f", b"another")
    while mount.step():
        pass
    assert stage.stored("/f") == b"another"
    assert nodes.CORE + "title" not in stage.service.remote.get_node(stage.path("/f")).properties


@pytest.mark.parametrize("change", ["unlink", "rename", "mkdir"])
def test_r08_a_look_that_is_refused_decides_nothing(stage: Stage, change: str) -> None:
    """The answer was lost; that nobody may look now does not mean that nothing happened."""
    stage.store("/f", OLD)
    mount = stage.mount()
    method, look, arguments, left = {
        "unlink": ("delete_node", "get_node", ("/f",), []),
        "rename": ("run_move", "move_status", ("/f", "/g"), ["g"]),
        "mkdir": ("create_node", "get_node", ("/d", 0o755), ["d", "f"]),
    }[change]

    def lose_and_refuse() -> None:
        stage.remote.plan(Fault(look, before=raising(PermissionDenied("no"))))
        lost()()

    stage.remote.plan(Fault(method, after=lose_and_refuse))
    mount.call(change, *arguments)
    assert mount.ls("/") == left


def test_r12_drop_leaves_a_file_alone_that_is_open_without_its_name(stage: Stage) -> None:
    """A crash within the grace of its unlink gives it its name back, and so its row."""
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR)
    assert bytes(mount.call("read", handle, 100, 0)) == OLD
    mount.hide("/f")
    assert mount.control(command="drop", path="/f") == {"dropped": 0}
    mount.write(handle, NEW)
    mount.call("release", handle)


def test_r01_nothing_is_moved_to_where_a_put_broke_a_moment_ago(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """A service that notices the break late truncates whatever has the name by then."""
    expect_log("is not sent yet", count=None)
    clock = ManualClock()
    stage = open_stage("cavern", clock, close_wait_s=0.0, settle_s=60.0)
    stage.store("/a", NEW)
    stage.store("/b", OLD)
    mount = stage.mount(threads=False)
    mount.overwrite("/b", b"x")
    stage.remote.plan(Fault("put_body", before=raising(RemoteUnavailable("broken", sent=True))))
    mount.step()
    with pytest.raises(OSError, match="busy"):
        mount.call("rename", "/a", "/b")
    clock.advance(61.0)
    mount.call("rename", "/a", "/b")
    assert (stage.names(), stage.stored("/b")) == ({"b"}, NEW)


def test_r06_what_a_file_in_conflict_lacks_is_not_read_from_the_other_version(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """Where only the length proves a reply it would be taken for what the file was."""
    expect_log("cannot be sent: conflict .partial.", level=logging.ERROR)
    clock = ManualClock()
    stage = open_stage("cavern", clock, close_wait_s=0.0, settle_s=60.0, attr_ttl_s=1.0)
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR)
    mount.write(handle, b"x")
    clock.advance(10.0)
    stage.store("/f", NEW.ljust(len(OLD))[: len(OLD)])
    mount.close(handle)
    mount.step()
    with pytest.raises(OSError, match="Stale"):
        mount.get("/f")
    mount.stop()


@pytest.mark.parametrize("change", ["unlink", "rename"])
def test_r08_nothing_is_written_to_a_name_whose_change_is_in_doubt(
    stage: Stage, change: str
) -> None:
    """It would be gone, or elsewhere, once the change turned out to have happened."""
    stage.store("/a", OLD)
    mount = stage.mount(timeout_s=0.3, close_wait_s=0.0)
    mount.stat("/a")
    down = raising(RemoteUnavailable("down"))
    method, look, arguments = {
        "unlink": ("delete_node", "get_node", ("/a",)),
        "rename": ("run_move", "move_status", ("/a", "/b")),
    }[change]

    def lose() -> None:
        stage.remote.plan(Fault(look, times=999, before=down))
        lost()()

    stage.remote.plan(Fault(method, after=lose))
    with pytest.raises(TimeoutError):
        mount.call(change, *arguments)
    with pytest.raises(OSError, match="busy"):
        mount.create("/a")
    with pytest.raises(OSError, match="busy"):
        mount.open("/a", os.O_RDWR)
    stage.remote.heal()
    until(lambda: not mount.session._parts.gate.held, "it is settled")
    mount.put("/a", NEW)
    mount.wait_sent()
    moved = {"b": OLD} if change == "rename" else {}
    assert {name: stage.stored(f"/{name}") for name in stage.names()} == {"a": NEW, **moved}


def test_r02_an_upload_that_failed_before_it_began_is_not_in_doubt(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """R9: renamed over an open file of the same bytes, it took that one's node for its own, which
    its tombstone then deleted."""
    expect_log("is not sent yet")
    stage = open_stage("cavern", ManualClock(), close_wait_s=0.0, settle_s=0.0)
    mount = stage.mount(threads=False)
    for name in ("/a", "/b"):
        handle = mount.create(name)
        mount.write(handle, NEW)
        mount.call("flush", handle)
        if name == "/b":
            stage.changes.plan(DiskFault(name=SYNC, before=raising(CacheFull("no room"))))
            mount.close(handle)
        sent(mount)
    assert (stage.stored("/a"), stage.stored("/b")) == (NEW, None)
    mount.hide("/a")
    mount.call("rename", "/b", "/a")
    settled(mount)
    mount.housekeeping()
    assert mount.get("/a") == NEW
    assert stage.stored("/a") == NEW
    mount.stop()
    assert stage.left() == ([], [], [])
