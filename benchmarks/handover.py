"""What it costs that the pool downloads, and not the thread that wants to read (decision 0010).

`python benchmarks/handover.py [--reads 1000]` reads 4 KiB at random places of a cold file, each in
one of three ways, in turns: by a session whose pool downloads, by the same session whose reading
thread does it itself, and as a range GET on one raw connection.  Printed are the fast tenth and the
median of each in milliseconds: a busy machine spoils the mean.

No mount is needed: the calls are those that libfuse would make.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.fake_server import byte_path  # noqa: E402
from fakevospace import FakeVOSpace  # noqa: E402
from vofs.cache.clock import SystemClock  # noqa: E402
from vofs.cache.threads import SystemThreads, Thread  # noqa: E402
from vofs.core.attributes import MountOwner  # noqa: E402
from vofs.core.uris import parse_vospace  # noqa: E402
from vofs.mount.options import MountOptions  # noqa: E402
from vofs.mount.session import Session  # noqa: E402
from vofs.remote.credentials import Token  # noqa: E402
from vofs.remote.vosclient import VosRemote  # noqa: E402

BLOCK = 64 * 1024
BLOCKS = 4096
READ = 4096
SWITCH_S = 0.0005  # as a mount has it


class Either(Executor):
    """A pool whose work is done by whoever submits it, while `own` is set."""

    def __init__(self, pool: Executor) -> None:
        self._pool, self.own = pool, False

    def submit(self, job: Callable[..., Any], /, *args: Any, **named: Any) -> Future[Any]:
        """See `Executor`."""
        if not self.own:
            return self._pool.submit(job, *args, **named)
        done: Future[Any] = Future()
        done.set_result(job(*args, **named))
        return done

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Executor`."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


class EitherThreads:
    """The system's threads, but for the downloads' pool, which is `Either`."""

    def __init__(self) -> None:
        self._system = SystemThreads()
        self.fetching: Either | None = None

    def thread(self, target: Callable[[], None], name: str) -> Thread:
        """See `vofs.cache.threads.Threads`."""
        return self._system.thread(target, name)

    def pool(self, workers: int, name: str) -> Executor:
        """See `vofs.cache.threads.Threads`."""
        pool = self._system.pool(workers, name)
        if name == "vofs-fetch":
            pool = self.fetching = Either(pool)
        return pool


def measured(vospace: str, url: str, base: Path, reads: int) -> dict[str, float]:
    """Read, in a process that has nothing else to do."""
    sys.setswitchinterval(SWITCH_S)
    service = parse_vospace(vospace)
    remote, threads = VosRemote(service, Token("any"), timeout_s=10.0), EitherThreads()
    for name in ("cache", "control"):
        (base / name).mkdir(mode=0o700)
    options = MountOptions(
        service=service, mount_point=base / "mnt", cache_dir=base / "cache",
        control_dir=base / "control", owner=MountOwner(0, 0), min_free_bytes=0,
    )  # fmt: skip
    session = Session(
        options, remote, SystemClock(), thread_group=lambda: 1, credential="", threads=threads
    )
    session.start(answering=False)
    call, fetching = session.boundary(), threads.fetching
    assert fetching is not None
    handle = call("open", "/large", 0)
    path = byte_path(url, "large")
    connection = http.client.HTTPConnection(urlsplit(url).netloc)

    def raw(offset: int) -> bytes:
        connection.request("GET", path, headers={"Range": f"bytes={offset}-{offset + READ - 1}"})
        return connection.getresponse().read()

    def by(own: bool) -> Callable[[int], bytes]:
        def read(offset: int) -> bytes:
            fetching.own = own
            return bytes(call("read", handle, READ, offset))

        return read

    ways = {"pool": by(own=False), "own": by(own=True), "raw": raw}
    times: dict[str, list[float]] = {name: [] for name in ways}
    offsets = [block * BLOCK for block in random.Random(1).sample(range(2, BLOCKS), 3 * reads + 3)]
    for number, offset in enumerate(offsets):
        name = list(ways)[number % 3]
        began = time.perf_counter()
        assert len(ways[name](offset)) == READ
        times[name].append(time.perf_counter() - began)
    connection.close()
    call("release", handle)
    session.stop()
    remote.close()
    figures = {}
    for name, found in times.items():
        fast, median = statistics.quantiles(found[1:], n=10)[0], statistics.median(found[1:])
        figures |= {f"{name}_fast_ms": fast * 1000, f"{name}_median_ms": median * 1000}
    return figures


def main() -> None:
    """Serve a fake, and measure in a process beside it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reads", type=int, default=1000)
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.inside:
        vospace, url, base = chosen.inside
        figures = measured(vospace, url, Path(base), chosen.reads)
        print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=1))
        return
    with (
        tempfile.TemporaryDirectory(prefix="vofs-handover-") as name,
        FakeVOSpace("vault", data=Path(name) / "fake") as fake,
        fake.serve() as server,
    ):
        base = Path(name)
        (base / "home").mkdir()
        fake.put("/large", bytes(BLOCK * BLOCKS))
        words = ["--reads", str(chosen.reads), "--inside", server.vospace, server.url, name]
        environment = os.environ | server.environment(base / "home")
        subprocess.run([sys.executable, __file__, *words], env=environment, check=True)


if __name__ == "__main__":
    main()
