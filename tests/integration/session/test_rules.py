"""Rules of rules.md that a session keeps, each under its number."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable

import pytest

from fakevospace import Hang, RangeIgnored, Rule
from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, FaultyRemote, Stage, raising, until
from tests.support.steps import sent
from vofs.core.errors import PermissionDenied, RemoteUnavailable, TransferCorrupted
from vofs.core.nodes import VersionToken
from vofs.remote.api import PutReceipt

DATA = bytes(range(251)) * 4000  # 1 MB


def test_r01_r02_a_torn_put_is_sent_again(open_stage: Open, expect_log: ExpectLog) -> None:
    """R1, R2: the truncated node that our broken PUT left is no foreign change."""
    expect_log("is not sent yet")
    stage = open_stage("cavern", close_wait_s=0.0)
    stage.store("/f", b"before")
    mount = stage.mount()

    def tear() -> None:
        stage.store("/f", b"")
        raise RemoteUnavailable("broken", sent=True)

    stage.remote.plan(Fault("put_bytes", before=tear))
    handle = mount.open("/f", 1 | 0o1000)
    mount.write(handle, b"after, and longer")
    mount.close(handle)
    mount.wait_sent()
    assert stage.stored("/f") == b"after, and longer"


def test_r03_the_service_gets_the_bytes_as_they_were_cut_then_the_newer(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0)
    handle = mount.create("/f")
    mount.write(handle, DATA * 3)
    stage.service.fake.faults.add(Rule(Hang(after_bytes=1000), method="PUT", path="*", times=1))
    if stage.vault:
        stage.service.fake.faults.clear()
        gate = stage.remote.hold("put_bytes")
        mount.call("flush", handle)
        gate.wait_until_reached()
    else:
        mount.call("flush", handle)
        stage.service.fake.faults.wait_until_hanging()
    mount.write(handle, b"newer", 2_500_000)
    mount.call("truncate", None, 2_600_000, handle)
    again = stage.remote.hold("put_bytes", nth=1)
    if stage.vault:
        gate.open()
    else:
        stage.service.fake.faults.clear()
    until(lambda: stage.stored("/f") == DATA * 3, "the bytes as they were cut")
    mount.close(handle)
    again.wait_until_reached()
    again.open()
    mount.wait_sent()
    wanted = bytearray(DATA * 3)
    wanted[2_500_000:2_500_005] = b"newer"
    assert stage.stored("/f") == bytes(wanted[:2_600_000])


def test_r07_a_wrong_digest_is_not_clean_and_three_are_failed(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet", count=2)
    expect_log("cannot be sent", level=logging.ERROR)
    expect_log("stay in .* for the next mount")
    stage = open_stage("vault", close_wait_s=0.0)

    class Lying(FaultyRemote):
        def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
            super().put_bytes(path, body, size)
            return PutReceipt("00" * 16, size)

    stage.remote = Lying(stage.service.remote)
    mount = stage.mount()
    mount.put("/f", b"bytes")
    for tries in (1, 2):
        until(lambda: mount.uploads()[0]["attempts"] >= tries, "a try")  # noqa: B023
        assert mount.uploads()[0]["state"] != "clean"
        mount.control(command="hasten")
    until(lambda: mount.uploads()[0]["state"] == "failed", "the end of the tries")
    assert mount.uploads()[0]["attempts"] == 3
    assert stage.remote.count("put_bytes") == 3
    mount.leave()


@pytest.mark.parametrize(
    "told", [PutReceipt(None, None), PutReceipt(None, 4), PutReceipt("00" * 16, None)]
)
def test_r07_a_reply_that_proves_nothing_leaves_the_file_unsent_until_a_look_does(
    open_stage: Open, expect_log: ExpectLog, told: PutReceipt
) -> None:
    """Neither a digest nor a length, another length, another digest."""
    expect_log("is not sent yet")
    stage = open_stage("vault", close_wait_s=0.0)

    class Vague(FaultyRemote):
        def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
            receipt = super().put_bytes(path, body, size)
            return told if self.count("put_bytes") == 1 else receipt

    stage.remote = Vague(stage.service.remote)
    mount = stage.mount(threads=False)
    mount.put("/f", b"bytes")
    assert mount.step()
    assert mount.uploads()[0]["state"] != "clean"
    assert mount.get("/f") == b"bytes"
    mount.control(command="hasten")
    sent(mount)
    assert mount.uploads() == []
    assert stage.stored("/f") == b"bytes"


def test_r07_what_the_network_loses_is_never_given_up(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet", count=None)
    stage = open_stage("vault", close_wait_s=0.0)
    stage.remote.plan(Fault("put_bytes", times=5, before=raising(RemoteUnavailable("down"))))
    mount = stage.mount()
    mount.put("/f", b"bytes")

    def all_sent() -> bool:
        mount.control(command="hasten")
        return not mount.uploads()

    until(all_sent, "the sixth try")
    assert stage.stored("/f") == b"bytes"


def test_r12_a_range_that_is_ignored_gives_the_right_bytes(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.store("/f", DATA)
    stage.service.fake.faults.add(Rule(RangeIgnored()))
    mount = stage.mount()
    handle = mount.open("/f")
    assert mount.call("read", handle, 5000, 700_001) == DATA[700_001:705_001]
    assert mount.call("read", handle, 5000, 5) == DATA[5:5005]
    mount.close(handle)


def test_r12_a_change_between_two_ranges_never_mixes(open_stage: Open) -> None:
    stage = open_stage("vault")
    big = DATA * 8
    stage.store("/f", big)
    mount = stage.mount()
    handle = mount.open("/f")
    assert mount.call("read", handle, 100, 7_000_000) == big[7_000_000:7_000_100]
    other = bytes(reversed(big))
    stage.store("/f", other)
    with pytest.raises(OSError, match="Stale"):
        mount.call("read", handle, 100, 0)
    assert mount.get("/f") == other
    mount.close(handle)


MD5 = hashlib.md5(b"1").hexdigest()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (VersionToken(1, MD5, 5), VersionToken(1, MD5, 6), True),  # a property changed (vault)
        (VersionToken(1, MD5, 5), VersionToken(2, MD5, 5), False),
        (VersionToken(1, MD5, 5), VersionToken(1, "other", 5), False),
        (VersionToken(1, None, 5), VersionToken(1, None, 5), True),
        (VersionToken(1, None, 5), VersionToken(1, None, 6), False),
        (VersionToken(1, MD5, 5, False), VersionToken(1, "stale", 5, False), True),  # cavern
        (VersionToken(1, MD5, 5, False), VersionToken(1, MD5, 6, False), False),
        (VersionToken(1, MD5, None, False), VersionToken(1, MD5, 6, False), True),
        (VersionToken(1, MD5, None, False), VersionToken(1, "other", 6, False), False),
        (VersionToken(1, None, None), VersionToken(1, None, None), False),
        (VersionToken(0, None, None), VersionToken(0, None, None), True),
    ],
)  # fmt: skip
def test_r13_the_version_token(one: VersionToken, other: VersionToken, same: bool) -> None:
    assert one.same_version(other) is same
    assert other.same_version(one) is same


def test_r15_the_size_that_is_told_is_the_files_own(stage: Stage) -> None:
    stage.store("/f", b"12345")
    mount = stage.mount(attr_ttl_s=0.0)
    handle = mount.open("/f", 2)
    mount.write(handle, b"678", 5)
    mount.ls("/")
    assert mount.stat("/f").size == 8
    assert mount.call("getattr", None, handle).size == 8
    mount.close(handle)
    assert mount.stat("/f").size == 8


def test_r15_append_goes_to_the_end_whatever_offset_arrives(stage: Stage) -> None:
    stage.store("/f", b"12345")
    mount = stage.mount()
    one, other = mount.open("/f", 0o2001), mount.open("/f", 0o2001)
    mount.write(one, b"A", 5)
    mount.write(other, b"B", 5)
    mount.close(one)
    mount.close(other)
    mount.stop()
    assert stage.stored("/f") == b"12345AB"


def test_r04_creation_and_truncation_alone_are_not_flushed(stage: Stage) -> None:
    """`cmd > f` flushes before it writes: the old bytes must not be replaced by nothing."""
    stage.store("/f", b"old")
    mount = stage.mount()
    handle = mount.open("/f", 1)
    mount.call("truncate", None, 0, handle)
    mount.call("flush", handle)
    assert stage.remote.count("put_bytes") == 0
    mount.write(handle, b"new")
    mount.close(handle)
    mount.stop()
    assert stage.stored("/f") == b"new"
    assert stage.remote.count("put_bytes") == 1


def test_r18_fsync_and_a_kill(stage: Stage, expect_log: ExpectLog) -> None:
    expect_log("of an earlier mount")
    mount = stage.mount(threads=False)
    handle = mount.create("/f")
    mount.write(handle, b"12345")
    mount.call("fsync", handle, 0)
    with pytest.raises(RemoteUnavailable):
        stage.kill()
    again = stage.reopen()
    again.wait_sent()
    assert stage.stored("/f") == b"12345"


def test_r22_unmounting_treats_open_files_as_closed(stage: Stage) -> None:
    mount = stage.mount()
    handle = mount.create("/f")
    mount.write(handle, b"12345")
    mount.stop()
    assert mount.session.left == 0
    assert stage.stored("/f") == b"12345"


def test_r22_what_is_left_goes_with_the_next_mount(stage: Stage, expect_log: ExpectLog) -> None:
    expect_log("stay in .* for the next mount")
    expect_log("of an earlier mount")
    expect_log("is not sent yet", count=None)
    stage.remote.plan(Fault("put_bytes", times=99, before=raising(RemoteUnavailable("down"))))
    mount = stage.mount(timeout_s=0.2, close_wait_s=0.0)
    mount.put("/f", b"12345")
    mount.stop()
    assert mount.session.left == 1
    stage.remote.heal()
    stage.mount().wait_sent()
    assert stage.stored("/f") == b"12345"


def test_a_transfer_error_keeps_the_gate_free(stage: Stage, expect_log: ExpectLog) -> None:
    """Holds and entries do not leak on errors: the name can be changed after all of them."""
    expect_log("is not sent yet", count=None)
    stage.store("/f", b"12345")
    mount = stage.mount(close_wait_s=0.0, timeout_s=2.0)
    stage.remote.plan(
        Fault("open_bytes", before=raising(PermissionDenied("no"))),
        Fault("put_bytes", before=raising(TransferCorrupted("wrong"))),
        Fault("create_move", before=raising(PermissionDenied("no"))),
        Fault("delete_node", before=raising(PermissionDenied("no"))),
    )
    with pytest.raises(PermissionError):
        mount.get("/f")
    mount.overwrite("/f", b"67890")
    until(lambda: stage.remote.count("put_bytes") == 1, "the first try")
    for change in (("rename", "/f", "/g"), ("unlink", "/f")):
        with pytest.raises(PermissionError):
            mount.call(*change)
    mount.call("rename", "/f", "/g")
    mount.control(command="hasten")
    mount.wait_sent()
    mount.call("unlink", "/g")
    mount.stop()
    assert stage.names() == set()
    assert stage.left() == ([], [], [])
