"""R11, R13: listings whose lengths lag behind the bytes, as vault's do (protocol.md 10.9).

The node's own document and every reply with bytes are exact.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

import pytest

from tests.integration.session.conftest import Open
from tests.integration.session.test_writeback import sent
from tests.support.faultyremote import Fault, FaultyRemote, lost, raising
from tests.support.gates import allowing
from tests.support.logs import ExpectLog
from tests.support.sessions import ManualClock, Mounted, Stage
from vofs.core.errors import PermissionDenied, RemoteFailed
from vofs.core.nodes import CONTENT_DATE, LENGTH, MD5, NodeInfo, VersionToken

OLD, NEW, MORE = b"old bytes" * 1000, b"the new bytes, and more" * 1000, b"MORE"
EMPTY = VersionToken(0)


class ListedAs(FaultyRemote):
    """Lists nodes with the versions in `shown`; their own documents are exact."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.service.remote)
        self._path = stage.path
        self._shown: dict[str, VersionToken] = {}
        stage.remote = self

    def show(self, path: str, version: VersionToken) -> None:
        """From now on the listing has `version` at `path`."""
        self._shown[self._path(path)] = version

    def version(self, path: str) -> VersionToken:
        """What the node's document says."""
        node = self._inner.get_node(self._path(path))
        return VersionToken(node.length, node.md5)

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        for node in super().list_children(path):
            version = self._shown.get(node.path)
            yield node if version is None else _of_version(node, version)

    def looks(self, path: str) -> int:
        """How often the node's document was asked for."""
        return self.calls.count(("get_node", self._path(path)))


def _of_version(node: NodeInfo, version: VersionToken) -> NodeInfo:
    digests = (MD5, CONTENT_DATE)
    properties = {uri: text for uri, text in node.properties.items() if uri not in digests}
    properties[LENGTH] = str(version.length)
    if version.md5 is not None:
        properties[MD5] = version.md5
    return replace(node, properties=MappingProxyType(properties))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def vault(open_stage: Open, clock: ManualClock) -> Stage:
    return open_stage("vault", clock, close_wait_s=0.0, attr_ttl_s=1.0, negative_ttl_s=1.0)


def stored_here(mount: Mounted, path: str, data: bytes) -> None:
    mount.put(path, data)
    sent(mount)


def replaced_here(mount: Mounted, path: str, data: bytes) -> None:
    """An existing file is read, and then written as `>` does."""
    mount.get(path)
    handle = mount.open(path, os.O_WRONLY | os.O_TRUNC)
    mount.write(handle, data)
    mount.close(handle)
    sent(mount)


def appended(mount: Mounted, clock: ManualClock, path: str, data: bytes = MORE) -> None:
    handle = mount.open(path, os.O_WRONLY | os.O_APPEND)
    mount.write(handle, data, mount.stat(path).size)
    mount.close(handle)
    for _ in range(20):
        clock.advance(0.3)
        sent(mount)


def is_right(mount: Mounted, clock: ManualClock, path: str, data: bytes) -> None:
    """The mount knows the file as it is, although the listing does not, and may change it."""
    clock.advance(2.0)
    mount.ls(os.path.dirname(path))
    assert mount.stat(path).size == len(data)
    assert mount.get(path) == data
    clock.advance(2.0)
    mount.ls(os.path.dirname(path))
    appended(mount, clock, path)
    assert mount.uploads() == []
    assert mount.get(path) == data + MORE


# -- what we stored, under another name ------------------------------------------------------------


@pytest.mark.promise("Reading", "A service that lags behind a rename")
def test_r13_a_file_that_was_renamed_is_not_listed_as_empty(
    vault: Stage, clock: ManualClock
) -> None:
    """What was stored here and renamed is known under its new name, with all below a renamed
    directory, also after a restart: a listing that lags shows neither an empty file nor an old one.
    While nobody knows whether a rename happened, that holds for both names."""
    remote = ListedAs(vault)
    mount = vault.mount(threads=False)
    stored_here(mount, "/tmp", OLD)
    mount.call("rename", "/tmp", "/f")
    remote.show("/f", EMPTY)
    is_right(mount, clock, "/f", OLD)
    assert vault.stored("/f") == OLD + MORE


def test_r13_a_file_that_was_replaced_and_renamed_is_no_conflict(
    vault: Stage, clock: ManualClock
) -> None:
    vault.store("/f", OLD)
    remote = ListedAs(vault)
    before = remote.version("/f")
    mount = vault.mount(threads=False)
    replaced_here(mount, "/f", NEW)
    mount.call("rename", "/f", "/g")
    remote.show("/g", before)
    is_right(mount, clock, "/g", NEW)
    assert vault.stored("/g") == NEW + MORE
    assert vault.names() == {"g"}


def test_r13_a_renamed_directory_takes_the_memories_of_all_below_it(
    vault: Stage, clock: ManualClock
) -> None:
    vault.mkdir("/d")
    vault.mkdir("/d/sub")
    remote = ListedAs(vault)
    mount = vault.mount(threads=False)
    stored_here(mount, "/d/sub/n", OLD)
    mount.call("rename", "/d", "/e")
    remote.show("/e/sub/n", EMPTY)
    is_right(mount, clock, "/e/sub/n", OLD)
    assert vault.stored("/e/sub/n") == OLD + MORE


