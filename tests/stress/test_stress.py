"""Many threads on few files of a real mount, for as long as wished: `tox -e stress -- 600`.

The service delays, refuses and resets; the cache is smaller than the files.  At the end the service
must hold, byte for byte, what was written: nothing lost, nothing torn, no name too many.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty, Queue

import pytest

from fakevospace import Delay, FakeVOSpace, Reset, Rule, Status
from tests.support.mounted import BOTH, Mounted, mounted

pytestmark = [pytest.mark.mounted, pytest.mark.slow]

WORKLOAD = Path(__file__).with_name("workload.py")
STANDSTILL_S = 90.0  # longer than the longest wait for a service that is there
OPTIONS = ("--debug", "--cache-limit", "3", "--attr-ttl", "2", "--settle", "1", "--close-wait", "1")
FAULTS = (
    Rule(Delay(0.05), endpoint="bytes", probability=0.1, seed=1),
    Rule(Status(503, 1), endpoint="bytes", probability=0.01, seed=2),
    Rule(Reset(), endpoint="bytes", probability=0.005, seed=3),
    Rule(Reset(after_bytes=20_000), endpoint="bytes", probability=0.005, seed=4),
    Rule(Delay(0.05), endpoint="nodes", probability=0.05, seed=5),
    Rule(Status(503, 1), endpoint="nodes", probability=0.01, seed=6),
    Rule(Reset(), endpoint="nodes", probability=0.005, seed=7),
)


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """How long the threads work."""
    return float(request.config.getoption("--stress-seconds"))


@pytest.mark.parametrize("personality", BOTH)
def test_stress(tmp_path: Path, personality: str, seconds: float) -> None:
    def prepare(fake: FakeVOSpace) -> None:
        fake.mkdir("work")

    with mounted(tmp_path, personality, *OPTIONS, prepare=prepare) as mount:
        mount.fake.faults.add(*FAULTS)
        expected = tmp_path / "expected"
        expected.mkdir()
        report = run_workload(mount, expected, seconds)
        mount.fake.faults.clear()
        print(personality, json.dumps(report, indent=1))
        mount.vofs("flush", str(mount.path))
        mount.wait()
        assert report["complaints"] == []
        wanted = dict(read_expected(expected))
        for name, data in wanted.items():
            assert mount.fake.get(f"work/{name}") == data, name
        mount.remount(fresh_cache=True)
        work = mount.path / "work"
        assert {str(path.relative_to(work)) for path in work.glob("*/*")} == wanted.keys()


def run_workload(mount: Mounted, expected: Path, seconds: float) -> dict[str, object]:
    """Run the threads, and end the mount when one of them stands still."""
    command = [sys.executable, "-I", str(WORKLOAD), str(mount.path / "work"), str(expected)]
    with subprocess.Popen(
        [*command, str(seconds), "1"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines: Queue[str] = Queue()
        output = process.stdout
        reading = threading.Thread(target=lambda: list(map(lines.put, output)))
        reading.start()
        try:
            return watch(lines)
        except BaseException:
            mount.kill()  # who hangs in the kernel can be ended then
            process.kill()
            raise
        finally:
            process.wait(30)
            reading.join()


def watch(lines: Queue[str]) -> dict[str, object]:
    """Follow the progress of every thread to the report at the end."""
    seen: list[int] = []
    moved_at: list[float] = []
    while True:
        try:
            line: dict[str, object] = json.loads(lines.get(timeout=STANDSTILL_S))
        except Empty:
            pytest.fail("the workload says nothing any more")
        if "done" in line:
            return line
        now, progress = time.monotonic(), line["progress"]
        assert isinstance(progress, list)
        if not seen:
            seen, moved_at = progress, [now] * len(progress)
        for number, count in enumerate(progress):
            if count != seen[number]:
                seen[number], moved_at[number] = count, now
            assert now - moved_at[number] < STANDSTILL_S, f"thread {number} stands still"


def read_expected(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file that must be there."""
    for path in folder.iterdir():
        name, _, data = path.read_bytes().partition(b"\n")
        yield name.decode(), data
