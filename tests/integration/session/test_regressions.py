"""Defects that reading the code or these tests found, reduced; each was there once."""

from __future__ import annotations

import logging

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Background, Fault, Stage, allowing, lost, raising, until
from vofs.core.errors import PermissionDenied, RemoteFailed, RemoteUnavailable
from vofs.core.nodes import IS_LOCKED


def test_an_unlinked_open_file_does_not_come_back_over_a_newer_one(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """R9: the rename that fails was not the one that the hide belonged to."""
    expect_log("is not sent yet", count=None)
    stage.store("/a", b"source")
    stage.store("/b", b"unlinked")
    mount = stage.mount(close_wait_s=0.0)
    handle = mount.open("/b")
    mount.call("read", handle, 100, 0)
    mount.hide("/b")
    stage.remote.plan(Fault("put_bytes", times=99, before=raising(RemoteUnavailable("down"))))
    mount.put("/b", b"newer")
    until(lambda: bool(mount.uploads()[0]["attempts"]), "the first try")
    stage.remote.plan(Fault("create_move", before=raising(PermissionDenied("no"))))
    with pytest.raises(PermissionError):
        mount.call("rename", "/a", "/b")
    assert mount.get("/b") == b"newer"
    mount.call("release", handle)
    mount.wait_for(lambda: any(it["attempts"] for it in mount.uploads()), "an upload fails")
    stage.remote.heal()
    mount.control(command="hasten")
    mount.wait_sent()
    assert stage.stored("/b") == b"newer"


def test_an_upload_over_a_tombstone_does_not_wait_for_itself(stage: Stage) -> None:
    stage.store("/b", b"unlinked")
    mount = stage.mount()
    handle = mount.open("/b")
    mount.hide("/b")
    mount.put("/b", b"newer")
    assert stage.stored("/b") == b"newer"
    mount.call("release", handle)


def test_mkdir_over_a_tombstone_does_not_wait_for_itself(stage: Stage) -> None:
    stage.store("/b", b"unlinked")
    mount = stage.mount(timeout_s=1.0)
    handle = mount.open("/b")
    mount.hide("/b")
    mount.call("mkdir", "/b", 0o755)
    assert mount.ls("/") == ["b"]
    mount.call("release", handle)


def test_a_hide_of_a_file_just_closed_is_undone_like_any_other(stage: Stage) -> None:
    """libfuse takes it for open until its release is answered."""
    stage.store("/a", b"source")
    stage.store("/b", b"target")
    mount = stage.mount()
    mount.close(mount.open("/b"))
    mount.hide("/b")
    stage.remote.plan(Fault("create_move", before=raising(PermissionDenied("no"))))
    with pytest.raises(PermissionError):
        mount.call("rename", "/a", "/b")
    assert mount.get("/b") == b"target"
    mount.stop()
    assert stage.stored("/b") == b"target"


def test_two_renames_onto_one_name_that_left_their_asides_do_not_stop_the_next_mount(
    stage: Stage,
) -> None:
    stage.store("/a", b"1")
    stage.store("/b", b"2")
    stage.store("/c", b"3")
    with allowing("stays on the service for now", "was interrupted"):
        mount = stage.mount(threads=False)
        stage.remote.plan(Fault("delete_node", times=9, before=raising(RemoteUnavailable("down"))))
        mount.call("rename", "/a", "/b")
        mount.call("rename", "/c", "/b")
        mount.stop()
        stage.remote.heal()
        again = stage.mount()
        again.stop()
    assert stage.stored("/b") == b"3"
    assert stage.left() == ([], [], [])
    assert stage.names() == {"b"}


def test_a_refused_open_pays_its_use_back(open_stage: Open) -> None:
    stage = open_stage("vault", attr_ttl_s=0.0, close_wait_s=0.0)
    stage.mkdir("/d")
    stage.store("/d/f", b"x")
    mount = stage.mount()
    gate = stage.remote.hold("put_bytes")
    handle = mount.open("/d/f", 2)
    mount.write(handle, b"y")
    stage.service.fake.set_property(stage.path("/d"), IS_LOCKED, "true")
    with pytest.raises(PermissionError):
        mount.open("/d/f", 2)
    stage.service.fake.set_property(stage.path("/d"), IS_LOCKED, None)
    mount.close(handle)
    gate.open()
    mount.wait_sent()
    until(lambda: mount.control(command="drop", path="/")["dropped"] == 1, "nobody uses it")


@pytest.mark.parametrize("call", ["flush", "fsync"])
def test_r18_a_permanent_error_is_told_once_without_new_bytes(
    stage: Stage, call: str, expect_log: ExpectLog
) -> None:
    expect_log("cannot be sent", level=logging.ERROR, count=None)
    expect_log("stay in .* for the next mount")
    mount = stage.mount(close_wait_s=0.0)
    stage.remote.plan(Fault("put_bytes", times=9, before=raising(PermissionDenied("no"))))
    handle = mount.create("/f")
    mount.write(handle, b"y")
    mount.call("flush", handle)
    until(lambda: mount.uploads()[0]["state"] == "failed", "it failed")
    arguments = (handle,) if call == "flush" else (handle, 0)
    with pytest.raises(OSError, match="Input/output"):
        mount.call(call, *arguments)
    mount.call(call, *arguments)
    mount.call("release", handle)
    mount.leave()


def test_r16_a_listing_in_flight_does_not_undo_an_upload(stage: Stage) -> None:
    stage.store("/old", b"1")
    mount = stage.mount()
    gate = stage.remote.hold_answer("list_children")
    listing = Background(lambda: mount.ls("/"))
    gate.wait_until_reached()
    mount.put("/new", b"new")
    mount.overwrite("/old", b"longer")
    gate.open()
    listing.result()
    assert mount.exists("/new")
    assert mount.ls("/") == ["new", "old"]
    assert mount.stat("/old").size == 6
    assert mount.get("/old") == b"longer"


def test_r16_a_question_in_flight_does_not_undo_an_upload(stage: Stage) -> None:
    stage.store("/old", b"1")
    mount = stage.mount()
    gate = stage.remote.hold_answer("get_node", stage.path("/old"))
    question = Background(lambda: mount.stat("/old"))
    gate.wait_until_reached()
    mount.overwrite("/old", b"longer")
    gate.open()
    question.result()
    assert mount.stat("/old").size == 6
    assert mount.get("/old") == b"longer"


def test_a_job_that_cannot_be_looked_at_is_not_refused(open_stage: Open) -> None:
    """R8: from RUN on nothing is "not done" before somebody has looked."""
    stage = open_stage("vault", timeout_s=0.5)
    stage.store("/a", b"1")
    stage.store("/b", b"2")
    mount = stage.mount()
    with allowing("is still in doubt"):
        stage.remote.plan(
            Fault("run_move", nth=2, after=lost()),
            Fault("move_status", times=99, before=raising(RemoteFailed("500"))),
        )
        with pytest.raises(TimeoutError):
            mount.call("rename", "/a", "/b")
        stage.remote.heal()
        until(lambda: mount.ls("/") == ["b"], "a is at b")
    assert mount.get("/b") == b"1"
    mount.stop()
    assert stage.left() == ([], [], [])


def test_r11_a_shorter_foreign_version_is_no_torn_put_where_puts_are_atomic(
    open_stage: Open,
) -> None:
    stage = open_stage("vault", close_wait_s=0.0, attr_ttl_s=0.0)
    stage.store("/f", b"original")

    def replaced_by_somebody() -> None:
        stage.store("/f", b"other")
        raise RemoteUnavailable("the answer is lost", sent=True)

    with allowing("is not sent yet", "ours is kept as"):
        mount = stage.mount()
        stage.remote.plan(Fault("put_bytes", before=replaced_by_somebody))
        handle = mount.open("/f", 0o1001)
        mount.write(handle, b"ours, and longer")
        mount.close(handle)
        mount.wait_sent()
        assert stage.stored("/f") == b"other"
        (kept,) = stage.names() - {"f"}
        assert stage.stored(f"/{kept}") == b"ours, and longer"


def test_a_directory_that_was_made_is_there_even_if_looking_fails(stage: Stage) -> None:
    mount = stage.mount()
    assert not mount.exists("/d")
    down = raising(RemoteUnavailable("down"))
    stage.remote.plan(Fault("get_node", path=stage.path("/d"), before=down))
    mount.call("mkdir", "/d", 0o755)
    assert mount.exists("/d")


def test_status_counts_what_is_to_be_deleted(stage: Stage) -> None:
    stage.store("/f", b"old")
    mount = stage.mount()
    handle = mount.open("/f")
    hidden = mount.hide("/f")
    assert mount.control(command="status")["to_be_deleted"] == 1
    mount.call("release", handle)
    mount.call("unlink", hidden)
    until(lambda: mount.control(command="status")["to_be_deleted"] == 0, "it is deleted")


def test_a_new_version_of_a_queued_file_does_not_hold_up_the_unmount(open_stage: Open) -> None:
    """Its number changed: the entry of the old one had stayed in the queue."""
    stage = open_stage(
        "vault", close_wait_s=0.0, attr_ttl_s=0.0, upload_workers=1, timeout_s=20.0
    )  # fmt: skip
    mount = stage.mount()
    first = stage.remote.hold("put_bytes", stage.path("/a"))
    handle = mount.create("/a")
    mount.write(handle, b"a")
    mount.call("flush", handle)
    first.wait_until_reached()
    second = stage.remote.hold("put_bytes", stage.path("/b"))
    mount.put("/b", b"b")
    mount.call("release", handle)  # due once more, behind /b
    first.open()
    second.wait_until_reached()
    stage.store("/a", b"foreign")
    assert mount.get("/a") == b"foreign"
    second.open()
    mount.wait_sent()
    unmounting = Background(mount.stop)
    until(lambda: unmounting.ended, "it is unmounted")
    unmounting.result()


def test_r10_killed_after_a_move_that_the_service_nested(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.store("/a", b"source")
    with allowing("was interrupted"):
        mount = stage.mount(threads=False)
        stage.remote.plan(
            Fault("run_move", before=lambda: stage.mkdir("/b"), after=stage.kill)
        )  # fmt: skip
        with pytest.raises(OSError, match=r"Input/output|timed out"):
            mount.call("rename", "/a", "/b")
        again = stage.reopen()
        until(lambda: stage.stored("/a") == b"source", "it is moved back")
        assert again.get("/a") == b"source"
        again.stop()
    assert stage.left() == ([], [], [])


def test_r13_the_same_bytes_again_replace_nothing(stage: Stage) -> None:
    """The note of what was replaced had no end then; the upload stood as running for ever."""
    stage.store("/f", b"same")
    mount = stage.mount()
    for _ in range(2):
        mount.overwrite("/f", b"same")
    assert mount.uploads() == []
    assert stage.remote.count("put_bytes") == 2


@pytest.mark.parametrize(("source", "destination"), [("/sent", "/f"), ("/f", "/sent")])
def test_r08_a_rename_of_what_may_not_have_arrived_is_busy_and_not_enoent(
    open_stage: Open, expect_log: ExpectLog, source: str, destination: str
) -> None:
    """The stress test: a program that is told ENOENT takes its file for gone, or moved."""
    expect_log("is not sent yet")
    expect_log("stay in .* for the next mount")
    stage = open_stage("cavern", close_wait_s=0.0, settle_s=3600.0)
    stage.store("/sent", b"old")
    mount = stage.mount()
    broke = raising(RemoteUnavailable("broke", sent=True))
    stage.remote.plan(Fault("put_bytes", before=broke))
    mount.put("/f", b"new")
    until(lambda: bool(mount.uploads()[0]["attempts"]), "the broken try")
    with pytest.raises(OSError, match="busy"):
        mount.call("rename", source, destination)
    assert (mount.get("/f"), mount.get("/sent")) == (b"new", b"old")
    assert stage.stored("/sent") == b"old"
    mount.leave()


def test_r09_a_rescue_goes_on_although_the_last_handle_closes(stage: Stage) -> None:
    """R9: what an open handle lacks is fetched before its node goes; the handle closes before that.

    The file stays in use until the rescue has ended: it never works on one that is put away.
    """
    stage.store("/f", b"0123456789")
    mount = stage.mount(threads=False)
    handle = mount.open("/f")
    hidden = mount.hide("/f")
    gate = mount.session._parts.gate
    hold = gate.hold((stage.path("/f"),), 0)
    making = Background(lambda: mount.call("mkdir", "/f", 0o755))
    until(lambda: making.is_inside("wait_while_held"), "the rescue")
    mount.call("release", handle)
    mount.call("unlink", hidden)
    assert len(mount.session.files) == 1
    gate.release(hold)
    making.result()
    assert mount.session.files == []
    assert mount.stat("/f").is_directory
