"""R13: a service whose listings and node documents lag behind our own uploads (vault)."""

from __future__ import annotations

import pytest

from fakevospace import LaggingListing, Rule
from tests.support.logs import ExpectLog
from tests.support.sessions import FaultyRemote, ManualClock, Mounted, Stage
from tests.support.steps import sent
from vofs.core.nodes import NodeInfo

OLD, NEW, THEIRS = b"old bytes", b"the new bytes, and more", b"somebody else's bytes"
LAG_S = 900.0


class Lagging(FaultyRemote):
    """Shows nodes as they were when `freeze` was called."""

    def __init__(self, inner: object) -> None:
        super().__init__(inner)  # type: ignore[arg-type]
        self.frozen: dict[str, NodeInfo] = {}

    def freeze(self, path: str) -> None:
        self.frozen[path] = self._inner.get_node(path)

    def get_node(self, path: str) -> NodeInfo:
        node = super().get_node(path)
        return self.frozen.get(path, node)


def lagging_listings(stage: Stage) -> None:
    """From now on listings show what our uploads replaced."""
    stage.service.fake.faults.add(Rule(LaggingListing(1e9), method="GET"))


def replaced(stage: Stage, clock: ManualClock) -> Mounted:
    """A file that we have just replaced, on a service whose listings show the old one."""
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    assert mount.get("/f") == OLD
    lagging_listings(stage)
    handle = mount.open("/f", 1 | 0o1000)
    mount.write(handle, NEW)
    mount.close(handle)
    sent(mount)
    assert stage.stored("/f") == NEW
    clock.advance(2.0)
    assert {node.name: node.length for node in stage.service.remote.list_children(stage.root)} == {
        "f": len(OLD)
    }, "the fault does not lag"
    return mount


@pytest.mark.promise("Reading", "A service that lags behind us")
def test_r13_a_listing_that_lags_behind_our_upload_drops_nothing(
    vault: Stage, clock: ManualClock
) -> None:
    """Listings of some services (vault) show for a while what we have just replaced. For 15
    minutes, or until ours is shown, that is taken for lag and not for somebody's change: sizes are
    those of our bytes, and what is cached of them stays."""
    mount = replaced(vault, clock)
    downloads = vault.remote.count("open_bytes")
    assert mount.ls("/") == ["f"]
    assert mount.stat("/f").size == len(NEW)
    assert mount.get("/f") == NEW
    assert vault.remote.count("open_bytes") == downloads


def test_r13_the_lag_survives_a_restart(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    mount = replaced(vault, clock)
    mount.stop()
    again = vault.mount(threads=False)
    before = vault.remote.count("open_bytes")
    assert again.ls("/") == ["f"]
    assert again.stat("/f").size == len(NEW)
    assert again.get("/f") == NEW
    assert vault.remote.count("open_bytes") == before


def test_r13_a_new_file_is_not_listed_as_empty(vault: Stage, clock: ManualClock) -> None:
    mount = vault.mount(threads=False)
    mount.put("/f", OLD)
    sent(mount)
    lagging_listings(vault)
    mount.overwrite("/f", NEW)
    sent(mount)
    clock.advance(2.0)
    assert mount.ls("/") == ["f"]
    assert mount.stat("/f").size == len(NEW)


def test_r13_after_15_minutes_what_is_shown_is_believed(vault: Stage, clock: ManualClock) -> None:
    mount = replaced(vault, clock)
    clock.advance(LAG_S)
    mount.ls("/")
    assert mount.stat("/f").size == len(OLD)


def test_r13_somebody_elses_version_is_seen_at_once(vault: Stage, clock: ManualClock) -> None:
    mount = replaced(vault, clock)
    vault.service.fake.faults.clear()
    vault.store("/f", THEIRS)
    mount.ls("/")
    assert mount.get("/f") == THEIRS


def lagging_nodes(stage: Stage) -> tuple[Lagging, Mounted]:
    """A file that we replaced; its node is shown as it was before."""
    remote = stage.remote = Lagging(stage.service.remote)
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    assert mount.get("/f") == OLD
    remote.freeze(stage.path("/f"))
    mount.overwrite("/f", NEW)
    sent(mount)
    assert stage.stored("/f") == NEW
    return remote, mount


def test_r13_r11_our_own_upload_that_lags_is_no_conflict(vault: Stage, clock: ManualClock) -> None:
    """The look before the next upload shows what the last one replaced."""
    _, mount = lagging_nodes(vault)
    clock.advance(5.0)
    mount.overwrite("/f", b"THE")
    sent(mount)
    assert mount.uploads() == []
    assert vault.stored("/f") == b"THE" + NEW[3:]
    assert mount.get("/f") == b"THE" + NEW[3:]


def test_r13_r11_no_conflict_after_a_restart_either(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("of an earlier mount", count=2)
    remote, mount = lagging_nodes(vault)
    mount.overwrite("/f", b"THE")
    frozen = remote.frozen
    with pytest.raises(Exception, match="killed"):
        vault.kill()
    mount = vault.reopen(threads=False)
    mount.leave()
    vault.remote = remote = Lagging(vault.service.remote)
    remote.frozen = frozen
    clock.advance(5.0)
    mount = vault.mount(threads=False)
    sent(mount)
    assert mount.uploads() == []
    assert vault.stored("/f") == b"THE" + NEW[3:]
