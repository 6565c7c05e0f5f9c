"""When uploads run: pacing, urgency, and what happens while the service is out of reach.

Driven step by step on a clock that the test moves; requests are counted on the journal.
"""

from __future__ import annotations

import logging

import pytest

from fakevospace import Rule, Status
from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import (
    Background,
    Fault,
    ManualClock,
    Mounted,
    Stage,
    raising,
)
from tests.support.steps import sent, settled
from vofs.core.errors import PermissionDenied, RemoteUnavailable

# -- pacing, urgency ------------------------------------------------------------------------------


def slow_upload(open_stage: Open) -> tuple[ManualClock, Stage, Mounted]:
    """A stage whose first upload has taken 10 s; its file has changed again and is closed."""
    clock = ManualClock()
    stage = open_stage("vault", clock, close_wait_s=0.0)
    mount = stage.mount(threads=False)
    stage.remote.plan(Fault("put_bytes", after=lambda: clock.advance(10.0)))
    mount.put("/f", b"first")
    assert sent(mount) == 1
    mount.overwrite("/f", b"later")
    return clock, stage, mount


@pytest.mark.promise("Durability", "When")
def test_r03_between_two_uploads_of_a_file_lies_twice_the_last_ones_duration(
    open_stage: Open,
) -> None:
    """A closed file is sent at once, one that stays open after 60 s of quiet or 10 minutes; between
    two uploads of one file lies at least twice the time that the last one took. `vofs flush` and
    unmounting wait for none of this, and `vofs flush` sends its files before all others."""
    clock, stage, mount = slow_upload(open_stage)
    clock.advance(19.9)
    mount.put("/other", b"goes on")
    assert sent(mount) == 1
    assert (stage.stored("/f"), stage.stored("/other")) == (b"first", b"goes on")
    clock.advance(0.2)
    sent(mount)
    assert stage.stored("/f") == b"later"


def test_r03_flush_does_not_wait_for_the_rest_of_a_file(open_stage: Open) -> None:
    _, stage, mount = slow_upload(open_stage)
    assert sent(mount) == 0
    assert mount.control(command="flush", path="/f") == {"flushed": 1}
    sent(mount)
    assert stage.stored("/f") == b"later"


def test_r03_unmounting_does_not_wait_for_the_rest_of_a_file(open_stage: Open) -> None:
    _, stage, mount = slow_upload(open_stage)
    mount.start().stop()
    assert mount.session.left == 0
    assert stage.stored("/f") == b"later"


