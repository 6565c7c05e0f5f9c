"""Races of writes and uploads, staged with gates: scenarios 10 to 17 of docs/concurrency.md."""

from __future__ import annotations

import threading

import pytest

from tests.concurrency.conftest import create
from tests.integration.session.conftest import Open
from tests.support.faultydisk import SYNC, DiskFault
from tests.support.logs import ExpectLog
from tests.support.sessions import (
    Background,
    Fault,
    HeldAt,
    Stage,
    allowing,
    raising,
    together,
    until,
)
from vofs.cache.clock import SystemClock
from vofs.core.errors import RemoteUnavailable

DATA = bytes(range(251)) * 12_000  # 3 MB: more than an upload reads at once
APPENDING = 0o2001


def test_s10_every_append_is_whole(stage: Stage) -> None:
    mount = stage.mount()
    stage.store("/f", b"begin ")
    handles = [mount.open("/f", APPENDING) for _ in range(2)]

    def append(number: int) -> None:
        for _ in range(20):
            mount.write(handles[number], bytes([65 + number]) * 10)

    assert together(lambda: append(0), lambda: append(1)) == [None, None]
    for handle in handles:
        mount.close(handle)
    mount.stop()
    data = stage.stored("/f")
    assert data is not None
    assert data[:6] == b"begin "
    records = [data[start : start + 10] for start in range(6, len(data), 10)]
    assert sorted(records) == [b"A" * 10] * 20 + [b"B" * 10] * 20