def test_r13_a_save_that_renames_over_a_file_is_not_listed_as_the_old_one(
    vault: Stage, clock: ManualClock
) -> None:
    """An editor's save: whoever lists names late shows what the rename replaced."""
    vault.store("/f", OLD)
    remote = ListedAs(vault)
    before = remote.version("/f")
    mount = vault.mount(threads=False)
    stored_here(mount, "/tmp", NEW)
    mount.call("rename", "/tmp", "/f")
    remote.show("/f", before)
    is_right(mount, clock, "/f", NEW)
    assert vault.stored("/f") == NEW + MORE


def test_r13_a_file_renamed_here_alone_leaves_what_is_known_of_its_new_name(
    vault: Stage, clock: ManualClock
) -> None:
    """The node there is still the one that we stored; only the next upload replaces it."""
    remote = ListedAs(vault)
    mount = vault.mount(threads=False)
    stored_here(mount, "/f", OLD)
    mount.put("/tmp", NEW)
    mount.call("rename", "/tmp", "/f")
    sent(mount)
    remote.show("/f", VersionToken(len(OLD)))  # its first version, half of it
    is_right(mount, clock, "/f", NEW)
    assert vault.stored("/f") == NEW + MORE


def test_r13_it_survives_a_restart(vault: Stage, clock: ManualClock) -> None:
    remote = ListedAs(vault)
    mount = vault.mount(threads=False)
    stored_here(mount, "/tmp", OLD)
    mount.call("rename", "/tmp", "/f")
    remote.show("/f", EMPTY)
    mount.stop()
    again = vault.mount(threads=False)
    is_right(again, clock, "/f", OLD)
    assert vault.stored("/f") == OLD + MORE


