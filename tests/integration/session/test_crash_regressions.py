"""What the crash sweep found, each defect reduced to what it needs."""

from __future__ import annotations

import os

from tests.support.crashsweep import AFTER_A_CRASH
from tests.support.faultydisk import COMMIT, DiskFault
from tests.support.sessions import Killed, Stage, allowing


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
    with allowing(*AFTER_A_CRASH):
        again = stage.reopen()
        assert again.get("/g") == b"NEW bytes"
        again.wait_sent()
        again.stop()
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
    assert len(os.listdir(stage.cache_dir / "data")) == 1
    mount.stop()
    assert not stage.stray_data()
