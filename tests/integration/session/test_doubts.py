"""R1 and R2: PUTs that break on a service that truncates, and one that notices it late.

Driven step by step on a clock that the test moves; `--settle` is 60 s of that clock.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fakevospace import LateCleanup, Rule
from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, ManualClock, Mounted, Stage, lost, until
from tests.support.steps import sent, settled
from vofs.core.errors import RemoteUnavailable
from vofs.remote.api import PutReceipt

SETTLE_S = 60.0
DATA = bytes(range(251)) * 1000
OTHER = bytes(reversed(DATA)) + b"and more"


@pytest.fixture
def cavern(open_stage: Open, clock: ManualClock) -> Stage:
    return open_stage("cavern", clock, close_wait_s=0.0, settle_s=SETTLE_S)


def breaks(stage: Stage) -> None:
    """The next PUT breaks; the service notices when the faults are lifted, and truncates then."""
    stage.service.fake.faults.add(Rule(LateCleanup(after_bytes=1000), method="PUT", times=1))


def with_broken_upload(stage: Stage) -> Mounted:
    """A mount whose upload of a new file has just broken."""
    mount = stage.mount(threads=False)
    breaks(stage)
    mount.put("/f", DATA)
    sent(mount)
    return mount


def notices(stage: Stage, path: str) -> None:
    """The old handler notices the break, and truncates whatever is at the path by now."""
    stage.service.fake.faults.clear()
    until(lambda: stage.stored(path) == b"", "the late truncation")


def puts(stage: Stage) -> int:
    return stage.remote.count("put_bytes")


def reads(stage: Stage) -> int:
    return stage.remote.count("open_bytes")


def state(mount: Mounted, path: str = "/f") -> str:
    return str(mount.call("getxattr", path, "user.vofs.state").decode())


def provisional(stage: Stage, clock: ManualClock, data: bytes = DATA) -> Mounted:
    """A file whose first PUT broke and whose second was accepted."""
    mount = stage.mount(threads=False)
    breaks(stage)
    mount.put("/f", data)
    accepted(mount, stage, clock)
    assert (puts(stage), reads(stage)) == (2, 1), "what the torn one left was looked into"
    assert stage.stored("/f") == data
    return mount


def accepted(mount: Mounted, stage: Stage, clock: ManualClock) -> None:
    """Let time pass until the PUT after the broken one was accepted."""
    before = puts(stage)
    until(lambda: bool(sent(mount)), "the PUT that breaks")
    assert puts(stage) == before + 1
    begun = clock.monotonic()
    while puts(stage) == before + 1:
        assert clock.monotonic() - begun < 3 * SETTLE_S
        clock.advance(1.0)
        sent(mount)
    assert clock.monotonic() - begun >= SETTLE_S, "sent before the service was quiet for so long"


@pytest.mark.promise("Durability", "Broken uploads")
def test_r01_after_a_broken_put_a_success_counts_only_when_it_is_read_back(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """A service that truncates a file when an upload begins (cavern) may notice late that one
    broke, and truncate again. So nothing is sent there before the node was quiet for `--settle`
    seconds, and the next upload that succeeds counts only when the bytes, read back `--settle`
    seconds later, are ours: until then the file is `in-doubt`, pending, and kept here in full."""
    expect_log("is not sent yet")
    mount = provisional(cavern, clock)
    assert state(mount) == "in-doubt"
    assert [upload["state"] for upload in mount.uploads()] == ["in-doubt"]
    assert mount.control(command="drop", path="/") == {"dropped": 0}
    clock.advance(SETTLE_S - 0.1)
    sent(mount)
    assert (puts(cavern), reads(cavern)) == (2, 1)
    assert state(mount) == "in-doubt"
    clock.advance(0.2)
    sent(mount)
    assert (puts(cavern), reads(cavern)) == (2, 2)
    assert state(mount) == "clean"
    assert mount.uploads() == []
    mount.overwrite("/f", b"now")
    sent(mount)
    assert state(mount) == "clean", "the doubt is over: the next success counts at once"


def test_r01_what_the_old_handler_truncates_late_is_sent_again(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """The second PUT was accepted with our digest; then the handler of the first one cleans up."""
    expect_log("is not sent yet", count=2)
    mount = provisional(cavern, clock)
    notices(cavern, "/f")
    assert mount.get("/f") == DATA
    clock.advance(SETTLE_S + 1)
    sent(mount)
    assert state(mount) != "clean"
    settled(mount, clock)
    assert cavern.stored("/f") == DATA
    assert state(mount) == "clean"
    assert puts(cavern) == 3


@pytest.mark.parametrize("late", [False, True], ids=["quiet", "late truncation"])
def test_r01_a_provisional_success_survives_a_restart(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog, late: bool
) -> None:
    expect_log("is not sent yet", count=None)
    expect_log("of an earlier mount")
    mount = provisional(cavern, clock)
    with pytest.raises(RemoteUnavailable):
        cavern.kill()
    if late:
        notices(cavern, "/f")
    clock.advance(SETTLE_S * 10)  # how long it was away is not known: it waits once more
    mount = cavern.reopen(threads=False)
    sent(mount)
    assert state(mount) == "in-doubt"
    assert (puts(cavern), reads(cavern)) == (0, 0)
    settled(mount, clock)
    assert cavern.stored("/f") == DATA
    assert puts(cavern) == int(late)


def test_r01_a_put_that_was_killed_has_broken(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("of an earlier mount")
    mount = cavern.mount(threads=False)
    cavern.killing("put_bytes", after=False)
    expect_log("is not sent yet", count=None)
    mount.put("/f", DATA)
    sent(mount)
    mount = cavern.reopen(threads=False)
    settled(mount, clock)
    assert (puts(cavern), reads(cavern)) == (1, 1)
    assert cavern.stored("/f") == DATA


def test_r01_a_new_file_of_the_same_name_is_spoiled_by_path(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """The late clean-up is by path: what broke is unlinked, the next file there suffers."""
    expect_log("is not sent yet", count=2)
    mount = with_broken_upload(cavern)
    mount.call("unlink", "/f")
    mount.put("/f", OTHER)
    accepted_after(cavern, mount, clock, puts(cavern))
    assert cavern.stored("/f") == OTHER
    assert state(mount) == "in-doubt"
    notices(cavern, "/f")
    settled(mount, clock)
    assert cavern.stored("/f") == OTHER


def test_r01_the_path_is_remembered_after_file_and_mount_are_gone(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = with_broken_upload(cavern)
    mount.call("unlink", "/f")
    mount.leave()
    mount = cavern.mount(threads=False)
    mount.put("/f", OTHER)
    accepted_after(cavern, mount, clock, puts(cavern))
    assert state(mount) == "in-doubt"
    settled(mount, clock)
    assert cavern.stored("/f") == OTHER
    assert reads(cavern) == 2, "what the torn one left, before it was deleted, and what arrived"


def accepted_after(cavern: Stage, mount: Mounted, clock: ManualClock, before: int) -> None:
    begun = clock.monotonic()
    while puts(cavern) == before:
        assert clock.monotonic() - begun < 3 * SETTLE_S
        sent(mount)
        clock.advance(1.0)
    assert clock.monotonic() - begun >= SETTLE_S


def test_r01_written_while_provisional(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = provisional(cavern, clock)
    mount.overwrite("/f", b"newer", 10)
    sent(mount)
    assert puts(cavern) == 2, "nothing is sent before the doubt is over"
    settled(mount, clock)
    assert cavern.stored("/f") == DATA[:10] + b"newer" + DATA[15:]
    assert puts(cavern) == 3


def test_r01_a_lost_answer_after_a_broken_put_is_not_believed_either(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """The node has our length and MD5, but the handler of the first PUT may still be there."""
    expect_log("is not sent yet", count=3)
    mount = cavern.mount(threads=False)
    breaks(cavern)
    mount.put("/f", DATA)
    cavern.remote.plan(Fault("put_bytes", nth=2, after=lost()))
    accepted(mount, cavern, clock)
    clock.advance(2.0)
    sent(mount)
    assert cavern.stored("/f") == DATA
    assert state(mount) == "in-doubt"
    notices(cavern, "/f")
    settled(mount, clock)
    assert cavern.stored("/f") == DATA


def test_r01_a_lost_answer_alone_is_settled_by_one_look(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    mount = cavern.mount(threads=False)
    cavern.remote.plan(Fault("put_bytes", after=lost()))
    mount.put("/f", DATA)
    sent(mount)
    clock.advance(1.0)
    sent(mount)
    assert state(mount) == "clean"
    assert (puts(cavern), reads(cavern)) == (1, 0)


def test_r01_a_service_with_atomic_puts_needs_only_the_look(
    open_stage: Open, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet")
    stage = open_stage("vault", clock, close_wait_s=0.0, settle_s=SETTLE_S)
    mount = stage.mount(threads=False)
    stage.remote.plan(Fault("put_bytes", before=lost()))
    mount.put("/f", DATA)
    sent(mount)
    clock.advance(1.0)
    sent(mount)
    assert state(mount) == "clean"
    assert (puts(stage), reads(stage)) == (2, 0)


@pytest.mark.parametrize("left", [b"", DATA[:1000], b"\0" * len(DATA)])
def test_r02_what_a_torn_put_leaves_is_no_foreign_change(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog, left: bytes
) -> None:
    """Empty, shorter, or as long with zeros: while put_started stands it is ours, sent again."""
    expect_log("is not sent yet")
    cavern.store("/f", b"before")
    mount = cavern.mount(threads=False)

    def tear() -> None:
        cavern.store("/f", left)
        lost()()

    cavern.remote.plan(Fault("put_bytes", before=tear))
    mount.overwrite("/f", DATA)
    sent(mount)
    settled(mount, clock)
    assert cavern.stored("/f") == DATA


@pytest.mark.promise("Differences", "Somebody else's file where an upload broke")
@pytest.mark.parametrize(
    "theirs",
    [b"theirs", DATA[:1000] + b"and theirs", b"\0" * 10 + b"theirs", OTHER[: len(DATA)]],
    ids=["other", "begins like ours", "begins with zeros", "as long"],
)
@pytest.mark.parametrize("killed", [False, True])
def test_r02_what_somebody_else_stored_is_no_torn_put(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog, theirs: bytes, killed: bool
) -> None:
    """On a service that truncates a file when an upload begins (cavern), what an upload that broke
    left there looks like a shorter file of somebody else's. It is read before anything is sent
    over it or deleted: a beginning of what was sent is ours, anything else is a conflict like any
    other. Only where the file was changed here after that upload began can that not be told; then
    a shorter node is taken for ours, and so is one that comes there after the file was unlinked
    while it was open."""
    expect_log("is not sent yet")
    expect_log("ours is kept as f.conflict")
    cavern.store("/f", b"before")
    mount = cavern.mount(threads=False)
    cavern.remote.plan(Fault("put_bytes", before=lost("it never got there")))
    mount.overwrite("/f", DATA)
    sent(mount)
    cavern.store("/f", theirs)
    if killed:
        expect_log("of an earlier mount")
        with pytest.raises(RemoteUnavailable):
            cavern.kill()
        mount = cavern.reopen(threads=False)
    settled(mount, clock)
    (kept,) = cavern.names() - {"f"}
    assert (cavern.stored("/f"), cavern.stored(f"/{kept}")) == (theirs, DATA)


def test_r02_where_other_bytes_are_here_now_a_shorter_node_is_ours(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """What was sent cannot be compared any more: R2's word, and semantics.md says so."""
    expect_log("is not sent yet")
    mount = with_broken_upload(cavern)
    mount.overwrite("/f", b"changed since")
    settled(mount, clock)
    assert cavern.stored("/f") == b"changed since" + DATA[13:]
    assert cavern.names() == {"f"}


