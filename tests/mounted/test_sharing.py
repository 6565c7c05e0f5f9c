"""Two writers and two readers on one file of a real mount, kill -9, remount: right bytes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fakevospace import FakeVOSpace
from fakevospace.faults import Delay, Rule
from tests.mounted.conftest import MakeMount
from tests.support import sharing
from tests.support.killing import OPTIONS
from tests.support.mounted import Mounted, eventually

FILE = "f"
CALLS_BEFORE_THE_KILL, CALLS_AFTER_IT = 60, 100
LIMIT_S = 30.0

Slots = dict[int, set[int]]  # which writes may have left bytes in each slot; one, if acknowledged


def prepare(fake: FakeVOSpace) -> None:
    fake.put(FILE, b"".join(sharing.content(slot, 0) for slot in range(sharing.SLOTS)))


class Party:
    """Two writers and two readers of the file.

    Args:
        mount: where it is.
        folder: for ledgers, outside the mount.
        first: the number of the first write of each writer.
        calls: how many calls each makes; 0: until the mount dies.
    """

    def __init__(self, mount: Mounted, folder: Path, first: int, calls: int) -> None:
        self._ledgers: dict[str, Path] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        for act in ("write", "read"):
            for number in range(2):
                ledger = folder / f"{first}-{act}{number}"
                ledger.touch()
                words = [act, mount.path / FILE, ledger, number, first, calls]
                self._ledgers[f"{act}{number}"] = ledger
                self._processes.append(
                    subprocess.Popen([sys.executable, "-I", sharing.__file__, *map(str, words)])
                )

    def calls(self) -> int:
        """How many calls the laziest one has made."""
        return min(ledger.read_text().count("done") for ledger in self._ledgers.values())

    def end(self) -> None:
        """Wait until all have ended; none of them saw anything wrong."""
        for process, (name, ledger) in zip(self._processes, self._ledgers.items(), strict=True):
            code = process.wait(LIMIT_S)
            assert code == 0, f"{name}: {ledger.read_text().splitlines()[-1:]}"

    def wrote(self, slots: Slots) -> Slots:
        """What the ledgers make of what was there before."""
        after = dict(slots)
        for number in range(2):
            slot = begun = 0
            before = set[int]()
            for line in self._ledgers[f"write{number}"].read_text().splitlines():
                if line == "done":
                    after[slot] = {begun}
                else:
                    slot, begun = map(int, line.split())
                    before = after[slot]
                    after[slot] = before | {begun}
        return after

    def stop(self) -> None:
        """End whoever is still there."""
        for process in self._processes:
            process.kill()
            process.wait(LIMIT_S)


@contextmanager
def party(mount: Mounted, folder: Path, first: int, calls: int) -> Iterator[Party]:
    """A party that has ended when the block does."""
    with ExitStack() as stack:
        made = Party(mount, folder, first, calls)
        stack.callback(made.stop)
        yield made


def found_in(data: bytes) -> Slots:
    """Which writes have left bytes in each slot; raises ValueError on any other byte."""
    assert len(data) == sharing.SLOTS * sharing.SLOT
    return {
        slot: sharing.writes_in(slot, data[slot * sharing.SLOT : (slot + 1) * sharing.SLOT])
        for slot in range(sharing.SLOTS)
    }


def test_R18_two_writers_and_two_readers_of_one_file_survive_a_kill(
    make_mount: MakeMount, personality: str, tmp_path: Path
) -> None:
    """R3, R12, R14, R18: nobody reads a wrong byte, before the kill or after it; what was
    acknowledged is there then, and on the service in the end."""
    mount = make_mount(personality, *OPTIONS, prepare=prepare)
    slots: Slots = {slot: {0} for slot in range(sharing.SLOTS)}
    # What is downloaded late meets what was written meanwhile.
    mount.fake.faults.add(Rule(Delay(0.2), method="GET", endpoint="bytes", times=2))
    with party(mount, tmp_path, 1, 0) as before:
        eventually(lambda: before.calls() >= CALLS_BEFORE_THE_KILL, LIMIT_S)
        mount.kill9()
        before.end()
    mount.mount()
    allowed, slots = before.wrote(slots), found_in((mount.path / FILE).read_bytes())
    lost = {slot: (slots[slot], allowed[slot]) for slot in slots if slots[slot] - allowed[slot]}
    assert not lost, f"slot: found, allowed: {lost}"
    with party(mount, tmp_path, 30_000, CALLS_AFTER_IT) as after:
        after.end()
    shown = (mount.path / FILE).read_bytes()
    assert found_in(shown) == after.wrote(slots)
    mount.wait()
    assert mount.fake.get(FILE) == shown
