"""How much memory a mount takes whose files are larger, or more, than it can hold.

`python benchmarks/cache_size.py stream [--gigabytes 10]` reads one file in order through a cache of
a tenth of its size, compares every byte, and tells the most that the daemon's memory (VmHWM) and
the data files took.

`python benchmarks/cache_size.py files [--count 100000]` mounts a cache of so many clean files and
an empty one in turns, tells the median time that `mountvofs` took for each, and the daemon's memory
once it has listed a container of as many nodes.

Exits 1 when a figure is beyond its target (targets.md 3).

Needs /dev/fuse, and disk space for the file and a tenth of it below --directory.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from fakevospace import FakeVOSpace  # noqa: E402
from vofs.cache.index import Index  # noqa: E402
from vofs.cache.rowchanges import insert_file  # noqa: E402
from vofs.cache.rows import FileRow  # noqa: E402
from vofs.core.nodes import VersionToken  # noqa: E402

MIB = 1 << 20
TURNS = 9
STREAM_PEAK_MIB, LISTED_PEAK_MIB = 150, 400  # targets.md 3
SAME_TIME = 1.1  # "no longer" is within 10 %
SMALL = b"x" * 1000


def block(number: int) -> bytes:
    """The bytes of one MiB of the large file: they tell where they are."""
    return number.to_bytes(8, "big") * (MIB // 8)


def put_large(url: str, name: str, blocks: int) -> None:
    """Upload the large file, a block at a time."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=600)
    query = f"TARGET=vos://cadc.nrc.ca~vault/{name}&DIRECTION=pushToVoSpace"
    protocol = "ivo://ivoa.net/vospace/core%23httpsput"
    connection.request("POST", f"/vault/synctrans?{query}&PROTOCOL={protocol}")
    answer = connection.getresponse()
    where = answer.headers["Location"]
    answer.read()
    body: Iterator[bytes] = (block(number) for number in range(blocks))
    headers = {"Content-Length": str(blocks * MIB)}
    connection.request("PUT", urlsplit(where).path, body, headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 201, answer.status


class Mount:
    """One `mountvofs`, in a directory of its own."""

    def __init__(self, base: Path, vospace: str, environment: dict[str, str]) -> None:
        self.point, self.cache = base / "mnt", base / "cache"
        self._vospace, self._environment = vospace, environment
        self.point.mkdir(exist_ok=True)

    def mount(self, *options: str) -> float:
        """Mount; returns the seconds that it took."""
        words = [*options, "--cache-dir", str(self.cache), "--log", str(self.cache) + ".log"]
        began = time.perf_counter()
        self._run("vofs.cli.mountvofs", *words, self._vospace, str(self.point))
        return time.perf_counter() - began

    def unmount(self) -> None:
        """Unmount, and wait until the daemon is gone."""
        self._run("vofs.cli.vofs", "unmount", str(self.point))

    def status(self) -> dict[str, object]:
        """What `vofs status --json` says."""
        found = self._run("vofs.cli.vofs", "status", "--json", str(self.point))
        status: dict[str, object] = json.loads(found)
        return status

    def peak_mb(self) -> float:
        """The most memory that the daemon had, in MiB."""
        text = Path(f"/proc/{self.status()['pid']}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def on_disk(self) -> int:
        """What the data files take, in bytes."""
        return sum(entry.stat().st_blocks * 512 for entry in os.scandir(self.cache / "data"))

    def _run(self, module: str, *words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", module, *words], env=self._environment, check=True, text=True,
            stdout=subprocess.PIPE,
        ).stdout  # fmt: skip


def stream(mount: Mount, fake: FakeVOSpace, url: str, gigabytes: float) -> dict[str, float]:
    """Read a large file through a tenth of its size."""
    blocks = int(gigabytes * 1024)
    put_large(url, "large", blocks)
    budget_mb = blocks // 10
    mount.mount("--cache-limit", str(budget_mb), "--min-free", "100")
    most, began = 0, time.perf_counter()
    fake.journal.clear()
    with (mount.point / "large").open("rb", buffering=0) as file:
        for number in range(blocks):
            assert file.read(MIB) == block(number), f"wrong bytes in block {number}"
            if number % 64 == 0:
                most = max(most, mount.on_disk())
    taken = time.perf_counter() - began
    requests = sum(one.endpoint == "bytes" for one in fake.journal)
    figures = {
        "file_mib": blocks, "budget_mib": budget_mb, "most_on_disk_mib": most / MIB,
        "daemon_peak_mib": mount.peak_mb(), "mib_per_s": blocks / taken, "byte_requests": requests,
    }  # fmt: skip
    mount.unmount()
    return figures


def fill(cache: Path, identity: str, count: int) -> None:
    """Put so many clean files of 1000 bytes into a cache that is not mounted."""
    index = Index(cache / "index.sqlite", identity)
    token = VersionToken(len(SMALL), "ab" * 16)

    def create(number: int) -> None:
        (cache / "data" / str(number)).write_bytes(SMALL)

    with index.transaction() as connection:
        for number in range(count):
            row = FileRow(
                0, f"/big/node-{number:06}", len(SMALL), len(SMALL), 0, 0, True, token, 1,
                present_bytes=len(SMALL), used_at=number,
            )  # fmt: skip
            insert_file(connection, row, create)
    index.close()


def files(base: Path, fake: FakeVOSpace, empty: Mount, count: int) -> dict[str, float]:
    """Mount a cache of many files and an empty one in turns."""
    fake.generate("big", count)
    empty.mount()
    identity = str(empty.status()["identity"])
    empty.unmount()
    (base / "full").mkdir()
    full = Mount(base / "full", empty._vospace, empty._environment)
    full.mount()
    full.unmount()
    fill(full.cache, identity, count)
    times: dict[Mount, list[float]] = {empty: [], full: []}
    peak = 0.0
    for turn in range(TURNS):
        for mount in (empty, full):
            times[mount].append(mount.mount("--cache-limit", "4096", "--min-free", "100"))
            if mount is full and turn == 0:
                peak = mount.peak_mb()
                listed = sum(1 for entry in os.scandir(full.point / "big") if entry.stat())
                assert listed == count
                after = mount.peak_mb()
            mount.unmount()
    return {
        "files": count, "mount_empty_s": statistics.median(times[empty]),
        "mount_full_s": statistics.median(times[full]), "daemon_peak_mounted_mib": peak,
        "daemon_peak_listed_mib": after,
    }  # fmt: skip


def missed_targets(figures: dict[str, float]) -> list[str]:
    """What is beyond targets.md 3, a line each."""
    limits = {"daemon_peak_mib": STREAM_PEAK_MIB, "daemon_peak_listed_mib": LISTED_PEAK_MIB}
    if "budget_mib" in figures:
        limits["most_on_disk_mib"] = figures["budget_mib"] + 1
    if "mount_empty_s" in figures:
        limits["mount_full_s"] = SAME_TIME * figures["mount_empty_s"]
    return [
        f"{name}: {figures[name]:.3f} is above {limit:.3f}"
        for name, limit in limits.items()
        if figures.get(name, 0.0) > limit
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["stream", "files"])
    parser.add_argument("--gigabytes", type=float, default=10.0)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--directory", type=Path, default=None)
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="vofs-cache-size-", dir=chosen.directory))
    try:
        (base / "home").mkdir()
        with FakeVOSpace("vault", data=base / "fake") as fake, fake.serve() as server:
            environment = os.environ | server.environment(base / "home")
            mount = Mount(base, server.vospace, {**environment, "PYTHONPATH": str(ROOT)})
            if chosen.what == "stream":
                figures = stream(mount, fake, server.url, chosen.gigabytes)
            else:
                figures = files(base, fake, mount, chosen.count)
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=1))
        missed = missed_targets(figures)
        print("\n".join(missed) or "within the targets")
        sys.exit(int(bool(missed)))
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
