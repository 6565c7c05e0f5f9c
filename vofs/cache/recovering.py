"""Copies what was never sent out of a cache whose mount is gone (`vofs cache recover`).

Nothing is removed from the cache and nothing at the destination is overwritten.  A file that is not
whole says so in its name, and what it lacks reads as zeros there.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.cache.inspection import BLOCK, Entry, Inspection, State
from vofs.core.errors import CacheDamaged
from vofs.core.spans import Span, SpanSet

UNNAMED = "unnamed"
PARTIAL, DAMAGED = ".partial", ".damaged"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of one file.

    Attributes:
        path: its node path, or the number of its data file.
        copy: where it is now; None: nothing of it could be read.
        size: of the copy, in bytes.
        missing: what of it is not there, and reads as zeros.
        problem: why not; "" when the cache never had it.
    """

    path: str
    copy: Path | None
    size: int
    missing: tuple[Span, ...] = ()
    problem: str = ""


def recover(cache: Inspection, into: Path) -> Iterator[Recovered]:
    """Copy all unsent files below `into`, each to its node path.

    Raises:
        OSError: the destination cannot be written.
    """
    for entry in cache.unsent():
        try:
            with cache.reading(entry.number) as data:
                yield _copied(entry, data, into)
        except CacheDamaged as exc:
            yield Recovered(entry.path, None, 0, (), str(exc))


def recover_unnamed(disk: Disk, into: Path) -> Iterator[Recovered]:
    """Copy every data file of a cache whose index cannot be read; nobody knows their names.

    Raises:
        OSError: the destination cannot be written.
    """
    for number in disk.data_numbers():
        try:
            data = disk.open_data(number, create=False)
        except CacheDamaged as exc:
            yield Recovered(str(number), None, 0, (), str(exc))
            continue
        try:
            whole = Entry(
                number, f"/{UNNAMED}/{number}", data.size, State.UNSENT, ((0, data.size),), None,
                None, "",
            )  # fmt: skip
            yield _copied(whole, data, into)
        finally:
            data.close()


def _copied(entry: Entry, data: DataFile, into: Path) -> Recovered:
    damaged = entry.state is State.DAMAGED
    suffix = DAMAGED if damaged else PARTIAL if entry.missing else ""
    path, descriptor = new_file(into, entry, suffix)
    with os.fdopen(descriptor, "wb") as copy:
        read, problem = SpanSet(), entry.reason if damaged else ""
        for start, end in SpanSet(entry.spans).within(0, data.size):
            for offset in range(start, end, BLOCK):
                size = min(BLOCK, end - offset)
                with suppress(CacheDamaged):
                    block = data.read(offset, size)
                    read.add(offset, offset + size)
                    if block.strip(b"\0"):  # zeros stay holes
                        copy.seek(offset)
                        copy.write(block)
        copy.truncate(entry.size)
        copy.flush()
        os.fsync(copy.fileno())
        if entry.mtime_ns is not None:
            os.utime(copy.fileno(), ns=(entry.mtime_ns, entry.mtime_ns))
    missing = tuple(read.gaps(0, entry.size))
    if set(missing) - set(entry.missing) and not problem:
        problem = "not all of its data file can be read"
    return Recovered(entry.path, path, entry.size, missing, problem)


def new_file(into: Path, entry: Entry, suffix: str) -> tuple[Path, int]:
    """Make a file that was not there before; returns its path and a descriptor."""
    wanted = into.joinpath(*map(_harmless, entry.path.strip("/").split("/")))
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):  # a file of that name was recovered before
        wanted = into / UNNAMED / str(entry.number)
        wanted.parent.mkdir(parents=True, exist_ok=True)
    for copy in itertools.count():
        end = suffix + (f".{copy}" if copy else "")
        name = wanted.name.encode()[: 255 - len(end)].decode(errors="ignore") + end
        path = wanted.with_name(name)
        with suppress(FileExistsError):
            return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    raise AssertionError("unreachable")


def _harmless(name: str) -> str:
    """A name that leads nowhere else."""
    return name.replace(".", "%2E") if name in (".", "..") else name
