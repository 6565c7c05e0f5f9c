"""What fills the holes of a changed file is proved before it is sent (R6, R13).

A file is changed that is not here, or not all of it; the rest comes from the service, and one byte
of that is damaged on the way.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from fakevospace import DamagedBody, Rule
from tests.integration.session.conftest import Open
from tests.support.damaging import Damaged, DamagingRemote
from tests.support.faultyremote import FaultyRemote
from tests.support.logs import ExpectLog
from tests.support.sessions import Fault, Mounted, Stage, raising, until
from vofs.cache.cachedfile import CachedFile
from vofs.core.conflicts import OnConflict
from vofs.core.errors import RemoteUnavailable
from vofs.core.eviction import BLOCK
from vofs.core.nodes import MD5, NodeInfo, VersionToken
from vofs.remote.api import ByteSource

KB, MB = 1024, 1 << 20
DATA = os.urandom(700 * KB)
NEW = b"what is new"
PLACE = 300 * KB + 17


@dataclass(frozen=True)
class Change:
    """One way of changing /f.

    Attributes:
        make: does it, through a handle.
        result: what of the old content it makes.
    """

    make: Callable[[Mounted, int], None]
    result: Callable[[bytes], bytes]


def cut_and_append(mount: Mounted, handle: int) -> None:
    mount.call("truncate", "/f", PLACE, handle)
    mount.write(handle, NEW, PLACE)


CHANGES = {
    "append": Change(
        lambda mount, handle: mount.write(handle, NEW, len(DATA)), lambda old: old + NEW
    ),
    "in place": Change(
        lambda mount, handle: mount.write(handle, NEW, PLACE),
        lambda old: old[:PLACE] + NEW + old[PLACE + len(NEW) :],
    ),
    "cut": Change(cut_and_append, lambda old: old[:PLACE] + NEW),
}


@pytest.fixture(params=CHANGES)
def change(request: pytest.FixtureRequest) -> Change:
    return CHANGES[request.param]


@pytest.fixture(params=["vault", "cavern"])
def damaging(request: pytest.FixtureRequest, open_stage: Open) -> Callable[..., Stage]:
    """A stage whose first downloads of /f have these bytes at `at`."""

    def make(*by: int, at: int = 0, data: bytes = DATA) -> Stage:
        stage = open_stage(request.param, close_wait_s=0.0)
        stage.store("/f", data)
        values = [(data[at] + each) % 256 for each in by]
        stage.remote = DamagingRemote(stage.remote, *values, at=at)
        return stage

    return make


def damaged(by: int, at: int = 0) -> bytes:
    return DATA[:at] + bytes([(DATA[at] + by) % 256]) + DATA[at + 1 :]


def edit(mount: Mounted, change: Change) -> None:
    handle = mount.open("/f", os.O_RDWR)
    change.make(mount, handle)
    mount.close(handle)


def file_of(mount: Mounted) -> CachedFile:
    (file,) = mount.session.files
    return file


@pytest.mark.promise("Durability", "What is sent over a node")
def test_r06_a_damaged_download_is_never_sent_over_the_good_file(
    damaging: Callable[..., Stage], change: Change, expect_log: ExpectLog
) -> None:
    """What a changed file lacks comes from the version that the changes are based on, and where the
    service tells an MD5 all of that version is compared with it before anything is sent: what is
    here, what comes, and, for the comparison alone, what the changes have overwritten. A mismatch
    drops what came and downloads it once more. Two downloads that agree are sent, with a warning
    (R13); two that differ are sent never: the upload has failed, and what was written is kept and
    listed. In a file of which all is here and was compared before, nothing is downloaded."""
    expect_log("arrived with another MD5; it is downloaded once more")
    stage = damaging(1)
    mount = stage.mount()
    edit(mount, change)
    mount.wait_sent()
    assert stage.stored("/f") == change.result(DATA) == mount.get("/f")
    assert stage.remote.count("open_bytes") == 2


@pytest.mark.parametrize(("name", "at"), [("in place", PLACE + 1), ("cut", len(DATA) - 1)])
def test_r06_damage_in_what_is_not_wanted_any_more(
    damaging: Callable[..., Stage], name: str, at: int, expect_log: ExpectLog
) -> None:
    """It cannot be told from damage in what is."""
    expect_log("downloaded once more")
    change, stage = CHANGES[name], damaging(1, at=at)
    mount = stage.mount()
    edit(mount, change)
    mount.wait_sent()
    assert stage.stored("/f") == change.result(DATA)


def test_r06_r13_damage_on_the_wire(stage: Stage, change: Change, expect_log: ExpectLog) -> None:
    """The same by real replies, whose headers tell the true bytes."""
    expect_log("downloaded once more")
    stage.store("/f", DATA)
    mount = stage.mount(close_wait_s=0.0)
    damage = Rule(DamagedBody(5), method="GET", endpoint="bytes", times=1)
    stage.service.fake.faults.add(damage)
    edit(mount, change)
    mount.wait_sent()
    assert stage.stored("/f") == change.result(DATA)
    stage.service.fake.faults.assert_all_acted()


def test_r13_two_downloads_that_agree_are_sent(
    damaging: Callable[..., Stage], change: Change, expect_log: ExpectLog
) -> None:
    expect_log("downloaded once more")
    expect_log("is served although the service tells MD5")
    stage = damaging(1, 1)
    mount = stage.mount()
    edit(mount, change)
    mount.wait_sent()
    assert stage.stored("/f") == change.result(damaged(1))


def test_r13_two_downloads_that_differ_are_never_sent(
    damaging: Callable[..., Stage], change: Change, expect_log: ExpectLog
) -> None:
    """FAILED, kept and listed; the mount after this one finds a service that works again."""
    expect_log("downloaded once more")
    expect_log("cannot be read: each download is another one", level=logging.ERROR)
    expect_log("cannot be sent: ", level=logging.ERROR, count=None)  # again when it is closed
    expect_log("1 uploads stay")
    expect_log("1 files of an earlier mount are sent now")
    stage = damaging(1, 2)
    mount = stage.mount()
    edit(mount, change)
    until(lambda: [row["state"] for row in mount.uploads()] == ["failed"], "it fails")
    assert "DownloadsDiffer" in mount.uploads()[0]["error"]
    assert stage.stored("/f") == DATA
    assert stage.remote.count("put_bytes") == 0
    handle = mount.open("/f")
    with pytest.raises(OSError, match="Input/output"):
        mount.call("read", handle, 10, 0)
    mount.close(handle)
    mount.leave()
    mount = stage.mount()
    mount.wait_sent()
    assert stage.stored("/f") == change.result(DATA)


@pytest.mark.parametrize("way", ["read", "evicted"])
def test_r06_a_file_of_which_a_part_is_here(
    damaging: Callable[..., Stage], change: Change, way: str, expect_log: ExpectLog
) -> None:
    """Damaged is what came before it was changed, or what comes again after it was evicted."""
    expect_log("downloaded once more")
    stage = damaging(*([1] if way == "read" else []))
    mount = stage.mount(prefetch=False)
    handle = mount.open("/f", os.O_RDWR)
    if way == "read":
        mount.call("read", handle, 4 * KB, 0)
    else:
        assert mount.call("read", handle, len(DATA), 0) == DATA
        assert file_of(mount).evict(range(0, 2)) == 2 * BLOCK
        assert isinstance(stage.remote, DamagingRemote)
        stage.remote.damage((DATA[0] + 1) % 256)
    change.make(mount, handle)
    mount.close(handle)
    mount.wait_sent()
    assert stage.stored("/f") == change.result(DATA)


def test_r06_r08_what_was_not_proved_is_not_after_a_kill_either(
    damaging: Callable[..., Stage], expect_log: ExpectLog
) -> None:
    """A reader brought the rest, the file was changed where it cannot be compared, and fsync(2)
    was called: it is compared before it is sent all the same."""
    expect_log("downloaded once more")
    expect_log("1 files of an earlier mount are sent now")
    stage = damaging(1)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR)
    mount.write(handle, NEW, PLACE)
    found = bytes(mount.call("read", handle, len(DATA), 0))
    assert found == CHANGES["in place"].result(damaged(1))
    mount.call("fsync", handle, 0)
    with pytest.raises(BaseException, match="killed"):
        stage.kill()
    stage.bury()
    mount = stage.mount()
    mount.wait_sent()
    assert stage.stored("/f") == CHANGES["in place"].result(DATA)


def test_r06_r11_what_cannot_be_proved_any_more_is_created_again(
    stage: Stage, change: Change
) -> None:
    """All of it is here, what it was changed in was deleted elsewhere: nothing can be spoilt."""
    stage.store("/f", DATA)
    mount = stage.mount(threads=False, close_wait_s=0.0)
    handle = mount.open("/f", os.O_RDWR)
    change.make(mount, handle)
    wanted = change.result(DATA)
    assert mount.call("read", handle, len(wanted), 0) == wanted
    stage.service.fake.delete(stage.path("/f"))
    mount.close(handle)
    mount.start()
    mount.wait_sent()
    assert stage.stored("/f") == wanted


@pytest.mark.promise("Reading", "Damaged in a changed file")
def test_r13_a_file_that_was_appended_to_is_compared_for_its_readers(
    damaging: Callable[..., Stage], expect_log: ExpectLog
) -> None:
    """A changed file that is not all here is compared for its readers as any other while the
    changes left all of the service's version in it: lines were appended. Where a part of that
    version was overwritten, readers get what came, and it is compared before the file is sent; a
    handle that was given bytes which then turn out to be damaged fails with EIO from then on."""
    expect_log("downloaded once more")
    stage = damaging(1)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR)
    mount.write(handle, NEW, len(DATA))
    assert mount.call("read", handle, 2 * len(DATA), 0) == DATA + NEW
    gets = stage.remote.count("open_bytes")
    mount.close(handle)
    mount.start()
    mount.wait_sent()
    assert stage.stored("/f") == DATA + NEW
    assert stage.remote.count("open_bytes") == gets


def test_r13_a_handle_that_got_damaged_bytes_of_a_changed_file_fails(
    damaging: Callable[..., Stage], expect_log: ExpectLog
) -> None:
    expect_log("downloaded once more")
    stage = damaging(1)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR)
    mount.write(handle, NEW, PLACE)
    mount.call("read", handle, 10, 0)
    mount.call("flush", handle)
    assert mount.step()
    with pytest.raises(OSError, match="Input/output"):
        mount.call("read", handle, 10, 0)
    mount.close(handle)
    wanted = CHANGES["in place"].result(DATA)
    assert stage.stored("/f") == mount.get("/f") == wanted


def test_r06_a_whole_file_needs_no_proof(stage: Stage) -> None:
    """It was compared when it had come: to change it in place downloads nothing."""
    stage.store("/f", DATA)
    mount = stage.mount()
    assert mount.get("/f") == DATA
    gets = stage.remote.count("open_bytes")
    edit(mount, CHANGES["in place"])
    mount.wait_sent()
    assert stage.stored("/f") == CHANGES["in place"].result(DATA)
    assert stage.remote.count("open_bytes") == gets


def test_r06_a_proof_survives_broken_connections(
    damaging: Callable[..., Stage], change: Change
) -> None:
    """Each goes on where the last one ended, also within what is not kept."""
    stage = damaging()
    for nth in (1, 2):
        stage.remote.plan(Fault("open_bytes", nth, before=raising(RemoteUnavailable("no way"))))
    mount = stage.mount()
    edit(mount, change)
    mount.wait_sent()
    assert stage.stored("/f") == change.result(DATA)


def test_r06_what_lies_far_apart_is_fetched_by_itself(open_stage: Open) -> None:
    """vault: two places of a large file that is here but for two blocks; no byte is wasted."""
    stage = open_stage("vault", close_wait_s=0.0)
    data = os.urandom(8 * MB)
    stage.store("/f", data)
    mount = stage.mount(threads=False)
    handle = mount.open("/f", os.O_RDWR)
    assert mount.call("read", handle, len(data), 0) == data
    assert file_of(mount).evict(range(8, 9)) == BLOCK
    stage.remote.calls.clear()
    mount.write(handle, NEW, 6 * MB)
    mount.close(handle)
    mount.start()
    mount.wait_sent()
    assert stage.stored("/f") == data[: 6 * MB] + NEW + data[6 * MB + len(NEW) :]
    assert stage.remote.count("open_bytes") == 2


class WithoutMd5(FaultyRemote):
    """A service that tells no MD5, neither of its nodes nor in its replies."""

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        quiet = Damaged(super().open_bytes(path, start, end, expected), -1, 0)
        quiet.md5 = None
        return quiet

    def get_node(self, path: str) -> NodeInfo:
        return self._without(super().get_node(path))

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        return map(self._without, super().list_children(path))

    def _without(self, node: NodeInfo) -> NodeInfo:
        kept = {uri: text for uri, text in node.properties.items() if uri != MD5}
        return replace(node, properties=kept)


def test_r06_where_no_md5_is_told_the_date_is_looked_at(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """cavern: another version of the same length, stored in the same second, is no base version;
    the head of its reply does not tell it apart, the node does."""
    expect_log("cannot be sent", level=logging.ERROR)
    expect_log("1 uploads stay")
    stage = open_stage("cavern", attr_ttl_s=3600.0, on_conflict=OnConflict.FAIL)
    stage.remote = WithoutMd5(stage.remote)
    stage.service.fake.clock.freeze(1_700_000_000.25)
    stage.store("/f", DATA)
    mount = stage.mount(threads=False)
    edit(mount, CHANGES["in place"])
    stage.service.fake.clock.advance(0.005)
    stage.store("/f", bytes(len(DATA)))
    mount.start()
    until(lambda: [row["state"] for row in mount.uploads()] == ["conflict (partial)"], "it is seen")
    assert stage.stored("/f") == bytes(len(DATA))
    mount.leave()


def test_r06_where_no_md5_is_told_nothing_is_downloaded_for_a_proof(open_stage: Open) -> None:
    stage = open_stage("cavern", close_wait_s=0.0)
    stage.remote = WithoutMd5(stage.remote)
    stage.store("/f", DATA)
    mount = stage.mount()
    edit(mount, CHANGES["cut"])
    mount.wait_sent()
    assert stage.stored("/f") == CHANGES["cut"].result(DATA)
    assert stage.remote.count("open_bytes") == 1
