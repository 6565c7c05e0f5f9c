"""The node of a file that was unlinked while it was open, where an upload of it had broken (R9).

Where a PUT truncates, what stands under the name then is the version from before, what the PUT
left, or what it makes of it yet: all of that goes.  What somebody else stores stays.
"""

from __future__ import annotations

import os

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Mounted, Stage, allowing, lost
from tests.support.steps import sent
from vofs.cache.unlinked import GRACE_S
from vofs.core.errors import RemoteUnavailable

SETTLE_S = 60.0
BEFORE = b"the version from before " * 800
AFTER_A_CRASH = ("of an earlier mount",)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def cavern(open_stage: Open, clock: ManualClock) -> Stage:
    """PUTs truncate."""
    stage = open_stage("cavern", clock, close_wait_s=0.0, settle_s=SETTLE_S)
    stage.store("/f", BEFORE)
    return stage


def not_sent(stage: Stage, mount: Mounted, size: int) -> int:
    """A handle of /f, which was cut to `size` bytes and changed here; its PUT never got there."""
    handle = mount.open("/f", os.O_RDWR)
    mount.call("truncate", "/f", size, handle)
    mount.write(handle, b"changed here")
    mount.call("flush", handle)
    stage.remote.plan(Fault("put_bytes", before=lost("it never got there")))
    before = stage.remote.count("put_bytes")
    sent(mount)
    assert stage.remote.count("put_bytes") == before + 1
    return handle


def unlinked(mount: Mounted, handle: int, clock: ManualClock) -> None:
    """/f is unlinked, closed, and due to go on the service."""
    hidden = mount.hide("/f")
    mount.close(handle)
    mount.call("unlink", hidden)
    clock.advance(2 * GRACE_S)


@pytest.mark.parametrize("settled", [False, True])
@pytest.mark.parametrize("left", [None, BEFORE[:1000], b""])
def test_r9_what_a_put_that_broke_left_or_did_not_touch_goes_with_its_name(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog, settled: bool, left: bytes | None
) -> None:
    """It was answered "done": the longer version from before does not come back."""
    expect_log("is not sent yet")
    mount = cavern.mount(threads=False)
    handle = not_sent(cavern, mount, 2000)
    if settled:
        sent(mount)
        clock.advance(2 * SETTLE_S)
        cavern.remote.plan(Fault("put_bytes", before=lost("nor did this")))
        sent(mount)
    unlinked(mount, handle, clock)
    if left is not None:
        cavern.store("/f", left)
    mount.housekeeping()
    assert cavern.names() == set()


def test_r9_the_same_after_a_kill(cavern: Stage, clock: ManualClock, expect_log: ExpectLog) -> None:
    expect_log("is not sent yet")
    mount = cavern.mount(threads=False)
    handle = not_sent(cavern, mount, 2000)
    unlinked(mount, handle, clock)
    mount.session._tombstones.commit(cavern.path("/f"))
    with pytest.raises(RemoteUnavailable):
        cavern.kill()
    with allowing(*AFTER_A_CRASH):
        again = cavern.reopen(threads=False)
    again.housekeeping()
    assert cavern.names() == set()


def test_r9_what_somebody_else_stored_meanwhile_stays(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """As long as the version from before, or longer: it is neither that nor what the PUT left."""
    expect_log("is not sent yet")
    expect_log("was replaced on the service: not deleted")
    mount = cavern.mount(threads=False)
    handle = not_sent(cavern, mount, 2000)
    unlinked(mount, handle, clock)
    cavern.store("/f", BEFORE.upper())
    mount.housekeeping()
    assert cavern.stored("/f") == BEFORE.upper()


def test_r02_what_a_longer_put_left_before_a_shorter_one_is_ours(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """Of two PUTs that broke the first was longer: what it left is nobody's change (R11)."""
    expect_log("is not sent yet", count=2)
    mount = cavern.mount(threads=False)
    handle = not_sent(cavern, mount, 2000)
    cavern.store("/f", b"\0" * 1500)
    sent(mount)
    clock.advance(2 * SETTLE_S)
    mount.call("truncate", "/f", 12, handle)
    mount.call("flush", handle)
    cavern.remote.plan(Fault("put_bytes", before=lost("nor did this")))
    sent(mount)
    for _ in range(4):
        clock.advance(2 * SETTLE_S)
        sent(mount)
    mount.close(handle)
    assert cavern.names() == {"f"}
    assert cavern.stored("/f") == b"changed here"
