"""What vofs promises: docs/semantics.md is made of these docstrings, in this order.

Promises that are proved elsewhere carry the same marker there; docs/development.md says how.
"""

from __future__ import annotations

import logging

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Background, Fault, PowerCut, Stage, lost, raising, until
from vofs.core.errors import PermissionDenied, RemoteUnavailable
from vofs.core.nodes import IS_LOCKED

OLD = bytes(range(251)) * 4000  # 1 MB


def kill(stage: Stage) -> None:
    with pytest.raises(RemoteUnavailable):
        stage.kill()


# -- durability -----------------------------------------------------------------------------------


@pytest.mark.promise("Durability", "write")
def test_write_survives_a_kill_and_downloads_nothing(stage: Stage, expect_log: ExpectLog) -> None:
    """When write(2) returns, the bytes survive `kill -9` of the daemon. Nothing is downloaded
    before a write, whatever part of the file is cached; what is missing of a file that was changed
    in place comes when it is sent."""
    expect_log("of an earlier mount")
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", 2)
    mount.write(handle, b"in place", 500_000)
    mount.write(handle, b"behind the end", len(OLD))
    assert stage.remote.count("open_bytes") == 0
    kill(stage)
    stage.reopen().wait_sent()
    assert stage.stored("/f") == OLD[:500_000] + b"in place" + OLD[500_008:] + b"behind the end"


@pytest.mark.promise("Durability", "close")
def test_close_queues_and_waits_for_a_while(stage: Stage) -> None:
    """close(2) queues the upload and waits for it, up to `--close-wait` seconds over the life of
    the handle; then it goes on in the background and close returns 0. Only a close by the process
    that opened the file waits, and only if the handle has written."""
    mount = stage.mount()
    mount.put("/waited", b"bytes")
    assert stage.stored("/waited") == b"bytes"
    mount.leave()
    impatient = stage.mount(close_wait_s=0.05)
    gate = stage.remote.hold("put_bytes")
    impatient.put("/late", b"bytes")
    gate.wait_until_reached()
    assert stage.stored("/late") is None
    gate.open()
    impatient.wait_sent()
    assert stage.stored("/late") == b"bytes"


@pytest.mark.promise("Durability", "A failure is told")
def test_a_permanent_failure_is_told_and_the_data_is_kept(
    stage: Stage, expect_log: ExpectLog
) -> None:
    """A failure that repeating cannot cure (permission, quota, a lock) is reported once to each
    handle that wrote, at its close or fsync. The data is kept, readable through the mount and
    listed by `vofs status`, and tried again by the next close and by the next mount. A failure
    that may pass is no error of close: the upload is repeated, ever less often, until it
    succeeds."""
    expect_log("cannot be sent", level=logging.ERROR, count=None)
    expect_log("stay in .* for the next mount")
    expect_log("of an earlier mount")
    mount = stage.mount()
    stage.remote.plan(Fault("put_bytes", times=99, before=raising(PermissionDenied("no"))))
    handle = mount.create("/f")
    mount.write(handle, b"bytes")
    with pytest.raises(OSError, match="no"):
        mount.call("flush", handle)
    mount.call("flush", handle)
    mount.call("release", handle)
    until(lambda: [one["state"] for one in mount.uploads()] == ["failed"], "the end of that try")
    assert mount.get("/f") == b"bytes"
    mount.leave()
    stage.remote.heal()
    stage.mount().wait_sent()
    assert stage.stored("/f") == b"bytes"


