"""Defects that the crash sweep and a review found, each reduced to what it needs."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import (
    Background,
    Fault,
    FaultyRemote,
    Stage,
    allowing,
    lost,
    raising,
    until,
)
from vofs.core.errors import PermissionDenied, RemoteFailed
from vofs.remote.api import PutReceipt

OLD = bytes(range(251)) * 12_000
MAY = ("is not sent yet", "stay in", "of an earlier mount", "cannot be sent")


@pytest.mark.parametrize("personality", ["cavern", "vault"])
def test_1_r06_holes_filled_for_an_upload_survive_its_kill(
    open_stage: Open, personality: str
) -> None:
    """The node is torn: what was fetched to fill holes is the only copy left."""
    stage = open_stage(personality, close_wait_s=0.0)
    stage.store("/f", OLD)
    inner = stage.service.remote

    class KilledInTheBody(FaultyRemote):
        def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
            def some() -> Iterator[bytes]:
                for number, chunk in enumerate(body):
                    if number == 1 and not stage.was_killed:
                        stage.kill()
                    yield chunk

            return inner.put_bytes(path, some(), size)

    stage.remote = KilledInTheBody(inner)
    with allowing(*MAY):
        stage.mount().overwrite("/f", b"0123456789", 1_000_000)
        until(lambda: stage.was_killed, "the kill")
        again = stage.reopen(close_wait_s=0.0)
        try:
            until(lambda: all(u["state"] == "conflict" for u in again.uploads()), "the end")
            assert stage.stored("/f") == OLD[:1_000_000] + b"0123456789" + OLD[1_000_010:]
        finally:
            again.leave()


def test_2_a_never_sent_file_renamed_to_its_own_name_in_nfd(stage: Stage) -> None:
    """DATA LOSS: both spellings are one node path; the row and the data file are dropped."""
    nfc, nfd = ("/" + unicodedata.normalize(form, "é") for form in ("NFC", "NFD"))
    mount = stage.mount()
    handle = mount.create(nfc)
    mount.write(handle, b"data")
    mount.call("rename", nfc, nfd)
    assert mount.stat(nfd).size == 4
    mount.close(handle)
    mount.stop()
    assert stage.stored(nfc) == b"data"


def test_3_upload_filling_holes_and_rename_wait_in_a_circle(open_stage: Open) -> None:
    """A download inside an upload waits at no gate: the hold there waits for the upload."""
    stage = open_stage("vault", close_wait_s=0.0, attr_ttl_s=0.0, timeout_s=3.0)
    stage.store("/f", OLD)
    mount = stage.mount()
    gate = stage.remote.hold("get_node", stage.path("/f"), nth=2)  # the upload confirms its base
    mount.overwrite("/f", b"y", 1000)
    gate.wait_until_reached()
    renaming = Background(lambda: mount.call("rename", "/f", "/g"))
    gate.open()
    renaming.result()
    assert mount.exists("/g")


def test_4_a_rename_over_an_empty_directory_whose_delete_is_in_doubt(stage: Stage) -> None:
    """The replaced directory waits aside, so a lost answer to its deletion harms nobody."""
    stage.mkdir("/a")
    stage.mkdir("/b")
    mount = stage.mount()
    stage.remote.plan(Fault("delete_node", after=lost()))
    with allowing("stays on the service for now"):
        mount.call("rename", "/a", "/b")
        assert mount.exists("/b")
        assert not mount.exists("/a")


@pytest.mark.parametrize("after", [False, True])
def test_4b_the_same_killed(stage: Stage, after: bool) -> None:
    stage.mkdir("/a")
    stage.mkdir("/b")
    with allowing("was interrupted", "stays on the service for now"):
        mount = stage.mount(threads=False)
        stage.killing("create_move" if not after else "delete_node", after=after)
        with suppress(OSError):
            mount.call("rename", "/a", "/b")
        stage.reopen().stop()
    assert stage.names() in ({"a", "b"}, {"b"})


def test_5_an_undo_that_is_refused_leaves_the_name_missing(open_stage: Open) -> None:
    """Two answers of 500 in a row: the scheduler goes on until b is back."""
    stage = open_stage("vault", timeout_s=1.0)
    stage.store("/a", b"1")
    stage.store("/b", b"2")
    mount = stage.mount()
    stage.remote.plan(Fault("create_move", nth=2, times=2, before=raising(RemoteFailed("500"))))
    with allowing("in doubt"):
        with pytest.raises(OSError):
            mount.call("rename", "/a", "/b")
        until(lambda: stage.has("/b"), "b is back")


def test_6_unlinked_while_open_twice(stage: Stage) -> None:
    """The second hide does not make the first one forgotten: the node is deleted."""
    stage.store("/f", b"unlinked")
    mount = stage.mount()
    one = mount.open("/f")
    hidden = [mount.hide("/f")]
    two = mount.create("/f")
    mount.write(two, b"never sent")
    hidden.append(mount.hide("/f", "/.fuse_hidden0000000a00000002"))
    for handle, name in zip((one, two), hidden, strict=True):
        mount.call("release", handle)
        mount.call("unlink", name)
    until(lambda: not stage.has("/f"), "its node goes")


def test_7_reading_a_failed_file_sends_it_again(open_stage: Open) -> None:
    """R7: FAILED stays FAILED when somebody only reads."""
    stage = open_stage("vault", close_wait_s=0.0)
    stage.remote.plan(Fault("put_bytes", times=99, before=raising(PermissionDenied("no"))))
    with allowing(*MAY):
        mount = stage.mount()
        mount.put("/f", b"bytes")
        until(lambda: mount.uploads()[0]["state"] == "failed", "it failed")
        sent = stage.remote.count("put_bytes")
        mount.get("/f")
        assert mount.uploads()[0]["retry_in_s"] is None, "nothing is queued"
        mount.leave()
    assert stage.remote.count("put_bytes") == sent == 1


def test_8_a_changed_file_whose_node_somebody_deleted_is_still_listed(stage: Stage) -> None:
    stage.store("/f", b"old")
    mount = stage.mount(threads=False, attr_ttl_s=0.0, negative_ttl_s=0.0)
    handle = mount.open("/f", 2)
    mount.write(handle, b"new")
    mount.call("release", handle)
    stage.service.fake.delete(stage.path("/f"))
    assert mount.stat("/f").size == 3
    assert mount.ls("/") == ["f"]
    mount.call("unlink", "/f")
    assert not mount.exists("/f")


@pytest.mark.parametrize("source", ["/new", "/sent"])
def test_9_a_rename_over_a_file_whose_upload_arrived_unnoticed(
    open_stage: Open, expect_log: ExpectLog, source: str
) -> None:
    """What the lost answer had stored was taken for somebody else's: EEXIST, or a conflict (R8)."""
    expect_log("is not sent yet", count=None)
    stage = open_stage("vault", close_wait_s=0.0, attr_ttl_s=0.0)
    stage.store("/sent", b"moved")
    mount = stage.mount()

    def unnoticed() -> None:
        refused = raising(RemoteFailed("not now"))
        stage.remote.plan(Fault("get_node", path=stage.path("/f"), times=99, before=refused))
        lost()()

    stage.remote.plan(Fault("put_bytes", path=stage.path("/f"), after=unnoticed))
    mount.put("/f", b"replaced")
    until(lambda: mount.uploads()[0]["attempts"] > 1, "a look that is refused")
    handle = mount.create("/new")
    mount.write(handle, b"moved")
    stage.remote.heal()
    mount.call("rename", source, "/f")
    mount.call("release", handle)
    mount.control(command="hasten")
    mount.wait_sent()
    assert mount.ls("/") == (["f", "new"] if source == "/sent" else ["f", "sent"])
    assert (mount.get("/f"), stage.stored("/f")) == (b"moved", b"moved")
