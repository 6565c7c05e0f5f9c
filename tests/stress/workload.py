"""Sixteen threads at work on twenty files of one mount: `workload.py MOUNT EXPECTED SECONDS SEED`.

A process of its own, so that nothing that hangs in the kernel holds Python's lock of the service.
It prints one line of JSON a second (how often each thread has done something), and at the end one
with `done`, the counts, the errors that calls ended in, and the complaints: what was read and never
written.  What each name must hold on the service is left in the directory EXPECTED.

Files consist of records.  A record says whose it is: the file's number, its own index, how many
times it was written; the rest repeats that.  So whoever reads a record can judge it without knowing
what the others do.  A record of a file is written by one thread only; what changes the file as a
whole (truncation, appending, renaming, replacing, unlinking) keeps all other threads out of its
name, but for those that read through handles they have had open for long.
"""

from __future__ import annotations

import errno
import faulthandler
import json
import os
import random
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

RECORD = 4096
HEAD = struct.Struct(">QQQ")
RECORDS = 96  # most in a file
FILES, THREADS, WRITERS, DIRECTORIES = 20, 16, 8, 3
PATIENCE_S = 60.0  # how long a change that must happen is tried again
OLD_HANDLES = 4


def record(number: int, index: int, turn: int) -> bytes:
    """The bytes of one record."""
    return (HEAD.pack(number, index, turn) * (RECORD // HEAD.size + 1))[:RECORD]


@dataclass
class File:
    """What one name holds.

    Attributes:
        name: where it is, below the mount.
        number: of the content: a new file under an old name has a new one.
        turns: of each record, how many times it was written; 0: zeros.
    """

    name: str
    number: int
    turns: list[int] = field(default_factory=list)
    inside: int = 0
    alone: bool = False

    def content(self) -> bytes:
        """All its bytes."""
        parts = [
            record(self.number, index, turn) if turn else bytes(RECORD)
            for index, turn in enumerate(self.turns)
        ]
        return b"".join(parts)


class Workload:
    """The files, what the threads do with them, and what came of it.

    Args:
        mount: a directory in the mount, empty.
        seed: of all random choices.
    """

    def __init__(self, mount: Path, seed: int) -> None:
        self.mount, self.seed = mount, seed
        self._turn = threading.Condition()
        self._numbers = iter(range(1, sys.maxsize))
        self.files = [
            File(f"d{number % DIRECTORIES}/f{number}", self._next()) for number in range(FILES)
        ]
        self.done = [0] * THREADS
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.complaints: list[str] = []
        self.ends_at = 0.0
        for number in range(DIRECTORIES):
            (mount / f"d{number}").mkdir()
        for file in self.files:
            self.insist(lambda file=file: self.path(file).touch())  # type: ignore[misc]

    def _next(self) -> int:
        with self._turn:
            return next(self._numbers)

    def path(self, file: File) -> Path:
        """Where a file is now."""
        return self.mount / file.name

    @contextmanager
    def sharing(self, file: File) -> Iterator[None]:
        """Nobody changes the file as a whole meanwhile."""
        with self._turn:
            while file.alone:
                self._turn.wait()
            file.inside += 1
        try:
            yield
        finally:
            with self._turn:
                file.inside -= 1
                self._turn.notify_all()

    @contextmanager
    def alone(self, file: File) -> Iterator[None]:
        """Nobody else does anything with the name meanwhile."""
        with self._turn:
            while file.alone:
                self._turn.wait()
            file.alone = True
            while file.inside:
                self._turn.wait()
        try:
            yield
        finally:
            with self._turn:
                file.alone = False
                self._turn.notify_all()

    def insist(self, change: Callable[[], object], done: int | None = None) -> None:
        """Repeat a change of a name until it has happened; errors in between are the service's.

        Args:
            change: the change.
            done: the errno that says that an earlier try has done it after all.
        """
        began, tries = time.monotonic(), 0
        while True:
            try:
                change()
                return
            except OSError as exc:
                if tries and exc.errno == done:
                    return
                self.error(change.__qualname__.split(".")[-2], exc)
                if time.monotonic() - began > PATIENCE_S:
                    raise
                tries += 1
                time.sleep(0.05)

    def error(self, what: str, exc: OSError) -> None:
        """Count an error that a call ended in."""
        with self._turn:
            self.errors[f"{what} {errno.errorcode.get(exc.errno or 0, exc.errno)}"] += 1

    def complain(self, text: str) -> None:
        """Something was read that was never written."""
        with self._turn:
            self.complaints.append(text)

    # -- what writers do ------------------------------------------------------------------------

    def write(self, me: int, chance: random.Random, file: File) -> None:
        """Write some of this thread's records, perhaps behind the end."""
        with self.sharing(file):
            index = chance.randrange(RECORDS // WRITERS) * WRITERS + me % WRITERS
            descriptor = os.open(self.path(file), os.O_RDWR)
            try:
                with self._turn:
                    turn = self._next_turn(file, index)
                written = os.pwrite(descriptor, record(file.number, index, turn), index * RECORD)
                assert written == RECORD
                with self._turn:
                    file.turns += [0] * (index + 1 - len(file.turns))
                    file.turns[index] = turn
                if chance.random() < 0.05:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _next_turn(self, file: File, index: int) -> int:
        return (file.turns[index] if index < len(file.turns) else 0) + 1

    def append(self, me: int, chance: random.Random, file: File) -> None:
        """Two records through two O_APPEND handles."""
        with self.alone(file):
            if len(file.turns) + 2 > RECORDS:
                return
            flags = os.O_WRONLY | os.O_APPEND
            first = os.open(self.path(file), flags)
            try:
                second = os.open(self.path(file), flags)
                try:
                    for descriptor in (first, second):
                        os.write(descriptor, record(file.number, len(file.turns), 1))
                        file.turns.append(1)
                finally:
                    os.close(second)
            finally:
                os.close(first)

    def truncate(self, me: int, chance: random.Random, file: File) -> None:
        """Cut or extend the file, by its name."""
        with self.alone(file):
            size = chance.randrange(RECORDS)
            self.insist(lambda: os.truncate(self.path(file), size * RECORD))
            del file.turns[size:]
            file.turns += [0] * (size - len(file.turns))

    def replace(self, me: int, chance: random.Random, file: File) -> None:
        """An editor's way to save: write another file, rename it over this one."""
        with self.alone(file):
            number, size = self._next(), chance.randrange(1, RECORDS // 2)
            temporary = self.path(file).with_name(f"tmp{number}")
            data = b"".join(record(number, index, 1) for index in range(size))
            self.insist(lambda: _store(temporary, data))
            self.insist(lambda: temporary.rename(self.path(file)), errno.ENOENT)
            file.number, file.turns = number, [1] * size

    def rename(self, me: int, chance: random.Random, file: File) -> None:
        """Give the file a new name, perhaps in another directory."""
        with self.alone(file):
            name = f"d{chance.randrange(DIRECTORIES)}/f{self._next()}"
            self.insist(lambda: self.path(file).rename(self.mount / name), errno.ENOENT)
            file.name = name

    def remove(self, me: int, chance: random.Random, file: File) -> None:
        """Unlink the file and make another one of its name."""
        with self.alone(file):
            self.insist(lambda: self.path(file).unlink(), errno.ENOENT)
            file.number, file.turns = self._next(), []
            self.insist(lambda: _store(self.path(file), b""))

    # -- what readers do ------------------------------------------------------------------------

    def read(self, me: int, chance: random.Random, file: File) -> None:
        """Open the file, read some records, and judge them."""
        with self.sharing(file):
            descriptor = os.open(self.path(file), os.O_RDONLY)
            try:
                number = file.number
                self.judge(descriptor, number, chance.randrange(RECORDS), chance.randrange(1, 33))
            finally:
                os.close(descriptor)

    def read_whole(self, me: int, chance: random.Random, file: File) -> None:
        """Nobody else is at it: every byte is as it must be."""
        with self.alone(file):
            data, wanted = self.path(file).read_bytes(), file.content()
            if data != wanted:
                self.complain(f"{file.name}: {len(data)} bytes that are not the {len(wanted)}")

    def look(self, me: int, chance: random.Random, file: File) -> None:
        """The name is listed and has its size."""
        with self.alone(file):
            path = self.path(file)
            if path.name not in os.listdir(path.parent):
                self.complain(f"{file.name} is not listed")
            if path.stat().st_size != len(file.turns) * RECORD:
                self.complain(f"{file.name}: its size is {path.stat().st_size}")

    def judge(self, descriptor: int, number: int, first: int, count: int) -> None:
        """Read records through a handle: each is one of this file, or zeros."""
        data = os.pread(descriptor, count * RECORD, first * RECORD)
        for start in range(0, len(data), RECORD):
            index, one = first + start // RECORD, data[start : start + RECORD]
            whose, which, turn = HEAD.unpack_from(one.ljust(HEAD.size, b"\0"))
            if one != bytes(len(one)) and (
                (whose, which) != (number, index) or one != record(number, index, turn)
            ):
                again = os.pread(descriptor, RECORD, index * RECORD)
                if again == one:  # not just torn by a write in between
                    self.complain(f"record {index} of {number} says {whose}, {which}, {turn}")

    # -- threads --------------------------------------------------------------------------------

    def run(self, me: int) -> None:
        """One thread: does random things until the time is over."""
        chance = random.Random(self.seed * 1000 + me)
        acts = WRITES if me < WRITERS else READS
        names, weights = list(acts), list(acts.values())
        old: list[tuple[int, int]] = []
        while time.monotonic() < self.ends_at:
            file = chance.choice(self.files)
            name = chance.choices(names, weights)[0]
            try:
                if name == "old":
                    self.read_old(chance, file, old)
                else:
                    getattr(self, name)(me, chance, file)
                with self._turn:
                    self.counts[name] += 1
            except OSError as exc:
                self.error(name, exc)
            self.done[me] += 1
        for descriptor, _ in old:
            os.close(descriptor)

    def read_old(self, chance: random.Random, file: File, old: list[tuple[int, int]]) -> None:
        """Read through handles that stay open whatever becomes of their names."""
        if len(old) >= OLD_HANDLES:
            os.close(old.pop(0)[0])
        with self.sharing(file):
            old.append((os.open(self.path(file), os.O_RDONLY), file.number))
        for descriptor, number in old:
            self.judge(descriptor, number, chance.randrange(RECORDS), 16)


WRITES = {
    "write": 60,
    "append": 8,
    "truncate": 6,
    "replace": 6,
    "rename": 8,
    "remove": 5,
    "look": 2,
}
READS = {"read": 60, "read_whole": 8, "look": 8, "old": 24}


def _store(path: Path, data: bytes) -> None:
    with open(path, "wb", buffering=0) as out:
        assert out.write(data) == len(data)


def main(mount: str, expected: str, seconds: str, seed: str) -> None:
    """See the module's docstring."""
    faulthandler.enable()
    work = Workload(Path(mount), int(seed))
    work.ends_at = time.monotonic() + float(seconds)
    threads = [threading.Thread(target=work.run, args=(me,)) for me in range(THREADS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        print(json.dumps({"progress": work.done}), flush=True)
        time.sleep(1.0)
    for number, file in enumerate(work.files):
        (Path(expected) / str(number)).write_bytes(file.name.encode() + b"\n" + file.content())
    report = {"counts": work.counts, "errors": work.errors, "complaints": work.complaints}
    print(json.dumps({"done": sum(work.done), **report}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
