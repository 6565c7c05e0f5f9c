"""Races of reads, each staged with gates: scenarios 1 to 9 of docs/concurrency.md."""

from __future__ import annotations

import os

import pytest

from tests.integration.session.conftest import Open
from tests.support.sessions import Background, Fault, HeldAt, Mounted, Stage, raising, until
from vofs.core.errors import PermissionDenied

DATA = bytes(range(251)) * 4000  # 1 MB
OTHER = bytes(reversed(DATA))


def reading(mount: Mounted, handle: int, size: int, offset: int = 0) -> Background:
    return Background(lambda: bytes(mount.call("read", handle, size, offset)))


def held_read(
    stage: Stage, mount: Mounted, size: int, flags: int = os.O_RDONLY
) -> tuple[int, Background, HeldAt]:
    """A read of /f whose download is held behind the service's answer: handle, reader, gate."""
    gate = stage.remote.hold_answer("open_bytes")
    handle = mount.open("/f", flags)
    reader = reading(mount, handle, size)
    gate.wait_until_reached()
    return handle, reader, gate


def test_s01_two_cold_reads_of_one_span_are_one_download(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    gate = stage.remote.hold("open_bytes")
    handles = [mount.open("/f"), mount.open("/f")]
    readers = [reading(mount, handles[0], 1000)]
    gate.wait_until_reached()
    readers.append(reading(mount, handles[1], 1000, 500))
    gate.open()
    assert [reader.result() for reader in readers] == [DATA[:1000], DATA[500:1500]]
    assert stage.remote.count("open_bytes") == 1
    for handle in handles:
        mount.close(handle)


def test_s02_a_download_that_fails_fails_for_everybody_who_waits(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.store("/f", DATA)
    mount = stage.mount()
    gate, refuse = HeldAt(), raising(PermissionDenied("no"))

    def refuse_late() -> None:
        gate.arrive()
        refuse()

    stage.remote.plan(Fault("open_bytes", before=refuse_late), Fault("open_bytes", before=refuse))
    handle = mount.open("/f")
    readers = [reading(mount, handle, 1000)]
    gate.wait_until_reached()
    readers.append(reading(mount, handle, 1000, 10))
    gate.open()
    for reader in readers:
        with pytest.raises(PermissionError):
            reader.result()
    stage.remote.heal()
    assert mount.call("read", handle, 1000, 0) == DATA[:1000]
    mount.close(handle)


def test_s03_a_download_never_overwrites_what_was_written_meanwhile(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    handle, reader, gate = held_read(stage, mount, 1000, os.O_RDWR)
    mount.write(handle, b"newer", 100)
    gate.open()
    wanted = DATA[:100] + b"newer" + DATA[105:]
    assert reader.result() == wanted[:1000]
    mount.close(handle)
    mount.stop()
    assert stage.stored("/f") == wanted


def test_s04_bytes_that_were_cut_do_not_come_back_with_a_download(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    handle, reader, gate = held_read(stage, mount, 1000, os.O_RDWR)
    mount.call("truncate", None, 100, handle)
    mount.call("truncate", None, 600, handle)
    gate.open()
    wanted = DATA[:100] + bytes(500)
    assert reader.result() == wanted
    mount.close(handle)
    mount.stop()
    assert stage.stored("/f") == wanted


def test_s05_a_read_is_of_one_version_when_an_open_finds_another(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount(attr_ttl_s=0.0)
    handle, reader, gate = held_read(stage, mount, len(DATA))
    stage.store("/f", OTHER)
    other = mount.open("/f")
    gate.open()
    assert reader.result() == OTHER
    assert mount.call("read", other, len(DATA), 0) == OTHER
    mount.close(handle)
    mount.close(other)


def test_s06_a_read_that_finds_another_version_on_the_service_is_an_error(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    gate = stage.remote.hold("open_bytes")
    handle = mount.open("/f")
    reader = reading(mount, handle, 1000)
    gate.wait_until_reached()
    stage.store("/f", OTHER + b"longer")
    gate.open()
    with pytest.raises(OSError, match="Stale"):
        reader.result()
    assert mount.get("/f") == OTHER + b"longer"
    mount.close(handle)


def test_s07_a_file_that_is_read_is_not_given_up(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    handle, reader, gate = held_read(stage, mount, 1000)
    mount.control(command="drop", path="/")
    gate.open()
    assert reader.result() == DATA[:1000]
    mount.control(command="drop", path="/")
    assert mount.call("read", handle, 1000, 0) == DATA[:1000]
    mount.close(handle)


def test_s08_a_read_that_gave_up_finds_its_bytes_the_next_time(open_stage: Open) -> None:
    stage = open_stage("vault", timeout_s=0.2)
    stage.store("/f", DATA)
    mount = stage.mount()
    gate = stage.remote.hold_answer("open_bytes")
    handle = mount.open("/f")
    with pytest.raises(TimeoutError):
        mount.call("read", handle, 1000, 0)
    gate.open()

    def again() -> bool:
        try:
            return bool(mount.call("read", handle, 1000, 0) == DATA[:1000])
        except TimeoutError:
            return False

    until(again, "the bytes are there")
    assert stage.remote.count("open_bytes") == 1
    mount.close(handle)


def test_s09_of_two_opens_the_one_that_asked_last_is_right(stage: Stage) -> None:
    """The older answer may cost a reader an error, never a wrong byte, and not the next open."""
    stage.store("/f", DATA)
    mount = stage.mount(attr_ttl_s=0.0)
    gate = stage.remote.hold_answer("get_node", stage.path("/f"))
    late = Background(lambda: mount.open("/f"))
    gate.wait_until_reached()
    other = OTHER + b"longer"
    stage.store("/f", other)
    assert mount.get("/f") == other
    gate.open()
    handle = late.result()
    assert isinstance(handle, int)
    try:
        assert mount.call("read", handle, len(other), 0) == other
    except OSError as exc:
        assert "Stale" in str(exc)
    assert mount.get("/f") == other
    mount.close(handle)
