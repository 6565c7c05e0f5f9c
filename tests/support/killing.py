"""A real mount under load, killed with SIGKILL at random moments and mounted again.

Each round: several `load.py` change files, each in a directory of its own, and write into ledgers
what was acknowledged; the daemon is killed; its dead mount is detached; the same cache is mounted
again.  Then the mount must show what the ledgers say.  In some rounds everything is sent, too, and
the service must hold just that; the others carry unsent files through several kills.

The seed decides what is done and when the daemon is killed; the machine decides how far it got.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import load
from tests.support.mounted import Mounted, eventually
from tests.support.witness import Account, State, renamed, truncated, without, written

TABLE = "kill -9"
HEADINGS = ("personality", "seed", "kills", "calls acknowledged", "bytes written", "losses")
WRITERS = 3
LATEST_KILL_S = 1.5
SENT_ROUNDS = 0.3  # the part of all rounds after which everything is sent and compared
OPTIONS = ("--close-wait", "0", "--settle", "1", "--attr-ttl", "1", "--debug")


def replay(before: State, ledger: Path) -> tuple[Account, int, int]:
    """What a ledger says.

    Args:
        before: what was there at first.
        ledger: of one run of `load.py`.

    Returns:
        The account, the number of acknowledged calls, and the bytes that they wrote.
    """
    account, calls, size = Account(before, before), 0, 0
    call: dict[str, Any] = {}
    for line in ledger.read_text().splitlines():
        record = json.loads(line)
        if record["op"] == "done":
            if call["op"] == "write" and record["result"] < call["size"]:
                account.told = _after(account.told, call | {"part": record["result"]})
            else:
                account.returned()
            calls += 1
            continue
        call = record
        assert record["op"] != "failed", f"{ledger.name}: {record['error']}"
        if record["op"] == "unlink":  # the kernel may not have let go of it yet
            account.undone |= {record["path"]: account.told[record["path"]]}
        account.begins(_after(account.told, record))
        size += record.get("size", 0) if record["op"] == "write" else 0
    return account, calls, size


def _end(ledger: Path) -> list[str]:
    """The last lines of a ledger: what was asked for, and how it failed."""
    return ledger.read_text().splitlines()[-3:]


def _after(state: State, record: dict[str, Any]) -> State:
    """`state` after the call that the ledger's line announces."""
    match record["op"]:
        case "create":
            return state | {record["path"]: b""}
        case "write":
            data = load.content(record["size"], record["seed"])[: record.get("part")]
            return written(state, record["path"], data, record["offset"])
        case "truncate":
            return truncated(state, record["path"], record["size"])
        case "rename":
            return renamed(state, record["source"], record["target"])
        case "unlink":
            return without(state, record["path"])
        case op:
            raise AssertionError(op)


def tree(top: Path) -> State:
    """All that is below `top`: relative paths."""
    found: State = {}
    for folder, folders, files in os.walk(top):
        for name in folders:
            found[os.path.relpath(os.path.join(folder, name), top)] = None
        for name in files:
            path = os.path.join(folder, name)
            found[os.path.relpath(path, top)] = Path(path).read_bytes()
    return found


@dataclass
class Killed:
    """What some rounds have come to: the numbers of the table."""

    kills: int = 0
    calls: int = 0
    size: int = 0


class Rounds:
    """See the module's docstring.

    Args:
        mount: mounted; at its top are the directories w0, w1, ..., each with a directory in it.
        folder: for the ledgers, outside the mount.
        seed: decides everything that can be decided.
    """

    def __init__(self, mount: Mounted, folder: Path, seed: int) -> None:
        self._mount, self._folder, self._seed = mount, folder, seed
        self._chance = random.Random(seed)
        self._tops = [mount.path / f"w{number}" for number in range(WRITERS)]
        self._states = [tree(top) for top in self._tops]
        self.result = Killed()

    def kill(self) -> None:
        """One round; raises AssertionError when anything is lost or was never written."""
        number = self.result.kills
        ledgers = [self._folder / f"{number}-{top.name}.jsonl" for top in self._tops]
        with ExitStack() as stack:
            loads = [
                stack.enter_context(self._started(top, ledger, number * WRITERS + writer))
                for writer, (top, ledger) in enumerate(zip(self._tops, ledgers, strict=True))
            ]
            eventually(lambda: all(ledger.stat().st_size for ledger in ledgers), 60.0)
            threading.Event().wait(self._chance.uniform(0.0, LATEST_KILL_S))
            self._mount.kill9()
            for one, ledger in zip(loads, ledgers, strict=True):
                code = one.wait(60)
                assert code == 0, f"the load ended with {code}: {_end(ledger)}"
        self.result.kills += 1
        self._mount.mount()
        self._judge(ledgers, f"seed {self._seed}, kill {number}")
        if self._chance.random() < SENT_ROUNDS:
            self.send()

    def _started(self, top: Path, ledger: Path, number: int) -> subprocess.Popen[bytes]:
        ledger.touch()
        seed = self._seed * 100_000 + number
        return subprocess.Popen(
            [sys.executable, "-I", load.__file__, str(top), str(ledger), str(seed)]
        )

    def _judge(self, ledgers: list[Path], where: str) -> None:
        for index, (top, ledger) in enumerate(zip(self._tops, ledgers, strict=True)):
            account, calls, size = replay(self._states[index], ledger)
            found = tree(top)
            account.require(found, f"{where}, {top.name}")
            self._states[index] = found
            self.result.calls += calls
            self.result.size += size

    def send(self) -> None:
        """Wait until all is sent; the service must hold what the mount shows."""
        self._mount.wait()
        for top, state in zip(self._tops, self._states, strict=True):
            for path, data in state.items():
                if data is not None:
                    assert self._mount.fake.get(f"{top.name}/{path}") == data, f"{top.name}/{path}"

    def end(self) -> None:
        """All is sent, and a mount with an empty cache shows just that, and nothing beside it."""
        self.send()
        self._mount.remount(fresh_cache=True)
        for top, state in zip(self._tops, self._states, strict=True):
            assert tree(top) == state, f"{top.name} on the service"
        assert sorted(path.name for path in self._mount.path.iterdir()) == [
            top.name for top in self._tops
        ]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows under `HEADINGS`, and their sums."""
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(2, len(HEADINGS))]
    lines: list[Sequence[str]] = [HEADINGS, *sorted(rows, key=tuple), ("all", "", *sums)]
    return "\n".join("  ".join(cell.rjust(18) for cell in line) for line in lines)
