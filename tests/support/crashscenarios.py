"""The twelve scenarios of the crash sweep: what a program does while it may be killed."""

from __future__ import annotations

import os
import threading

from tests.support.crashsweep import Run, Scenario, judge, require_nothing_left
from tests.support.sessions import Fault, Mounted, allowing
from tests.support.witness import brief, content, shown
from vofs.core.errors import VofsError

MIB = 1024 * 1024


def bytes_of(size: int, seed: int) -> bytes:
    """Bytes of which no two runs of 250 are alike."""
    return bytes((index * 7 + index // 251 + seed * 31) % 256 for index in range(size))


OLD, NEW, MORE = bytes_of(3000, 1), bytes_of(700, 2), bytes_of(900, 3)
LARGE = (bytes_of(64 * 1024, 4) * 40)[: 2 * MIB + MIB // 2]


def new_file(run: Run) -> None:
    """cp, with an fsync in the middle."""
    witness = run.witness
    handle = witness.create("/f")
    witness.write("/f", handle, NEW, 0)
    run.witness.mount.call("fsync", handle, 0)
    witness.write("/f", handle, MORE, len(NEW))
    run.witness.mount.close(handle)
    run.send_and_stop()


def overwrite(run: Run) -> None:
    """A record in the middle of a file of which nothing is here: no download before the write."""
    witness = run.witness
    handle = witness.mount.open("/f", os.O_RDWR)
    witness.write("/f", handle, NEW, 1000)
    witness.write("/f", handle, MORE, 1500)
    witness.mount.close(handle)
    run.send_and_stop()


def append(run: Run) -> None:
    """echo x >> f, twice, through one handle; nothing of the file is here."""
    witness = run.witness
    handle = witness.mount.open("/f", os.O_WRONLY | os.O_APPEND)
    witness.append("/f", handle, NEW)
    witness.append("/f", handle, MORE)
    witness.mount.close(handle)
    run.send_and_stop()


def truncate(run: Run) -> None:
    """Down, up, a write, and to nothing: of one cached file, and of one that is not here."""
    witness = run.witness
    witness.mount.get("/f")
    for path in ("/f", "/g"):
        handle = witness.mount.open(path, os.O_RDWR)
        witness.truncate(path, 1200, handle)
        witness.truncate(path, 2500, handle)
        witness.write(path, handle, NEW, 2000)
        witness.mount.close(handle)
    witness.truncate("/h", 0)
    run.send_and_stop()


def rename_over(run: Run) -> None:
    """A changed file, and one that was never sent, over files; then the new name is changed."""
    witness = run.witness
    handle = witness.mount.open("/f", os.O_RDWR)
    witness.write("/f", handle, NEW, 100)
    witness.mount.close(handle)
    witness.rename("/f", "/g")
    handle = witness.create("/new")
    witness.write("/new", handle, MORE, 0)
    witness.mount.close(handle)
    witness.rename("/new", "/h")
    handle = witness.mount.open("/h", os.O_RDWR)
    witness.write("/h", handle, NEW, 50)
    witness.mount.close(handle)
    run.send_and_stop()


def rename_over_open(run: Run) -> None:
    """A reader keeps the old file open, with not all of it here."""
    witness = run.witness
    reader = witness.mount.open("/g")
    hidden = witness.rename_over_open("/f", "/g")
    assert witness.mount.call("read", reader, 5000, 0) == MORE
    witness.mount.close(reader)
    witness.mount.call("unlink", hidden)
    run.send_and_stop()


def rename_directory(run: Run) -> None:
    """With a cached, a changed and a never sent file in it."""
    witness = run.witness
    witness.mount.get("/d/f")
    handle = witness.mount.open("/d/g", os.O_RDWR)
    witness.write("/d/g", handle, NEW, 100)
    witness.mount.close(handle)
    handle = witness.create("/d/new")
    witness.write("/d/new", handle, MORE, 0)
    witness.mount.close(handle)
    witness.rename("/d", "/e")
    run.send_and_stop()


def unlink(run: Run) -> None:
    """A cached file, a changed one, one that was never sent, and one that is open."""
    witness = run.witness
    witness.mount.get("/f")
    witness.unlink("/f")
    handle = witness.mount.open("/g", os.O_RDWR)
    witness.write("/g", handle, NEW, 100)
    witness.mount.close(handle)
    witness.unlink("/g")
    handle = witness.create("/new")
    witness.write("/new", handle, MORE, 0)
    witness.mount.close(handle)
    witness.unlink("/new")
    reader = witness.mount.open("/h")
    hidden = witness.unlink_open("/h")
    assert witness.mount.call("read", reader, 5000, 0) == NEW
    witness.mount.close(reader)
    witness.mount.call("unlink", hidden)
    run.send_and_stop()


def conflict(run: Run) -> None:
    """Somebody else stores the file while it is changed here."""
    witness = run.witness
    witness.mount.get("/f")
    handle = witness.mount.open("/f", os.O_RDWR)
    witness.write("/f", handle, NEW, 100)
    witness.store_elsewhere(lambda: run.stage.store("/f", MORE))
    witness.mount.close(handle)
    run.send_and_stop()


def judge_conflict(run: Run, mount: Mounted, where: str) -> None:
    """Theirs keeps the name, ours is beside it, once: both are on the service in the end."""
    if run.stage.stored("/f") != MORE:  # killed before they came
        judge(run, mount, where)
        return
    ours = run.witness.told["/f"]
    first = shown(mount)
    assert first["/f"] in (ours, MORE), f"{where}: {brief(first)}"
    mount.wait_sent()
    mount.stop()
    found = content(run.stage)
    beside = [path for path in found if path.startswith("/f.conflict-")]
    assert found == {"/f": MORE, **dict.fromkeys(beside, ours)}, f"{where}: {brief(found)}"
    assert len(beside) == 1, f"{where}: ours is kept as {beside}"
    require_nothing_left(run.stage, where)


def eviction(run: Run) -> None:
    """Reading more than the cache may hold, with unsent files among it."""
    witness = run.witness
    handle = witness.mount.open("/f", os.O_RDWR)
    witness.write("/f", handle, NEW, 100)
    for number in range(6):
        witness.mount.get(f"/r{number}")
        witness.mount.housekeeping()
    witness.write("/f", handle, MORE, 2000)
    witness.mount.close(handle)
    witness.mount.housekeeping()
    run.send_and_stop()


def write_during_upload(run: Run) -> None:
    """Changes before, in and behind what has left already, and truncations of both kinds (R3)."""
    witness = run.witness
    changed = threading.Event()

    def change() -> None:
        witness.write("/f", handle, NEW, MIB - 300)
        witness.write("/f", handle, MORE, 2 * MIB)
        witness.truncate("/f", 2 * MIB + 5000, handle)
        witness.truncate("/f", 100_000, handle)
        witness.write("/f", handle, MORE, 99_000)
        changed.set()

    handle = witness.create("/f")
    witness.write("/f", handle, LARGE, 0)
    run.stage.remote.plan(Fault("put_body", before=change))
    witness.mount.call("flush", handle)
    witness.mount.start()
    run.until(changed.is_set, "the changes are made")
    witness.mount.close(handle)
    run.send_and_stop()


def crashed_in_everything(run: Run) -> None:
    """A mount that was killed with unsent files, in a rename over a file, after an unlink."""
    stage, witness = run.stage, run.witness
    with allowing("", when=lambda: run.killed):
        run.mount(threads=False)
        handle = witness.mount.open("/g", os.O_RDWR)
        witness.write("/g", handle, NEW, 100)
        new = witness.create("/new")
        witness.write("/new", new, MORE, 0)
        witness.mount.open("/h")
        witness.unlink_open("/h")
        witness.mount.session._tombstones.commit_all()
        stage.remote.plan(Fault("run_move", 2, after=run.kill))
        try:
            witness.rename("/a", "/b")
        except (OSError, VofsError):
            assert run.killed
    run.bury()


def recovery(run: Run) -> None:
    """The mount of what that kill left, until all is sent."""
    run.mount(threads=False)
    run.send_and_stop()


SCENARIOS = {
    "new file": Scenario(new_file),
    "overwrite": Scenario(overwrite, {"/f": OLD}),
    "append": Scenario(append, {"/f": OLD}),
    "truncate": Scenario(truncate, {"/f": OLD, "/g": OLD, "/h": OLD}),
    "rename over": Scenario(rename_over, {"/f": OLD, "/g": MORE, "/h": NEW}),
    "rename over an open file": Scenario(rename_over_open, {"/f": OLD, "/g": MORE}),
    "rename directory": Scenario(rename_directory, {"/d": None, "/d/f": OLD, "/d/g": MORE}),
    "unlink": Scenario(unlink, {"/f": OLD, "/g": MORE, "/h": NEW}),
    "conflict": Scenario(conflict, {"/f": OLD}, judge=judge_conflict, settings={"attr_ttl_s": 0.0}),
    "eviction under pressure": Scenario(
        eviction,
        {"/f": OLD, **{f"/r{number}": bytes_of(2000, number) for number in range(6)}},
        settings={"cache_limit_bytes": 5000},
    ),
    "write during upload": Scenario(write_during_upload),
    "recovery": Scenario(
        recovery, {"/a": OLD, "/b": MORE, "/g": OLD, "/h": NEW}, before=crashed_in_everything
    ),
}
