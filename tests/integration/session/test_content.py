"""Which content is served: that of one version, compared with the service's MD5 (R12, R13)."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.integration.session.conftest import Open
from tests.support.damaging import DamagingRemote
from tests.support.logs import ExpectLog
from tests.support.sessions import Background, Killed, Mounted, Stage, until
from vofs.cache.content import HELD_BACK_BELOW
from vofs.cli.vofs import main
from vofs.core.nodes import VersionToken

KB, MB = 1024, 1 << 20
DATA = os.urandom(700 * KB)
OTHER = os.urandom(700 * KB)
LONG, OTHER_LONG = DATA * 5, OTHER * 5  # long enough that two reads do not look like a sequence


@pytest.fixture(params=["vault", "cavern"])
def damaging(request: pytest.FixtureRequest, open_stage: Open) -> Callable[..., Stage]:
    """A stage whose downloads of /f are damaged."""

    def make(*values: int, at: int = 0) -> Stage:
        stage = open_stage(request.param)
        stage.store("/f", DATA)
        stage.remote = DamagingRemote(stage.remote, *values, at=at)
        return stage

    return make


def a(value: int) -> int:
    """A byte that DATA[0] is not."""
    return (DATA[0] + value) % 256


@pytest.mark.promise("Reading", "Damaged on the way")
def test_r13_a_download_that_arrives_damaged_is_repeated_and_never_served(
    damaging: Callable[..., Stage], expect_log: ExpectLog
) -> None:
    """A file that has been downloaded completely is compared with the service's MD5. A mismatch
    drops it and downloads it once more; up to 64 MiB nobody gets its last bytes before it is
    right. A handle that was given bytes which turn out to be damaged fails with EIO from then on;
    the file opened again is right."""
    expect_log("arrived with another MD5; it is downloaded once more")
    mount = damaging(a(1)).mount()
    assert mount.get("/f") == DATA
    assert mount.call("getxattr", "/f", "user.vofs.state") == b"clean"


def test_r13_a_handle_that_got_damaged_bytes_fails(open_stage: Open, expect_log: ExpectLog) -> None:
    """What was read before cannot be taken back: the handle gets no more, a new one all."""
    expect_log("arrived with another MD5")
    stage = open_stage("vault")
    stage.store("/f", LONG)
    stage.remote = DamagingRemote(stage.remote, (LONG[0] + 1) % 256)
    mount = stage.mount()
    handle, late = mount.open("/f"), mount.open("/f")
    assert mount.call("read", late, 4 * KB, 3 * MB) == LONG[3 * MB : 3 * MB + 4 * KB]
    damaged = mount.call("read", handle, 4 * KB, 0)  # alone, so that the file is incomplete
    assert damaged[1:] == LONG[1 : 4 * KB] != damaged
    with pytest.raises(OSError, match="Input/output"):
        mount.call("read", handle, len(LONG), 0)
    assert mount.get("/f") == LONG
    mount.close(handle)
    mount.close(late)


def test_r13_a_file_too_large_to_be_held_back_is_compared_all_the_same(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """Its readers do not wait for the hash; when it is wrong they read no further."""
    expect_log("arrived with another MD5")
    stage = open_stage("vault")
    large = LONG * (HELD_BACK_BELOW // len(LONG) + 1)
    stage.store("/f", large)
    stage.remote = DamagingRemote(stage.remote, (large[0] + 1) % 256)
    mount = stage.mount()
    handle = mount.open("/f")
    for offset in range(0, len(large), 8 * MB):
        found = mount.call("read", handle, 8 * MB, offset)
        assert found[1:] == large[offset + 1 : offset + 8 * MB]

    def is_told() -> bool:
        try:
            mount.call("read", handle, 4 * KB, 0)
        except OSError as exc:
            return exc.errno == errno.EIO
        return False

    until(is_told, "the handle is told")
    assert mount.get("/f") == large
    mount.close(handle)


def test_r13_two_downloads_that_agree_overrule_the_md5(
    damaging: Callable[..., Stage], expect_log: ExpectLog
) -> None:
    """Served, with a warning in the log and in user.vofs.error; a handle reads on."""
    expect_log("downloaded once more")
    expect_log("is served although the service tells MD5")
    stage = damaging(a(1), a(1))
    mount = stage.mount()
    handle = mount.open("/f")
    wanted = bytes([a(1)]) + DATA[1:]
    found = b"".join(
        mount.call("read", handle, 100 * KB, offset) for offset in range(0, len(DATA), 100 * KB)
    )
    assert found == wanted
    until(lambda: "user.vofs.error" in mount.call("listxattr", "/f"), "both were compared")
    told = bytes(mount.call("getxattr", "/f", "user.vofs.error")).decode()
    assert hashlib.md5(DATA).hexdigest() in told
    assert hashlib.md5(wanted).hexdigest() in told
    mount.close(handle)


def test_r13_a_copy_that_two_downloads_agreed_on_is_no_damage(
    damaging: Callable[..., Stage], expect_log: ExpectLog, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not for `vofs cache check`, and not after a power loss (R5)."""
    expect_log("downloaded once more")
    expect_log("is served although the service tells MD5")
    expect_log("the machine went down")
    stage = damaging(a(1), a(1))
    wanted = bytes([a(1)]) + DATA[1:]
    mount = stage.mount(boot_id="before")
    assert mount.get("/f") == wanted
    mount.stop()
    assert main(["cache", "check", str(stage.cache_dir)]) == 0
    assert "damaged: 0" in capsys.readouterr().out
    mount = stage.mount(boot_id="before")
    with pytest.raises(Killed):
        stage.kill()
    assert stage.reopen(boot_id="after").get("/f") == wanted
    assert stage.remote.count("open_bytes") == 0


