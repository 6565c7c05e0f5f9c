"""Listings that are shared when one fails, and a move that was taken back."""

from __future__ import annotations

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Background, Fault
from vofs.core.nodes import NodeInfo

NEW = b"the new bytes, and more"


def test_r16_whoever_shares_a_listing_never_gets_an_empty_one_for_a_failed_one(
    open_stage: Open,
) -> None:
    """It is forgotten (vofs drop, a rename over a directory) while a file of ours is looked up."""
    stage = open_stage("vault")
    for number in range(3):
        stage.store(f"/f{number}", NEW)
    mount = stage.mount()
    tree = mount.session._tree
    shared = []
    real = tree._await

    def wait(*args: object) -> list[NodeInfo]:
        shared.append(args)
        return real(*args)  # type: ignore[arg-type]

    tree._await = wait  # type: ignore[assignment,method-assign]
    listing = stage.remote.hold_answer("list_children", stage.root)
    first = Background(lambda: mount.ls("/"))
    listing.wait_until_reached()
    second = Background(lambda: mount.ls("/"))
    mount.wait_for(lambda: bool(shared), "it is shared")
    mount.put("/new", NEW)
    mount.wait_sent()
    look = stage.remote.hold("get_node", stage.path("/new"))
    listing.open()
    look.wait_until_reached()
    mount.control(command="drop", path="/f0")
    look.open()
    assert first.result() == second.result() == ["f0", "f1", "f2", "new"]


def test_r10_a_nested_move_that_was_moved_back_is_not_moved_once_more(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    stage = open_stage("vault", attr_ttl_s=0.0)
    stage.store("/a", NEW)
    mount = stage.mount()
    stage.remote.plan(
        Fault("create_move", path=stage.path("/a"), before=lambda: stage.mkdir("/b")),
        Fault("run_move", 2, after=stage.kill),
    )
    with pytest.raises(OSError):
        mount.call("rename", "/a", "/b")
    again = stage.reopen()
    assert again.session._parts.gate.held == ()
    assert again.get("/a") == NEW
