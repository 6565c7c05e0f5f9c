"""R11, R13: listings whose lengths lag behind the bytes, as vault's do (protocol.md 10.9).

The node's own document and every reply with bytes are exact.
"""

from __future__ import annotations

import os

import pytest

from tests.support.faultyremote import Fault, lost
from tests.support.lagging import (
    EMPTY,
    MORE,
    NEW,
    OLD,
    ListedAs,
    appended,
)
from tests.support.logs import ExpectLog
from tests.support.sessions import ManualClock, Stage
from tests.support.steps import sent
from vofs.core.nodes import VersionToken

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