def test_r13_two_downloads_that_differ_are_an_error(
    damaging: Callable[..., Stage], expect_log: ExpectLog
) -> None:
    expect_log("downloaded once more")
    expect_log("cannot be read: each download is another one", level=logging.ERROR)
    stage = damaging(a(1), a(2))
    mount = stage.mount()
    handle = mount.open("/f")
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            mount.call("read", handle, len(DATA), 0)
    assert stage.remote.count("open_bytes") == 2
    mount.close(handle)


# -- another version on the service ---------------------------------------------------------------

CHANGES = {
    "same size": OTHER_LONG,
    "longer": OTHER_LONG + b"more",
    "shorter": OTHER[: 300 * KB],
    "empty": b"",
    "deleted": None,
}


def change(stage: Stage, data: bytes | None) -> None:
    if data is None:
        stage.service.fake.delete(stage.path("/f"))
    else:
        stage.store("/f", data)


@pytest.mark.parametrize("what", CHANGES)
def test_r12_a_change_while_it_is_open_never_mixes(open_stage: Open, what: str) -> None:
    """Part of it was read: the rest is of the same version, or ESTALE; the next open is right."""
    stage = open_stage("vault", attr_ttl_s=0.0)
    stage.store("/f", LONG)
    mount = stage.mount()
    handle = mount.open("/f")
    assert mount.call("read", handle, 4 * KB, 3 * MB) == LONG[3 * MB : 3 * MB + 4 * KB]
    change(stage, CHANGES[what])
    with pytest.raises(OSError, match="Stale"):
        mount.call("read", handle, 4 * KB, 0)
    assert mount.call("read", handle, 4 * KB, 3 * MB) == LONG[3 * MB : 3 * MB + 4 * KB]
    sees(mount, CHANGES[what])
    if CHANGES[what]:  # that open has brought the new version
        with pytest.raises(OSError, match="Stale"):
            mount.call("read", handle, 4 * KB, 0)
    mount.close(handle)


def sees(mount: Mounted, data: bytes | None) -> None:
    """What somebody finds who opens the file now."""
    if data is None:
        with pytest.raises(FileNotFoundError):
            mount.open("/f")
    else:
        assert mount.get("/f") == data


@pytest.mark.parametrize("what", CHANGES)
def test_r12_a_change_while_it_is_cached_and_open(stage: Stage, what: str) -> None:
    """All of it is here: an open handle goes on with the old bytes until somebody opens the new
    version, then it is ESTALE; the next open sees the new one."""
    stage.store("/f", LONG)
    mount = stage.mount(attr_ttl_s=0.0)
    handle = mount.open("/f")
    assert mount.call("read", handle, len(LONG), 0) == LONG
    change(stage, CHANGES[what])
    assert mount.call("read", handle, len(LONG), 0) == LONG
    sees(mount, CHANGES[what])
    if CHANGES[what]:
        with pytest.raises(OSError, match="Stale"):
            mount.call("read", handle, 4 * KB, 0)
    mount.close(handle)


@pytest.mark.parametrize("what", ["same size", "longer", "shorter"])
def test_r12_a_change_after_it_was_closed(stage: Stage, what: str) -> None:
    """Within --attr-ttl the old bytes may be served; after it, the new ones and only those."""
    stage.store("/f", LONG)
    mount = stage.mount(attr_ttl_s=0.0)
    assert mount.get("/f") == LONG
    change(stage, CHANGES[what])
    sees(mount, CHANGES[what])


def test_r12_a_change_between_two_ranges_of_one_read(open_stage: Open) -> None:
    """One read needs two ranges and the version changes between them: ESTALE, nothing mixed."""
    stage = open_stage("vault", attr_ttl_s=0.0)
    stage.store("/f", LONG)
    mount = stage.mount()
    handle = mount.open("/f")
    mount.call("read", handle, 4 * KB, 2 * MB)  # the middle is here: two holes are left
    gate = stage.remote.hold("open_bytes", nth=2)
    reading = Background(lambda: mount.call("read", handle, len(LONG), 0))
    gate.wait_until_reached()
    stage.store("/f", OTHER_LONG)
    gate.open()
    with pytest.raises(OSError, match="Stale"):
        reading.result()
    assert mount.get("/f") == OTHER_LONG
    mount.close(handle)


def test_r13_the_date_of_an_upload_is_completed_at_first_sight(open_stage: Open) -> None:
    """cavern: what we stored is recognised by its MD5 once, then by its date."""
    stage = open_stage("cavern", attr_ttl_s=0.0)
    mount = stage.mount()
    mount.put("/f", DATA)
    gets = stage.remote.count("open_bytes")
    assert mount.get("/f") == DATA
    assert stage.remote.count("open_bytes") == gets


def test_r12_a_foreign_version_of_the_same_md5_and_another_date(open_stage: Open) -> None:
    """cavern's MD5 is a hint: length and date decide, so the same bytes stored again are a new
    version, and right."""
    stage = open_stage("cavern", attr_ttl_s=0.0)
    stage.store("/f", DATA)
    mount = stage.mount()
    assert mount.get("/f") == DATA
    token = VersionToken(len(DATA), hashlib.md5(DATA).hexdigest(), 5, md5_proves=False)
    assert not token.same_version(replace(token, date_ms=6))
    stage.store("/f", DATA)
    assert mount.get("/f") == DATA
    until(lambda: not mount.session.files, "nobody uses the file")
