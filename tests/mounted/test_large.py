"""What issue 2 must show, with large files and every program a process of its own: the service
(`fakevospace serve --data`), its environment (`fakevospace env`), the mount, cp and cmp.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.mounted.random_reader import BLOCK, block
from tests.support.mounted import BOTH, Mounted, eventually, run, unmounted_at_end

pytestmark = pytest.mark.slow

MB = 1 << 20
READS = 10_000
HOLD = b'[[rule]]\nmethod = "PUT"\nendpoint = "bytes"\naction = "hang"\n'
READER = Path(__file__).with_name("random_reader.py")


def original(path: Path, size: int) -> None:
    """Write a file of `size` bytes in which every 64 KiB differ."""
    with open(path, "wb") as file:
        for number in range(size // BLOCK):
            file.write(block(number))


@contextmanager
def served(base: Path, personality: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """`fakevospace serve --data D` and `fakevospace env`: (url, short name, environment)."""
    words = ["serve", "--data", str(base / "data"), "--personality", personality]
    process = subprocess.Popen(
        [sys.executable, "-m", "fakevospace.cli", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        exports = run(sys.executable, "-m", "fakevospace.cli", "env", said["url"]).stdout
        env = dict(os.environ)
        for line in exports.splitlines():
            if line.startswith("export "):
                name, _, text = line.removeprefix("export ").partition("=")
                env[name] = shlex.split(text)[0]
        yield said["url"], said["vospace"], env
        run("rm", "-r", env["HOME"])
    finally:
        process.terminate()
        process.communicate(timeout=20)


def faults(url: str, plan: bytes | None) -> None:
    """POST a plan to /_fake/faults, or lift all."""
    method = "DELETE" if plan is None else "POST"
    with urlopen(Request(f"{url}/_fake/faults", plan, method=method), timeout=10) as answer:
        answer.read()


def journal(url: str) -> list[dict[str, object]]:
    """All requests so far."""
    with urlopen(f"{url}/_fake/journal", timeout=10) as answer:
        found: list[dict[str, object]] = json.load(answer)
        return found


@pytest.mark.parametrize("personality", BOTH)
def test_200_MB_in_and_out_of_an_empty_cache(tmp_path: Path, personality: str) -> None:
    """cp in, vofs wait, unmount, mount with an empty cache: cmp is silent.  Then the same with the
    daemon killed between the copy and the upload: it arrives whole after the remount."""
    source = tmp_path / "original"
    original(source, 200 * MB)
    with served(tmp_path, personality) as (url, vospace, env):
        made = Mounted(tmp_path / "m", vospace, env, "--close-wait", "0", "--settle", "1")
        with unmounted_at_end(made) as mount:
            mount.mount()
            run("cp", source, mount.path / "copy")
            mount.wait()
            mount.remount(fresh_cache=True)
            assert run("cmp", source, mount.path / "copy").stdout == ""

            faults(url, HOLD)
            run("cp", source, mount.path / "killed")
            eventually(lambda: any(
                one["method"] == "PUT" and one["node"] == "/killed" and one["status"] is None
                for one in journal(url)
            ))  # fmt: skip
            mount.kill9()
            faults(url, None)
            mount.mount()
            mount.wait()
            mount.remount(fresh_cache=True)
            assert run("cmp", source, mount.path / "killed").stdout == ""


@pytest.mark.parametrize("personality", BOTH)
def test_R14_two_processes_read_a_cold_file_at_random(tmp_path: Path, personality: str) -> None:
    """256 MB, two processes, 10,000 reads of 4 KiB each: 0 wrong, 0 errors.  (The old mount got 9
    of 60 wrong.)"""
    source = tmp_path / "original"
    original(source, 256 * MB)
    with (
        served(tmp_path, personality) as (_, vospace, env),
        unmounted_at_end(Mounted(tmp_path / "m", vospace, env)) as mount,
    ):
        mount.mount()
        run("cp", source, mount.path / "big")
        mount.remount(fresh_cache=True)
        readers = [
            subprocess.Popen(
                [sys.executable, READER, mount.path / "big", str(256 * MB), str(READS), seed],
                stdout=subprocess.PIPE, text=True,
            )
            for seed in ("1", "2")
        ]  # fmt: skip
        found = [reader.communicate(timeout=90)[0].split() for reader in readers]
    assert found == [[str(READS), "0", "0"]] * 2
