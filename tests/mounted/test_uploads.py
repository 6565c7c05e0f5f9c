"""Uploads when the service is slow, refuses, breaks off or is killed under.

Faults are gates: a request that hangs says so (`wait_until_hanging`) and goes on when they are
lifted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from fakevospace.faults import Cut, Hang, Reset, Rule, Status
from tests.mounted.conftest import MakeMount
from tests.support.mounted import errno_of, eventually, is_mounted, pattern, shell

MB = 1 << 20
DATA = pattern(3 * MB)
HOLD_PUTS = Rule(Hang(), method="PUT", endpoint="bytes")
LIMIT_S = 15.0


def hold(after_bytes: int | None = None) -> Rule:
    """Holds every PUT of bytes, before its body or in the middle of it."""
    return Rule(Hang(after_bytes), method="PUT", endpoint="bytes")


def elapsed(call: Callable[[], object]) -> float:
    """Seconds that `call` took."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


# -- close ----------------------------------------------------------------------------------------


@pytest.mark.portable
def test_B15_close_waits_for_the_upload(make_mount: MakeMount, personality: str) -> None:
    """close returns when the bytes are on the service, not before."""
    mount = make_mount(personality)
    mount.fake.faults.add(HOLD_PUTS)
    descriptor = os.open(mount.path / "new", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(descriptor, DATA)
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(os.close, descriptor)
        mount.fake.faults.wait_until_hanging()
        assert not closing.done()
        mount.fake.faults.clear()
        closing.result(LIMIT_S)
    assert mount.fake.get("new") == DATA


def test_R19_close_wait_is_a_limit(make_mount: MakeMount, personality: str) -> None:
    """After --close-wait close returns 0; the upload goes on by itself and the state says so."""
    mount = make_mount(personality, "--close-wait", "0.5")
    mount.fake.faults.add(HOLD_PUTS)
    assert 0.4 < elapsed(lambda: (mount.path / "new").write_bytes(DATA)) < 5
    assert mount.state("new") == "uploading"
    assert (mount.path / "new").read_bytes() == DATA
    assert [upload["path"] for upload in mount.status(code=0)["uploads"]] == ["/new"]
    mount.fake.faults.clear()
    mount.wait()
    assert mount.fake.get("new") == DATA and mount.state("new") == "clean"
    assert mount.status(code=0)["uploads"] == []


def test_R19_close_wait_0_never_waits(make_mount: MakeMount, personality: str) -> None:
    """With --close-wait 0 fifty files are closed while not one PUT gets through."""
    mount = make_mount(personality, "--close-wait", "0")
    mount.fake.faults.add(HOLD_PUTS)
    took = elapsed(lambda: [(mount.path / f"f{n}").write_bytes(b"%d" % n) for n in range(50)])
    assert took < 10
    assert len(mount.status(code=0)["uploads"]) == 50
    mount.fake.faults.clear()
    mount.wait()
    assert [mount.fake.get(f"f{n}") for n in range(50)] == [b"%d" % n for n in range(50)]


def test_R19_only_the_opener_waits(make_mount: MakeMount) -> None:
    """A process that inherited the descriptor closes it without waiting, also of what its opener
    wrote; the opener's own close waits all the same, though it wrote nothing since."""
    mount = make_mount("vault")
    mount.fake.faults.add(HOLD_PUTS)
    descriptor = os.open(mount.path / "new", os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(descriptor, DATA)
    os.set_inheritable(descriptor, True)
    child = os.posix_spawn("/bin/true", ["true"], os.environ)
    assert os.waitpid(child, 0)[1] == 0
    mount.fake.faults.wait_until_hanging()
    with ThreadPoolExecutor(1) as pool:
        closing = pool.submit(os.close, descriptor)
        with suppress(TimeoutError):  # that it waits cannot be seen at a gate
            closing.result(0.3)
            raise AssertionError("close returned before the upload was done")
        mount.fake.faults.clear()
        closing.result(LIMIT_S)
    assert mount.fake.get("new") == DATA


def test_R20_a_hanging_upload_stops_nobody(make_mount: MakeMount, personality: str) -> None:
    """While PUTs hang: reading, writing, listing and making other names go on."""
    mount = make_mount(
        personality, "--close-wait", "0", prepare=lambda fake: fake.put("other", DATA)
    )
    mount.fake.faults.add(hold(after_bytes=1000))
    (mount.path / "held").write_bytes(DATA)
    mount.fake.faults.wait_until_hanging()
    assert (mount.path / "other").read_bytes() == DATA
    os.mkdir(mount.path / "dir")
    (mount.path / "more").write_bytes(b"more")
    with open(mount.path / "held", "r+b") as file:
        file.write(b"changed meanwhile")
    assert sorted(os.listdir(mount.path)) == ["dir", "held", "more", "other"]
    mount.fake.faults.clear()
    mount.wait()
    assert mount.fake.get("held") == b"changed meanwhile" + DATA[17:]


def test_R3_an_upload_sends_the_bytes_as_they_were(make_mount: MakeMount, personality: str) -> None:
    """What is written during an upload is not mixed into it: the second upload brings it."""
    mount = make_mount(personality, "--close-wait", "0")
    mount.fake.faults.add(Rule(Hang(MB), method="PUT", endpoint="bytes", times=1))
    (mount.path / "file").write_bytes(DATA)
    mount.fake.faults.wait_until_hanging()
    with open(mount.path / "file", "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"LATE", 3 * MB - 4)
    assert mount.fake.journal.count(method="PUT", endpoint="bytes") == 1
    mount.fake.faults.clear()
    mount.wait()
    assert mount.fake.get("file") == DATA[:-4] + b"LATE"
    puts = mount.fake.journal.entries(method="PUT", endpoint="bytes")
    assert [one.bytes_in for one in puts] == [len(DATA)] * 2


# -- kill, unmount, remount -----------------------------------------------------------------------


@pytest.mark.parametrize("after_bytes", [None, MB], ids=["before the body", "in the body"])
def test_B25_SIGKILL_between_copy_and_upload(
    make_mount: MakeMount, personality: str, after_bytes: int | None
) -> None:
    """R1, R2, R8: the PUT is held, the daemon killed; after the remount on the same cache the file
    arrives whole."""
    mount = make_mount(personality, "--close-wait", "0", "--settle", "1")
    mount.fake.faults.add(hold(after_bytes))
    (mount.path / "file").write_bytes(DATA)
    mount.fake.faults.wait_until_hanging()
    mount.kill9()
    mount.fake.faults.clear()
    mount.mount()
    assert (mount.path / "file").read_bytes() == DATA
    mount.wait()
    assert mount.fake.get("file") == DATA
    mount.remount(fresh_cache=True)
    assert (mount.path / "file").read_bytes() == DATA


@pytest.mark.parametrize("after_bytes", [None, MB], ids=["before the body", "in the body"])
def test_R2_SIGKILL_after_a_change_in_place(
    make_mount: MakeMount, personality: str, after_bytes: int | None
) -> None:
    """R2, R6: ten bytes changed in a file that is not here, killed while they are sent.  A service
    that truncates has lost the rest by then: all of it must be in the cache, and arrives whole."""
    mount = make_mount(
        personality, "--close-wait", "0", "--settle", "1", prepare=lambda f: f.put("file", DATA)
    )
    mount.fake.faults.add(hold(after_bytes))
    with open(mount.path / "file", "r+b", buffering=0) as file:
        os.pwrite(file.fileno(), b"0123456789", MB)
    mount.fake.faults.wait_until_hanging()
    mount.kill9()
    mount.fake.faults.clear()
    mount.mount()
    expected = DATA[:MB] + b"0123456789" + DATA[MB + 10 :]
    assert (mount.path / "file").read_bytes() == expected
    mount.wait()
    assert mount.fake.get("file") == expected


def test_R18_SIGKILL_of_a_mount_with_open_files(make_mount: MakeMount, personality: str) -> None:
    """close = 0 survives a kill, and so does every write that returned, closed or not."""
    mount = make_mount(personality, "--settle", "1")
    descriptor = os.open(mount.path / "open", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(descriptor, b"acknowledged")
    (mount.path / "closed").write_bytes(b"closed")
    mount.kill9()
    assert errno_of(lambda: os.close(descriptor)) in ("", "ENOTCONN", "ECONNABORTED")
    mount.mount()
    assert (mount.path / "open").read_bytes() == b"acknowledged"
    mount.wait()
    assert mount.fake.get("open") == b"acknowledged" and mount.fake.get("closed") == b"closed"


def test_R22_unmount_waits_for_uploads(make_mount: MakeMount, personality: str) -> None:
    """`vofs unmount` returns when everything is on the service."""
    mount = make_mount(personality, "--close-wait", "0")
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "file").write_bytes(DATA)
    mount.fake.faults.wait_until_hanging()
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(mount.unmount)
        assert not going.done() and is_mounted(mount.path)
        mount.fake.faults.clear()
        going.result(LIMIT_S)
    assert mount.fake.get("file") == DATA


def test_R22_umount_treats_open_files_as_closed(make_mount: MakeMount, personality: str) -> None:
    """umount -l with a file still open and dirty: the daemon sends it and ends."""
    mount = make_mount(personality)
    descriptor = os.open(mount.path / "open", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(descriptor, b"written")
    shell('fusermount -u -z "$1"', mount.path)
    os.close(descriptor)
    eventually(lambda: mount.holds("open", b"written"))


def test_unmount_now_leaves_uploads_for_the_next_mount(
    make_mount: MakeMount, personality: str
) -> None:
    """`vofs unmount --now` says how many stay; the next mount sends them."""
    mount = make_mount(personality, "--close-wait", "0", "--settle", "1")
    mount.fake.faults.add(Rule(Status(503, retry_after=1), endpoint="bytes"))
    mount.fake.faults.add(Rule(Status(503, retry_after=1), endpoint="synctrans"))
    (mount.path / "one").write_bytes(b"1")
    (mount.path / "two").write_bytes(DATA)
    assert mount.unmount("--now").stdout == "2 uploads stay for the next mount\n"
    assert errno_of(lambda: mount.fake.get("two")) != "" or mount.fake.get("two") == b""
    mount.fake.faults.clear()
    mount.mount()
    mount.wait()
    assert mount.fake.get("one") == b"1" and mount.fake.get("two") == DATA


def test_unmount_gives_up_without_progress(make_mount: MakeMount) -> None:
    """Nothing moves for --timeout: exit 1, still mounted, nothing lost."""
    mount = make_mount("vault", "--close-wait", "0")
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "file").write_bytes(DATA)
    mount.fake.faults.wait_until_hanging()
    done = mount.unmount("--timeout", "1", code=1)
    assert done.stderr.count("\n") == 1 and "1 upload" in done.stderr
    assert is_mounted(mount.path)
    mount.fake.faults.clear()
    mount.unmount()
    assert mount.fake.get("file") == DATA


# -- refusals of the service ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "body"), [(403, "PermissionDenied"), (413, "QuotaExceeded")], ids=["403", "413"]
)
def test_B15_a_permanent_failure_is_reported_at_close(
    make_mount: MakeMount, personality: str, code: int, body: str
) -> None:
    """The refused upload raises at close; the bytes stay, are listed, survive a remount, and
    `vofs status` and `vofs wait` say so by their exit code."""
    mount = make_mount(personality, "--settle", "1", prepare=lambda fake: fake.put("file", b"old"))
    mount.expect_error("file cannot be sent")
    mount.fake.faults.add(Rule(Status(code, body=body), method="PUT", endpoint="bytes"))
    assert errno_of(lambda: (mount.path / "file").write_bytes(DATA)) in ("EIO", "EACCES", "EDQUOT")
    eventually(lambda: mount.state("file") == "failed")
    assert os.getxattr(mount.path / "file", "user.vofs.error") != b""
    assert (mount.path / "file").read_bytes() == DATA
    (upload,) = mount.status(code=1)["uploads"]
    assert upload["path"] == "/file" and upload["state"] == "failed" and upload["error"]
    mount.wait(code=1)
    assert "uploads failed: 1" in mount.vofs("status", mount.path, code=1).stdout
    mount.unmount("--now")
    mount.mount()
    assert (mount.path / "file").read_bytes() == DATA
    assert mount.fake.get("file") in (b"old", b"")
    mount.fake.faults.clear()
    mount.unmount("--now")
    mount.mount()
    mount.wait()
    assert mount.fake.get("file") == DATA


@pytest.mark.parametrize("code", [500, 503])
def test_B15_a_passing_failure_is_overcome(
    make_mount: MakeMount, personality: str, code: int
) -> None:
    """One bad answer (503 with Retry-After, or 500) and then none: close succeeds, a little
    later."""
    mount = make_mount(personality, "--settle", "0.2")
    mount.fake.faults.add(
        Rule(Status(code, retry_after=1), method="PUT", endpoint="bytes", times=1)
    )
    (mount.path / "file").write_bytes(DATA)
    mount.wait()
    assert mount.fake.get("file") == DATA


def test_a_service_that_stays_away_loses_nothing(make_mount: MakeMount, personality: str) -> None:
    """503 for ever: close returns after --close-wait, the upload is pending (not failed), `vofs
    wait --timeout` is 124, and it arrives when the service is back."""
    mount = make_mount(personality, "--close-wait", "0.2", "--settle", "0.2")
    for endpoint in ("bytes", "synctrans", "files"):
        mount.fake.faults.add(Rule(Status(503, retry_after=1), endpoint=endpoint))
    (mount.path / "file").write_bytes(DATA)
    assert mount.status(code=0)["uploads"][0]["state"] in ("dirty", "uploading", "in-doubt")
    mount.vofs("wait", "--timeout", "0.5", mount.path, code=124)
    assert (mount.path / "file").read_bytes() == DATA
    mount.fake.faults.clear()
    mount.wait()
    assert mount.fake.get("file") == DATA


def with_failed_upload(make_mount: MakeMount) -> int:
    """An open file that the service has refused for good."""
    mount = make_mount("vault", "--close-wait", "0")
    mount.expect_error("file cannot be sent")
    mount.fake.faults.add(Rule(Status(403, body="PermissionDenied"), method="PUT"))
    descriptor = os.open(mount.path / "file", os.O_RDWR | os.O_CREAT, 0o644)
    os.write(descriptor, b"bytes")
    os.close(os.dup(descriptor))
    eventually(lambda: mount.state("file") == "failed")
    return descriptor


def test_R18_a_failure_is_reported_once_per_handle(make_mount: MakeMount) -> None:
    """At the handle's next flush, even without new bytes; and not a second time."""
    descriptor = with_failed_upload(make_mount)
    assert errno_of(lambda: os.close(os.dup(descriptor))) != ""
    assert errno_of(lambda: os.close(os.dup(descriptor))) == ""
    os.close(descriptor)


def test_R18_fsync_reports_a_failure(make_mount: MakeMount) -> None:
    """A permanent upload error is reported at the next fsync as well."""
    descriptor = with_failed_upload(make_mount)
    assert errno_of(lambda: os.fsync(descriptor)) != ""
    os.close(descriptor)


@pytest.mark.parametrize("how", [Reset(MB), Cut(MB)], ids=["reset", "cut"])
def test_R1_an_upload_that_breaks_is_repeated(
    make_mount: MakeMount, personality: str, how: Reset | Cut
) -> None:
    """The connection breaks in the middle of the body: the file arrives whole all the same."""
    mount = make_mount(personality, "--settle", "0.5", "--close-wait", "0")
    mount.fake.faults.add(Rule(how, method="PUT", endpoint="bytes", times=1))
    (mount.path / "file").write_bytes(DATA)
    mount.wait()
    assert mount.fake.get("file") == DATA
    assert (mount.path / "file").read_bytes() == DATA
