"""A quota of the service is known before bytes are accepted (R24, behaviours 23)."""

from __future__ import annotations

import errno

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Stage, raising
from vofs.core.errors import RemoteUnavailable
from vofs.core.nodes import QUOTA

KIB = bytes(1024)


def limit(stage: Stage, kibibytes: int, path: str = "") -> None:
    stage.service.fake.set_property(stage.path(path), QUOTA, str(kibibytes * 1024))


@pytest.mark.promise("Space", "A quota of the service")
def test_r24_a_write_beyond_the_quota_is_EDQUOT_at_once(stage: Stage) -> None:
    """A write that the quota of the service leaves no room for fails with EDQUOT, at that write and
    not after the program has ended: the service is asked before anything is refused. What does not
    make a file longer is never refused. A service that does not tell, or does not answer, has not
    refused; if it does so in the end, the file is `failed` and its data is kept."""
    limit(stage, 9)
    stage.store("/old", KIB * 2)
    mount = stage.mount()
    handle = mount.create("/new")
    mount.write(handle, KIB * 6)
    with pytest.raises(OSError, match=r".") as refused:
        mount.write(handle, KIB * 2, 6 * 1024)
    assert refused.value.errno == errno.EDQUOT
    with pytest.raises(OSError, match=r".") as refused:
        mount.call("truncate", "/new", 8 * 1024)
    assert refused.value.errno == errno.EDQUOT
    mount.write(handle, b"in place", 10)
    mount.close(handle)
    assert stage.stored("/new") == KIB[:10] + b"in place" + bytes(6 * 1024 - 18)
    mount.overwrite("/old", b"y" * 2048)
    mount.call("unlink", "/old")
    handle = mount.open("/new", 2)
    mount.write(handle, KIB * 2, 6 * 1024)
    mount.close(handle)
    assert len(stage.stored("/new") or b"") == 8 * 1024


def test_r24_the_nearest_quota_counts_with_what_waits_to_be_sent(stage: Stage) -> None:
    stage.mkdir("/wide")
    stage.mkdir("/wide/narrow")
    limit(stage, 100)
    limit(stage, 4, "/wide/narrow")
    mount = stage.mount(threads=False)
    first = mount.create("/wide/narrow/a")
    mount.write(first, KIB * 3)
    second = mount.create("/wide/narrow/b")
    with pytest.raises(OSError, match=r".") as refused:
        mount.write(second, KIB * 2)
    assert refused.value.errno == errno.EDQUOT
    mount.write(second, KIB)
    beside = mount.create("/wide/c")
    mount.write(beside, KIB * 50)
    for handle in (first, second, beside):
        mount.call("release", handle)


def test_r24_never_refused_on_an_old_figure(open_stage: Open, expect_log: ExpectLog) -> None:
    """R24: what was told a minute ago refuses nothing; who cannot be asked has not refused."""
    clock = ManualClock()
    stage = open_stage("vault", clock=clock)
    limit(stage, 4)
    mount = stage.mount(threads=False)
    handle = mount.create("/f")
    mount.write(handle, KIB * 3)
    limit(stage, 100)
    clock.advance(60)
    asked = stage.remote.count("get_node")
    mount.write(handle, KIB * 9)
    assert stage.remote.count("get_node") == asked + 1
    mount.write(handle, KIB * 20)
    mount.write(handle, KIB * 30)
    assert stage.remote.count("get_node") == asked + 1
    clock.advance(60)
    stage.remote.plan(Fault("get_node", times=99, before=raising(RemoteUnavailable("down"))))
    mount.write(handle, KIB * 200)
    stage.remote.heal()
    mount.call("release", handle)


def test_r24_a_413_later_is_failed_and_kept(open_stage: Open, expect_log: ExpectLog) -> None:
    """R24: FAILED(quota); the data stays, and is sent when there is room."""
    expect_log("cannot be sent", level=40, count=None)
    stage = open_stage("cavern")
    mount = stage.mount()
    gate = stage.remote.hold("put_bytes")
    handle = mount.create("/f")
    mount.write(handle, KIB * 8)
    limit(stage, 4)
    gate.open()
    with pytest.raises(OSError, match=r"."):
        mount.close(handle)
    mount.wait_for(lambda: mount.uploads()[0]["state"] == "failed", "it is given up")
    (upload,) = mount.uploads()
    assert "Quota" in upload["error"]
    assert mount.get("/f") == KIB * 8
    limit(stage, 100)
    handle = mount.open("/f", 2)
    mount.write(handle, b"!")
    mount.close(handle)
    assert stage.stored("/f") == b"!" + (KIB * 8)[1:]