def test_r02_a_node_that_changes_while_it_is_read_is_looked_at_again(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    expect_log("is not sent yet", count=2)
    mount = with_broken_upload(cavern)
    cavern.remote.plan(Fault("open_bytes", before=lambda: cavern.store("/f", DATA[:2000])))
    settled(mount, clock)
    assert cavern.stored("/f") == DATA
    assert cavern.names() == {"f"}


def test_r02_without_put_started_an_empty_node_is_somebodys_truncation(
    cavern: Stage, clock: ManualClock
) -> None:
    """Clean bytes here, an empty node there: respected, never filled again."""
    cavern.store("/f", DATA)
    mount = cavern.mount(threads=False, attr_ttl_s=0.0)
    assert mount.get("/f") == DATA
    cavern.store("/f", b"")
    clock.advance(1.0)
    assert mount.get("/f") == b""
    assert sent(mount) == 0
    assert cavern.stored("/f") == b""


def test_an_upload_whose_proof_cannot_be_seen_is_in_doubt_not_a_conflict(
    cavern: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """No digest in the reply, and then no look at the node: what is there is ours all the same."""
    expect_log("is not sent yet")
    cavern.store("/f", b"before")
    mount = cavern.mount(threads=False)
    without_digest(cavern)
    mount.overwrite("/f", DATA)
    cavern.remote.plan(Fault("get_node", before=away))
    sent(mount)
    assert cavern.stored("/f") == DATA
    clock.advance(SETTLE_S)
    sent(mount)
    assert state(mount) == "clean"
    assert puts(cavern) == 1


def away() -> None:
    raise RemoteUnavailable("away")


def without_digest(stage: Stage) -> None:
    """From now on the service says nothing of what it stored."""
    put_bytes = stage.remote.put_bytes

    def silent(path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        put_bytes(path, body, size)
        return PutReceipt(None, None)

    stage.remote.put_bytes = silent  # type: ignore[method-assign]