@pytest.mark.promise("Durability", "fsync")
@pytest.mark.parametrize("cut", PowerCut)
def test_fsync_brings_data_and_index_to_the_disk(
    stage: Stage, expect_log: ExpectLog, cut: PowerCut
) -> None:
    """When fsync(2) returns 0, the bytes survive a power loss, and go to their own name after it:
    first the data file was brought to the disk, then, by a fully synchronous commit, the index that
    knows of them."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    stage.store("/f", OLD)
    mount = stage.mount(threads=False, boot_id="first")
    handle = mount.open("/f", 2)
    mount.write(handle, b"in place", 500_000)
    mount.write(handle, b"behind the end", len(OLD))
    new = mount.create("/new")
    mount.write(new, b"12345", 5000)
    mount.call("fsync", handle, 0)
    mount.call("fsync", new, 0)
    with pytest.raises(RemoteUnavailable):
        stage.lose_power(cut)
    stage.reopen(boot_id="second").wait_sent()
    assert stage.names() == {"f", "new"}
    assert stage.stored("/f") == OLD[:500_000] + b"in place" + OLD[500_008:] + b"behind the end"
    assert stage.stored("/new") == bytes(5000) + b"12345"


@pytest.mark.promise("Durability", "What was not sent goes with the next mount")
def test_what_was_not_sent_goes_with_the_next_mount(stage: Stage, expect_log: ExpectLog) -> None:
    """Unmounting treats open files as closed and waits as long as uploads progress; what cannot be
    sent stays in the cache and goes with the next mount on it. `umount(8)` itself returns at once,
    while the daemon still uploads, so use `vofs unmount` to be sure."""
    expect_log("stay in .* for the next mount")
    expect_log("is not sent yet", count=None)
    expect_log("of an earlier mount")
    mount = stage.mount(timeout_s=0.2, close_wait_s=0.0)
    handle = mount.create("/open")
    mount.write(handle, b"still open")
    stage.remote.plan(Fault("put_bytes", times=99, before=raising(RemoteUnavailable("down"))))
    mount.stop()
    assert mount.session.left == 1
    stage.remote.heal()
    again = stage.mount()
    again.wait_sent()
    assert stage.stored("/open") == b"still open"
    handle = again.create("/also")
    again.write(handle, b"sent by the unmount")
    again.stop()
    assert stage.stored("/also") == b"sent by the unmount"


@pytest.mark.promise("Durability", "Proof")
def test_a_file_is_clean_with_proof_only(open_stage: Open, expect_log: ExpectLog) -> None:
    """A file is called clean when the service's own digest of what it stored equals ours, or,
    where it gives none, its length; three differing digests in a row make the file `failed`. An
    answer that is lost proves nothing: vofs looks what the service has, and sends again when that
    is not it."""
    expect_log("is not sent yet")
    stage = open_stage("vault", close_wait_s=0.0)
    mount = stage.mount()
    stage.remote.plan(Fault("put_bytes", before=raising(RemoteUnavailable("broke", sent=True))))
    mount.put("/f", b"bytes")
    until(lambda: bool(mount.uploads()[0]["attempts"]), "the broken try")
    assert mount.call("getxattr", "/f", "user.vofs.state") != b"clean"
    mount.control(command="hasten")
    mount.wait_sent()
    assert mount.call("getxattr", "/f", "user.vofs.state") == b"clean"
    assert stage.stored("/f") == b"bytes"


# -- reading --------------------------------------------------------------------------------------


@pytest.mark.promise("Reading", "Every byte or an error")
def test_every_byte_or_an_error(stage: Stage) -> None:
    """A read returns all bytes up to the end of the file, or fails: never less, never bytes of two
    versions. A file that changes on the service while it is open answers ESTALE for what is not
    cached; the next open sees the new version."""
    versions = [bytes([number]) * (8 * len(OLD)) for number in (1, 2)]
    stage.store("/f", versions[0])
    mount = stage.mount(attr_ttl_s=0.0)
    handle = mount.open("/f")
    assert mount.call("read", handle, 1000, len(versions[0]) - 10) == versions[0][:10]
    mount.call("read", handle, 1000, 0)
    if stage.vault:
        mount.wait_for(lambda: stage.remote.count("open_bytes") >= 2, "the first window")
    stage.store("/f", versions[1])
    try:
        data = bytes(mount.call("read", handle, 100, 5_000_000))
    except OSError as exc:
        assert "Stale" in str(exc)
    else:
        assert data == versions[0][:100]  # all of it had come
    mount.close(handle)
    assert mount.get("/f") == versions[1]


@pytest.mark.promise("Reading", "Freshness")
def test_attributes_are_believed_for_a_while(stage: Stage) -> None:
    """Attributes and listings are believed for `--attr-ttl` seconds, missing names for
    `--negative-ttl`. Each open compares versions within that and drops cached bytes of another
    one; a file with unsent changes keeps its own."""
    stage.store("/f", b"old")
    mount = stage.mount(attr_ttl_s=60.0, negative_ttl_s=60.0)
    assert (mount.get("/f"), mount.ls("/")) == (b"old", ["f"])
    stage.store("/f", b"newer")
    stage.store("/g", b"")
    asked = len(stage.remote.calls)
    assert (mount.get("/f"), mount.ls("/"), mount.exists("/g")) == (b"old", ["f"], False)
    assert len(stage.remote.calls) == asked
    mount.stop()
    mount = stage.mount(attr_ttl_s=0.0, negative_ttl_s=0.0)
    assert (mount.get("/f"), mount.ls("/"), mount.exists("/g")) == (b"newer", ["f", "g"], True)


@pytest.mark.promise("Reading", "Slow is not broken")
def test_slow_is_not_broken(open_stage: Open) -> None:
    """A read fails with ETIMEDOUT when no byte has come for `--timeout` seconds; the download goes
    on, and reading again finds what came. For two seconds after it the same bytes fail at once,
    unless some of them came."""
    stage = open_stage("vault", timeout_s=0.2)
    stage.store("/f", OLD)
    mount = stage.mount()
    handle = mount.open("/f")
    gate = stage.remote.hold("open_bytes")
    with pytest.raises(TimeoutError):
        mount.call("read", handle, 100, 0)
    gate.open()
    until(lambda: mount.call("getxattr", "/f", "user.vofs.state") == b"clean", "its state")
    mount.wait_for(lambda: _reads(mount.call, handle) == OLD[:100], "the bytes")
    assert stage.remote.count("open_bytes") == 1
    mount.close(handle)


def _reads(call: object, handle: int) -> bytes:
    try:
        return bytes(call("read", handle, 100, 0))  # type: ignore[operator]
    except TimeoutError:
        return b""


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.promise("Names", "Synchronous")
def test_changes_of_names_are_synchronous(stage: Stage) -> None:
    """mkdir, rmdir, unlink and rename of what the service has are done there when they return.
    With the service out of reach they fail at once, and nothing has changed. When the answer is
    lost, vofs looks; when that fails too, the call ends in ETIMEDOUT: the change is followed up,
    and its names stay busy until it is settled. Files that were never sent are renamed and removed
    here alone."""
    stage.store("/f", b"bytes")
    mount = stage.mount(timeout_s=0.3)
    mount.call("mkdir", "/d", 0o755)
    mount.call("rename", "/f", "/d/g")
    assert (stage.names(), stage.names("/d")) == ({"d"}, {"g"})
    stage.remote.plan(Fault("delete_node", before=raising(RemoteUnavailable("down"))))
    with pytest.raises(OSError):
        mount.call("unlink", "/d/g")
    assert mount.exists("/d/g")
    stage.remote.plan(Fault("delete_node", after=lost()))
    mount.call("unlink", "/d/g")
    assert stage.names("/d") == set()
    down = raising(RemoteUnavailable("down", sent=True))
    stage.remote.plan(Fault("delete_node", after=lost()), Fault("get_node", times=9, before=down))
    with pytest.raises(TimeoutError):
        mount.call("rmdir", "/d")
    stage.remote.heal()
    mount.wait_for(lambda: not mount.exists("/d"), "it is settled")


@pytest.mark.promise("Names", "rename replaces")
def test_rename_replaces(stage: Stage) -> None:
    """Over an existing file, the old one is moved aside, the new one moved in, the old one
    deleted; a crash between any two steps loses neither. Another client may miss the name for a
    moment between the first two. Whoever has the replaced file open goes on reading it. That one
    libfuse unlinks first: a machine that stops between its two calls, for a fifth of a second, and
    is then killed has the new file under its old name, and nothing under the other."""
    stage.store("/a", b"source")
    stage.store("/b", b"target")
    mount = stage.mount()
    gate = stage.remote.hold_answer("run_move")
    renaming = Background(lambda: mount.call("rename", "/a", "/b"))
    gate.wait_until_reached()
    names = stage.names()
    assert "a" in names
    assert "b" not in names
    (aside,) = names - {"a"}
    assert stage.stored(f"/{aside}") == b"target"
    gate.open()
    renaming.result()
    mount.wait_for(lambda: stage.names() == {"b"}, "the aside goes")
    assert (stage.stored("/b"), mount.get("/b")) == (b"source", b"source")


@pytest.mark.promise("Names", "unlink of an open file")
def test_unlink_of_an_open_file(stage: Stage, expect_log: ExpectLog) -> None:
    """The name is gone at once; handles go on. The node is deleted shortly after when every byte
    is here, else when the last handle closes. For the first fifth of a second nothing is
    committed: a crash then undoes the unlink (decision 0005)."""
    stage.store("/f", OLD)
    mount = stage.mount(threads=False)
    handle = mount.open("/f")
    mount.hide("/f")
    assert not mount.exists("/f")
    assert mount.call("read", handle, 2 * len(OLD), 0) == OLD
    kill(stage)
    again = stage.reopen()
    assert again.get("/f") == OLD
    handle = again.open("/f")
    again.hide("/f")
    again.wait_for(lambda: not stage.has("/f"), "its node goes")
    assert again.call("read", handle, 2 * len(OLD), 0) == OLD
    again.call("release", handle)


# -- differences ----------------------------------------------------------------------------------


@pytest.mark.promise("Differences", "Permission bits")
def test_permission_bits(stage: Stage) -> None:
    """Owner bits are the credential's rights, group and other bits the node's. chmod of a file
    with unsent changes is kept here until it is sent; of any other, changing who else may read or
    write is EOPNOTSUPP for now, and the owner's bits and execution are accepted and not kept."""
    stage.store("/f", b"bytes")
    mount = stage.mount(threads=False)
    before = mount.stat("/f").mode & 0o777
    assert before & 0o600 == 0o600
    with pytest.raises(OSError, match="not supported"):
        mount.call("chmod", "/f", before ^ 0o044)
    mount.call("chmod", "/f", before | 0o100)
    assert mount.stat("/f").mode & 0o777 == before
    handle = mount.create("/new")
    mount.write(handle, b"1")
    mount.call("chmod", "/new", 0o750)
    assert mount.stat("/new").mode & 0o777 == 0o750
    mount.call("release", handle)


