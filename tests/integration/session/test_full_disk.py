"""R21: the disk is full although there was room a moment ago: the cache's clean bytes make room."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.session.conftest import Open
from tests.support.faultydisk import ASIDE, WRITE, DiskFault
from tests.support.sessions import Fault, HeldAt, Mounted, Stage
from vofs.core.errors import CacheFull

KEPT = b"clean" * 1000
Change = Callable[[Mounted, int], object]


def full() -> None:
    """A new error each time: one that is kept would keep what its traceback holds."""
    raise CacheFull("no room")


@pytest.fixture
def vault(open_stage: Open) -> Stage:
    """With a file that may be given up, and one that is to be changed."""
    stage = open_stage("vault", close_wait_s=0.0)
    stage.store("/clean", KEPT)
    stage.store("/f", b"0123456789")
    return stage


def downloads(stage: Stage, path: str) -> int:
    return stage.remote.calls.count(("open_bytes", stage.path(path)))


def write(mount: Mounted, handle: int) -> object:
    return mount.call("write", handle, b"ab", 2)


def append(mount: Mounted, handle: int) -> object:
    return mount.call("write", handle, b"ab", 10)


@pytest.mark.promise("Space", "A full disk")
@pytest.mark.parametrize("change", [write, append])
@pytest.mark.parametrize("midway", [False, True], ids=["at once", "midway"])
def test_r21_a_write_makes_room_before_it_is_refused(
    vault: Stage, change: Change, midway: bool
) -> None:
    """When the disk turns out to be full, because others fill it too, cached data that the service
    has makes room before anything fails. With nothing left to give up, a write is ENOSPC: the file
    keeps its size, and what was accepted before is kept and sent. The index has 4 MiB of its own
    for that."""
    mount = vault.mount()
    assert mount.get("/clean") == KEPT
    handle = mount.open("/f", 2)
    vault.changes.plan(
        DiskFault(name=WRITE, midway=full) if midway else DiskFault(name=WRITE, before=full)
    )
    assert change(mount, handle) == 2
    mount.close(handle)
    mount.wait_sent()
    wanted = bytearray(b"0123456789")
    at = 2 if change is write else 10
    wanted[at : at + 2] = b"ab"
    assert vault.stored("/f") == bytes(wanted)
    assert mount.get("/clean") == KEPT
    assert downloads(vault, "/clean") == 2


def test_r21_with_nothing_to_give_up_it_is_refused(vault: Stage) -> None:
    """R21: ENOSPC after one try; the file is as it was, and the next write may succeed."""
    mount = vault.mount()
    handle = mount.open("/f", 2)
    vault.changes.plan(DiskFault(name=WRITE, times=2, before=full))
    with pytest.raises(OSError, match="No space left"):
        write(mount, handle)
    vault.changes.heal()
    assert write(mount, handle) == 2
    mount.close(handle)
    mount.wait_sent()
    assert vault.stored("/f") == b"01ab456789"


def test_r21_it_is_tried_once_more_and_no_third_time(vault: Stage) -> None:
    mount = vault.mount()
    assert mount.get("/clean") == KEPT
    handle = mount.open("/f", 2)
    before = vault.changes.made.count(WRITE)
    vault.changes.plan(DiskFault(name=WRITE, times=99, before=full))
    with pytest.raises(OSError, match="No space left"):
        write(mount, handle)
    assert vault.changes.made.count(WRITE) - before == 2
    vault.changes.heal()
    mount.call("release", handle)


def cut(mount: Mounted, handle: int) -> object:
    return mount.call("truncate", "/f", 3, handle)


@pytest.mark.parametrize(("change", "fault"), [(write, WRITE), (write, ASIDE), (cut, WRITE)])
def test_r21_r03_copying_aside_makes_room(vault: Stage, change: Change, fault: str) -> None:
    """R3: what a running upload still needs is copied; the upload sends the bytes of its ticket."""
    mount = vault.mount()
    assert mount.get("/clean") == KEPT
    gate = HeldAt()
    sent: list[bytes | None] = []
    vault.remote.plan(
        Fault("put_bytes", before=gate.arrive, after=lambda: sent.append(vault.stored("/f")))
    )
    handle = mount.open("/f", 2)
    mount.write(handle, b"9876543210")
    mount.call("flush", handle)
    gate.wait_until_reached()
    vault.changes.plan(DiskFault(name=fault, before=full))
    change(mount, handle)
    gate.open()
    mount.call("release", handle)
    mount.wait_sent()
    assert sent[0] == b"9876543210"
    assert vault.stored("/f") == (b"987" if change is cut else b"98ab543210")
    assert mount.get("/clean") == KEPT
    assert downloads(vault, "/clean") == 2


def test_r21_r14_a_read_makes_room(vault: Stage) -> None:
    """R14: every byte or an error, and no error as long as something else can go."""
    mount = vault.mount()
    assert mount.get("/clean") == KEPT
    vault.changes.plan(DiskFault(name=WRITE, before=full))
    assert mount.get("/f") == b"0123456789"
    assert mount.get("/clean") == KEPT
    assert downloads(vault, "/clean") == 2


@pytest.mark.parametrize(("found", "says"), [(0x6969, "is on NFS"), (0xEF53, "")])
def test_r21_a_mount_knows_what_its_cache_is_on(vault: Stage, found: int, says: str) -> None:
    """R21: it mounts anyway; `mountvofs` prints and logs the line."""
    vault.changes.file_system_type = found
    said = vault.mount().session.cache_warning
    assert (says in said) if says else not said
