"""R8, R9, R10: unlinks and renames beside uploads, open files and kills, one session at a time."""

from __future__ import annotations

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Background, Fault, Stage, raising
from vofs.core.errors import PermissionDenied, RemoteUnavailable

DATA = bytes(range(251)) * 4000  # 1 MB


def test_r08_a_change_of_a_name_waits_for_its_upload(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0)
    gate = stage.remote.hold("put_bytes")
    mount.put("/f", b"bytes")
    gate.wait_until_reached()
    renaming = Background(lambda: mount.call("rename", "/f", "/g"))
    assert not renaming.ended
    gate.open()
    renaming.result()
    assert mount.get("/g") == b"bytes"
    mount.stop()
    assert (stage.stored("/f"), stage.stored("/g")) == (None, b"bytes")


def test_r08_a_change_that_cannot_wait_is_busy_and_changes_nothing(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0, timeout_s=0.2)
    gate = stage.remote.hold("put_bytes")
    mount.put("/f", b"bytes")
    gate.wait_until_reached()
    for change in (("unlink", "/f"), ("rename", "/f", "/g")):
        with pytest.raises(OSError, match="busy"):
            mount.call(*change)
    gate.open()
    mount.wait_sent()
    assert stage.stored("/f") == b"bytes"


def test_r08_a_refused_deletion_keeps_what_is_pending(stage: Stage) -> None:
    stage.store("/f", b"old")
    mount = stage.mount(threads=False)
    handle = mount.open("/f", 2)
    mount.write(handle, b"new")
    mount.call("release", handle)
    stage.remote.plan(Fault("delete_node", before=raising(PermissionDenied("no"))))
    with pytest.raises(PermissionError):
        mount.call("unlink", "/f")
    mount.start()
    mount.wait_sent()
    assert stage.stored("/f") == b"new"


def test_r09_unlinked_while_open_is_readable_and_then_gone(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    handle = mount.open("/f")
    hidden = mount.hide("/f")
    assert not mount.exists("/f")
    assert mount.ls("/") == []
    assert mount.call("read", handle, 2_000_000, 0) == DATA
    assert mount.call("getattr", None, handle).size == len(DATA)
    mount.call("release", handle)
    mount.call("unlink", hidden)
    mount.wait_for(lambda: not stage.has("/f"), "its node goes")
    mount.stop()
    assert stage.left() == ([], [], [])


def test_r09_a_rename_over_an_open_file_leaves_both_right(open_stage: Open) -> None:
    stage = open_stage("vault")  # on cavern the fake gives a moved file a new date
    stage.store("/a", b"source")
    stage.store("/b", b"target, replaced")
    mount = stage.mount()
    handle = mount.open("/b")
    hidden = mount.hide("/b")
    mount.call("rename", "/a", "/b")
    assert mount.call("read", handle, 100, 0) == b"target, replaced"
    mount.call("release", handle)
    mount.call("unlink", hidden)
    mount.wait_for(lambda: stage.names() == {"b"}, "the aside goes")
    assert stage.stored("/b") == b"source"
    mount.stop()
    assert stage.left() == ([], [], [])


def test_r09_when_the_second_rename_fails_the_name_comes_back(stage: Stage) -> None:
    stage.store("/a", b"source")
    stage.store("/b", b"target")
    mount = stage.mount(threads=False)
    handle = mount.open("/b")
    hidden = mount.hide("/b")
    stage.remote.plan(Fault("create_move", before=raising(PermissionDenied("no"))))
    with pytest.raises(PermissionError):
        mount.call("rename", "/a", "/b")
    assert mount.get("/b") == b"target"
    mount.call("release", handle)
    mount.call("unlink", hidden)  # libfuse does, and it means nothing now
    mount.start()
    mount.stop()
    assert (stage.stored("/a"), stage.stored("/b")) == (b"source", b"target")
    assert stage.left() == ([], [], [])


@pytest.mark.parametrize("replaced", [False, True])
def test_r09_after_a_restart_only_the_same_version_is_deleted(
    stage: Stage, replaced: bool, expect_log: ExpectLog
) -> None:
    stage.store("/f", b"unlinked")
    mount = stage.mount(threads=False)
    mount.open("/f")
    mount.hide("/f")
    mount.call("release", mount.create("/f"))  # which makes the unlink before it durable
    mount.call("unlink", "/f")
    with pytest.raises(RemoteUnavailable):
        stage.kill()
    if replaced:
        stage.store("/f", b"somebody else's")
        expect_log("was replaced on the service: not deleted")
    again = stage.reopen()
    again.wait_for(lambda: again.exists("/f") if replaced else not stage.has("/f"), "it is settled")
    again.stop()
    assert stage.stored("/f") == (b"somebody else's" if replaced else None)
    assert stage.left() == ([], [], [])


def test_r10_a_destination_that_became_a_container(open_stage: Open) -> None:
    """The service nests a move into a container: moved back, and said."""
    stage = open_stage("vault")
    stage.store("/a", b"source")
    mount = stage.mount()
    assert not mount.exists("/b")
    stage.remote.plan(Fault("run_move", before=lambda: stage.mkdir("/b")))
    with pytest.raises(IsADirectoryError):
        mount.call("rename", "/a", "/b")
    assert stage.stored("/a") == b"source"
    assert stage.names("/b") == set()
    mount.stop()
    assert stage.left() == ([], [], [])
