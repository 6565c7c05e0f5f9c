"""R11, R6: changed here and on the service; on vault and on cavern."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from tests.integration.session.conftest import Open
from tests.support.conflicts import (
    KEPT_AS,
    OURS,
    SETTINGS,
    THEIRS,
    changed_here_and_there,
    content,
    shown,
)
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, Stage, allowing, lost, until
from vofs.core.conflicts import OnConflict

MAY_BE_LOGGED = (
    r"ours is kept as",
    r"of an earlier mount are sent now",
    r"stay in .* for the next mount",
    r"is not sent yet",
)


def test_r11_both_are_kept_and_both_are_shown(stage: Stage, expect_log: ExpectLog) -> None:
    """R11: ours gets a name of its own, the name shows theirs; close is no error."""
    expect_log("f changed here and on the service; ours is kept as f.conflict-")
    mount = stage.mount(**SETTINGS)
    mount.close(changed_here_and_there(stage, mount))
    mount.wait_sent()
    assert content(stage) == shown(mount) == {"f": THEIRS, "f.kept": OURS}


def test_r11_ours_is_renamed_when_the_last_handle_closes(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """R11: whoever has the file open goes on with it; what he still writes is kept, too."""
    expect_log("ours is kept as")
    mount = stage.mount(**SETTINGS)
    first = changed_here_and_there(stage, mount)
    second = mount.open("/f", 2)
    mount.close(first)
    until(lambda: [u["state"] for u in mount.uploads()] == ["conflict"], "the conflict")
    assert [upload["permanent"] for upload in mount.uploads()] == [False]
    assert mount.call("getxattr", "/f", "user.vofs.state") == b"conflict"
    mount.write(second, b"last", 0)
    assert content(stage) == {"f": THEIRS}
    mount.close(second)
    mount.wait_sent()
    assert content(stage) == shown(mount) == {"f": THEIRS, "f.kept": b"last, longer"}


def test_r11_opened_while_its_new_name_is_looked_for(stage: Stage, expect_log: ExpectLog) -> None:
    """R11: asked again at the very moment of the change: an open file keeps its name."""
    expect_log("ours is kept as")
    mount = stage.mount(**SETTINGS)
    handle = changed_here_and_there(stage, mount)
    gate = stage.remote.hold("get_node", nth=3)  # after two looks at the name itself
    mount.call("release", handle)
    gate.wait_until_reached()
    handle = mount.open("/f", 2)
    gate.open()
    until(lambda: mount.uploads()[0]["retry_in_s"] is not None, "it waits again")
    mount.write(handle, b"last")
    assert mount.call("getxattr", "/f", "user.vofs.state") == b"conflict"
    assert content(stage) == {"f": THEIRS}
    mount.close(handle)
    mount.wait_sent()
    assert content(stage) == shown(mount) == {"f": THEIRS, "f.kept": b"last, longer"}


def test_r11_overwrite_sends_ours_over_what_was_seen(stage: Stage, expect_log: ExpectLog) -> None:
    expect_log("ours is sent over it")
    mount = stage.mount(on_conflict=OnConflict.OVERWRITE, **SETTINGS)
    mount.close(changed_here_and_there(stage, mount))
    mount.wait_sent()
    assert content(stage) == shown(mount) == {"f": OURS}


def test_r11_fail_keeps_ours_and_sends_nothing(stage: Stage, expect_log: ExpectLog) -> None:
    """R11, R18: close says so once; it is listed as permanent."""
    expect_log("cannot be sent", level=logging.ERROR)
    expect_log("stay in .* for the next mount")
    mount = stage.mount(on_conflict=OnConflict.FAIL, **SETTINGS)
    handle = changed_here_and_there(stage, mount)
    with pytest.raises(OSError, match="Input/output error"):
        mount.call("flush", handle)
    mount.call("release", handle)
    assert [(u["state"], u["permanent"]) for u in mount.uploads()] == [("conflict", True)]
    assert mount.get("/f") == OURS
    mount.stop()
    assert content(stage) == {"f": THEIRS}


@pytest.mark.parametrize("policy", [OnConflict.KEEP_BOTH, OnConflict.OVERWRITE])
def test_r11_a_conflict_of_an_earlier_mount_is_ended_by_the_next(
    stage: Stage, expect_log: ExpectLog, policy: OnConflict
) -> None:
    expect_log("cannot be sent", level=logging.ERROR)
    expect_log("stay in .* for the next mount")
    expect_log("of an earlier mount")
    expect_log("ours is (kept as|sent over)")
    mount = stage.mount(on_conflict=OnConflict.FAIL, close_wait_s=0.0, **SETTINGS)
    mount.close(changed_here_and_there(stage, mount))
    until(lambda: [u["permanent"] for u in mount.uploads()] == [True], "the conflict")
    mount.leave()
    again = stage.mount(on_conflict=policy, **SETTINGS)
    again.wait_sent()
    kept = {"f": THEIRS, "f.kept": OURS} if policy is OnConflict.KEEP_BOTH else {"f": OURS}
    assert content(stage) == shown(again) == kept


def test_r11_unmounting_ends_a_conflict_whoever_has_the_file_open(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """R22: after the mount is gone, every file counts as closed."""
    expect_log("ours is kept as")
    mount = stage.mount(**SETTINGS)
    mount.call("flush", changed_here_and_there(stage, mount))
    mount.stop()
    assert content(stage) == {"f": THEIRS, "f.kept": OURS}


def test_r11_made_here_and_there(stage: Stage, expect_log: ExpectLog) -> None:
    """Two clients make a file of one name: the later upload does not win."""
    expect_log("ours is kept as")
    mount = stage.mount(**SETTINGS)
    handle = mount.create("/f")
    mount.write(handle, OURS)
    stage.store("/f", THEIRS)
    mount.close(handle)
    mount.wait_sent()
    assert content(stage) == shown(mount) == {"f": THEIRS, "f.kept": OURS}


def test_r11_the_base_of_a_rename_over_a_file_is_what_was_there(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """R11: `mv new f` replaces the version that f had then, and no later one."""
    expect_log("ours is kept as")
    stage.store("/f", b"base")
    mount = stage.mount(threads=False, **SETTINGS)
    handle = mount.create("/new")
    mount.write(handle, OURS)
    mount.call("release", handle)
    mount.call("rename", "/new", "/f")
    stage.store("/f", THEIRS)
    mount.start()
    mount.wait_sent()
    assert content(stage) == shown(mount) == {"f": THEIRS, "f.kept": OURS}


@pytest.mark.parametrize("policy", [OnConflict.KEEP_BOTH, OnConflict.FAIL])
def test_r11_deleted_on_the_service_is_made_again(stage: Stage, policy: OnConflict) -> None:
    """R11: gone on the service while dirty: created again; renamed there is no difference."""
    stage.store("/f", b"base")
    mount = stage.mount(on_conflict=policy, **SETTINGS)
    mount.get("/f")
    handle = mount.open("/f", 2)
    mount.write(handle, OURS)
    stage.service.fake.put(stage.path("/elsewhere"), b"base")
    stage.service.fake.delete(stage.path("/f"))
    mount.close(handle)
    mount.wait_sent()
    assert content(stage) == shown(mount) == {"f": OURS, "elsewhere": b"base"}


def test_r11_a_container_that_is_gone_is_not_made_again(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """R11: FAILED, kept, listed; not even after a remount is the container made again."""
    expect_log("cannot be sent", level=logging.ERROR, count=None)
    expect_log("stay in .* for the next mount", count=2)
    expect_log("of an earlier mount")
    stage.mkdir("/d")
    mount = stage.mount(close_wait_s=0.0, **SETTINGS)
    handle = mount.create("/d/f")
    mount.write(handle, OURS)
    stage.service.fake.delete(stage.path("/d"))
    mount.close(handle)
    until(lambda: [u["state"] for u in mount.uploads()] == ["failed"], "it has failed")
    mount.stop()
    again = stage.mount(**SETTINGS)
    until(lambda: [u["permanent"] for u in again.uploads()] == [True], "it has failed again")
    assert again.get("/d/f") == OURS
    again.stop()
    assert stage.names() == set()


@pytest.mark.parametrize("ttl_s", [0.0, 60.0], ids=["noticed", "not-noticed"])
def test_r11_replaced_by_a_container(stage: Stage, expect_log: ExpectLog, ttl_s: float) -> None:
    """R11: a container is never sent over, whatever the policy, nor with an old confirmation."""
    policy = OnConflict.OVERWRITE
    expect_log("ours is kept as")
    stage.store("/f", b"base")
    mount = stage.mount(on_conflict=policy, attr_ttl_s=ttl_s, host="tower", close_wait_s=0.0)
    mount.get("/f")
    handle = mount.open("/f", 2)
    mount.write(handle, OURS)
    stage.service.fake.delete(stage.path("/f"))
    stage.mkdir("/f")
    stage.store("/f/child", b"c")
    mount.close(handle)
    mount.wait_sent()
    assert {KEPT_AS.sub(".kept", name) for name in stage.names()} == {"f", "f.kept"}
    assert mount.get("/f/child") == b"c"
    (kept,) = [name for name in mount.ls("/") if name != "f"]
    assert mount.get(f"/{kept}") == stage.stored(f"/{kept}") == OURS


@pytest.fixture(params=["vault", "cavern"])
def personality(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Happens = Callable[[Stage], None]


def replaced(stage: Stage) -> None:
    stage.store("/f", THEIRS)


def deleted(stage: Stage) -> None:
    stage.service.fake.delete(stage.path("/f"))


def became_a_container(stage: Stage) -> None:
    deleted(stage)
    stage.mkdir("/f")


@pytest.mark.parametrize(
    ("happens", "policy"),
    [
        (replaced, OnConflict.KEEP_BOTH),
        (replaced, OnConflict.OVERWRITE),
        (deleted, OnConflict.OVERWRITE),
        (became_a_container, OnConflict.FAIL),
    ],
)
def test_r06_holes_never_come_from_another_version(
    stage: Stage, expect_log: ExpectLog, happens: Happens, policy: OnConflict
) -> None:
    """R6: the base version is gone: `conflict (partial)`, kept, listed, never sent nor renamed."""
    expect_log("cannot be sent: conflict .partial.", level=logging.ERROR)
    expect_log("stay in .* for the next mount", count=2)
    expect_log("of an earlier mount")
    stage.store("/f", b"0123456789")
    mount = stage.mount(on_conflict=policy, close_wait_s=0.0, **SETTINGS)
    handle = mount.open("/f", 2)
    mount.write(handle, b"ab", 4)
    happens(stage)
    before = content(stage)
    mount.close(handle)
    until(lambda: [u["permanent"] for u in mount.uploads()] == [True], "the conflict")
    mount.stop()
    again = stage.mount(on_conflict=policy, **SETTINGS)
    until(lambda: [u["permanent"] for u in again.uploads()] == [True], "the conflict again")
    (upload,) = again.uploads()
    assert (upload["path"], upload["state"]) == ("/f", "conflict (partial)")
    handle = again.open("/f")
    assert again.call("read", handle, 2, 4) == b"ab"
    with pytest.raises(OSError, match=r"Stale|Input/output|Is a directory"):
        again.call("read", handle, 10, 0)
    again.close(handle)
    again.stop()
    assert content(stage) == before


def test_r11_a_base_version_that_comes_back_ends_the_conflict(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """vault's MD5 proves that it is the version that our changes are based on."""
    stage = open_stage("vault")
    expect_log("cannot be sent", level=logging.ERROR)
    expect_log("stay in .* for the next mount")
    expect_log("of an earlier mount")
    stage.store("/f", b"0123456789")
    mount = stage.mount(close_wait_s=0.0, **SETTINGS)
    handle = mount.open("/f", 2)
    mount.write(handle, b"ab", 4)
    stage.store("/f", THEIRS)
    mount.close(handle)
    until(lambda: [u["permanent"] for u in mount.uploads()] == [True], "the conflict")
    mount.stop()
    stage.store("/f", b"0123456789")
    again = stage.mount(**SETTINGS)
    again.wait_sent()
    assert content(stage) == {"f": b"0123ab6789"}


