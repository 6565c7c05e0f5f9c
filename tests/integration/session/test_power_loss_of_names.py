"""R5, R8, R9: which changes of names a power loss undoes, and that none is half done after it.

The machine is faked: another boot_id, and an index whose log ends with the last commit that was
brought to the disk: what a power loss leaves at worst.  Where bytes matter that nobody synced, they
are kept, because only names are judged here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.session.conftest import Open
from tests.support.logs import ExpectLog
from tests.support.recovered import RECOVERED, content
from tests.support.sessions import Fault, Mounted, PowerCut, Stage, allowing
from vofs.core.errors import RemoteUnavailable

Operation = Callable[[Mounted], None]


def dies(stage: Stage, cut: PowerCut = PowerCut.ALL) -> None:
    with pytest.raises(RemoteUnavailable):
        stage.lose_power(cut)


@pytest.fixture
def booted(stage: Stage) -> Mounted:
    """A mount of the first boot that sends nothing by itself."""
    return stage.mount(threads=False, boot_id="first", close_wait_s=0.0, attr_ttl_s=0.0)


def made(mount: Mounted, path: str, data: bytes, *, synced: bool) -> None:
    handle = mount.create(path)
    mount.write(handle, data)
    if synced:
        mount.call("fsync", handle, 0)
    mount.call("release", handle)


def all_so_far_is_on_the_disk(stage: Stage, mount: Mounted) -> None:
    """Some other program has called fsync(2)."""
    stage.store("/other", b"other")
    handle = mount.open("/other", 2)
    mount.call("fsync", handle, 0)
    mount.call("release", handle)


def sent_after_the_boot(stage: Stage) -> dict[str, bytes | None]:
    again = stage.reopen(boot_id="second")
    again.wait_sent()
    found = content(stage)
    assert set(found) == {RECOVERED.sub(".recovered", name) for name in again.ls("/")}
    again.stop()
    assert stage.left() == ([], [], [])
    return found


@pytest.mark.parametrize("over", [False, True], ids=["new name", "over a node"])
def test_r05_a_synced_file_keeps_the_name_that_it_was_given(
    stage: Stage, booted: Mounted, expect_log: ExpectLog, over: bool
) -> None:
    """R5, R18: write, fsync, rename: as an editor saves.  Never sent, and kept under that name."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    if over:
        stage.store("/f", b"before")
    made(booted, "/tmp", b"saved", synced=True)
    booted.call("rename", "/tmp", "/f")
    dies(stage)
    assert sent_after_the_boot(stage) == {"f": b"saved"}


