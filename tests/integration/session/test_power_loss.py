"""R5: what a power loss may have left is not believed, and never goes over a node.

The machine is faked: another boot_id, and a cache directory as a disk may have it then: the index
as it was committed, and data files without what nobody had brought to the disk.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.recovered import content, shown
from tests.support.sessions import Fault, Mounted, Stage, lost, raising
from vofs.core.conflicts import OnConflict
from vofs.core.errors import RemoteUnavailable

LOST = b"\0" * 7  # what a file system shows of bytes that never reached the disk


def spoil(stage: Stage, was: bytes) -> int:
    """Lose the bytes of each data file that begins with `was`; returns how many those are."""
    spoilt = 0
    for path in (stage.cache_dir / "data").iterdir():
        data = path.read_bytes()
        if data.startswith(was):
            path.write_bytes(b"\0" * len(data))
            spoilt += 1
    return spoilt


def dies(stage: Stage) -> None:
    """The machine is gone, now."""
    with pytest.raises(RemoteUnavailable):
        stage.kill()


@pytest.fixture
def booted(stage: Stage) -> Mounted:
    """A mount of the first boot that sends nothing by itself."""
    stage.store("/f", b"theirs!")
    return stage.mount(threads=False, boot_id="first")


def changed(mount: Mounted, data: bytes = b"changed") -> int:
    handle = mount.open("/f", 2)
    mount.write(handle, data)
    return handle


def test_r05_a_clean_copy_is_served_only_with_the_right_md5(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R5: what the disk does not hold is fetched again; what it holds is not."""
    expect_log("the machine went down")
    stage.store("/good", b"is here")
    assert [booted.get(path) for path in ("/f", "/good")] == [b"theirs!", b"is here"]
    dies(stage)
    assert spoil(stage, b"theirs!") == 1
    again = stage.reopen(boot_id="second")
    assert [again.get(path) for path in ("/f", "/good")] == [b"theirs!", b"is here"]
    fetched = [path for name, path in stage.remote.calls if name == "open_bytes"]
    assert fetched == [stage.path("/f")]


@pytest.mark.parametrize("clean_stop", [False, True], ids=["killed", "unmounted"])
def test_r05_without_a_power_loss_copies_are_believed(
    stage: Stage, booted: Mounted, clean_stop: bool
) -> None:
    """R5: a kill under the same boot loses nothing; nor does a reboot after an unmount."""
    booted.get("/f")
    if clean_stop:
        booted.stop()
    else:
        dies(stage)
    again = (stage.mount if clean_stop else stage.reopen)(
        boot_id="second" if clean_stop else "first"
    )
    assert again.get("/f") == b"theirs!"
    assert stage.remote.count("open_bytes") == (1 if clean_stop else 0)


def test_r05_a_part_of_a_copy_is_dropped(open_stage: Open, expect_log: ExpectLog) -> None:
    """R5: only a whole file can be compared."""
    expect_log("the machine went down")
    stage = open_stage("vault")
    stage.store("/f", bytes(9 << 20))
    mount = stage.mount(threads=False, boot_id="first")
    handle = mount.open("/f")
    mount.call("read", handle, 10, 0)
    mount.close(handle)
    dies(stage)
    again = stage.reopen(boot_id="second")
    handle = again.open("/f")
    again.call("read", handle, 10, 0)
    again.close(handle)
    assert stage.remote.count("open_bytes") == 1


def test_r05_what_fsync_brought_to_the_disk_goes_to_its_own_name(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R5, R18: fsync(2) returned 0: the bytes are on the disk and nobody doubts them."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    handle = changed(booted)
    booted.call("fsync", handle, 0)
    dies(stage)
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage) == shown(again) == {"f": b"changed"}


@pytest.mark.promise("Durability", "Power loss")
@pytest.mark.parametrize("policy", OnConflict)
def test_r05_anything_else_never_goes_over_a_node(
    stage: Stage, booted: Mounted, expect_log: ExpectLog, policy: OnConflict
) -> None:
    """After a power loss (another boot, and the mount did not end in order) an unsent file whose
    last change fsync(2) had brought to the disk is sent to its own name. Any other unsent file is
    sent beside it, as `NAME.recovered-TIME`, where the service has a node of its name, whatever
    `--on-conflict` says; nobody but you can tell how much of it reached the disk. Cached copies
    are served only when the whole file has the service's MD5, else they are fetched again."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    expect_log("its last changes may be lost with the power; it is kept as f.recovered-")
    changed(booted)
    dies(stage)
    assert spoil(stage, b"changed") == 1
    again = stage.reopen(boot_id="second", on_conflict=policy)
    again.wait_sent()
    assert content(stage) == shown(again) == {"f": b"theirs!", "f.recovered": LOST}


def test_r05_where_the_service_has_nothing_it_keeps_its_name(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    booted.write(booted.create("/new"), b"written")
    dies(stage)
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage) == shown(again) == {"f": b"theirs!", "new": b"written"}


def write_on(mount: Mounted, handle: int) -> None:
    mount.write(handle, b"ag", 2)


def cut_it(mount: Mounted, handle: int) -> None:
    mount.call("truncate", "/f", 3, handle)


@pytest.mark.parametrize("change", [write_on, cut_it])
def test_r05_a_change_after_fsync_is_in_doubt_again(
    stage: Stage, booted: Mounted, expect_log: ExpectLog, change: Callable[[Mounted, int], None]
) -> None:
    """R5: durable generation and generation differ from the first change on."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    expect_log("is kept as f.recovered-")
    handle = changed(booted)
    booted.call("fsync", handle, 0)
    change(booted, handle)
    dies(stage)
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage)["f"] == b"theirs!"