def test_r11_unreachable_is_never_taken_for_deleted(stage: Stage, expect_log: ExpectLog) -> None:
    expect_log("is not sent yet", count=None)
    expect_log("ours is kept as")
    mount = stage.mount(close_wait_s=0.0, **SETTINGS)
    handle = changed_here_and_there(stage, mount)
    stage.remote.plan(Fault("get_node", 2, stage.path("/f"), before=lost()))
    mount.close(handle)
    mount.wait_sent()
    assert content(stage) == {"f": THEIRS, "f.kept": OURS}


def test_r11_a_name_that_is_taken_is_not_used(stage: Stage, expect_log: ExpectLog) -> None:
    """Neither one on the service nor one that only this machine has."""
    expect_log("ours is kept as", count=2)
    stage.store("/f", b"base")
    mount = stage.mount(**SETTINGS)
    for round_ in range(2):
        mount.get("/f")
        handle = mount.open("/f", 2)
        mount.write(handle, OURS)
        stage.store("/f", THEIRS + bytes([round_]))
        mount.close(handle)
        mount.wait_sent()
    names = stage.names()
    assert len(names) == 3
    kept = [stage.stored(f"/{name}") or b"" for name in names - {"f"}]
    assert [data[: len(OURS)] for data in kept] == [OURS, OURS]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_r11_killed_at_each_request_of_a_conflict(
    open_stage: Open, personality: str, after: bool
) -> None:
    """A kill at any step of the resolution loses nothing: both are there in the end."""
    kills = 0
    with allowing(*MAY_BE_LOGGED):
        for number in range(1, 6):  # two looks at the name, one at the other, PUT, and its proof
            stage = open_stage(personality, close_wait_s=0.0, **SETTINGS)
            mount = stage.mount(threads=False)
            mount.call("release", changed_here_and_there(stage, mount))
            stage.killing("*", number, after=after)
            mount.start()
            until(lambda: stage.was_killed or not mount.uploads(), "the kill or the end")  # noqa: B023
            if stage.was_killed:
                kills += 1
                mount = stage.reopen()
                mount.wait_sent()
            assert shown(mount) == {"f": THEIRS, "f.kept": OURS}, f"killed at request {number}"
            mount.stop()
            assert content(stage) == {"f": THEIRS, "f.kept": OURS}, f"killed at request {number}"
            assert stage.left() == ([], [], [])
    assert kills >= 3