def test_s11_an_upload_sends_the_bytes_as_they_were_when_it_was_cut(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0)
    half, second = stage.remote.hold("put_body"), stage.remote.hold("put_bytes", nth=2)
    handle = create(mount, "/f", DATA)
    mount.call("flush", handle)
    half.wait_until_reached()
    for offset in (0, len(DATA) // 2, len(DATA) - 5, len(DATA) + 9):
        mount.write(handle, b"newer", offset)
    half.open()
    mount.call("flush", handle)
    second.wait_until_reached()
    assert stage.stored("/f") == DATA
    second.open()
    wanted = mount.call("read", handle, 2 * len(DATA), 0)
    mount.close(handle)
    mount.wait_sent()
    assert stage.stored("/f") == wanted != DATA


def test_s12_a_truncation_does_not_reach_a_running_upload(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0)
    half, second = stage.remote.hold("put_body"), stage.remote.hold("put_bytes", nth=2)
    handle = create(mount, "/f", DATA)
    mount.call("flush", handle)
    half.wait_until_reached()
    mount.call("truncate", None, 10, handle)
    mount.write(handle, b"end", len(DATA) - 3)
    half.open()
    mount.call("flush", handle)
    second.wait_until_reached()
    assert stage.stored("/f") == DATA
    second.open()
    mount.close(handle)
    mount.wait_sent()
    assert stage.stored("/f") == DATA[:10] + bytes(len(DATA) - 13) + b"end"


def test_s13_a_close_during_an_upload_waits_for_its_own_bytes(stage: Stage) -> None:
    mount = stage.mount()
    first, second = stage.remote.hold("put_bytes"), stage.remote.hold("put_bytes", nth=2)
    handles = [mount.create("/f")]
    mount.write(handles[0], b"first")
    closing = [Background(lambda: mount.close(handles[0]))]
    first.wait_until_reached()
    handles.append(mount.open("/f", 2))
    mount.write(handles[1], b"second")
    closing.append(Background(lambda: mount.close(handles[1])))
    first.open()
    closing[0].result()
    second.wait_until_reached()
    assert stage.stored("/f") == b"first"
    assert not closing[1].ended
    second.open()
    closing[1].result()
    assert stage.stored("/f") == b"second"


def test_s14_a_write_during_fsync_is_neither_lost_nor_called_synced(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """The row may know more than the disk; what the disk lacks is never called clean."""
    expect_log("of an earlier mount")
    mount = stage.mount(threads=False)
    handle = mount.create("/f")
    mount.write(handle, b"synced")
    stage.changes.plan(DiskFault(name=SYNC, after=lambda: mount.write(handle, b"late", 6)))
    mount.call("fsync", handle, 0)
    with pytest.raises(RemoteUnavailable):
        stage.kill()
    stage.reopen().wait_sent()
    assert stage.stored("/f") == b"syncedlate"


class GatedTime(SystemClock):
    """A clock that can be put forward, and whose `time_ns` waits at a gate in one thread."""

    def __init__(self) -> None:
        self.gate = HeldAt()
        self.waits: threading.Thread | None = None
        self.ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s

    def time_ns(self) -> int:
        if threading.current_thread() is self.waits:
            self.gate.arrive()
        return super().time_ns()


def test_s15_what_was_put_away_meanwhile_is_not_saved_over_what_came_after(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """A touch begins on a dirty file; before it ends, the file is sent, put away, opened again and
    changed: the late save must not call that change clean."""
    expect_log("of an earlier mount")
    clock = GatedTime()
    stage.clock = clock
    mount = stage.mount(close_wait_s=0.0)
    put = stage.remote.hold("put_bytes")
    mount.put("/f", DATA)
    put.wait_until_reached()

    def touch() -> None:
        clock.waits = threading.current_thread()
        mount.call("utimens", "/f", None)

    touching = Background(touch)
    clock.gate.wait_until_reached()
    put.open()
    mount.wait_sent()
    stage.remote.hold("put_bytes")
    handle = mount.open("/f", 2)
    mount.write(handle, b"newer")
    clock.gate.open()
    touching.result()
    with pytest.raises(RemoteUnavailable):
        stage.kill()
    with allowing("stay in"):
        again = stage.reopen()
    assert again.get("/f") == b"newer" + DATA[5:]
    again.wait_sent()
    assert stage.stored("/f") == b"newer" + DATA[5:]


def test_s16_a_look_confirms_nothing_that_is_younger_than_its_question(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """R11: the answer was under way for longer than --attr-ttl, and the service changed
    meanwhile: that is no fresh confirmation, so the upload looks again and finds the conflict."""
    expect_log("changed here and on the service; ours is kept as f.conflict-")
    stage = open_stage("vault", close_wait_s=0.0, attr_ttl_s=60.0)
    stage.clock = clock = GatedTime()
    stage.store("/f", DATA)
    mount = stage.mount()
    gate = stage.remote.hold_answer("get_node", stage.path("/f"))
    opening = Background(lambda: mount.open("/f", 1 | 0o1000))
    gate.wait_until_reached()
    stage.store("/f", b"foreign")
    clock.ahead_s = 61.0  # the answer is older than --attr-ttl
    gate.open()
    handle = opening.result()
    assert isinstance(handle, int)
    mount.write(handle, b"ours")
    mount.close(handle)
    mount.wait_sent()
    assert stage.stored("/f") == b"foreign"
    (kept,) = stage.names() - {"f"}
    assert stage.stored(f"/{kept}") == b"ours"


def test_s17_a_write_while_a_doubt_is_settled_stays_to_be_sent(stage: Stage) -> None:
    """The lost answer is settled by looking; what was written during the look is still dirty."""
    mount = stage.mount(close_wait_s=0.0)
    handle = mount.create("/f")
    mount.write(handle, b"first")
    lost = raising(RemoteUnavailable("lost", sent=True))
    stage.remote.plan(Fault("put_bytes", after=lost))
    with allowing("is not sent yet"):
        mount.call("flush", handle)
        until(lambda: bool(mount.uploads()[0]["attempts"]), "the answer is lost")
        look = stage.remote.hold_answer("get_node", stage.path("/f"))
        mount.control(command="hasten")
        look.wait_until_reached()
        mount.write(handle, b"SECOND")
        look.open()
        mount.close(handle)
        mount.wait_sent()
    assert stage.stored("/f") == b"SECOND"
