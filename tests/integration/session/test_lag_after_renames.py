"""R8, R13: what we stored and renamed, while listings that lag show it as it was, or as empty."""

from __future__ import annotations

import pytest

from tests.support.faultyremote import Fault, lost, raising
from tests.support.gates import allowing
from tests.support.lagging import (
    EMPTY,
    MORE,
    NEW,
    OLD,
    ListedAs,
    is_right,
    replaced_here,
    stored_here,
)
from tests.support.logs import ExpectLog
from tests.support.sessions import ManualClock, Stage
from tests.support.steps import sent
from vofs.core.errors import PermissionDenied, RemoteFailed
from vofs.core.nodes import VersionToken


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
