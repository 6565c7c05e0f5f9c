"""R4, R8: what a mount after a kill must settle before it does anything else."""

from __future__ import annotations

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Mounted, Stage, raising
from tests.support.witness import content
from vofs.cache.emptyfile import COMPUTED
from vofs.core.errors import RemoteUnavailable

TITLE = "ivo://ivoa.net/vospace/core#title"
OWN = "ivo://example.org/vospace/own#colour"


@pytest.mark.parametrize(
    ("request_", "after"),
    [("delete_node", True), ("create_node", False), ("create_node", True)],
)
def test_r04_killed_while_an_empty_file_is_made_again_it_keeps_its_properties(
    open_stage: Open, expect_log: ExpectLog, request_: str, after: bool
) -> None:
    """R4: vault takes no empty PUT: the node is deleted, then made again with what it had."""
    expect_log("of an earlier mount")
    expect_log("stay in .* for the next mount")
    if not after or request_ == "delete_node":
        expect_log("its node is made again with its properties")
    stage = open_stage("vault", close_wait_s=0.0)
    stage.store("/h", b"not empty")
    stage.service.remote.set_properties(stage.path("/h"), {TITLE: "kept", OWN: "red"})
    before = kept(stage, "/h")
    mount = stage.mount()
    stage.killing(request_, after=after)
    expect_log("is not sent yet: .*killed", count=None)
    mount.close(mount.open("/h", 0o1001))
    mount.wait_for(lambda: stage.was_killed, "the kill")
    stage.bury()
    (intent,), _, _ = stage.left()
    assert intent.op == "recreate"
    again = stage.mount()
    again.wait_sent()
    again.stop()
    assert stage.stored("/h") == b""
    assert kept(stage, "/h") == before
    assert before.items() >= {TITLE: "kept", OWN: "red"}.items()
    assert stage.left() == ([], [], [])


def kept(stage: Stage, path: str) -> dict[str, str]:
    """The properties of a node that are a user's."""
    found = stage.service.remote.get_node(stage.path(path)).properties
    return {uri: text for uri, text in found.items() if uri not in COMPUTED}


@pytest.mark.parametrize("moved", [False, True], ids=["not moved", "moved"])
def test_r08_after_a_restart_nothing_is_sent_below_an_unsettled_rename(
    open_stage: Open, expect_log: ExpectLog, moved: bool
) -> None:
    """R8: while the intent stands; the service was out of reach just when it was looked at."""
    expect_log("of an earlier mount")
    stage = open_stage("vault", ManualClock(), close_wait_s=0.0)
    stage.mkdir("/d")
    stage.store("/d/f", b"0123456789")
    mount = stage.mount(threads=False)
    mount.overwrite("/d/f", b"ab", 4)
    mount.write(mount.create("/d/new"), b"new")
    stage.killing("run_move", after=moved)
    with pytest.raises(OSError, match=r"\w"):
        mount.call("rename", "/d", "/e")
    stage.bury()
    (intent,), _, _ = stage.left()
    assert intent.op == "rename"
    stage.remote.plan(Fault("move_status", before=raising(RemoteUnavailable("down", sent=False))))
    again = stage.mount(threads=False)
    assert again.session._journal.intents() == [intent]
    before = content(stage)
    send_what_is_due(again)
    assert stage.remote.count("put_bytes") == 0
    assert content(stage) == before
    settle(stage, again)
    send_what_is_due(again)
    top = "/e" if moved else "/d"
    assert content(stage) == {top: None, f"{top}/f": b"0123ab6789", f"{top}/new": b"new"}
    again.stop()
    assert stage.left() == ([], [], [])


def send_what_is_due(mount: Mounted) -> None:
    while mount.step():
        pass


def settle(stage: Stage, mount: Mounted) -> None:
    """The service is back, and the scheduler looks again."""
    clock = stage.clock
    assert isinstance(clock, ManualClock)
    clock.advance(600.0)
    mount.housekeeping()
