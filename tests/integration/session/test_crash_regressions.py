"""What the crash sweep found, each defect reduced to what it needs."""

from __future__ import annotations

import os
from contextlib import suppress

from tests.integration.session.conftest import Open
from tests.support.crashsweep import AFTER_A_CRASH
from tests.support.faultydisk import COMMIT, WRITE, DiskFault
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, Killed, Stage, allowing, raising, until
from vofs.core.errors import CacheFull


def comes_back_and_is_sent(stage: Stage, path: str, data: bytes) -> None:
    """The next mount shows these bytes, and sends what it found."""
    with allowing(*AFTER_A_CRASH):
        again = stage.reopen()
        assert again.get(path) == data
        again.wait_sent()
        again.stop()


def test_r10_a_rename_that_is_carried_out_is_not_carried_out_again(stage: Stage) -> None:
    """R8, R10: killed right after the names changed, when only the aside was left to delete.

    The recovery took the moved row, with bytes that were never sent, for what was in the way.
    """
    stage.store("/f", b"old bytes")
    stage.store("/g", b"in the way")
    mount = stage.mount(threads=False, close_wait_s=0.0)
    handle = mount.open("/f", os.O_RDWR)
    mount.write(handle, b"NEW", 0)
    mount.call("release", handle)
    calls = stage.remote.calls

    def kill_once_moved() -> None:
        if [name for name, _ in calls].count("run_move") == 2:
            stage.kill()

    stage.changes.plan(DiskFault(name=COMMIT, times=100, after=kill_once_moved))
    with allowing("", when=lambda: stage.was_killed):
        try:
            mount.call("rename", "/f", "/g")
        except (OSError, Killed):
            assert stage.was_killed
        stage.bury()
    comes_back_and_is_sent(stage, "/g", b"NEW bytes")
    assert (stage.stored("/f"), stage.stored("/g")) == (None, b"NEW bytes")
    assert stage.left() == ([], [], [])


def test_r10_the_data_of_files_that_are_gone_leaves_the_disk(stage: Stage) -> None:
    """An unlinked, and a replaced, file that nobody had open kept its data file until a remount."""
    for name in ("/f", "/g", "/h"):
        stage.store(name, b"bytes of " + name.encode())
    mount = stage.mount()
    for name in ("/f", "/g", "/h"):
        mount.get(name)
    mount.call("unlink", "/f")
    mount.call("rename", "/g", "/h")
    assert mount.get("/h") == b"bytes of /g"
    until(lambda: len(os.listdir(stage.cache_dir / "data")) == 1, "the housekeeping")
    mount.stop()
    assert not stage.stray_data()


def test_r02_a_put_that_arrived_whole_is_known_as_ours_after_a_kill(stage: Stage) -> None:
    """Killed when all of the body has left, of a file that was changed here meanwhile.

    The service had the body, the index not yet its digest: our own version was called foreign.
    """
    mount = stage.mount(threads=False, close_wait_s=0.0)
    handle = mount.create("/f")
    mount.write(handle, b"as it was when it was cut")

    def change() -> None:
        mount.write(handle, b"LATER", 3)
        stage.changes.plan(DiskFault(name=COMMIT, before=stage.kill))

    stage.remote.plan(Fault("put_body", before=change))
    with allowing("", when=lambda: stage.was_killed):
        mount.call("flush", handle)
        mount.start()
        until(lambda: stage.was_killed, "the kill")
        stage.bury()
    with allowing(*AFTER_A_CRASH):
        again = stage.reopen()
        again.wait_sent()
        again.stop()
    assert stage.stored("/f") == b"as LATERs when it was cut"
    assert stage.names() == {"f"}


def test_r09_the_bytes_of_an_unlinked_file_stay_as_long_as_its_row(stage: Stage) -> None:
    """Decision 0005: until an unlink of an open file is committed, a crash undoes it, unharmed."""
    stage.store("/f", b"old bytes")
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR)
    mount.write(handle, b"NEW", 0)
    hidden = mount.hide("/f")
    mount.close(handle)
    mount.call("unlink", hidden)
    with suppress(Killed):
        stage.kill()
    comes_back_and_is_sent(stage, "/f", b"NEW bytes")
    assert stage.stored("/f") == b"NEW bytes"
    assert not stage.stray_data()


def test_r13_a_file_that_is_sent_as_it_was_is_stored(open_stage: Open) -> None:
    """Nothing was replaced by anything else: the upload hung in the state "uploading"."""
    stage = open_stage("vault")
    stage.store("/f", b"the same")
    mount = stage.mount()
    mount.overwrite("/f", b"the same")
    mount.wait_sent()
    assert stage.stored("/f") == b"the same"


def test_r13_r21_a_full_disk_after_a_put_leaves_no_upload_hanging(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """The service has the file: what the index cannot note is noted less, or sent again."""
    expect_log("not noted which version it replaced")
    stage = open_stage("vault", close_wait_s=0.0)
    stage.store("/f", b"old bytes")
    mount = stage.mount()
    stage.remote.plan(Fault("put_bytes", after=lambda: stage.changes.plan(full_once)))
    full_once = DiskFault(name=COMMIT, before=raising(CacheFull("no room")))
    mount.overwrite("/f", b"NEW")
    mount.wait_sent()
    assert stage.stored("/f") == b"NEW bytes"


def test_r02_no_changed_byte_is_called_clean(stage: Stage) -> None:
    """Killed in the middle of the first write: the dirty mark is in the index before it.

    Else the half that was written would be served as the service's, and be given up one day.
    """
    stage.store("/f", b"0123456789" * 10)
    mount = stage.mount(threads=False)
    mount.get("/f")
    handle = mount.open("/f", os.O_RDWR)
    stage.changes.plan(DiskFault(name=WRITE, midway=stage.kill))
    with allowing("", when=lambda: stage.was_killed):
        with suppress(OSError, Killed):
            mount.write(handle, b"ABCDEFGHIJ", 0)
        stage.bury()
    with allowing(*AFTER_A_CRASH):
        again = stage.reopen()
        shown = again.get("/f")
        again.wait_sent()
        again.stop()
    assert shown[10:] == b"0123456789" * 9
    assert stage.stored("/f") == shown
