"""A cache directory that lacks something, and what is on record of it afterwards."""

from __future__ import annotations

import logging
import os
import resource
from contextlib import suppress

import pytest

from tests.integration.session.conftest import Open
from tests.support.faultydisk import COMMIT, DiskFault
from tests.support.logs import ExpectLog
from tests.support.sessions import Background, Fault, Killed, ManualClock, raising
from tests.support.steps import sent
from vofs.core.errors import CacheFull, MountUnusable, RemoteUnavailable

OURS, THEIRS = b"ours", b"somebody else's later version"
FULL = CacheFull("no room for the index")


def test_unsent_files_are_not_set_aside_because_too_many_files_are_open(open_stage: Open) -> None:
    stage = open_stage("vault", close_wait_s=0.0)
    mount = stage.mount(threads=False)
    for number in range(300):
        mount.put(f"/f{number}", OURS)
    mount.stop()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 150, hard))
    try:
        with suppress(MountUnusable):
            stage.mount(threads=False).stop()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(stage.left()[2]) == 300


def test_r01_a_put_that_broke_is_remembered_although_its_row_cannot_be_saved(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet: no room")
    stage = open_stage("cavern", close_wait_s=0.0)
    mount = stage.mount(threads=False)
    mount.put("/f", OURS * 100)
    file = mount.session.files[0]
    real = file._save

    def breaks() -> None:
        def save(**_: object) -> None:
            file._save = real  # type: ignore[method-assign]
            raise FULL

        file._save = save  # type: ignore[method-assign]
        raise RemoteUnavailable("broke", sent=True)

    stage.remote.plan(Fault("put_body", before=breaks))
    mount.step()
    assert mount.session._doubts.is_provisional(stage.path("/f"))


def test_a_file_that_arrived_and_whose_row_cannot_be_saved_does_not_come_back_as_unsent(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """Else it is in doubt for the rest of the mount, and its old bytes are served."""
    expect_log("not noted which version", count=None)
    expect_log("after the upload of", logging.ERROR)
    clock = ManualClock()
    stage = open_stage("vault", clock, close_wait_s=0.0, attr_ttl_s=1.0, negative_ttl_s=1.0)
    mount = stage.mount(threads=False)
    mount.put("/f", OURS)
    fills = DiskFault(name=COMMIT, times=1000, before=raising(FULL))
    stage.remote.plan(Fault("put_bytes", after=lambda: stage.changes.plan(fills)))
    mount.step()
    stage.changes.heal()
    stage.store("/f", THEIRS)
    clock.advance(5.0)
    assert mount.get("/f") == THEIRS
    sent(mount)
    assert mount.uploads() == []


def test_r22_a_tombstone_that_cannot_be_noted_does_not_keep_uploads_from_being_sent(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """And nobody is told that all was sent."""
    expect_log("unlinked files may come back", logging.ERROR)
    stage = open_stage("vault", close_wait_s=0.0, save_delay_s=60.0)
    stage.store("/old", THEIRS)
    mount = stage.mount()
    mount.open("/old")
    mount.put("/f", OURS)  # rests: nobody waits for its upload
    mount.hide("/old")
    stage.changes.plan(DiskFault(name=COMMIT, before=raising(FULL)))
    mount.stop()
    assert (stage.stored("/f"), mount.session.left) in ((OURS, 0), (None, 1))


def test_create_that_meets_an_open_of_the_same_row(open_stage: Open, expect_log: ExpectLog) -> None:
    """What is created has a row of its own, or is the file that was opened: never one of each."""
    expect_log("files of an earlier mount")
    stage = open_stage("vault", attr_ttl_s=0.0, negative_ttl_s=0.0, close_wait_s=0.0)
    stage.store("/f", THEIRS)
    mount = stage.mount(threads=False)
    mount.get("/f")
    stage.service.remote.delete_node(stage.path("/f"))
    table = mount.session._table
    opened: list[str] = []
    real = table._row_busy

    def row_busy(path: str) -> object:
        if not opened:
            opened.append(path)
            stage.store("/f", THEIRS)
            Background(lambda: mount.open("/f")).result()
        return real(path)

    table._row_busy = row_busy  # type: ignore[assignment,method-assign]
    mount.write(mount.create("/f"), b"precious")
    with pytest.raises(Killed):
        stage.kill()
    assert stage.reopen(threads=False).get("/f")[:8] == b"precious"
