"""How fast the fake is, beside what it must not be slower than: `python benchmarks/fake_server.py`.

Ratios are medians of many short pairs taken in turns, because a machine that others use too is slow
by fits and starts:

- GET of a large file, over that of `python -m http.server`;
- GET of a node, over what the same server answers when the answer is two constant bytes;
- a listing of 10,000 nodes, in seconds;
- a page of 100 out of 1,000,000 nodes, at the end over at the beginning;
- the peak of the server's memory before and after a large file went up and down.

`--json` prints the figures for a program (tests/integration/fakevospace/test_speed.py).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
BLOCK = bytes(1 << 20)
CONSTANT = """
import sys
from fakevospace.bodies import JournaledBody
from fakevospace.server import Server
def two_bytes(environ, start_response):
    start_response("200 OK", [("Content-Length", "2"), ("Content-Type", "text/plain")])
    return JournaledBody(b"ok", None, lambda sent: None)
server = Server(two_bytes)
server.start()
print(server.url, flush=True)
sys.stdin.read()
server.close()
"""


@contextmanager
def started(*arguments: str, directory: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A Python process, ended at the end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, *arguments], env=environment, cwd=directory, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()


def line_of(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process prints."""
    assert process.stdout is not None
    return process.stdout.readline()


def connected(url: str) -> http.client.HTTPConnection:
    """A connection to a server."""
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)


def call(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None
) -> str:
    """Send a small request; return the Location, or what the answer says."""
    connection.request(method, path, body)  # type: ignore[arg-type]
    answer = connection.getresponse()
    text = answer.read().decode()
    return answer.headers.get("Location") or text


def drained(url: str, path: str) -> float:
    """Read a whole answer into nowhere and return bytes per second."""
    connection, buffer, count = connected(url), bytearray(1 << 20), 0
    began = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    while got := answer.readinto(buffer):
        count += got
    taken = time.perf_counter() - began
    connection.close()
    return count / taken


def rate(connection: http.client.HTTPConnection, path: str, count: int) -> float:
    """Ask again and again on one connection and return answers per second."""
    sock = connection.sock
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nUser-Agent: x\r\n\r\n".encode()
    began = time.perf_counter()
    for _ in range(count):
        sock.sendall(head)
        data = sock.recv(1 << 16)
        wanted = int(re.search(rb"Content-Length: (\d+)", data)[1])  # type: ignore[index]
        have = len(data) - data.index(b"\r\n\r\n") - 4
        while have < wanted:
            have += len(sock.recv(1 << 16))
    return count / (time.perf_counter() - began)


def typical_ratio(ours: Callable[[], float], theirs: Callable[[], float], turns: int) -> float:
    """Measure both in turns and return the median of the ratios."""
    pairs = [(theirs(), ours()) for _ in range(turns)]
    return statistics.median(ours / theirs for theirs, ours in pairs)


def put_file(url: str, name: str, megabytes: int) -> None:
    """Upload a file of zeros, a block at a time."""
    connection = connected(url)
    query = f"TARGET=vos://cadc.nrc.ca~vault/{name}&DIRECTION=pushToVoSpace"
    protocol = "ivo://ivoa.net/vospace/core%23httpsput"
    where = call(connection, "POST", f"/vault/synctrans?{query}&PROTOCOL={protocol}")
    headers = {"Content-Length": str(megabytes << 20)}
    connection.request("PUT", urlsplit(where).path, (BLOCK for _ in range(megabytes)), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status == 201, answer.status


def byte_path(url: str, name: str) -> str:
    """Return the path of a byte URL of a file."""
    connection = connected(url)
    where = call(connection, "GET", f"/vault/files/{name}")
    connection.close()
    return urlsplit(where).path


def peak_kib(process: subprocess.Popen[str]) -> int:
    """Return the most memory that a process ever held."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1])  # type: ignore[index]


def large_file(megabytes: int, turns: int) -> dict[str, float]:
    """Measure a large file, up and down, and the memory that it takes."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch)
        with started("-m", "fakevospace.cli", "serve", "--data", f"{data}/space") as ours:
            url = json.loads(line_of(ours))["url"]
            before = peak_kib(ours)
            put_file(url, "big", megabytes)
            path = byte_path(url, "big")
            with (data / "plain").open("wb") as plain:
                for _ in range(megabytes):
                    plain.write(BLOCK)
            server = ("-m", "http.server", "--bind", "127.0.0.1", "0")
            with started(*server, directory=data) as theirs:
                found = re.search(r"port (\d+)", line_of(theirs))
                other = f"http://127.0.0.1:{found[1] if found else 0}"
                ratio = typical_ratio(
                    lambda: drained(url, path), lambda: drained(other, "/plain"), turns
                )
            return {"large_get_ratio": ratio, "memory_growth_kib": peak_kib(ours) - before}


def in_memory_file(megabytes: int, turns: int) -> float:
    """Measure a large file that the fake holds in memory."""
    with (
        tempfile.TemporaryDirectory() as scratch,
        started("-m", "fakevospace.cli", "serve") as ours,
    ):
        url = json.loads(line_of(ours))["url"]
        put_file(url, "big", megabytes)
        path = byte_path(url, "big")
        (Path(scratch) / "plain").write_bytes(BLOCK * megabytes)
        server = ("-m", "http.server", "--bind", "127.0.0.1", "0")
        with started(*server, directory=Path(scratch)) as theirs:
            found = re.search(r"port (\d+)", line_of(theirs))
            other = f"http://127.0.0.1:{found[1] if found else 0}"
            return typical_ratio(
                lambda: drained(url, path), lambda: drained(other, "/plain"), turns
            )


def small_requests(count: int, turns: int) -> dict[str, float]:
    """Measure node GETs, a long listing, and pages of a very long one."""
    options = ("--sample", "--generate", "ten=10000", "--generate", "million=1000000")
    with (
        started("-c", CONSTANT) as constant,
        started("-m", "fakevospace.cli", "serve", *options) as ours,
    ):
        theirs, mine = (
            connected(one) for one in (line_of(constant).strip(), json.loads(line_of(ours))["url"])
        )
        theirs.connect()
        mine.connect()
        node = "/vault/nodes/sample/mosaic.fits?limit=0"
        for connection, path in ((theirs, "/"), (mine, node)):
            rate(connection, path, count)  # warm
        ratio = typical_ratio(
            lambda: rate(mine, node, 400), lambda: rate(theirs, "/", 400), turns * 5
        )
        listing = min(1 / rate(mine, "/vault/nodes/ten", 1) for _ in range(turns))
        page = "/vault/nodes/million?limit=100&uri=vos://cadc.nrc.ca~vault/million/node-"
        pages = typical_ratio(
            lambda: rate(mine, page + "000000", 20), lambda: rate(mine, page + "999900", 20), turns
        )
        figures = {
            "node_get_ratio": ratio,
            "node_gets_per_s": max(rate(mine, node, count) for _ in range(turns)),
            "constant_per_s": max(rate(theirs, "/", count) for _ in range(turns)),
            "listing_10000_s": listing,
            "last_page_over_first": pages,
        }
        theirs.close()
        mine.close()
        return figures


def measured(megabytes: int, count: int, turns: int) -> dict[str, float]:
    """Take all measurements."""
    figures = large_file(megabytes, turns)
    figures["large_get_ratio_in_memory"] = in_memory_file(megabytes, turns)
    return figures | small_requests(count, turns)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measured(options.megabytes, options.requests, options.turns)
    if options.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:28}{value:12.3f}")


if __name__ == "__main__":
    main()
