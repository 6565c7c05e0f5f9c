"""Races of names, staged with gates: scenarios 18 to 28, 34 and 36 of docs/concurrency.md."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.concurrency.conftest import create
from tests.support.sessions import (
    Background,
    Fault,
    HeldAt,
    Mounted,
    Stage,
    allowing,
    raising,
    together,
    until,
)
from vofs.cache.clock import Clock
from vofs.cache.gate import PathGate
from vofs.cache.prefetch import Prefetch
from vofs.cache.transfer import Means, Transfer
from vofs.cache.waiting import WaitingPlaces
from vofs.core.errors import PermissionDenied, RemoteUnavailable

DATA = bytes(range(251)) * 4000  # 1 MB


def held(mount: Mounted) -> tuple[str, ...]:
    """Paths that changes of names keep, or wait for."""
    return mount.session._parts.gate.held


def test_s18_a_rename_waits_for_the_upload_of_its_file(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0)
    gate = stage.remote.hold("put_body")
    mount.put("/f", DATA)
    gate.wait_until_reached()
    renaming = Background(lambda: mount.call("rename", "/f", "/g"))
    gate.open()
    renaming.result()
    assert mount.get("/g") == DATA
    mount.stop()
    assert (stage.stored("/f"), stage.stored("/g")) == (None, DATA)
    assert stage.left() == ([], [], [])


def test_s19_a_rename_waits_for_a_download_and_readers_follow_it(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    handle = mount.open("/f")
    gate = stage.remote.hold("open_bytes")
    reader = Background(lambda: mount.call("read", handle, 1000, 0))
    gate.wait_until_reached()
    renaming = Background(lambda: mount.call("rename", "/f", "/g"))
    until(lambda: len(held(mount)) == 2, "the rename waits")
    late = Background(lambda: mount.call("read", handle, 1000, len(DATA) - 1000))
    gate.open()
    assert reader.result() == DATA[:1000]
    renaming.result()
    assert late.result() == DATA[-1000:]
    mount.close(handle)


class RenamedBefore(PathGate):
    """A gate at which a whole rename happens right before the first transfer enters."""

    def __init__(self, clock: Clock, rename: Callable[[], object]) -> None:
        super().__init__(clock)
        self._renames = [rename]

    def try_enter(self, path: str) -> bool:
        if self._renames:
            self._renames.pop()()
        return super().try_enter(path)


def test_s19_a_download_asks_for_no_name_that_was_renamed_before_it_entered(stage: Stage) -> None:
    """R8: it had looked at the path, and not entered yet, when the rename began and ended."""
    stage.store("/f", DATA)
    mount = stage.mount()
    handle = mount.open("/f")
    (file,) = mount.session.files
    claims, base = file.claim_missing(0, len(DATA), ranges=True)
    assert base is not None
    gate = RenamedBefore(stage.clock, lambda: mount.call("rename", "/f", "/g"))
    means = Means(
        stage.remote, gate, stage.clock, WaitingPlaces(stage.clock), Prefetch(stage.clock),
        stopping=lambda: False, crowded=lambda: False, on_stale=lambda path: None,
        on_proved=lambda path, version, at: None,
    )  # fmt: skip
    try:
        Transfer(means, file, claims, base, inside=False).run()
    finally:
        for claim in claims:
            file.release_claim(claim, None)
    assert [call for call in stage.remote.calls if call[0] == "open_bytes"] == [
        ("open_bytes", stage.path("/g"))
    ]
    gate.release(gate.hold((stage.path("/f"), stage.path("/g")), 0))  # nobody is left inside
    assert mount.call("read", handle, len(DATA), 0) == DATA
    mount.close(handle)


def test_s20_a_file_made_in_a_directory_that_is_being_renamed_goes_along(stage: Stage) -> None:
    stage.mkdir("/d")
    mount = stage.mount(close_wait_s=0.0)
    gate = stage.remote.hold("run_move")
    renaming = Background(lambda: mount.call("rename", "/d", "/e"))
    gate.wait_until_reached()
    handle = create(mount, "/d/new", b"first")
    gate.open()
    renaming.result()
    mount.write(handle, b"second", 5)
    mount.close(handle)
    assert mount.ls("/e") == ["new"]
    assert mount.get("/e/new") == b"firstsecond"
    mount.stop()
    assert (stage.names(), stage.stored("/e/new")) == ({"e"}, b"firstsecond")


def test_s21_the_reader_of_a_replaced_file_gets_the_rest_of_it(stage: Stage) -> None:
    stage.store("/a", b"source")
    stage.store("/b", DATA * 3)
    mount = stage.mount()
    handle = mount.open("/b")
    assert mount.call("read", handle, 1000, 2_000_000) == (DATA * 3)[2_000_000:2_001_000]
    hidden = mount.hide("/b")
    gate = stage.remote.hold("run_move")
    renaming = Background(lambda: mount.call("rename", "/a", "/b"))
    gate.wait_until_reached()
    reader = Background(lambda: mount.call("read", handle, 1000, 0))
    gate.open()
    renaming.result()
    if stage.vault:  # on cavern the fake gives a moved file a new date: ESTALE
        assert reader.result() == DATA[:1000]
    mount.call("release", handle)
    mount.call("unlink", hidden)
    until(lambda: stage.names() == {"b"}, "the replaced node goes")
    assert (stage.stored("/b"), mount.get("/b")) == (b"source", b"source")


def test_s22_a_hidden_name_is_not_deleted_while_a_rename_may_give_it_back(stage: Stage) -> None:
    """mkdir finds the name free, for the moment between hide and rename; the rename fails."""
    stage.store("/a", b"source")
    stage.store("/b", b"target")
    mount = stage.mount()
    handle = mount.open("/b")
    assert mount.call("read", handle, 100, 0) == b"target"
    gate, refuse = HeldAt(), raising(PermissionDenied("no"))

    def refuse_late() -> None:
        gate.arrive()
        refuse()

    stage.remote.plan(Fault("create_move", before=refuse_late))

    def replace() -> None:
        mount.hide("/b")
        mount.call("rename", "/a", "/b")

    renaming = Background(replace)
    gate.wait_until_reached()
    making = Background(lambda: mount.call("mkdir", "/b", 0o755))
    until(lambda: len(held(mount)) == 3, "mkdir waits")
    gate.open()
    with pytest.raises(PermissionError):
        renaming.result()
    with pytest.raises(OSError):
        making.result()
    assert mount.get("/b") == b"target"
    mount.call("release", handle)
    mount.stop()
    assert (stage.stored("/a"), stage.stored("/b")) == (b"source", b"target")
    assert stage.left() == ([], [], [])


def test_s23_an_unlink_of_an_open_file_waits_for_its_download(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    handle = mount.open("/f")
    gate = stage.remote.hold_answer("open_bytes")
    reader = Background(lambda: mount.call("read", handle, 2 * len(DATA), 0))
    gate.wait_until_reached()
    hiding = Background(lambda: mount.hide("/f"))
    gate.open()
    assert reader.result() == DATA
    hiding.result()
    assert not mount.exists("/f")
    assert mount.call("read", handle, 2 * len(DATA), 0) == DATA
    mount.call("release", handle)


def test_s24_an_unlink_waits_for_the_upload_and_nothing_comes_after_it(stage: Stage) -> None:
    mount = stage.mount(close_wait_s=0.0)
    gate = stage.remote.hold("put_body")
    mount.put("/f", DATA)
    gate.wait_until_reached()
    unlinking = Background(lambda: mount.call("unlink", "/f"))
    gate.open()
    unlinking.result()
    assert not mount.exists("/f")
    mount.stop()
    assert not stage.has("/f")
    assert stage.remote.count("put_bytes") == 1
    assert stage.left() == ([], [], [])


def test_s25_a_close_that_waits_for_an_upload_ends_when_the_name_goes(stage: Stage) -> None:
    """The service is away; the file is unlinked; who waits for its upload must not go on."""
    mount = stage.mount(close_wait_s=3600.0)
    down = raising(RemoteUnavailable("down"))
    stage.remote.plan(Fault("put_bytes", times=99, before=down))
    stage.store("/f", b"old")
    handle = mount.open("/f", 2)
    mount.write(handle, b"unsent")
    with allowing("is not sent yet"):
        closing = Background(lambda: mount.call("flush", handle))
        until(lambda: stage.remote.count("put_bytes") > 0, "a try")
        until(lambda: bool(mount.uploads()[0]["attempts"]), "its end")
        hidden = mount.hide("/f")
        closing.result()
    mount.call("release", handle)
    mount.call("unlink", hidden)
    stage.remote.heal()
    until(lambda: not stage.has("/f"), "the node goes")
    assert stage.remote.count("put_bytes") == 1


def test_s26_an_open_while_its_file_is_being_deleted(stage: Stage) -> None:
    """It opens the file that goes: what is cached can be read, nothing is ever sent."""
    stage.store("/f", DATA)
    mount = stage.mount()
    assert mount.get("/f") == DATA
    gate = stage.remote.hold("delete_node")
    unlinking = Background(lambda: mount.call("unlink", "/f"))
    gate.wait_until_reached()
    handle = mount.open("/f", 2)
    gate.open()
    unlinking.result()
    assert not mount.exists("/f")
    assert mount.call("read", handle, 1000, 0) == DATA[:1000]
    mount.write(handle, b"to nobody")
    mount.close(handle)
    mount.stop()
    assert not stage.has("/f")
    assert stage.remote.count("put_bytes") == 0


def test_s27_a_new_file_is_sent_after_the_deletion_of_the_old(stage: Stage) -> None:
    stage.store("/f", b"unlinked")
    mount = stage.mount(close_wait_s=0.0)
    old = mount.open("/f")
    hidden = mount.hide("/f")
    delete = stage.remote.hold("delete_node")
    new = create(mount, "/f", b"new")
    mount.close(new)
    delete.wait_until_reached()
    assert stage.remote.count("put_bytes") == 0
    assert mount.call("read", old, 100, 0) == b"unlinked"
    delete.open()
    mount.wait_sent()
    assert stage.stored("/f") == b"new"
    mount.call("release", old)
    mount.call("unlink", hidden)
    assert mount.get("/f") == b"new"


def test_s28_two_that_create_one_file_have_the_same(stage: Stage) -> None:
    mount = stage.mount()
    gates = [stage.remote.hold("get_node", stage.path("/f"), nth=nth) for nth in (1, 2)]
    creating = [Background(lambda: create(mount, "/f", b"")) for _ in gates]
    for gate in gates:
        gate.wait_until_reached()
    for gate in gates:
        gate.open()
    handles = [one.result() for one in creating]
    for number, handle in enumerate(handles):
        assert isinstance(handle, int)
        mount.write(handle, b"12"[number : number + 1], number)
    for handle in handles:
        mount.call("flush", handle)
        mount.call("release", handle)
    mount.stop()
    assert stage.stored("/f") == b"12"


def test_s34_changes_of_one_name_happen_one_after_the_other(stage: Stage) -> None:
    stage.store("/f", b"1")
    mount = stage.mount()
    gate = stage.remote.hold("run_move")
    first = Background(lambda: mount.call("rename", "/f", "/g"))
    gate.wait_until_reached()
    others = [
        Background(lambda: mount.call("rename", "/g", "/h")),
        Background(lambda: mount.call("unlink", "/f")),
    ]
    gate.open()
    first.result()
    ended = []
    for other in others:
        try:
            ended.append(other.result())
        except FileNotFoundError:
            ended.append("missing")
    assert stage.names() in ({"g"}, {"h"}), ended
    assert sum(mount.exists(path) for path in ("/f", "/g", "/h")) == 1
    mount.stop()
    assert stage.left() == ([], [], [])


def test_s36_a_directory_is_removed_while_a_file_is_made_in_it(stage: Stage) -> None:
    """One of the two wins; a file that was made is never lost without an error."""
    stage.mkdir("/d")
    mount = stage.mount()
    mount.ls("/d")
    removed, made = together(lambda: mount.call("rmdir", "/d"), lambda: mount.put("/d/new", b"new"))
    assert (removed is None) != (made is None), (removed, made)
    if made is None:
        assert stage.stored("/d/new") == b"new"
    assert (mount.uploads(), stage.names()) == ([], {"d"} if made is None else set())


def test_s36_a_file_that_is_made_while_its_directory_goes_waits_for_it(stage: Stage) -> None:
    """The service is already asked to remove it: there is nothing any more to make a file in."""
    stage.mkdir("/d")
    mount = stage.mount()
    mount.ls("/d")
    gate = stage.remote.hold("delete_node")
    removing = Background(lambda: mount.call("rmdir", "/d"))
    gate.wait_until_reached()
    making = Background(lambda: mount.put("/d/new", b"new"))
    gate.open()
    removing.result()
    with pytest.raises(FileNotFoundError):
        making.result()
    assert (mount.uploads(), stage.names()) == ([], set())


@pytest.mark.parametrize("change", ["rmdir", "rename"])
def test_s36_a_directory_goes_between_a_look_at_it_and_a_file_made_in_it(
    stage: Stage, change: str
) -> None:
    stage.mkdir("/d")
    mount = stage.mount()
    gate = stage.remote.hold("get_node", path=stage.path("/d/new"))
    making = Background(lambda: mount.put("/d/new", b"new"))
    gate.wait_until_reached()
    mount.call(change, "/d", *(["/e"] if change == "rename" else []))
    gate.open()
    with pytest.raises(FileNotFoundError):
        making.result()
    assert (mount.uploads(), stage.names()) == ([], {"e"} if change == "rename" else set())
