"""A local disk that fails: what close and fsync say of it (R5, R18)."""

from __future__ import annotations

import errno
import logging
import os

import pytest

from tests.support.faultydisk import SYNC, DiskFault
from tests.support.logs import ExpectLog
from tests.support.sessions import Killed, Stage, raising
from tests.support.steps import sent
from vofs.core.errors import CacheDamaged

DATA = b"ours" * 1000
EIO = raising(CacheDamaged("read at 0: Input/output error"))


def test_r18_what_cannot_be_read_back_is_reported_and_kept(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """Not tried again without end: a later try may succeed."""
    expect_log("cannot be sent", level=logging.ERROR)
    mount = stage.mount(threads=False, close_wait_s=0.0, settle_s=0.0)
    handle = mount.create("/f")
    mount.write(handle, DATA)
    mount.call("flush", handle)
    stage.changes.before_read = EIO
    sent(mount)
    (listed,) = mount.uploads()
    assert listed["permanent"]
    with pytest.raises(OSError) as caught:
        mount.call("flush", handle)
    assert caught.value.errno == errno.EIO
    stage.changes.before_read = None
    mount.write(handle, DATA)
    mount.close(handle)
    for _ in range(3):  # where a PUT broke, what comes after it is looked at again (R1)
        sent(mount)
    assert (stage.stored("/f"), mount.uploads()) == (DATA, [])


def test_r18_a_failed_fsync_promises_nothing_until_the_bytes_are_elsewhere(stage: Stage) -> None:
    """The kernel tells it once; after that the pages that it could not write are called clean."""
    mount = stage.mount(threads=False, close_wait_s=0.0, settle_s=0.0)
    handle = mount.create("/f")
    mount.write(handle, DATA)
    stage.changes.plan(DiskFault(name=SYNC, before=EIO))
    for _ in range(3):
        with pytest.raises(OSError) as caught:
            mount.call("fsync", handle, 0)
        assert caught.value.errno == errno.EIO
    file = mount.session.files[0]
    synced, number = file.is_synced, file.number
    assert not synced
    mount.call("flush", handle)
    sent(mount)
    assert (stage.stored("/f"), mount.uploads()) == (DATA, [])
    mount.write(handle, b"more")
    mount.call("fsync", handle, 0)
    assert file.is_synced
    assert file.number != number, "in the same data file the old bytes may be gone"
    mount.close(handle)
    for _ in range(3):
        sent(mount)
    assert stage.stored("/f") == b"more" + DATA[4:]


def test_r18_a_failed_fsync_is_not_forgotten_by_a_kill(stage: Stage, expect_log: ExpectLog) -> None:
    """Nor by a clean unmount: the next mount would be told that the lost pages are on the disk."""
    expect_log("of an earlier mount are sent now", count=None)
    mount = stage.mount(threads=False, close_wait_s=60.0)
    handle = mount.create("/f")
    mount.write(handle, DATA)
    stage.changes.plan(DiskFault(name=SYNC, before=EIO))
    with pytest.raises(OSError):
        mount.call("fsync", handle, 0)
    with pytest.raises(Killed):
        stage.kill()
    again = stage.reopen(threads=False, close_wait_s=0.0)
    handle = again.open("/f", os.O_RDWR)
    again.write(handle, b"more")
    with pytest.raises(OSError) as caught:
        again.call("fsync", handle, 0)
    assert caught.value.errno == errno.EIO
    again.call("flush", handle)
    sent(again)
    again.write(handle, b"last")
    again.call("fsync", handle, 0)
    again.close(handle)
    sent(again)
    assert stage.stored("/f") == b"last" + DATA[4:]


def test_r18_a_file_that_is_written_anew_after_a_failed_fsync_can_be_synced(stage: Stage) -> None:
    mount = stage.mount(threads=False, close_wait_s=0.0)
    handle = mount.create("/f")
    mount.write(handle, DATA)
    stage.changes.plan(DiskFault(name=SYNC, before=EIO))
    with pytest.raises(OSError):
        mount.call("fsync", handle, 0)
    mount.call("truncate", "/f", 0, handle)
    mount.write(handle, b"again")
    mount.call("fsync", handle, 0)
    assert mount.session.files[0].is_synced
    mount.close(handle)
