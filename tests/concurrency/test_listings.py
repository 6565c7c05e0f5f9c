"""Races of listings with changes of names: scenarios 29 to 33 and 35 of docs/concurrency.md."""

from __future__ import annotations

import pytest

from tests.concurrency.conftest import create
from tests.support.sessions import (
    Background,
    Fault,
    Stage,
    raising,
)
from vofs.core.errors import PermissionDenied

DATA = bytes(range(251)) * 4000  # 1 MB


def test_s29_a_listing_begun_before_a_file_was_made_does_not_lack_it(stage: Stage) -> None:
    """R16, with what was made, sent, and found by its name before the listing ends."""
    mount = stage.mount()
    gate = stage.remote.hold_answer("list_children")
    listing = Background(lambda: mount.ls("/"))
    gate.wait_until_reached()
    mount.put("/sent", b"1")
    mount.call("mkdir", "/d", 0o755)
    handle = create(mount, "/unsent", b"2")
    gate.open()
    assert listing.result() == ["d", "sent", "unsent"]
    assert mount.ls("/") == ["d", "sent", "unsent"]
    assert all(mount.exists(path) for path in ("/d", "/sent", "/unsent"))
    mount.close(handle)


def test_s30_a_listing_begun_before_a_name_went_does_not_bring_it_back(stage: Stage) -> None:
    stage.mkdir("/d")
    stage.store("/f", b"1")
    stage.store("/open", b"2")
    mount = stage.mount()
    handle = mount.open("/open")
    gate = stage.remote.hold_answer("list_children")
    listing = Background(lambda: mount.ls("/"))
    gate.wait_until_reached()
    mount.call("unlink", "/f")
    mount.call("rmdir", "/d")
    hidden = mount.hide("/open")
    gate.open()
    assert listing.result() == []
    assert mount.ls("/") == []
    assert not any(mount.exists(path) for path in ("/d", "/f", "/open"))
    mount.call("release", handle)
    mount.call("unlink", hidden)


@pytest.mark.parametrize("attr_ttl_s", [0.0, 10.0])
def test_s31_a_listing_begun_before_a_rename_shows_the_new_name(
    stage: Stage, attr_ttl_s: float
) -> None:
    """Also when the node is no longer remembered at the end of the rename."""
    stage.mkdir("/d")
    stage.store("/d/f", b"1")
    mount = stage.mount(attr_ttl_s=attr_ttl_s)
    gate = stage.remote.hold_answer("list_children", stage.path("/d"))
    listing = Background(lambda: mount.ls("/d"))
    gate.wait_until_reached()
    mount.call("rename", "/d/f", "/d/g")
    gate.open()
    assert listing.result() == ["g"]
    assert (mount.exists("/d/f"), mount.get("/d/g")) == (False, b"1")


def test_s32_a_name_that_comes_back_is_listed_and_can_be_opened(stage: Stage) -> None:
    """R9: the rename over an open file fails, in a directory whose listing is known."""
    stage.mkdir("/d")
    stage.store("/d/a", b"source")
    stage.store("/b", b"target")
    mount = stage.mount(attr_ttl_s=60.0, negative_ttl_s=60.0)
    assert mount.ls("/") == ["b", "d"]
    handle = mount.open("/b")
    hidden = mount.hide("/b")
    stage.remote.plan(Fault("create_move", before=raising(PermissionDenied("no"))))
    with pytest.raises(PermissionError):
        mount.call("rename", "/d/a", "/b")
    assert mount.ls("/") == ["b", "d"]
    assert (mount.get("/d/a"), mount.get("/b")) == (b"source", b"target")
    mount.call("release", handle)
    mount.call("unlink", hidden)


def test_s33_a_question_begun_before_a_change_of_ours_does_not_answer_it(stage: Stage) -> None:
    stage.store("/f", b"1")
    mount = stage.mount()
    gate = stage.remote.hold_answer("get_node", stage.path("/f"))
    question = Background(lambda: mount.exists("/f"))
    gate.wait_until_reached()
    mount.call("rename", "/f", "/g")
    gate.open()
    assert question.result() is False
    assert (mount.exists("/f"), mount.exists("/g")) == (False, True)


def test_s35_one_load_of_a_listing_is_shared(stage: Stage) -> None:
    stage.store("/f", b"1")
    mount = stage.mount()
    gate = stage.remote.hold("list_children")
    listings = [Background(lambda: mount.ls("/"))]
    gate.wait_until_reached()
    listings += [Background(lambda: mount.ls("/")) for _ in range(3)]
    gate.open()
    assert [listing.result() for listing in listings] == [["f"]] * 4
    assert stage.remote.count("list_children") == 1