@pytest.mark.parametrize("moves", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_r13_a_kill_during_the_rename_leaves_it_right(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog, moves: int, after: bool
) -> None:
    """Before or after each of the two moves of a rename over a file; both are ours."""
    mount = vault.mount(threads=False)
    stored_here(mount, "/f", OLD)
    stored_here(mount, "/tmp", NEW)
    vault.killing("run_move", moves, after=after)
    with pytest.raises(OSError):
        mount.call("rename", "/tmp", "/f")
    mount = vault.reopen(threads=False)
    mount.leave()
    remote = ListedAs(vault)
    mount = vault.mount(threads=False)
    done = vault.names() == {"f"}
    assert done == (moves == 2 and after)
    for name in vault.names():
        remote.show("/" + name, EMPTY)
    is_right(mount, clock, "/f", NEW if done else OLD)
    if not done:
        is_right(mount, clock, "/tmp", NEW)


def test_r13_a_rename_that_is_refused_leaves_both_names_right(
    vault: Stage, clock: ManualClock
) -> None:
    """The second move is refused, and what was moved aside comes back."""
    remote = ListedAs(vault)
    mount = vault.mount(threads=False)
    stored_here(mount, "/f", OLD)
    stored_here(mount, "/tmp", NEW)
    remote.plan(Fault("run_move", 2, before=raising(PermissionDenied("no"))))
    with pytest.raises(PermissionError):
        mount.call("rename", "/tmp", "/f")
    assert vault.names() == {"f", "tmp"}
    remote.show("/f", EMPTY)
    remote.show("/tmp", EMPTY)
    is_right(mount, clock, "/f", OLD)
    is_right(mount, clock, "/tmp", NEW)


@pytest.mark.parametrize("done", [False, True])
def test_r13_while_a_rename_is_in_doubt_both_names_are_right(
    vault: Stage, clock: ManualClock, done: bool
) -> None:
    """R8: the answer is lost, and nobody can be asked what became of it."""
    remote = ListedAs(vault)
    mount = vault.mount(threads=False)
    stored_here(mount, "/tmp", OLD)
    unknown = lost()
    remote.plan(
        Fault("run_move", after=unknown) if done else Fault("run_move", before=unknown),
        Fault("move_status", times=99, before=raising(RemoteFailed("500"))),
    )
    with allowing("is still in doubt"):
        with pytest.raises(TimeoutError):
            mount.call("rename", "/tmp", "/f")
        name = "/f" if done else "/tmp"
        assert vault.names() == {name[1:]}
        remote.show(name, EMPTY)
        clock.advance(2.0)
        mount.ls("/")
        assert mount.stat(name).size == len(OLD)
        remote.heal()
        clock.advance(100.0)
        mount.housekeeping()
    is_right(mount, clock, name, OLD)


# -- what somebody else stored ---------------------------------------------------------------------


@pytest.mark.promise("Reading", "Listings that lag")
@pytest.mark.parametrize("offset", [None, 4], ids=["append", "in place"])
def test_r11_a_file_that_is_listed_as_empty_is_asked_for(
    vault: Stage, clock: ManualClock, offset: int | None
) -> None:
    """Where listings lag (vault), one confirms nothing: opening a file that is listed without bytes
    or MD5, or with others than those cached, asks the service for the file itself, and so does its
    upload before anything is replaced. Until then its size is as listed."""
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    remote.show("/x", EMPTY)
    mount = vault.mount(threads=False)
    mount.ls("/")
    assert mount.stat("/x").size == 0
    assert remote.looks("/x") == 0
    if offset is None:
        appended(mount, clock, "/x")
    else:
        mount.overwrite("/x", MORE, offset)
        sent(mount)
    assert mount.uploads() == []
    expected = OLD + MORE if offset is None else OLD[:4] + MORE + OLD[8:]
    assert vault.stored("/x") == expected == mount.get("/x")


def test_r13_a_file_listed_as_empty_is_read_as_it_is(vault: Stage) -> None:
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    remote.show("/x", EMPTY)
    mount = vault.mount(threads=False)
    mount.ls("/")
    assert mount.get("/x") == OLD
    assert remote.looks("/x") == 1


def test_r13_a_file_listed_without_md5_is_asked_for(vault: Stage) -> None:
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    remote.show("/x", VersionToken(7))
    mount = vault.mount(threads=False)
    mount.ls("/")
    assert mount.get("/x") == OLD
    assert remote.looks("/x") == 1


def test_r12_a_listed_file_with_bytes_and_md5_is_read_without_a_question(vault: Stage) -> None:
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    mount = vault.mount(threads=False)
    mount.ls("/")
    assert mount.get("/x") == OLD
    assert remote.looks("/x") == 0


@pytest.mark.parametrize("read_first", [False, True])
def test_r11_a_listing_confirms_nothing_and_the_bytes_do(vault: Stage, read_first: bool) -> None:
    """Within the time to live one look comes before the PUT, unless the digest of a reply with
    bytes has told the version since."""
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    mount = vault.mount(threads=False, attr_ttl_s=60.0)
    mount.ls("/")
    if read_first:
        assert mount.get("/x") == OLD
    mount.overwrite("/x", MORE)
    sent(mount)
    assert vault.stored("/x") == MORE + OLD[4:]
    assert remote.looks("/x") == (0 if read_first else 1)


def test_r11_what_somebody_stored_and_the_listing_does_not_show_is_kept(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """A listing begun after the change shows the version from before it."""
    expect_log("ours is kept as")
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    remote.show("/x", remote.version("/x"))
    mount = vault.mount(threads=False, attr_ttl_s=60.0)
    vault.store("/x", NEW)
    mount.ls("/")
    handle = mount.open("/x", os.O_WRONLY | os.O_TRUNC)
    mount.write(handle, MORE)
    mount.close(handle)
    for _ in range(20):
        clock.advance(0.3)
        sent(mount)
    assert vault.stored("/x") == NEW
    assert sorted(len(vault.stored("/" + name) or b"") for name in vault.names()) == [4, len(NEW)]


def test_r13_a_listing_that_lags_drops_no_bytes_of_a_newer_version(
    vault: Stage, clock: ManualClock
) -> None:
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    before = remote.version("/x")
    vault.store("/x", NEW)
    mount = vault.mount(threads=False)
    assert mount.get("/x") == NEW
    downloads = remote.count("open_bytes")
    remote.show("/x", before)
    clock.advance(2.0)
    mount.ls("/")
    assert mount.get("/x") == NEW
    assert remote.count("open_bytes") == downloads


def test_r11_a_rename_makes_no_listing_a_confirmation(
    vault: Stage, clock: ManualClock, expect_log: ExpectLog
) -> None:
    """What the listing said of the old name is as doubtful under the new one."""
    expect_log("ours is kept as")
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    remote.show("/x", remote.version("/x"))
    vault.store("/x", NEW)
    mount = vault.mount(threads=False, attr_ttl_s=60.0)
    mount.ls("/")
    mount.call("rename", "/x", "/y")
    handle = mount.open("/y", os.O_WRONLY | os.O_TRUNC)
    mount.write(handle, MORE)
    mount.close(handle)
    for _ in range(20):
        clock.advance(0.3)
        sent(mount)
    assert vault.stored("/y") == NEW


# -- deletions -------------------------------------------------------------------------------------


def test_r08_a_deletion_is_not_taken_for_done_because_the_listing_lagged(vault: Stage) -> None:
    """Its answer is lost before the service did it: the version there now is no other one."""
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    remote.show("/x", VersionToken(5, "0" * 32))
    mount = vault.mount(threads=False)
    mount.ls("/")
    remote.plan(Fault("delete_node", before=lost()))
    mount.call("unlink", "/x")
    assert not vault.has("/x")


def test_r09_an_open_file_whose_listing_lags_is_unlinked_all_the_same(
    vault: Stage, clock: ManualClock
) -> None:
    remote = ListedAs(vault)
    vault.store("/x", OLD)
    remote.show("/x", VersionToken(5, "0" * 32))
    mount = vault.mount(threads=False)
    mount.ls("/")
    handle = mount.open("/x")
    mount.call("unlink", mount.hide("/x"))
    mount.close(handle)
    clock.advance(1.0)
    mount.housekeeping()
    assert not vault.has("/x")
