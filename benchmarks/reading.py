"""How fast a mount reads what it has never seen, beside the same requests without a mount.

`python benchmarks/reading.py tree [--files 500] [--folders 5] [--delay-ms 20]` walks a cold tree of
files of 4 KiB, one after the other as `grep -r` does, where every request takes so long: files per
second, with `--prefetch on` and `off`, and the requests that were sent.

`python benchmarks/reading.py random [--reads 400]` reads 4 KiB each at random places of a cold file
of 256 MiB, and its last 4 KiB: beside range GETs of the same on one raw connection.

Figures are medians over turns, mount and raw in turns.  Needs /dev/fuse.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.cache_size import Mount  # noqa: E402
from fakevospace import Delay, FakeVOSpace, Rule  # noqa: E402

SMALL = b"x" * 4096
LARGE = 256 << 20
READ = 4096

# Readers are processes of their own: the fake runs in this one.
WALK = """
import os, sys, time
began, count = time.perf_counter(), 0
for folder, folders, names in os.walk(sys.argv[1]):
    folders.sort()
    for name in sorted(names):
        with open(os.path.join(folder, name), "rb", buffering=0) as file:
            assert len(file.read()) == 4096
        count += 1
print(count / (time.perf_counter() - began))
"""
RANDOM = """
import os, random, sys, time
path, size, reads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
descriptor, chance, times = os.open(path, os.O_RDONLY), random.Random(int(sys.argv[4])), []
os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
for offset in [size - 4096] + [chance.randrange(size // 4096 - 1) * 4096 for _ in range(reads)]:
    began = time.perf_counter()
    assert len(os.pread(descriptor, 4096, offset)) == 4096
    times.append(time.perf_counter() - began)
print(times[0], sum(times[1:]))
"""


def printed(script: str, *words: object) -> list[float]:
    """Run a reader; return the numbers that it prints."""
    found = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)], check=True, text=True,
        stdout=subprocess.PIPE,
    ).stdout  # fmt: skip
    return [float(word) for word in found.split()]


def cpu_s(mount: Mount) -> float:
    """Seconds of a processor that the daemon has taken since it was mounted."""
    text = Path(f"/proc/{mount.status()['pid']}/stat").read_text()
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def mounted(make: Callable[[], Mount], *options: str) -> Iterator[Mount]:
    """A mount with an empty cache."""
    mount = make()
    mount.mount("--min-free", "100", *options)
    try:
        yield mount
    finally:
        mount.unmount()
        shutil.rmtree(mount.cache)


def tree(
    fake: FakeVOSpace, make: Callable[[], Mount], files: int, folders: int, delay_s: float,
    turns: int,
) -> dict[str, float]:  # fmt: skip
    """Walk a cold tree of small files."""
    fake.mkdir("/tree")
    for folder in range(folders):
        fake.mkdir(f"/tree/{folder:03}")
        for number in range(files // folders):
            fake.put(f"/tree/{folder:03}/{number:05}.txt", SMALL)
    if delay_s:
        fake.faults.add(Rule(Delay(delay_s)))
    rates: dict[str, list[float]] = {"on": [], "off": []}
    figures: dict[str, float] = {"files": files, "folders": folders, "delay_ms": delay_s * 1000}
    for _ in range(turns):
        for prefetch, found in rates.items():
            with mounted(make, "--prefetch", prefetch) as mount:
                fake.journal.clear()
                before_s = cpu_s(mount)
                found += printed(WALK, mount.point / "tree")
                figures[f"requests_{prefetch}"] = len(fake.journal)
                figures[f"daemon_cpu_ms_per_file_{prefetch}"] = (
                    (cpu_s(mount) - before_s) * 1000 / files
                )
    fake.faults.clear()
    for prefetch, found in rates.items():
        figures[f"files_per_s_{prefetch}"] = statistics.median(found)
    return figures


def random_reads(
    fake: FakeVOSpace, url: str, make: Callable[[], Mount], reads: int, turns: int
) -> dict[str, float]:
    """Read a large cold file here and there, through a mount and without."""
    fake.put("/large", bytes(LARGE))
    parts = urlsplit(url)
    first: dict[str, list[float]] = {"mount": [], "raw": []}
    rates: dict[str, list[float]] = {"mount": [], "raw": []}
    for turn in range(turns):
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
        connection.request("GET", f"/{fake.personality.name}/files/large")
        answer = connection.getresponse()
        answer.read(0 if answer.status == 200 else None)
        where = urlsplit(answer.headers.get("Location") or url).path
        connection.close()
        with mounted(make) as mount:
            os.stat(mount.point / "large")
            last, others = printed(RANDOM, mount.point / "large", LARGE, reads, turn)
            first["mount"].append(last)
            rates["mount"].append(reads / others)
        last, others = printed(RAW, parts.netloc, where, LARGE, reads, turn)
        first["raw"].append(last)
        rates["raw"].append(reads / others)
    figures = {f"last_ms_{name}": statistics.median(found) * 1000 for name, found in first.items()}
    figures |= {f"random_per_s_{name}": statistics.median(found) for name, found in rates.items()}
    figures["random_ratio"] = statistics.median(
        ours / theirs for ours, theirs in zip(rates["mount"], rates["raw"], strict=True)
    )
    return figures


RAW = """
import http.client, random, sys, time
netloc, path, size, reads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
connection, chance, times = http.client.HTTPConnection(netloc), random.Random(int(sys.argv[5])), []
connection.connect()
for offset in [size - 4096] + [chance.randrange(size // 4096 - 1) * 4096 for _ in range(reads)]:
    began = time.perf_counter()
    connection.request("GET", path, headers={"Range": f"bytes={offset}-{offset + 4095}"})
    answer = connection.getresponse()
    assert len(answer.read()) == 4096, answer.status
    times.append(time.perf_counter() - began)
print(times[0], sum(times[1:]))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["tree", "random"])
    parser.add_argument("--service", default="vault")
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--folders", type=int, default=5)
    parser.add_argument("--delay-ms", type=float, default=20.0)
    parser.add_argument("--reads", type=int, default=400)
    parser.add_argument("--turns", type=int, default=3)
    chosen = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="vofs-reading-"))
    try:
        (base / "home").mkdir()
        with FakeVOSpace(chosen.service, data=base / "fake") as fake, fake.serve() as server:
            environment = os.environ | server.environment(base / "home")

            def make() -> Mount:
                return Mount(base, server.vospace, {**environment, "PYTHONPATH": str(ROOT)})

            if chosen.what == "tree":
                figures = tree(
                    fake, make, chosen.files, chosen.folders, chosen.delay_ms / 1000, chosen.turns
                )
            else:
                figures = random_reads(fake, server.url, make, chosen.reads, chosen.turns)
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=1))
    finally:
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main()
