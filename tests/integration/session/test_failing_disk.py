"""A local disk that fails: what close and fsync say of it (R5, R18)."""

from __future__ import annotations

import errno
import logging

import pytest

from tests.integration.session.test_writeback import sent
from tests.support.logs import ExpectLog
from tests.support.sessions import Stage, raising
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
