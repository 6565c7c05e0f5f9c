"""Uploads of large files in segments (protocol.md 6.3), with the threshold lowered to 2 MiB."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from fakevospace import Reset, Rule, Status, WrongDigest
from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Mounted, Stage, lost, raising
from tests.support.steps import sent, settled
from vofs.cache.segments import SegmentSizes
from vofs.core.errors import RemoteUnavailable

MB = 1 << 20
DATA = bytes(range(251)) * (7 * MB // 2 // 251)  # 3.5 MiB: four segments
SIZES = SegmentSizes(above=2 * MB, bytes=MB)


@pytest.fixture
def vault(open_stage: Open, clock: ManualClock) -> Stage:
    return open_stage("vault", clock, close_wait_s=0.0, segments=SIZES)


def requests(stage: Stage) -> list[str]:
    """The requests for bytes, each with its operation."""
    return [
        f"{entry.method} {dict(entry.request_headers).get('x-put-txn-op', '')}".strip()
        for entry in stage.service.fake.journal.entries(endpoint="bytes")
    ]


def started(stage: Stage) -> int:
    return stage.remote.count("start")


def appended(stage: Stage) -> int:
    return stage.remote.count("append")


@pytest.mark.promise("Durability", "Large files")
def test_more_than_a_segment_goes_in_a_transaction(vault: Stage) -> None:
    """Where the service has transactions (vault), files of more than 5 GiB are sent in segments,
    each proved by itself. When the connection breaks or vofs is killed, the upload goes on behind
    the last segment that arrived; until the last one the service shows the old bytes."""
    vault.store("/f", b"old")
    mount = vault.mount(threads=False)
    seen: list[bytes | None] = []
    vault.remote.plan(Fault("commit", before=lambda: seen.append(vault.stored("/f"))))
    mount.overwrite("/f", DATA)
    vault.service.fake.journal.clear()
    sent(mount)
    assert vault.stored("/f") == DATA
    assert seen == [b"old"]
    assert requests(vault) == ["PUT start", "PUT", "PUT", "PUT", "PUT", "PUT commit"]
    assert mount.uploads() == []


def test_up_to_the_threshold_it_is_one_put(vault: Stage) -> None:
    mount = vault.mount(threads=False)
    mount.put("/f", DATA[: 2 * MB])
    vault.service.fake.journal.clear()
    sent(mount)
    assert vault.stored("/f") == DATA[: 2 * MB]
    assert requests(vault) == ["PUT"]


def test_a_service_without_transactions_gets_one_put(open_stage: Open) -> None:
    """On cavern the request that starts a transaction would truncate the file."""
    stage = open_stage("cavern", ManualClock(), close_wait_s=0.0, segments=SIZES)
    mount = stage.mount(threads=False)
    mount.put("/f", DATA)
    stage.service.fake.journal.clear()
    sent(mount)
    assert stage.stored("/f") == DATA
    assert requests(stage) == ["PUT"]


def breaks_at_segment(stage: Stage, number: int) -> None:
    """The connection is reset in the middle of that segment's body."""
    stage.service.fake.faults.add(
        Rule(Reset(MB // 2), method="PUT", endpoint="bytes", nth=1 + number, times=1)
    )


def test_a_broken_upload_goes_on_behind_the_last_segment(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = vault.mount(threads=False)
    mount.put("/f", DATA)
    breaks_at_segment(vault, 3)
    sent(mount)
    assert (started(vault), appended(vault)) == (1, 3)
    settled(mount, clock)
    assert vault.stored("/f") == DATA
    assert (started(vault), appended(vault)) == (1, 5), "two segments are there already"


def test_a_segment_whose_answer_was_lost_is_not_sent_again(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = vault.mount(threads=False)
    mount.put("/f", DATA)
    vault.remote.plan(Fault("append", nth=2, after=lost()))
    settled(mount, clock)
    assert vault.stored("/f") == DATA
    assert (started(vault), appended(vault)) == (1, 4)


def killed_at_segment(stage: Stage, mount: Mounted, number: int, data: bytes = DATA) -> Mounted:
    mount.put("/f", data)
    stage.killing("append", number, after=False)
    sent(mount)
    return stage.reopen(threads=False)


def test_a_killed_daemon_goes_on_behind_the_last_segment(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet", count=None)
    expect_log("of an earlier mount")
    mount = killed_at_segment(vault, vault.mount(threads=False), 4)
    settled(mount, clock)
    assert vault.stored("/f") == DATA
    assert (started(vault), appended(vault)) == (0, 1)


@pytest.mark.parametrize(
    ("offset", "data", "begins_anew"),
    [(10, b"changed", True), (3 * MB + 10, b"changed", False), (len(DATA), b"more", True)],
    ids=["in what was sent", "behind what was sent", "another size"],
)
def test_bytes_that_changed_after_they_were_sent_are_sent_again(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog,
    offset: int, data: bytes, begins_anew: bool,
) -> None:  # fmt: skip
    """No mixture of two contents: the transaction is aborted unless it fits what is here now."""
    expect_log("is not sent yet", count=None)
    expect_log("of an earlier mount")
    mount = killed_at_segment(vault, vault.mount(threads=False), 4)
    mount.overwrite("/f", data, offset)
    settled(mount, clock)
    wanted = bytearray(DATA)
    wanted[offset : offset + len(data)] = data
    assert vault.stored("/f") == bytes(wanted)
    assert (started(vault), vault.remote.count("abort")) == ((1, 1) if begins_anew else (0, 0))


def test_r03_a_write_under_a_segment_does_not_reach_it(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """A segment may be sent once more: its bytes are kept as they were until it is confirmed."""
    mount = vault.mount(threads=False)
    handle = mount.create("/f")
    mount.write(handle, DATA)
    mount.call("flush", handle)
    wrong = Rule(WrongDigest(), method="PUT", endpoint="bytes", nth=3, times=1)
    vault.service.fake.faults.add(wrong)
    seen: list[bytes | None] = []

    def write() -> None:
        mount.write(handle, b"changed", MB + 10)  # the segment that was just sent
        mount.write(handle, b"changed", 10)  # one that is confirmed

    vault.remote.plan(
        Fault("revert", before=write),
        Fault("commit", after=lambda: seen.append(vault.stored("/f"))),
    )
    assert mount.step()
    assert seen == [DATA]
    mount.close(handle)
    settled(mount, clock)
    wanted = bytearray(DATA)
    wanted[10:17] = wanted[MB + 10 : MB + 17] = b"changed"
    assert vault.stored("/f") == bytes(wanted)


def test_r07_a_segment_that_arrives_wrong_is_taken_back_and_sent_again(vault: Stage) -> None:
    vault.service.fake.faults.add(
        Rule(WrongDigest(), method="PUT", endpoint="bytes", nth=3, times=2)
    )
    mount = vault.mount(threads=False)
    mount.put("/f", DATA)
    sent(mount)
    assert vault.stored("/f") == DATA
    assert (appended(vault), vault.remote.count("revert")) == (6, 2)


def test_r07_three_wrong_segments_abort_and_three_aborts_are_failed(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet", count=2)
    expect_log("cannot be sent", level=logging.ERROR)
    vault.store("/f", b"old")
    mount = vault.mount(threads=False)
    mount.overwrite("/f", DATA)
    vault.service.fake.faults.add(Rule(WrongDigest(), method="PUT", endpoint="bytes"))
    for _ in range(5):
        sent(mount)
        clock.advance(100.0)
    assert [upload["state"] for upload in mount.uploads()] == ["failed"]
    assert (appended(vault), vault.remote.count("abort")) == (9, 3)
    assert vault.stored("/f") == b"old"


def test_a_transaction_that_the_service_forgot_begins_anew(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = vault.mount(threads=False)
    mount.put("/f", DATA)
    vault.remote.plan(Fault("append", nth=2, before=raising(RemoteUnavailable("away"))))
    sent(mount)
    vault.remote.plan(Fault("find", before=lambda: forget_all(vault)))
    settled(mount, clock)
    assert vault.stored("/f") == DATA
    assert started(vault) == 2


def forget_all(stage: Stage) -> None:
    stage.service.fake._state.transactions.end_all()


@pytest.mark.parametrize("answer", [Status(500), Status(503)], ids=str)
def test_an_answer_that_is_an_error_keeps_the_transaction(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog, answer: Status
) -> None:
    expect_log("is not sent yet")
    mount = vault.mount(threads=False)
    mount.put("/f", DATA)
    vault.service.fake.faults.add(Rule(answer, method="PUT", endpoint="bytes", nth=4, times=1))
    settled(mount, clock)
    assert vault.stored("/f") == DATA
    assert (started(vault), appended(vault)) == (1, 5)


def test_a_lost_answer_to_the_commit_is_settled_by_looking(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = vault.mount(threads=False)
    mount.put("/f", DATA)
    vault.remote.plan(Fault("commit", after=lost()))
    settled(mount, clock)
    assert vault.stored("/f") == DATA
    assert appended(vault) == 4


def test_a_file_that_shrank_aborts_what_it_began(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = vault.mount(threads=False)
    mount.put("/f", DATA)
    breaks_at_segment(vault, 2)
    sent(mount)
    mount.call("truncate", "/f", 100)
    settled(mount, clock)
    assert vault.stored("/f") == DATA[:100]
    assert vault.remote.count("abort") == 1


def test_segments_are_as_large_as_the_service_wants_them(open_stage: Open) -> None:
    """The fake asks for at least 1 MiB; the last segment may be smaller."""
    small = replace(SIZES, bytes=1000)
    stage = open_stage("vault", ManualClock(), close_wait_s=0.0, segments=small)
    mount = stage.mount(threads=False)
    mount.put("/f", DATA)
    sent(mount)
    assert stage.stored("/f") == DATA
    assert appended(stage) == 4


def breaks_in_the_middle(stage: Stage) -> Mounted:
    """A file of which two segments have arrived, and its upload is not tried again yet."""
    mount = stage.mount(threads=False)
    mount.put("/f", DATA)
    stage.remote.plan(Fault("append", nth=3, before=raising(RemoteUnavailable("away"))))
    sent(mount)
    assert open_transactions(stage) == 1
    return mount


def open_transactions(stage: Stage) -> int:
    return len(stage.service.fake._state.transactions._open)


def test_r08_the_transaction_of_a_file_that_is_unlinked_is_aborted(
    vault: Stage, expect_log: ExpectLog
) -> None:
    """The unlink does not wait for that; and no node is made again to find the way."""
    expect_log("is not sent yet")
    mount = breaks_in_the_middle(vault)
    mount.call("unlink", "/f")
    assert vault.remote.count("abort") == 0
    mount.housekeeping()
    assert vault.remote.count("abort") == 1
    assert open_transactions(vault) == 0
    assert vault.names() == set()


def test_r09_the_transaction_of_an_open_file_that_is_unlinked_is_aborted_at_its_last_close(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = breaks_in_the_middle(vault)
    handle = mount.open("/f")
    hidden = mount.hide("/f")
    mount.housekeeping()
    assert open_transactions(vault) == 1
    mount.call("release", handle)
    mount.call("unlink", hidden)
    clock.advance(1.0)  # the unlink is committed (decision 0005)
    mount.housekeeping()
    assert open_transactions(vault) == 0


def test_r10_the_transaction_of_a_file_that_is_replaced_is_aborted(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    vault.store("/f", b"old")
    vault.store("/g", b"new")
    mount = vault.mount(threads=False)
    mount.overwrite("/f", DATA)
    vault.remote.plan(Fault("append", nth=3, before=raising(RemoteUnavailable("away"))))
    sent(mount)
    mount.call("rename", "/g", "/f")
    mount.housekeeping()
    assert open_transactions(vault) == 0
    assert vault.stored("/f") == b"new"


def test_an_abort_that_fails_disturbs_nobody(vault: Stage, expect_log: ExpectLog) -> None:
    """It expires by itself."""
    expect_log("is not sent yet")
    mount = breaks_in_the_middle(vault)
    vault.remote.plan(Fault("abort", before=raising(RemoteUnavailable("away"))))
    mount.call("unlink", "/f")
    mount.housekeeping()
    mount.housekeeping()
    assert vault.remote.count("abort") == 1
    assert open_transactions(vault) == 1
    assert vault.names() == set()