def test_r05_a_synced_file_that_was_unlinked_stays_away(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    expect_log("the machine went down")
    made(booted, "/f", b"synced", synced=True)
    booted.call("unlink", "/f")
    dies(stage)
    assert sent_after_the_boot(stage) == {}


def test_r05_what_was_sent_under_a_new_name_does_not_come_back_under_the_old_one(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R5, R8: nothing of it was synced; the upload brings the name to the disk."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    made(booted, "/tmp", b"not synced", synced=False)
    all_so_far_is_on_the_disk(stage, booted)
    booted.call("rename", "/tmp", "/f")
    while booted.step():
        pass
    assert content(stage) == {"f": b"not synced", "other": b"other"}
    dies(stage, PowerCut.COMMITS)
    assert sent_after_the_boot(stage) == {"f": b"not synced", "other": b"other"}


def test_r05_r11_a_conflict_that_was_sent_is_not_sent_twice(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R5, R11: ours has a name of its own on the service, and keeps that one."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    expect_log("ours is kept as")
    stage.store("/f", b"base")
    booted.get("/f")
    handle = booted.open("/f", 2)
    booted.write(handle, b"ours")
    stage.store("/f", b"theirs")
    booted.call("release", handle)
    all_so_far_is_on_the_disk(stage, booted)
    while booted.step():
        pass
    names = content(stage).keys()
    assert len(names) == 3
    dies(stage, PowerCut.COMMITS)
    assert sent_after_the_boot(stage).keys() == names


def make(mount: Mounted) -> None:
    mount.call("mkdir", "/new", 0o755)


def remove(mount: Mounted) -> None:
    mount.call("rmdir", "/d")


def unlink(mount: Mounted) -> None:
    mount.call("unlink", "/f")


def rename(mount: Mounted) -> None:
    mount.call("rename", "/f", "/new")


def rename_over(mount: Mounted) -> None:
    mount.call("rename", "/f", "/g")


@pytest.mark.parametrize(
    ("operation", "request_", "op"),
    [
        (make, "create_node", "mkdir"),
        (remove, "delete_node", "rmdir"),
        (unlink, "delete_node", "unlink"),
        (rename, "run_move", "rename"),
        (rename_over, "run_move", "rename"),
    ],
)
def test_r08_no_change_of_the_service_without_an_intent_on_the_disk(
    stage: Stage, booted: Mounted, operation: Operation, request_: str, op: str
) -> None:
    """R8: the version that is deleted, and the job that is run, are on record, too."""
    stage.mkdir("/d")
    stage.store("/f", b"f")
    stage.store("/g", b"g")
    stage.remote.plan(Fault(request_, before=stage.lose_power))
    with allowing("."), pytest.raises(OSError, match=r"\w"):
        operation(booted)
    stage.bury()
    (intent,), tombstones, _ = stage.left()
    assert (intent.op, tombstones) == (op, [])
    assert bool(intent.source_token) == (op in ("unlink", "rename"))
    assert bool(intent.job_url) == (op == "rename")


def test_r04_an_empty_file_is_recreated_with_its_properties_after_a_power_loss(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """R4, R8: vault takes no empty PUT: the node is deleted and made again."""
    expect_log("the machine went down")
    expect_log("of an earlier mount", count=None)
    expect_log("its node is made again with its properties")
    expect_log("is not sent yet")
    stage = open_stage("vault", close_wait_s=0.0)
    stage.store("/f", b"f")
    title = "ivo://ivoa.net/vospace/core#title"
    stage.service.remote.set_properties(stage.path("/f"), {title: "kept"})
    mount = stage.mount(threads=False, boot_id="first")
    handle = mount.open("/f", 0o1001)
    mount.call("fsync", handle, 0)
    mount.call("release", handle)
    stage.remote.plan(Fault("delete_node", after=stage.lose_power))
    mount.step()
    assert sent_after_the_boot(stage) == {"f": b""}
    assert stage.service.remote.get_node(stage.path("/f")).properties[title] == "kept"


def test_r09_no_node_goes_without_a_tombstone_on_the_disk(stage: Stage, booted: Mounted) -> None:
    """R9: else the file would come back without its node, and be made anew where it is dirty."""
    stage.store("/f", b"f")
    handle = booted.open("/f")
    booted.call("read", handle, 10, 0)
    booted.hide("/f")
    stage.remote.plan(Fault("delete_node", before=stage.lose_power))
    with pytest.raises(RemoteUnavailable):
        booted.session._tombstones.bury(stage.path("/f"))
    stage.bury()
    _, (tombstone,), dirty = stage.left()
    assert (tombstone.path, dirty) == (stage.path("/f"), [])


@pytest.mark.parametrize("executed", ["by its upload", "by the scheduler"])
def test_r09_a_rename_here_over_an_unlinked_file_is_on_the_disk_before_its_node_goes(
    stage: Stage, booted: Mounted, expect_log: ExpectLog, executed: str
) -> None:
    """R9, R5: the tombstone is executed before the upload: what was renamed must be there then,
    bytes and name, although nobody has called fsync(2)."""
    expect_log("the machine went down")
    expect_log("of an earlier mount")
    stage.store("/f", b"f")
    handle = booted.open("/f")
    booted.call("read", handle, 10, 0)
    made(booted, "/tmp", b"new", synced=False)
    booted.hide("/f")
    booted.call("rename", "/tmp", "/f")
    stage.remote.plan(Fault("delete_node", after=stage.lose_power))
    with allowing("is not sent yet"):
        booted.step() if executed == "by its upload" else booted.housekeeping()
    assert sent_after_the_boot(stage) == {"f": b"new"}


def test_r09_a_tombstone_that_was_executed_does_not_delete_what_came_after(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R9: the same bytes again under the same name: to the tombstone they are what was unlinked."""
    expect_log("the machine went down")
    stage.store("/f", b"the same")
    handle = booted.open("/f")
    booted.call("read", handle, 10, 0)
    hidden = booted.hide("/f")
    booted.call("release", handle)
    booted.call("unlink", hidden)
    booted.session._tombstones.commit(stage.path("/f"))
    booted.session._tombstones.bury(stage.path("/f"))
    assert not stage.has("/f")
    stage.store("/f", b"the same")
    dies(stage)
    assert sent_after_the_boot(stage)["f"] == b"the same"


def test_r09_a_name_that_was_given_back_is_there_after_a_power_loss(
    stage: Stage, booted: Mounted, expect_log: ExpectLog
) -> None:
    """R9: the tombstone was on the disk, and would delete what the rename failed to replace."""
    expect_log("the machine went down")
    expect_log("of an earlier mount", count=None)
    stage.store("/f", b"before")
    handle = booted.open("/f", 2)
    booted.call("read", handle, 10, 0)
    booted.write(handle, b"unsent")
    booted.call("fsync", handle, 0)
    booted.hide("/f")
    booted.session._tombstones.commit(stage.path("/f"))
    with pytest.raises(FileNotFoundError):
        booted.call("rename", "/missing", "/f")
    dies(stage)
    assert sent_after_the_boot(stage) == {"f": b"unsent"}
