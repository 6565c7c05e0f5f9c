"""A content that is compared while something else happens to the file."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.integration.session.conftest import Open
from tests.support import faultydisk
from tests.support.damaging import DamagingRemote
from tests.support.logs import ExpectLog
from tests.support.sessions import Killed, Mounted, Stage, until
from vofs.cache.cachedfile import CachedFile
from vofs.core.errors import CacheDamaged
from vofs.core.eviction import BLOCK
from vofs.mount.session import Session

DATA = os.urandom(5 * BLOCK)


def during_its_check(file: CachedFile, act: Callable[[], object]) -> None:
    """Let `act` happen between the hash of `file` and what is made of it."""
    real = file.digest_while

    def digest_while(size: int, same: Callable[[], bool]) -> str | None:
        file.digest_while = real  # type: ignore[method-assign]
        found = real(size, same)
        act()
        return found

    file.digest_while = digest_while  # type: ignore[method-assign]


def all_but_the_last_block(stage: Stage) -> tuple[Mounted, int, CachedFile]:
    stage.store("/f", DATA)
    mount = stage.mount(prefetch=False)
    handle = mount.open("/f")
    for start in range(0, 4 * BLOCK, BLOCK):
        assert mount.call("read", handle, BLOCK, start) == DATA[start : start + BLOCK]
    file = mount.session._table.peek(stage.path("/f"))
    assert file is not None
    return mount, handle, file


def evicts(session: Session) -> Callable[[], object]:
    return lambda: session._table._evictor.make_room(BLOCK)


def test_a_late_check_of_an_unlinked_file_leaves_the_row_of_the_new_one(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """The copy of f is damaged; while it is hashed: rm f; echo precious > f; fsync; kill."""
    expect_log("files of an earlier mount")
    stage = open_stage("vault", close_wait_s=0.0)
    stage.store("/f", DATA)
    stage.remote = DamagingRemote(stage.remote, (DATA[5] + 1) % 256, at=5)
    mount = stage.mount(threads=False)
    handle = mount.open("/f")
    file = mount.session._table.peek(stage.path("/f"))
    assert file is not None
    replaced = []

    def replace_it() -> None:
        mount.hide("/f")
        new = mount.create("/f")
        mount.write(new, b"precious")
        mount.call("fsync", new, 0)
        replaced.append(new)

    during_its_check(file, replace_it)
    mount.call("read", handle, len(DATA), 0)
    until(lambda: bool(replaced) and not file.state.claimed, "it is checked")
    with pytest.raises(Killed):
        stage.kill()
    again = stage.reopen(threads=False)
    assert again.get("/f") == b"precious"


def test_held_back_bytes_survive_an_eviction_where_holes_cannot_be_punched(
    open_stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faultydisk.FaultyDataFile, "punch", lambda *_: False)
    mount, handle, file = all_but_the_last_block(open_stage("vault"))
    during_its_check(file, evicts(mount.session))
    assert mount.call("read", handle, BLOCK, 4 * BLOCK) == DATA[4 * BLOCK :]


def test_a_new_version_whose_data_file_cannot_be_opened_changes_nothing(
    open_stage: Open, expect_log: ExpectLog
) -> None:
    """Else what is written and synced later is in a data file that no row names."""
    expect_log("files of an earlier mount")
    stage = open_stage("vault", attr_ttl_s=0.0, close_wait_s=0.0)
    stage.store("/f", b"a" * 100)
    mount = stage.mount(threads=False)
    mount.get("/f")
    mount.open("/f")
    stage.store("/f", b"b" * 120)
    disk = mount.session._disk
    failed: list[int] = []
    real = disk.open_data

    def open_data(number: int, *, create: bool) -> object:
        if not create and not failed:
            failed.append(number)
            raise CacheDamaged("data file: Input/output error")
        return real(number, create=create)

    disk.open_data = open_data  # type: ignore[assignment,method-assign]
    with pytest.raises(OSError, match="Input/output"):
        mount.open("/f", 2)
    handle = mount.open("/f", 2)
    mount.write(handle, b"acknowledged", 0)
    mount.call("fsync", handle, 0)
    with pytest.raises(Killed):
        stage.kill()
    assert stage.reopen(threads=False).get("/f")[:12] == b"acknowledged"