def test_r05_a_change_after_fsync_and_a_kill_is_in_doubt_again(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R5: also where an upload was in doubt, so that the next mount counts generations anew."""
    expect_log("the machine went down")
    expect_log("of an earlier mount", count=2)
    expect_log("is not sent yet")
    expect_log("is kept as f.recovered-")
    handle = changed(booted)
    booted.call("fsync", handle, 0)
    booted.call("release", handle)
    stage.remote.plan(Fault("put_bytes", before=lost()))
    assert booted.step()
    dies(stage)
    second = stage.reopen(threads=False, boot_id="first")
    handle = second.open("/f", 2)
    second.write(handle, b"ag", 2)
    dies(stage)
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage) == {"f": b"theirs!", "f.recovered": b"chagged"}


def test_r05_the_doubt_survives_kills_and_a_later_fsync(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R5: the service was out of reach when the machine came up again, more than once."""
    expect_log("the machine went down")
    expect_log("of an earlier mount", count=2)
    expect_log("is kept as f.recovered-")
    changed(booted)
    dies(stage)
    second = stage.reopen(threads=False, boot_id="second")
    handle = second.open("/f", 2)
    second.write(handle, b"more", 7)
    second.call("fsync", handle, 0)
    dies(stage)
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage) == {"f": b"theirs!", "f.recovered": b"changedmore"}


def test_r05_a_file_that_is_emptied_is_in_doubt_no_longer(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R5: nothing is left of what the power loss may have spoilt."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    changed(booted)
    dies(stage)
    again = stage.reopen(threads=False, boot_id="second", close_wait_s=0.0)
    handle = again.open("/f", 0o1001)
    again.write(handle, b"anew")
    again.close(handle)
    again.start()
    again.wait_sent()
    assert content(stage) == {"f": b"anew"}


@pytest.mark.parametrize("synced", [False, True])
def test_r05_r06_holes_are_filled_before_the_name_changes(
    stage: Stage, booted: Mounted, expect_log: ExpectLog, synced: bool
) -> None:
    """R5, R6: the clean bytes of a changed file are not believed; its base version fills them."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    handle = booted.open("/f", 2)
    booted.write(handle, b"X", 3)
    if synced:
        booted.call("fsync", handle, 0)
    else:
        expect_log("is kept as f.recovered-")
    booted.call("read", handle, 7, 0)
    booted.call("utimens", "/f", (0, 1))  # the row is saved, and says that all of it is here
    dies(stage)
    (data,) = (stage.cache_dir / "data").iterdir()
    data.write_bytes(b"\0\0\0X\0\0\0")  # what was downloaded never reached the disk
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    whole = b"theXrs!"
    assert content(stage) == ({"f": whole} if synced else {"f": b"theirs!", "f.recovered": whole})


def test_r05_an_upload_that_had_arrived_is_no_doubt(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R1, R5: the service holds just what we have: nothing is to be recovered."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    expect_log("is not sent yet: killed", count=None)
    expect_log("stay in .* for the next mount")
    handle = changed(booted)
    booted.call("release", handle)
    stage.killing("put_bytes", after=True)
    booted.start()
    booted.wait_for(lambda: stage.was_killed, "the kill")
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage) == {"f": b"changed"}


def test_r05_a_torn_put_is_sent_again_from_the_disk(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """R2, R5: on a service that truncates the data was on the disk before the first byte left."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    expect_log("is not sent yet: killed", count=None)
    expect_log("stay in .* for the next mount")
    stage = open_stage("cavern", close_wait_s=0.0)
    stage.store("/f", b"theirs!")
    mount = stage.mount(threads=False, boot_id="first")
    mount.call("release", changed(mount, b"changed, and longer"))

    def torn() -> None:
        stage.store("/f", b"chan")
        stage.kill()

    stage.remote.plan(Fault("put_bytes", before=torn))
    mount.start()
    mount.wait_for(lambda: stage.was_killed, "the kill")
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    assert content(stage) == {"f": b"changed, and longer"}


def test_r05_out_of_reach_nothing_is_decided(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    expect_log("is not sent yet", count=None)
    expect_log("stay in .* for the next mount")
    changed(booted)
    dies(stage)
    again = stage.reopen(threads=False, boot_id="second", close_wait_s=0.0)
    stage.remote.plan(
        Fault("get_node", times=999, before=raising(RemoteUnavailable("down", sent=False)))
    )
    again.start()
    again.wait_for(lambda: bool(again.uploads()[0]["attempts"]), "a try")
    assert not again.uploads()[0]["permanent"]
    again.leave()
    stage.remote.heal()
    assert content(stage) == {"f": b"theirs!"}
