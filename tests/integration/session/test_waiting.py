"""How long reads wait, and what does not wait with them (behaviours.md row 13, R19, R20)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from threading import current_thread

import pytest

from fakevospace.faults import Cut, Hang, Rule
from tests.integration.session.conftest import Open
from tests.support.sessions import (
    Background,
    Fault,
    FaultyRemote,
    HeldAt,
    ManualClock,
    Mounted,
    Stage,
    SystemClock,
    raising,
    until,
)
from vofs.cache.breaking import BreakingRemote
from vofs.cache.clock import Clock
from vofs.cache.threads import SystemThreads
from vofs.cache.waiting import PLACES, WaitingPlaces
from vofs.core.attributes import version_token
from vofs.core.errors import NodeNotFound, RemoteTimeout, RemoteUnavailable
from vofs.mount.options import MountOptions

KB = 1024
DATA = os.urandom(300 * KB)
TIMEOUT_S = 5.0


def reads_in_vain(mount: Mounted, handle: int, clock: ManualClock) -> OSError:
    """Read until it is answered; the clock runs while it waits."""
    reading = Background(lambda: mount.call("read", handle, 4 * KB, 0))
    while not reading.ended:
        clock.advance(0.5)
        mount.session.files[0].wake()
    with pytest.raises(OSError, match=r".") as caught:
        reading.result()
    return caught.value


def test_b13_a_hanging_download_times_out_goes_on_and_is_found_by_the_next_read(
    open_stage: Open, clock: ManualClock
) -> None:
    """ETIMEDOUT after --timeout without progress; the transfer goes on and the read that is
    repeated finds the data, without another request."""
    stage = open_stage("vault", clock=clock, timeout_s=TIMEOUT_S)
    stage.store("/f", DATA)
    mount = stage.mount()
    handle = mount.open("/f")
    gate = stage.remote.hold("open_bytes")
    began = clock.monotonic()
    assert reads_in_vain(mount, handle, clock).strerror == "Connection timed out"
    assert clock.monotonic() - began >= TIMEOUT_S

    # R20: nobody waits for the same span again at once.
    began = clock.monotonic()
    with pytest.raises(TimeoutError):
        mount.call("read", handle, 4 * KB, 0)
    assert clock.monotonic() == began

    gate.open()
    until(lambda: mount.session.files[0].read(0, 4 * KB) is not None, "the bytes come")
    assert mount.call("read", handle, 4 * KB, 0) == DATA[: 4 * KB]
    assert stage.remote.count("open_bytes") == 1
    mount.close(handle)


@pytest.mark.promise("Reading", "`--strict-timeout`")
def test_b13_with_strict_timeout_it_is_eagain_although_bytes_come(
    open_stage: Open, clock: ManualClock
) -> None:
    """A read that has taken longer than `--timeout` as a whole fails with EAGAIN, whether bytes
    come or not; the download goes on. Beware: Python takes EAGAIN for the end of the file."""
    stage = open_stage("vault", clock=clock, timeout_s=TIMEOUT_S, strict_timeout=True)
    stage.store("/f", DATA)
    mount = stage.mount()
    handle = mount.open("/f")
    gate = stage.remote.hold("open_bytes")
    with pytest.raises(BlockingIOError):
        raise reads_in_vain(mount, handle, clock)
    gate.open()
    until(lambda: mount.session.files[0].read(0, 4 * KB) is not None, "the bytes come")
    assert mount.call("read", handle, 4 * KB, 0) == DATA[: 4 * KB]
    mount.close(handle)


@pytest.mark.promise("Reading", "One slow file")
def test_r20_a_hanging_get_stops_nobody(stage: Stage) -> None:
    """While the download of a file hangs, its neighbours do not: names are looked up, listed and
    made, and other files are opened, read and written."""
    stage.store("/slow", DATA)
    stage.store("/open", DATA)
    stage.store("/other", DATA)
    mount = stage.mount()
    opened = mount.open("/open")
    slow = mount.open("/slow")
    faults = stage.service.fake.faults
    faults.add(Rule(Hang(), method="GET", endpoint="bytes", path=stage.path("/slow")))
    try:
        reading = Background(lambda: mount.call("read", slow, 4 * KB, 0))
        faults.wait_until_hanging()
        assert mount.stat("/slow").size == mount.stat("/other").size == len(DATA)
        assert mount.ls("/") == ["open", "other", "slow"]
        mount.put("/new", b"new")
        assert mount.call("read", opened, len(DATA), 0) == DATA
        assert mount.get("/other") == DATA
        assert not reading.ended
    finally:
        faults.clear()
    assert reading.result() == DATA[: 4 * KB]
    mount.close(slow)
    mount.close(opened)


def test_r20_many_hanging_gets_stop_nobody(open_stage: Open) -> None:
    """Decision 0010: as many downloads may hang as readers may wait, but for one."""
    (workers,) = (field.default for field in fields(MountOptions) if field.name == "fetch_workers")
    stage = open_stage("vault", fetch_workers=workers)
    hanging = [f"/slow{number}" for number in range(PLACES - 1)]
    for path in (*hanging, "/other"):
        stage.store(path, DATA)
    mount = stage.mount()
    handles = [mount.open(path) for path in hanging]
    faults = stage.service.fake.faults
    faults.add(Rule(Hang(), method="GET", endpoint="bytes", path=stage.path("/slow*")))
    try:
        readers = [
            Background(lambda handle=handle: mount.call("read", handle, 4 * KB, 0))  # type: ignore[misc]
            for handle in handles
        ]
        until(lambda: stage.remote.count("open_bytes") == len(hanging), "all of them hang")
        assert mount.get("/other") == DATA
        assert not any(reader.ended for reader in readers)
    finally:
        faults.clear()
    assert {reader.result() for reader in readers} == {DATA[: 4 * KB]}
    for handle in handles:
        mount.close(handle)


def test_r20_no_reading_thread_downloads(stage: Stage) -> None:
    """Decision 0010: small or large, it is the pool that asks, and the reader that can be ended."""
    stage.store("/f", os.urandom(3000 * KB))
    mount = stage.mount()
    names: list[str] = []
    asks = Fault("open_bytes", times=99, before=lambda: names.append(current_thread().name))
    stage.remote.plan(asks)
    handle = mount.open("/f")
    for offset in (2900 * KB, 0, 1000 * KB):
        mount.call("read", handle, 4 * KB, offset)
    assert names and all(name.startswith("vofs-fetch") for name in names), names
    mount.close(handle)


def failing(times: int) -> Fault:
    return Fault("get_node", times=times, before=raising(RemoteUnavailable("out of reach")))


@pytest.mark.promise("Reading", "A service that is gone")
def test_r20_a_service_that_stopped_answering_costs_a_probe_and_no_timeout(
    open_stage: Open,
) -> None:
    """After two requests in a row without an answer vofs asks one question at a time; what is not
    cached fails within a second meanwhile. The first answer ends that."""
    stage = open_stage("vault")
    stage.store("/f", DATA)
    with breaking(stage.remote, SystemClock(), stage.root) as remote:
        stage.remote.plan(failing(2))
        for name in ("/a", "/b"):
            with pytest.raises(RemoteUnavailable, match="out of reach"):
                remote.get_node(stage.path(name))
        gate = stage.remote.hold("get_node")
        for _ in range(3):
            with pytest.raises(RemoteUnavailable, match="asked again"):
                remote.get_node(stage.path("/c"))
        gate.wait_until_reached()
        assert stage.remote.calls[-1] == ("get_node", stage.root)
        assert stage.remote.count("get_node") == 3
        gate.open()
        until(lambda: not remote.is_open, "the probe is answered")
        with pytest.raises(NodeNotFound):
            remote.get_node(stage.path("/c"))


def test_r20_a_body_that_breaks_is_no_answer_and_one_that_comes_is(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.store("/f", DATA)
    token = version_token(stage.service.remote.get_node(stage.path("/f")))
    with breaking(stage.remote, SystemClock(), stage.root) as remote:
        faults = stage.service.fake.faults
        faults.add(Rule(Cut(0), method="GET", endpoint="bytes", times=2))
        for _ in range(2):
            assert not remote.is_open
            source = remote.open_bytes(stage.path("/f"), 0, len(DATA), token)
            with source, pytest.raises(RemoteUnavailable):
                list(source.chunks())
        assert remote.is_open
        stage.remote.plan(failing(1))
        with pytest.raises(RemoteUnavailable):
            remote.open_bytes(stage.path("/f"), 0, len(DATA), token)


@contextmanager
def breaking(inner: FaultyRemote, clock: Clock, path: str) -> Iterator[BreakingRemote]:
    remote = BreakingRemote(inner, clock, SystemThreads(), path, patience_s=0.0)
    try:
        yield remote
    finally:
        remote.close()


class Passing(ManualClock):
    """Half a second passes with every look."""

    def monotonic(self) -> float:
        self.advance(0.5)
        return super().monotonic()


def test_r20_who_finds_no_place_is_answered_when_nothing_moves() -> None:
    places = WaitingPlaces(Passing(), places=0)
    with pytest.raises(RemoteTimeout, match="nothing moves"), places.place("/f"):
        raise AssertionError("there was no place")


def test_r20_who_finds_no_place_waits_for_one() -> None:
    places = WaitingPlaces(ManualClock(), places=1)
    gate = HeldAt()

    def hold() -> None:
        with places.place("/a"):
            gate.arrive()

    def come() -> None:
        with places.place("/b"):
            pass

    holding = Background(hold)
    gate.wait_until_reached()
    coming = Background(come)
    assert not coming.ended
    gate.open()
    holding.result()
    coming.result()
