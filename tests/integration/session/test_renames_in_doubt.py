"""Renames from and to a name where an upload broke, was refused, or may have left something.

R8 to R11: what is renamed is there under the new name and nothing comes back under the old one, by
whichever of the versions stands on the service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.support.brokenuploads import (
    BEFORE,
    BOTH,
    EXISTED,
    OURS,
    SETTLE_S,
    breaks,
    changed,
)
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Mounted, Stage, allowing, lost, raising
from tests.support.steps import sent, settled
from vofs.core.errors import PermissionDenied, QuotaExceeded, RemoteUnavailable

OTHER, THEIRS = b"another file", b"somebody else's file"
LEFT = pytest.mark.parametrize(
    "left", [None, b"", OURS[:100], OURS], ids=["untouched", "empty", "torn", "whole"]
)


def refused(stage: Stage) -> Mounted:
    """A new file that the service refuses: it is `failed`, and kept."""
    mount = stage.mount(threads=False)
    stage.remote.plan(Fault("put_bytes", before=raising(QuotaExceeded("no room"))))
    mount.put("/f", OURS)
    sent(mount)
    assert [upload["state"] for upload in mount.uploads()] == ["failed"]
    return mount


@BOTH
def test_r08_a_file_that_was_refused_can_be_renamed(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog, personality: str
) -> None:
    """R8: the service never got anything of it; on cavern that was "try again", for ever."""
    expect_log("cannot be sent", level=logging.ERROR)
    stage = made(personality, existed=False)
    mount = refused(stage)
    mount.call("rename", "/f", "/g")
    assert (mount.ls("/"), mount.get("/g")) == (["g"], OURS)
    with allowing("of an earlier mount"):
        with pytest.raises(RemoteUnavailable):
            stage.kill()
        mount = stage.reopen(threads=False)
    assert (mount.ls("/"), mount.get("/g")) == (["g"], OURS)
    assert mount.control(command="flush", path="/") == {"flushed": 1}
    settled(mount, clock)
    assert stage.names() == {"g"}
    assert stage.stored("/g") == OURS


@BOTH
def test_r10_a_file_that_was_refused_can_be_replaced(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog, personality: str
) -> None:
    expect_log("cannot be sent", level=logging.ERROR)
    stage = made(personality, existed=False)
    mount = refused(stage)
    mount.put("/g", OTHER)
    mount.call("rename", "/g", "/f")
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == OTHER
    assert mount.get("/f") == OTHER


@BOTH
def test_r08_a_file_that_is_gone_there_and_changed_here_is_busy_not_missing(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog, personality: str
) -> None:
    """R8, R11: the upload makes its node again; until then there is nothing to be moved."""
    expect_log("is not sent yet", count=None)
    stage = made(personality)
    mount = stage.mount(threads=False)
    handle = changed(mount)
    stage.remote.plan(Fault("put_bytes", before=lost("it never got there"), times=2))
    for _ in range(2):
        sent(mount)
        clock.advance(2 * SETTLE_S)
    stage.service.remote.delete_node(stage.path("/f"))
    mount.close(handle)
    with pytest.raises(OSError, match="busy"):
        mount.call("rename", "/f", "/g")
    settled(mount, clock)
    mount.call("rename", "/f", "/g")
    assert stage.names() == {"g"}
    assert stage.stored("/g") == OURS


@LEFT
@BOTH
def test_r10_what_a_broken_upload_left_is_replaced(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    left: bytes | None,
) -> None:
    """A new file is renamed over it while it is open; no doubt is left about either (R9)."""
    expect_log("is not sent yet")
    stage = made(personality)
    mount = stage.mount(threads=False)
    handle = changed(mount)
    breaks(stage, mount, before=lost("it never got there"))
    if left is not None and (left == OURS or not stage.vault):
        stage.store("/f", left)
    mount.put("/g", OTHER)
    clock.advance(2 * SETTLE_S)
    hidden = mount.hide("/f")
    mount.call("rename", "/g", "/f")
    mount.close(handle)
    mount.call("unlink", hidden)
    clock.advance(1.0)
    mount.housekeeping()
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == OTHER


@EXISTED
@BOTH
def test_r11_a_new_file_is_not_sent_over_what_its_new_name_hid(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    existed: bool,
) -> None:
    """R9, R11: the service was seen to have nothing under its old name, that says nothing here."""
    expect_log("is not sent yet")
    expect_log("ours is kept as f.conflict")
    if existed:
        expect_log("was replaced on the service: not deleted")
    stage = made(personality, existed=existed)
    mount = stage.mount(threads=False)
    handle = changed(mount, existed=existed)
    breaks(stage, mount, before=lost("it never got there"))
    clock.advance(2 * SETTLE_S)
    stage.store("/f", THEIRS)
    mount.put("/g", OTHER)
    hidden = mount.hide("/f")
    mount.call("rename", "/g", "/f")
    mount.close(handle)
    mount.call("unlink", hidden)
    settled(mount, clock)
    (kept,) = stage.names() - {"f"}
    assert (stage.stored("/f"), stage.stored(f"/{kept}")) == (THEIRS, OTHER)


@EXISTED
@pytest.mark.parametrize("killed", [False, True])
def test_r11_what_arrives_late_where_it_was_replaced_is_no_conflict(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    existed: bool,
    killed: bool,
) -> None:
    """R11, R13: an upload of the file that was replaced, whose answer was lost (vault)."""
    expect_log("is not sent yet")
    stage = made("vault", existed=existed)
    mount = stage.mount(threads=False)
    handle = changed(mount, existed=existed)
    breaks(stage, mount, after=lost())
    mount.close(handle)
    if existed:
        stage.store("/f", BEFORE)
    else:
        stage.service.remote.delete_node(stage.path("/f"))
    mount.put("/g", OTHER)
    mount.call("rename", "/g", "/f")
    if killed:
        with allowing("of an earlier mount"):
            with pytest.raises(RemoteUnavailable):
                stage.kill()
            mount = stage.reopen(threads=False)
    stage.store("/f", OURS)
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == OTHER


@pytest.mark.parametrize("here", [True, False], ids=["new", "of the service"])
@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
@BOTH
def test_r10_a_container_that_came_where_a_file_is_replaced_stays(
    made: Callable[..., Stage], personality: str, full: bool, here: bool
) -> None:
    """R9, R10: between the unlink of the open file and the rename over it."""
    stage = made(personality)
    if not here:
        stage.store("/g", OTHER)
    mount = stage.mount(threads=False)
    if here:
        mount.put("/g", OTHER)
    handle = mount.open("/f")
    assert mount.call("read", handle, len(BEFORE), 0) == BEFORE
    mount.hide("/f")
    stage.service.remote.delete_node(stage.path("/f"))
    stage.mkdir("/f")
    if full:
        stage.store("/f/inner", b"theirs")
    with pytest.raises(IsADirectoryError):
        mount.call("rename", "/g", "/f")
    assert stage.names("/f") == ({"inner"} if full else set())
    assert mount.get("/g") == OTHER
    mount.close(handle)


@LEFT
@BOTH
def test_r09_a_name_comes_back_with_its_doubt(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    left: bytes | None,
) -> None:
    """The rename over it is refused: our changes are sent, whatever the upload had left."""
    expect_log("is not sent yet")
    stage = made(personality)
    stage.store("/g", OTHER)
    mount = stage.mount(threads=False)
    handle = changed(mount)
    breaks(stage, mount, before=lost("it never got there"))
    if left is not None and (left == OURS or not stage.vault):
        stage.store("/f", left)
    clock.advance(2 * SETTLE_S)
    mount.hide("/f")
    stage.remote.plan(Fault("create_move", times=9, before=raising(PermissionDenied("no"))))
    with pytest.raises(PermissionError):
        mount.call("rename", "/g", "/f")
    mount.close(handle)
    assert mount.get("/f") == OURS
    settled(mount, clock)
    assert stage.names() == {"f", "g"}
    assert (stage.stored("/f"), stage.stored("/g")) == (OURS, OTHER)


@LEFT
@BOTH
def test_r08_a_renamed_directory_takes_its_doubts_along(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    left: bytes | None,
) -> None:
    """R1, R8: also after a kill, what broke below the old name is settled below the new one."""
    expect_log("is not sent yet")
    stage = made(personality, existed=False)
    stage.mkdir("/d")
    stage.store("/d/f", OTHER)
    mount = stage.mount(threads=False)
    handle = mount.open("/d/f", 2)
    mount.write(handle, OURS)
    mount.call("flush", handle)
    breaks(stage, mount, before=lost("it never got there"))
    if left is not None and (left == OURS or not stage.vault):
        stage.store("/d/f", left)
    mount.close(handle)
    mount.call("rename", "/d", "/e")
    with allowing("of an earlier mount"):
        with pytest.raises(RemoteUnavailable):
            stage.kill()
        mount = stage.reopen(threads=False)
    settled(mount, clock)
    assert (stage.names(), stage.names("/e")) == ({"e"}, {"f"})
    assert stage.stored("/e/f") == OURS
