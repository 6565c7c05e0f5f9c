"""Uploads that were answered with an error, or of which a part was done, and that arrived (R2, R7).

An error that is none of the node's or the credential's (500) does not say what was stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.brokenuploads import (
    BOTH,
    EXISTED,
    OURS,
    breaks,
    changed,
    unlinked,
)
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Mounted, Stage, lost, raising
from tests.support.steps import sent, settled
from vofs.core.errors import RemoteFailed

failing = raising(RemoteFailed("500"))


def arrived(stage: Stage, *, existed: bool) -> tuple[Mounted, int]:
    """An upload that arrived and was answered with an error; the file is still open."""
    mount = stage.mount(threads=False)
    handle = changed(mount, existed=existed)
    breaks(stage, mount, after=failing)
    assert stage.stored("/f") == OURS
    return mount, handle


@EXISTED
@pytest.mark.parametrize("changes", [False, True], ids=["as sent", "changed since"])
@BOTH
def test_r11_what_arrived_all_the_same_is_no_conflict(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    changes: bool,
    existed: bool,
) -> None:
    """R7, R11: the look before the next upload finds it."""
    expect_log("is not sent yet")
    stage = made(personality, existed=existed)
    mount, handle = arrived(stage, existed=existed)
    if changes:
        mount.write(handle, b"newer")
    mount.close(handle)
    clock.advance(100.0)
    settled(mount, clock)
    assert stage.names() == {"f"}
    assert stage.stored("/f") == (b"newer" + OURS[5:] if changes else OURS)


@EXISTED
@pytest.mark.parametrize("opened", [True, False], ids=["open", "closed"])
@BOTH
def test_r09_what_arrived_all_the_same_is_unlinked(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    opened: bool,
    existed: bool,
) -> None:
    """R8, R9: it goes with its name."""
    expect_log("is not sent yet")
    stage = made(personality, existed=existed)
    mount, handle = arrived(stage, existed=existed)
    if opened:
        unlinked(mount, handle, clock)
        mount.housekeeping()
    else:
        mount.close(handle)
        mount.call("unlink", "/f")
    assert stage.names() == set()


@pytest.mark.parametrize("stays", [True, False], ids=["arrived", "did not"])
@BOTH
def test_r08_after_an_answer_that_says_nothing_a_file_can_be_renamed(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    personality: str,
    stays: bool,
) -> None:
    """R8: there where it arrived, here where it did not."""
    expect_log("is not sent yet")
    stage = made(personality, existed=False)
    mount, handle = arrived(stage, existed=False)
    if not stays:
        stage.service.remote.delete_node(stage.path("/f"))
    mount.close(handle)
    mount.call("rename", "/f", "/g")
    assert stage.names() == ({"g"} if stays else set())
    settled(mount, clock)
    assert stage.names() == {"g"}
    assert stage.stored("/g") == OURS


@pytest.mark.parametrize(
    ("step", "existed"), [("delete_node", True), ("create_node", True), ("create_node", False)]
)
def test_r09_an_empty_node_that_its_upload_made_goes_with_its_name(
    made: Callable[..., Stage],
    clock: ManualClock,
    expect_log: ExpectLog,
    step: str,
    existed: bool,
) -> None:
    """R4, R9: where an empty file is stored by deleting its node and making it again (vault)."""
    expect_log("is not sent yet")
    stage = made("vault", existed=existed)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR | os.O_TRUNC) if existed else mount.create("/f")
    clock.advance(10.0)  # due, although it is open (R4)
    stage.remote.plan(Fault(step, after=lost()))
    sent(mount)
    unlinked(mount, handle, clock)
    mount.housekeeping()
    assert stage.names() == set()
