"""Where only a date tells versions apart: what we stored gets its own when it matters (R13)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, FaultyRemote, ManualClock, Mounted, Stage, lost
from tests.support.steps import sent
from vofs.core.eviction import BLOCK
from vofs.core.nodes import MD5, NodeInfo


class WithoutMD5(FaultyRemote):
    """Somebody's update of the nodes has dropped it (protocol.md section 8)."""

    def get_node(self, path: str) -> NodeInfo:
        return _without(super().get_node(path))

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        return map(_without, super().list_children(path))


def _without(node: NodeInfo) -> NodeInfo:
    kept = {uri: text for uri, text in node.properties.items() if uri != MD5}
    return replace(node, properties=MappingProxyType(kept))


@pytest.fixture
def dated(open_stage: Open, clock: ManualClock) -> Stage:
    """A service whose versions differ by their dates."""
    return open_stage("cavern", clock, close_wait_s=0.0, settle_s=0.0, attr_ttl_s=1.0)


@pytest.fixture
def dropped(dated: Stage) -> Stage:
    """The same, and its nodes tell no MD5."""
    dated.remote = WithoutMD5(dated.service.remote)
    return dated


def stored(mount: Mounted, data: bytes) -> int:
    """A handle of /f, which has been stored with `data` through it."""
    made = mount.create("/f")
    handle = mount.open("/f", os.O_RDWR)
    mount.call("release", made)
    mount.write(handle, data)
    mount.call("flush", handle)
    sent(mount)
    assert mount.uploads() == []
    return handle


def evicted(stage: Stage, mount: Mounted) -> None:
    """The cache is full: half of /f has gone."""
    file = mount.session._table.peek(stage.path("/f"))
    assert file is not None
    file.evict(range(3))


@pytest.mark.parametrize("md5", ["told", "dropped"])
def test_r12_another_version_of_our_length_is_not_mixed_with_ours(
    request: pytest.FixtureRequest, dated: Stage, clock: ManualClock, md5: str
) -> None:
    if md5 == "dropped":
        request.getfixturevalue("dropped")
    mount = dated.mount(threads=False)
    ours, theirs = os.urandom(6 * BLOCK), os.urandom(6 * BLOCK)
    handle = stored(mount, ours)
    dated.store("/f", theirs)
    evicted(dated, mount)
    assert mount.call("read", handle, BLOCK, 5 * BLOCK) == ours[5 * BLOCK :]
    with pytest.raises(OSError):
        mount.call("read", handle, BLOCK, 0)
    clock.advance(5)
    assert mount.get("/f") == theirs
    mount.close(handle)


@pytest.mark.parametrize("md5", ["told", "dropped"])
def test_r13_what_is_ours_is_recognised_and_downloaded(
    request: pytest.FixtureRequest, dated: Stage, md5: str
) -> None:
    if md5 == "dropped":
        request.getfixturevalue("dropped")
    mount = dated.mount(threads=False)
    ours = os.urandom(6 * BLOCK)
    handle = stored(mount, ours)
    evicted(dated, mount)
    assert mount.call("read", handle, 6 * BLOCK, 0) == ours
    file = mount.session._table.peek(dated.path("/f"))
    assert file is not None
    base = file.provenance[0]
    assert base is not None and base.date_ms is not None and base.md5 is not None
    mount.close(handle)


def test_r13_no_request_is_spent_on_a_date_that_nothing_depends_on(dated: Stage) -> None:
    mount = dated.mount(threads=False)
    handle = stored(mount, b"ours")
    before = dated.remote.count("get_node")
    assert mount.call("read", handle, 10, 0) == b"ours"
    mount.close(handle)
    assert dated.remote.count("get_node") == before
    assert dated.remote.count("open_bytes") == 0


def test_r9_rm_of_an_open_file_whose_md5_was_dropped(dropped: Stage, clock: ManualClock) -> None:
    mount = dropped.mount(threads=False)
    handle = stored(mount, b"ours")
    hidden = mount.hide("/f")
    mount.close(handle)
    mount.call("unlink", hidden)
    clock.advance(5)
    mount.housekeeping()
    assert dropped.stored("/f") is None


def test_r9_rm_of_an_open_file_that_somebody_else_replaced(
    dropped: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("was replaced on the service")
    mount = dropped.mount(threads=False)
    handle = stored(mount, b"ours")
    dropped.store("/f", b"mine")
    hidden = mount.hide("/f")
    mount.close(handle)
    mount.call("unlink", hidden)
    clock.advance(5)
    mount.housekeeping()
    assert dropped.stored("/f") == b"mine"


def test_r11_the_second_upload_of_a_file_whose_md5_was_dropped(
    dropped: Stage, clock: ManualClock
) -> None:
    mount = dropped.mount(threads=False)
    handle = stored(mount, b"ours")
    clock.advance(60)
    mount.write(handle, b"OURS")
    mount.close(handle)
    sent(mount)
    assert (dropped.names(), mount.uploads()) == ({"f"}, [])
    assert dropped.stored("/f") == b"OURS"


def test_r8_a_lost_delete_of_a_file_whose_md5_was_dropped(dropped: Stage) -> None:
    mount = dropped.mount(threads=False)
    handle = stored(mount, b"ours")
    dropped.remote.plan(Fault("delete_node", before=lost()))
    mount.call("unlink", "/f")
    assert dropped.stored("/f") is None
    assert _errno(mount) == errno.ENOENT
    mount.close(handle)


def _errno(mount: Mounted) -> int | None:
    with pytest.raises(OSError) as caught:
        mount.stat("/f")
    return caught.value.errno