def test_flush_goes_before_all_others_and_ignores_backoff(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    stage = open_stage("vault", ManualClock(), close_wait_s=0.0)
    mount = stage.mount(threads=False)
    down = raising(RemoteUnavailable("down", retry_after_s=500.0))
    stage.remote.plan(Fault("put_bytes", before=down))
    stage.mkdir("/d")
    mount.put("/d/failed", b"1")
    assert sent(mount) == 1
    for name in ("/a", "/b", "/c"):
        mount.put(name, b"2")
    assert mount.control(command="flush", path="/d") == {"flushed": 1}
    assert mount.step()
    assert stage.stored("/d/failed") == b"1"
    assert stage.stored("/a") is None
    sent(mount)
    assert mount.uploads() == []


def test_flush_tries_again_what_was_given_up(open_stage: Open, expect_log: ExpectLog) -> None:
    expect_log("cannot be sent", level=logging.ERROR)
    stage = open_stage("vault", ManualClock(), close_wait_s=0.0)
    mount = stage.mount(threads=False)
    stage.remote.plan(Fault("put_bytes", before=raising(PermissionDenied("no"))))
    mount.put("/f", b"bytes")
    sent(mount)
    assert [upload["state"] for upload in mount.uploads()] == ["failed"]
    mount.control(command="flush", path="/")
    sent(mount)
    assert stage.stored("/f") == b"bytes"


@pytest.mark.promise("Durability", "fsync with `--fsync remote`")
def test_r18_fsync_remote_returns_when_the_service_has_the_bytes(stage: Stage) -> None:
    """It returns 0 when the service has proved to hold the bytes, too; their upload goes before all
    others. When nothing moves for `--timeout` it is ETIMEDOUT, and the upload goes on."""
    mount = stage.mount(fsync_remote=True, close_wait_s=0.0)
    handle = mount.create("/f")
    for text in (b"one", b"two"):
        mount.write(handle, text)
        mount.call("fsync", handle, 0)
        assert stage.stored("/f") == text
    mount.close(handle)
    assert stage.remote.count("put_bytes") == 2


def test_r18_fsync_remote_fails_when_the_service_refuses(
    stage: Stage, expect_log: ExpectLog
) -> None:
    expect_log("cannot be sent", level=logging.ERROR, count=2)
    stage.remote.plan(Fault("put_bytes", times=2, before=raising(PermissionDenied("no"))))
    mount = stage.mount(fsync_remote=True)
    handle = mount.create("/f")
    mount.write(handle, b"bytes")
    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            mount.call("fsync", handle, 0)
    mount.call("fsync", handle, 0)
    assert stage.stored("/f") == b"bytes"
    mount.close(handle)


def test_r18_fsync_remote_that_does_not_move_is_a_timeout(stage: Stage) -> None:
    """Never 0 while the bytes are not there; the upload goes on."""
    mount = stage.mount(fsync_remote=True, timeout_s=0.2)
    gate = stage.remote.hold("put_bytes")
    handle = mount.create("/f")
    mount.write(handle, b"bytes")
    with pytest.raises(TimeoutError):
        mount.call("fsync", handle, 0)
    gate.open()
    mount.call("release", handle)
    mount.wait_sent()
    assert stage.stored("/f") == b"bytes"


def test_r18_fsync_local_asks_the_service_nothing(stage: Stage) -> None:
    mount = stage.mount(threads=False)
    handle = mount.create("/f")
    mount.write(handle, b"bytes")
    before = len(stage.remote.calls)
    mount.call("fsync", handle, 0)
    assert len(stage.remote.calls) == before


def test_fsync_remote_waits_while_bytes_move(open_stage: Open) -> None:
    """The timeout counts from the last progress: a slow upload is no failure."""
    clock = ManualClock()
    stage = open_stage("vault", clock, close_wait_s=0.0)
    mount = stage.mount(fsync_remote=True, timeout_s=5.0)
    gate = stage.remote.hold_answer("put_bytes")
    handle = mount.create("/f")
    mount.write(handle, b"bytes")
    clock.advance(100.0)
    syncing = Background(lambda: mount.call("fsync", handle, 0))
    gate.wait_until_reached()
    assert not syncing.ended
    gate.open()
    syncing.result()
    mount.close(handle)


# -- the service is out of reach -------------------------------------------------------------------

FILES = [f"/{number:02}" for number in range(50)]


@pytest.mark.promise("Durability", "While the service is out of reach")
def test_an_outage_is_probed_by_one_file_and_its_end_sends_all(
    stage_on_manual_clock: tuple[Stage, ManualClock], expect_log: ExpectLog
) -> None:
    """One upload at a time tries it, ever less often and never earlier than the service asked for,
    however many files wait. The first answer sends all of them off at once."""
    expect_log("is not sent yet", count=None)
    stage, clock = stage_on_manual_clock
    faults, journal = stage.service.fake.faults, stage.service.fake.journal
    mount = stage.mount(threads=False)
    assert mount.ls("/") == []
    for name in FILES:
        mount.put(name, name.encode())
    faults.add(Rule(Status(503)))
    journal.clear()
    for _ in range(360):
        sent(mount)
        clock.advance(10.0)
    assert 10 <= len(journal.entries()) <= 24
    assert len(mount.uploads()) == 50
    faults.clear()
    settled(mount, clock)
    assert {stage.stored(name) for name in FILES} == {name.encode() for name in FILES}


def test_a_retry_after_is_respected_by_all_files(
    stage_on_manual_clock: tuple[Stage, ManualClock], expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet", count=None)
    stage, clock = stage_on_manual_clock
    faults, journal = stage.service.fake.faults, stage.service.fake.journal
    mount = stage.mount(threads=False)
    assert mount.ls("/") == []
    for name in FILES[:5]:
        mount.put(name, name.encode())
    faults.add(Rule(Status(503, retry_after=100), times=2))
    journal.clear()
    assert sent(mount) == 2
    clock.advance(99.0)
    mount.overwrite(FILES[0], b"changed and closed again")
    assert sent(mount) == 0
    assert len(journal.entries()) == 2
    clock.advance(1.1)
    settled(mount, clock)
    assert stage.stored(FILES[0]) == b"changed and closed again"


@pytest.fixture(params=["vault", "cavern"])
def stage_on_manual_clock(
    request: pytest.FixtureRequest, open_stage: Open
) -> tuple[Stage, ManualClock]:
    clock = ManualClock()
    return open_stage(request.param, clock, close_wait_s=0.0, attr_ttl_s=1e6), clock
