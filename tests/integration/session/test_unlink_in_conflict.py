"""R8, R11: unlinking a file with unsent changes loses nothing that its user never saw."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.integration.session.conftest import Open
from tests.support.conflicts import OURS, SETTINGS, THEIRS, changed_here_and_there
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Mounted, Stage, lost, until
from tests.support.steps import sent, settled
from vofs.core.conflicts import OnConflict

STAYS = "f is removed here; what somebody else stored there stays"
QUIET: dict[str, Any] = {**SETTINGS, "threads": False, "close_wait_s": 0.0}


def forgotten(mount: Mounted) -> bool:
    """Nothing of ours is left to be sent."""
    return not mount.uploads()


@pytest.mark.parametrize("policy", OnConflict)
@pytest.mark.promise("Names", "unlink of a file with unsent changes")
def test_r11_unlink_removes_what_its_user_saw(
    stage: Stage, expect_log: ExpectLog, policy: OnConflict
) -> None:
    """It removes what the name showed. When somebody else has stored another version there
    meanwhile, which nobody saw through this mount, that stays, whatever `--on-conflict` says: the
    unsent changes are gone, unlink returns 0, and the name shows theirs from then on. A second
    unlink deletes it. An upload that is in doubt is looked into first, also where the file is open.
    The remaining race is the moment between that look and the deletion."""
    expect_log(STAYS)
    mount = stage.mount(on_conflict=policy, **QUIET)
    mount.call("release", changed_here_and_there(stage, mount))
    assert mount.get("/f") == OURS
    mount.call("unlink", "/f")
    assert stage.stored("/f") == THEIRS
    assert forgotten(mount)
    assert mount.ls("/") == ["f"]
    assert mount.get("/f") == THEIRS
    mount.call("unlink", "/f")
    assert stage.names() == set()
    mount.stop()
    assert stage.left() == ([], [], [])


def test_r11_unlink_of_a_conflict_that_was_noticed(stage: Stage, expect_log: ExpectLog) -> None:
    """R11: with `fail` it stays until somebody does something about it: this."""
    expect_log("cannot be sent", level=logging.ERROR)
    expect_log(STAYS)
    mount = stage.mount(on_conflict=OnConflict.FAIL, **{**SETTINGS, "close_wait_s": 0.0})
    mount.close(changed_here_and_there(stage, mount))
    until(lambda: [u["permanent"] for u in mount.uploads()] == [True], "the conflict")
    mount.call("unlink", "/f")
    assert forgotten(mount)
    assert mount.get("/f") == stage.stored("/f") == THEIRS


def test_r11_unlink_of_an_open_file_in_conflict(stage: Stage) -> None:
    """R9, R11: the tombstone deletes the version that our changes were based on, and no other."""
    mount = stage.mount(**QUIET)
    handle = changed_here_and_there(stage, mount)
    hidden = mount.hide("/f")
    mount.call("release", handle)
    mount.call("unlink", hidden)
    mount.stop()
    assert stage.stored("/f") == THEIRS


def test_r11_ours_under_a_container_that_somebody_made(stage: Stage, expect_log: ExpectLog) -> None:
    """The user sees a file: it is removed, and no EISDIR."""
    expect_log(STAYS)
    stage.store("/f", b"base")
    mount = stage.mount(**QUIET)
    mount.get("/f")
    mount.call("release", overwritten(mount, OURS))
    stage.service.fake.delete(stage.path("/f"))
    stage.mkdir("/f")
    stage.store("/f/child", THEIRS)
    mount.call("unlink", "/f")
    assert forgotten(mount)
    assert mount.get("/f/child") == THEIRS


def overwritten(mount: Mounted, data: bytes) -> int:
    handle = mount.open("/f", 2)
    mount.write(handle, data)
    return handle


@pytest.mark.parametrize("gone", [False, True], ids=["there", "gone there"])
def test_r08_unlink_of_unsent_changes_deletes_the_version_they_were_made_to(
    stage: Stage, gone: bool
) -> None:
    """R8: one look, one DELETE."""
    stage.store("/f", b"base")
    mount = stage.mount(**QUIET)
    mount.get("/f")
    mount.call("release", overwritten(mount, OURS))
    if gone:
        stage.service.fake.delete(stage.path("/f"))
    before = stage.remote.count("get_node"), stage.remote.count("delete_node")
    mount.call("unlink", "/f")
    assert stage.remote.count("delete_node") - before[1] == 1
    assert stage.names() == set()
    assert not mount.exists("/f")
    assert forgotten(mount)


def test_r08_out_of_reach_nothing_is_removed(stage: Stage) -> None:
    """R8, R11: unreachable is never taken for deleted, nor for ours."""
    mount = stage.mount(**QUIET)
    mount.call("release", changed_here_and_there(stage, mount))
    mount.stat("/f")
    stage.remote.plan(Fault("get_node", path=stage.path("/f"), times=99, before=lost("away")))
    with pytest.raises(OSError, match="Input/output error"):
        mount.call("unlink", "/f")
    stage.remote.heal()
    assert stage.stored("/f") == THEIRS
    assert mount.get("/f") == OURS
    mount.leave()


@pytest.mark.parametrize("personality", ["vault", "cavern"])
@pytest.mark.parametrize("theirs", [None, b"short"], ids=["ours", "theirs"])
def test_r01_unlink_of_what_may_have_arrived(
    open_stage: Open,
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    theirs: bytes | None,
) -> None:
    """R1, R2: in doubt: what our PUT left is deleted, what somebody else stored there is not."""
    expect_log("is not sent yet")
    stage = open_stage(personality, clock, close_wait_s=0.0, settle_s=60.0)
    mount = stage.mount(threads=False)
    stage.remote.plan(Fault("put_bytes", after=lost()))
    mount.put("/f", OURS)
    sent(mount)
    if theirs is not None:
        expect_log(STAYS)
        stage.store("/f", theirs)
    mount.call("unlink", "/f")
    assert forgotten(mount)
    settled(mount, clock)
    assert stage.stored("/f") == theirs