@pytest.mark.promise("Differences", "Times")
def test_times_last_until_the_file_is_sent(stage: Stage) -> None:
    """Times set by utimens are shown while the file has unsent changes; then the service's date
    is."""
    mount = stage.mount(close_wait_s=0.0)
    gate = stage.remote.hold("put_bytes")
    mount.put("/f", b"bytes")
    gate.wait_until_reached()
    mount.call("utimens", "/f", (0, 1_000_000_000))
    assert mount.stat("/f").mtime_ns == 1_000_000_000
    gate.open()
    mount.wait_sent()
    assert mount.stat("/f").mtime_ns != 1_000_000_000


@pytest.mark.promise("Differences", "What a VOSpace cannot hold")
def test_what_a_vospace_cannot_hold(stage: Stage) -> None:
    """No hard links, devices or other owners (EPERM); making symbolic links and setting extended
    attributes is EOPNOTSUPP for now."""
    stage.store("/f", b"bytes")
    mount = stage.mount()
    with pytest.raises(PermissionError):
        mount.call("link", "/g", "/f")
    with pytest.raises(PermissionError):
        mount.call("mknod", "/g", 0o020644, 1)
    with pytest.raises(PermissionError):
        mount.call("chown", "/f", 4711, -1)
    with pytest.raises(OSError, match="not supported"):
        mount.call("symlink", "/g", "/f")
    with pytest.raises(OSError, match="not supported"):
        mount.call("setxattr", "/f", "user.vos.x", b"1", 0)


