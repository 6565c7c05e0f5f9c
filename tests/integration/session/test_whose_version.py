"""Whose version stands under a name where an upload broke: R2, R7, R9, R11.

Ours is the version from before, what an upload of ours left there, and what one leaves there yet,
or is shown to have left only later.  All of that goes with its name, and is sent over without
asking.  Anything else is somebody else's: it stays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.integration.session.test_lag import Lagging
from tests.support.brokenuploads import (
    BEFORE,
    BOTH,
    EXISTED,
    OURS,
    SETTLE_S,
    THEIRS,
    breaks,
    changed,
    unlinked,
)
from tests.support.logs import ExpectLog
from tests.support.sessions import FaultyRemote, ManualClock, Stage, lost
from tests.support.steps import sent, settled
from vofs.core.nodes import MD5, NodeInfo
from vofs.remote.api import PutReceipt

# -- unlinked while open (R9) ---------------------------------------------------------------------


@EXISTED
@pytest.mark.parametrize("theirs", THEIRS.values(), ids=THEIRS)
@BOTH
def test_r9_what_somebody_else_stored_before_the_unlink_stays(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    theirs: bytes,
    existed: bool,
) -> None:
    """R9, R11: the name showed our changes, so its user never saw it."""
    expect_log("is not sent yet")
    if existed:
        expect_log("was replaced on the service: not deleted")
    stage = made(personality, existed=existed)
    mount = stage.mount(threads=False)
    handle = changed(mount, existed=existed)
    breaks(stage, mount, before=lost("it never got there"))
    stage.store("/f", theirs)
    unlinked(mount, handle, clock)
    mount.housekeeping()
    assert stage.stored("/f") == theirs
    assert (mount.ls("/"), mount.get("/f")) == (["f"], theirs)


@pytest.mark.parametrize("full", [False, True], ids=["empty", "full"])
@BOTH
def test_r9_a_container_that_came_there_stays(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    full: bool,
) -> None:
    """It was deleted when it was empty; else it was hidden here, and asked to go for ever."""
    expect_log("is not sent yet")
    expect_log("was replaced on the service: not deleted")
    stage = made(personality)
    mount = stage.mount(threads=False)
    handle = changed(mount)
    breaks(stage, mount, before=lost("it never got there"))
    unlinked(mount, handle, clock)
    stage.service.remote.delete_node(stage.path("/f"))
    stage.mkdir("/f")
    if full:
        stage.store("/f/inner", b"theirs")
    mount.housekeeping()
    assert stage.names("/f") == ({"inner"} if full else set())
    assert mount.ls("/") == ["f"]
    mount.stop()
    assert stage.left() == ([], [], [])


@EXISTED
@pytest.mark.parametrize("killed", [False, True])
def test_r9_what_arrives_after_the_unlink_goes_with_its_name(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    existed: bool,
    killed: bool,
) -> None:
    """The PUT whose answer was lost ends, or is shown, only then (vault)."""
    expect_log("is not sent yet")
    stage = made("vault", existed=existed)
    mount = stage.mount(threads=False)
    handle = changed(mount, existed=existed)
    breaks(stage, mount, after=lost())
    assert stage.stored("/f") == OURS
    if existed:
        stage.store("/f", BEFORE)
    else:
        stage.service.remote.delete_node(stage.path("/f"))
    unlinked(mount, handle, clock)
    if killed:
        mount.session._tombstones.commit(stage.path("/f"))
        with pytest.raises(Exception, match="killed"):
            stage.kill()
        mount = stage.reopen(threads=False)
    stage.store("/f", OURS)
    mount.housekeeping()
    assert stage.names() == set()


def test_r9_what_a_node_that_lags_did_not_show_goes_with_its_name(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog
) -> None:
    """R9, R13: at the unlink the node showed the version from before our upload."""
    expect_log("is not sent yet")
    stage = made("vault")
    stage.remote = remote = Lagging(stage.service.remote)
    mount = stage.mount(threads=False)
    remote.freeze(stage.path("/f"))
    handle = changed(mount)
    breaks(stage, mount, after=lost())
    assert stage.stored("/f") == OURS
    unlinked(mount, handle, clock)
    remote.frozen.clear()
    mount.housekeeping()
    assert stage.names() == set()


# -- sent again (R2, R7, R11) ---------------------------------------------------------------------


def test_r11_an_earlier_upload_of_ours_that_was_not_seen_is_no_conflict(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog
) -> None:
    """R11, R13: it had arrived, the node lagged, and the file was changed and sent once more."""
    expect_log("is not sent yet", count=2)
    stage = made("vault")
    stage.remote = remote = Lagging(stage.service.remote)
    mount = stage.mount(threads=False)
    remote.freeze(stage.path("/f"))
    handle = changed(mount)
    breaks(stage, mount, after=lost())
    clock.advance(5.0)
    mount.write(handle, b"again")
    mount.call("flush", handle)
    breaks(stage, mount, before=lost("nor did this"))
    remote.frozen.clear()
    mount.close(handle)
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == b"again" + OURS[5:]


class Spoiling(FaultyRemote):
    """The first body arrives as something else, and the reply says so."""

    spoiled = False

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        if not self.spoiled:
            self.spoiled = True
            body = (chunk.swapcase() for chunk in body)
        return super().put_bytes(path, body, size)


@BOTH
def test_r07_what_an_upload_became_that_arrived_wrong_is_ours(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog, personality: str
) -> None:
    """R7, R11: it is sent again, over what the service says that it made of it."""
    expect_log("is not sent yet: .* stored")
    stage = made(personality)
    stage.remote = Spoiling(stage.service.remote)
    mount = stage.mount(threads=False)
    mount.close(changed(mount))
    sent(mount)
    assert stage.stored("/f") == OURS.swapcase()
    clock.advance(1000.0)
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == OURS


class Stale(FaultyRemote):
    """A service where the bytes with one MD5 were written in place, and kept the MD5 of others."""

    stale: Mapping[str | None, str] = MappingProxyType({})

    def get_node(self, path: str) -> NodeInfo:
        node = super().get_node(path)
        if node.md5 not in self.stale:
            return node
        return replace(node, properties={**node.properties, MD5: self.stale[node.md5]})


def test_r13_an_md5_that_is_only_a_hint_does_not_end_a_doubt(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog
) -> None:
    """R1, R13: what a broken PUT wrote has the old MD5, and the file is back to the old content."""
    expect_log("is not sent yet", count=2)
    stage = made("cavern")
    stage.remote = remote = Stale(stage.service.remote)
    mount = stage.mount(threads=False)
    torn = BEFORE.upper()
    old, new = (hashlib.md5(data, usedforsecurity=False).hexdigest() for data in (BEFORE, torn))
    remote.stale = {new: old}

    def tear() -> None:
        stage.store("/f", torn)
        lost()()

    handle = changed(mount, data=torn)
    breaks(stage, mount, before=tear)
    mount.write(handle, BEFORE)
    mount.close(handle)
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == BEFORE


def test_r02_traces_of_two_uploads_are_ours_also_when_the_second_had_arrived(
    made: Callable[..., Stage], clock: ManualClock, expect_log: ExpectLog
) -> None:
    """What the handler of the first one writes, once the second has arrived, is no conflict."""
    expect_log("is not sent yet", count=3)
    stage = made("cavern")
    mount = stage.mount(threads=False)
    handle = changed(mount)
    breaks(stage, mount, before=lost("it never got there"))
    for _ in range(2):
        clock.advance(1.5)
        sent(mount)
    clock.advance(2 * SETTLE_S)
    other = OURS.upper() + b"other"
    mount.write(handle, other)
    mount.call("flush", handle)
    breaks(stage, mount, after=lost())
    assert stage.stored("/f") == other
    clock.advance(2.0)
    sent(mount)
    stage.store("/f", b"\0" * 100 + OURS[100:500])
    mount.close(handle)
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == other
