"""Writes, appends, truncates, renames and unlinks in a mount until that dies; a process of its own.

Usage: load.py DIRECTORY LEDGER SEED.  Before each system call that changes something a line of JSON
goes to the ledger, which lies outside the mount, and "done" after the call has returned.  So the
ledger says what was acknowledged, and which call was under way when the daemon was killed.

The exit code is 0 when the mount died, 1 when a call failed otherwise (the ledger's last line
says how).  Needs nothing of vofs.
"""

import errno
import hashlib
import json
import os
import random
import sys
from collections.abc import Callable

DEAD = (errno.ENOTCONN, errno.ECONNABORTED, errno.ESHUTDOWN)
MOST_FILES = 8


def content(size: int, seed: int) -> bytes:
    """Bytes that no other seed makes."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


class Load:
    """One writer with a directory of its own: the working directory.

    All paths are relative: once the dead mount is detached, an absolute one would lead elsewhere.

    Args:
        ledger: a descriptor.
        seed: decides what is done.
    """

    def __init__(self, ledger: int, seed: int) -> None:
        self._ledger = ledger
        self._chance = random.Random(seed)
        self._number = seed * 1_000_000
        self._folder = sorted(name for name in os.listdir() if not name.startswith("."))[0]
        self._sizes = {
            name: os.path.getsize(os.path.join(self._folder, name))
            for name in sorted(os.listdir(self._folder))
        }

    def _path(self, name: str) -> str:
        return os.path.join(self._folder, name)

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _note(self, record: dict[str, object]) -> None:
        os.write(self._ledger, json.dumps(record).encode() + b"\n")

    def _do(self, call: Callable[[], object], **record: object) -> object:
        self._note(record)
        result = call()
        self._note({"op": "done", "result": result})
        return result

    def step(self) -> None:
        """One thing that programs do."""
        names = sorted(self._sizes)
        if len(names) < 2:
            self._make()
        elif len(names) >= MOST_FILES:
            self._chance.choice((self._replace, self._unlink))(names)
        else:
            self._chance.choice(
                (self._make, self._append, self._append, self._overwrite, self._overwrite,
                 self._truncate, self._rename, self._replace, self._replace_open, self._unlink,
                 self._rename_folder)
            )(names)  # fmt: skip

    def _size(self) -> int:
        return self._chance.choice((1, 100, 3000, 20_000, 20_000, 300_000))

    def _write(self, handle: int, name: str, offset: int, size: int) -> None:
        """pwrite(2); a dying mount may take a part only."""
        seed = self._next()
        data = content(size, seed)
        written = self._do(
            lambda: os.pwrite(handle, data, offset),
            op="write", path=f"{self._folder}/{name}", offset=offset, size=size, seed=seed,
        )  # fmt: skip
        if written != size:
            raise OSError(errno.ENOTCONN, "a part was written")
        self._sizes[name] = max(self._sizes[name], offset + size)

    def _make(self, _: list[str] | None = None) -> None:
        name = f"f{self._next()}"
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR
        handle = self._do(
            lambda: os.open(self._path(name), flags, 0o644),
            op="create", path=f"{self._folder}/{name}",
        )  # fmt: skip
        assert isinstance(handle, int)
        self._sizes[name] = 0
        try:
            for _part in range(self._chance.randrange(4)):
                self._write(handle, name, self._sizes[name], self._size())
                if self._chance.random() < 0.3:
                    os.fsync(handle)
        finally:
            os.close(handle)

    def _append(self, names: list[str]) -> None:
        name = self._chance.choice(names)
        handle = os.open(self._path(name), os.O_WRONLY | os.O_APPEND)
        try:
            for _ in range(1 + self._chance.randrange(3)):
                self._write(handle, name, self._sizes[name], self._size())
        finally:
            os.close(handle)

    def _overwrite(self, names: list[str]) -> None:
        name = self._chance.choice(names)
        handle = os.open(self._path(name), os.O_RDWR)
        try:
            for _ in range(1 + self._chance.randrange(3)):
                self._write(handle, name, self._chance.randrange(self._sizes[name] + 5000),
                            self._size())  # fmt: skip
        finally:
            os.close(handle)

    def _truncate(self, names: list[str]) -> None:
        name = self._chance.choice(names)
        size = self._chance.randrange(2 * self._sizes[name] + 1)
        self._do(
            lambda: os.truncate(self._path(name), size),
            op="truncate", path=f"{self._folder}/{name}", size=size,
        )  # fmt: skip
        self._sizes[name] = size

    def _rename(self, names: list[str]) -> None:
        self._move(self._chance.choice(names), f"r{self._next()}")

    def _replace(self, names: list[str]) -> None:
        self._move(*self._chance.sample(names, 2))

    def _replace_open(self, names: list[str]) -> None:
        """A rename over a file that somebody reads."""
        source, target = self._chance.sample(names, 2)
        handle = os.open(self._path(target), os.O_RDONLY)
        try:
            self._move(source, target)
            os.pread(handle, 4096, 0)
        finally:
            os.close(handle)

    def _move(self, source: str, target: str) -> None:
        self._do(
            lambda: os.rename(self._path(source), self._path(target)),
            op="rename", source=f"{self._folder}/{source}", target=f"{self._folder}/{target}",
        )  # fmt: skip
        self._sizes[target] = self._sizes.pop(source)

    def _unlink(self, names: list[str]) -> None:
        name = self._chance.choice(names)
        self._do(
            lambda: os.unlink(self._path(name)), op="unlink", path=f"{self._folder}/{name}"
        )  # fmt: skip
        del self._sizes[name]

    def _rename_folder(self, _: list[str]) -> None:
        target = f"d{self._next()}"
        source = self._folder
        self._do(lambda: os.rename(source, target), op="rename", source=source, target=target)
        self._folder = target

    def run(self) -> int:
        """Until the mount dies."""
        while True:
            try:
                self.step()
            except OSError as exc:
                if exc.errno in DEAD:
                    return 0
                self._note({"op": "failed", "error": repr(exc)})
                return 1


def main() -> int:
    """See the module's docstring."""
    top, path, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ledger = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.chdir(top)
        return Load(ledger, seed).run()
    except OSError as exc:  # it died before the first step
        return 0 if exc.errno in DEAD else 1


if __name__ == "__main__":
    sys.exit(main())