@pytest.mark.promise("Differences", "VOSpace's own locks")
def test_a_locked_node_is_EPERM_to_change(stage: Stage) -> None:
    """VOSpace's own lock (`islocked`) is EPERM for whoever would change the node, or make or remove
    names in a locked container; reading is allowed."""
    stage.store("/f", b"bytes")
    stage.service.fake.set_property(stage.path("/f"), IS_LOCKED, "true")
    mount = stage.mount()
    assert mount.get("/f") == b"bytes"
    with pytest.raises(PermissionError):
        mount.open("/f", 2)
    with pytest.raises(PermissionError):
        mount.call("truncate", "/f", 0)
    with pytest.raises(PermissionError):
        mount.call("unlink", "/f")


@pytest.mark.promise("Differences", "Two clients that write one file")
def test_two_clients_that_write_one_file(stage: Stage, expect_log: ExpectLog) -> None:
    """The service has no conditional write. A foreign version that is noticed before an upload is
    kept, and so is ours: once nobody has the file open, the name shows theirs, and ours is sent as
    `NAME.conflict-TIME-HOST`. `--on-conflict overwrite` sends ours over theirs, `fail` keeps ours
    here, listed and unsent. Changes of a file whose other bytes are not here, and whose version is
    gone from the service, can never be sent whole: `conflict (partial)`, kept, listed, and taken
    out by `vofs cache recover`. Within `--attr-ttl` of the last look the later upload wins."""
    expect_log("ours is kept as f.conflict-")
    stage.store("/f", b"base")
    mount = stage.mount(attr_ttl_s=0.0, close_wait_s=0.0)
    handle = mount.open("/f", 2)
    mount.write(handle, b"ours")
    stage.store("/f", b"theirs")
    mount.close(handle)
    mount.wait_sent()
    (kept,) = [name for name in mount.ls("/") if ".conflict-" in name]
    assert (mount.get("/f"), stage.stored("/f")) == (b"theirs", b"theirs")
    assert (mount.get(f"/{kept}"), stage.stored(f"/{kept}")) == (b"ours", b"ours")
