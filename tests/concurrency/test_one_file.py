"""Threads on one file and one name, through the boundary, with the lock order checked.

Each job leaves a trace that a reader can judge: a writer fills its own region with one number per
round, so every region of every read must hold one round and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.support.sessions import Mounted, Stage, together

REGION, REGIONS, ROUNDS = 70_000, 3, 12


def writer(mount: Mounted, region: int) -> Callable[[], None]:
    def write() -> None:
        for number in range(1, ROUNDS + 1):
            handle = mount.open("/f", 2)
            mount.write(handle, bytes([number]) * REGION, region * REGION)
            mount.close(handle)

    return write


def reader(mount: Mounted, seen: list[bytes]) -> Callable[[], None]:
    def read() -> None:
        handle = mount.open("/f")
        for _ in range(ROUNDS):
            for region in range(REGIONS):
                seen.append(bytes(mount.call("read", handle, REGION, region * REGION)))
        mount.close(handle)

    return read


def test_readers_writers_and_uploads(stage: Stage) -> None:
    """No torn region, no lost round: in the mount, on the service, and after a remount."""
    stage.store("/f", bytes(REGION * REGIONS))
    mount = stage.mount(close_wait_s=0.0)
    seen: list[bytes] = []
    jobs = [writer(mount, region) for region in range(REGIONS)]
    assert together(*jobs, reader(mount, seen), reader(mount, seen)) == [None] * 5
    assert all(len(region) == REGION and len(set(region)) == 1 for region in seen)
    wanted = bytes([ROUNDS]) * (REGION * REGIONS)
    assert mount.get("/f") == wanted
    mount.stop()
    assert stage.stored("/f") == wanted
    assert stage.left() == ([], [], [])
    assert stage.mount().get("/f") == wanted


def test_appenders_and_a_cutter(stage: Stage) -> None:
    """R15: each append is whole, whatever is cut between; nothing of a cut tail comes back."""
    mount = stage.mount(close_wait_s=0.0)
    mount.put("/f", b"")
    record = 100

    def append(number: int) -> Callable[[], None]:
        def job() -> None:
            handle = mount.open("/f", 0o2001)
            for _ in range(40):
                mount.write(handle, bytes([number]) * record)
            mount.close(handle)

        return job

    def cut() -> None:
        for _ in range(10):
            handle = mount.open("/f", 2)
            mount.call("truncate", None, mount.stat("/f").size // record // 2 * record, handle)
            mount.close(handle)

    assert together(append(1), append(2), append(3), cut) == [None] * 4
    data = mount.get("/f")
    mount.stop()
    assert len(data) % record == 0
    records = [data[start : start + record] for start in range(0, len(data), record)]
    assert all(len(set(one)) == 1 for one in records)
    assert stage.stored("/f") == data


def test_opens_and_closes_race_with_forgetting(stage: Stage) -> None:
    """`vofs drop` at any moment: every read is right, no use is lost."""
    data = bytes(range(256)) * 300
    stage.store("/f", data)
    mount = stage.mount(close_wait_s=0.0)

    def read() -> None:
        for _ in range(15):
            assert mount.get("/f") == data

    def drop() -> None:
        for _ in range(30):
            mount.control(command="drop", path="/")

    assert together(read, read, read, drop) == [None] * 4
    mount.control(command="drop", path="/")
    assert mount.control(command="drop", path="/")["dropped"] == 0
    assert mount.control(command="status")["cache"]["used_bytes"] == 0


def test_renames_meet_uploads_and_reads(stage: Stage) -> None:
    """The file is there and back again under two names while it is written, sent and read."""
    mount = stage.mount(close_wait_s=0.0)
    mount.put("/a", bytes(REGION))
    handle = mount.open("/a", 2)

    def write() -> None:
        for number in range(1, ROUNDS + 1):
            mount.write(handle, bytes([number]) * REGION)
            mount.call("flush", handle)

    def rename() -> None:
        for number in range(8):
            source, destination = ("/a", "/b") if number % 2 == 0 else ("/b", "/a")
            mount.call("rename", source, destination)

    def read() -> None:
        for _ in range(50):
            data = mount.call("read", handle, REGION, 0)
            assert len(data) == REGION
            assert len(set(data)) == 1

    assert together(write, rename, read) == [None] * 3
    mount.call("release", handle)
    assert mount.get("/a") == bytes([ROUNDS]) * REGION
    mount.stop()
    assert stage.stored("/a") == bytes([ROUNDS]) * REGION
    assert stage.names() == {"a"}
    assert stage.left() == ([], [], [])


def test_many_files_made_and_removed_at_once(stage: Stage) -> None:
    """Changes of names in one directory by many threads, each with names of its own."""
    mount = stage.mount(close_wait_s=0.0)

    def job(number: int) -> Callable[[], None]:
        def run() -> None:
            for turn in range(4):
                path = f"/{number}-{turn}"
                mount.put(path, path.encode())
                mount.call("rename", path, f"{path}x")
                if turn % 2:
                    mount.call("unlink", f"{path}x")
                mount.ls("/")

        return run

    assert together(*[job(number) for number in range(4)]) == [None] * 4
    mount.stop()
    assert stage.names() == {f"{number}-{turn}x" for number in range(4) for turn in (0, 2)}
    assert stage.left() == ([], [], [])
