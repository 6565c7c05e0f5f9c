"""What is in a cache whose mount is gone: looked at, compared with its disk, never changed.

The index is read from a copy, so that an older format is migrated there and not in the cache.  The
cache is locked meanwhile: no mount can begin to change it, and that of a running one is refused.
"""

from __future__ import annotations

import enum
import hashlib
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vofs.cache.clock import Clock
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk, set_aside_in
from vofs.cache.index import Index
from vofs.cache.rows import DamagedRow, FileRow
from vofs.core.contentcheck import is_right
from vofs.core.errors import CacheDamaged, MountUnusable, UnknownIndex
from vofs.core.spans import Span, SpanSet

INDEX = "index.sqlite"
BLOCK = 1024 * 1024


class State(enum.Enum):
    """What a cached file is worth."""

    CLEAN = "clean"  # the service has it
    UNSENT = "unsent"
    FAILED = "failed"
    CONFLICT = "conflict"
    PARTIAL = "conflict (partial)"  # it can never be sent whole
    DAMAGED = "damaged"  # it was set aside


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of the cache.

    Attributes:
        number: names its data file.
        path: decoded node path.
        size: in bytes.
        state: what it is worth.
        spans: what of it is here.
        md5: hex MD5 that all of a clean file must have; None: nobody told it.
        mtime_ns: modification time in nanoseconds since 1970; None: not known.
        reason: the last error.
    """

    number: int
    path: str
    size: int
    state: State
    spans: tuple[Span, ...]
    md5: str | None
    mtime_ns: int | None
    reason: str

    @property
    def missing(self) -> list[Span]:
        """What of it is not here."""
        return SpanSet(self.spans).gaps(0, self.size)

    @property
    def present_bytes(self) -> int:
        """How much of it is here."""
        return SpanSet(self.spans).total


class Inspection:
    """An open cache; made by `inspecting`.

    Args:
        disk: the cache directory, locked.
        index: a copy of its index.

    Attributes:
        identity: the service identity that it belongs to.
        set_aside: directories in it that hold what could not be read, each a cache of its own.
    """

    def __init__(self, disk: Disk, index: Index) -> None:
        self._disk, self._index = disk, index
        self.identity = index.identity
        self.set_aside = set_aside_in(disk.root)

    def entries(self) -> list[Entry]:
        """All files, by path; what was set aside comes last."""
        rows = [self._entry(row) for row in self._index.rows()]
        return rows + [_damaged(row) for row in self._index.damaged()]

    def unsent(self) -> list[Entry]:
        """The files of which this cache may have the only copy."""
        return [entry for entry in self.entries() if entry.state is not State.CLEAN]

    def leftovers(self) -> list[int]:
        """Numbers of data files that no row names."""
        known = {entry.number for entry in self.entries()}
        return [number for number in self._disk.data_numbers() if number not in known]

    def _entry(self, row: FileRow) -> Entry:
        """The row as a mount would find it: of a whole changed file the data file has the size."""
        unsent, size = row.generation != row.stored_generation, row.size
        if row.whole and unsent:
            try:
                with self.reading(row.number) as data:
                    size = max(size, data.size)
            except CacheDamaged:
                pass  # `problem` says it
        spans = [(0, size)] if row.whole else [(start, end) for start, end, _ in row.spans]
        return Entry(
            row.number, row.path, size, _state(row, unsent=unsent), tuple(spans),
            None if unsent or row.base is None else row.base.md5, row.mtime_ns, row.error,
        )  # fmt: skip

    @contextmanager
    def reading(self, number: int) -> Iterator[DataFile]:
        """The data file `number`, to be read.

        Raises:
            CacheDamaged: it is missing, or no file that can be read.
        """
        data = self._disk.open_data(number, create=False)
        try:
            yield data
        finally:
            data.close()

    def problem(self, entry: Entry) -> str:
        """Compare a file with the disk; "" when all is right.

        Every byte that should be here is read; a whole clean copy must have the right MD5,
        or the one that two downloads had (R13).
        """
        if entry.state is State.DAMAGED:
            return entry.reason
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with self.reading(entry.number) as data:
                for start, end in entry.spans:
                    for offset in range(start, end, BLOCK):
                        digest.update(data.read(offset, min(BLOCK, end - offset)))
        except CacheDamaged as exc:
            return str(exc)
        found, told = digest.hexdigest(), entry.md5
        if told is None or entry.missing or is_right(found, told, entry.reason):
            return ""
        return f"its MD5 is {found}, the service told {told}"


def _state(row: FileRow, *, unsent: bool) -> State:
    if not unsent:
        return State.CLEAN
    if row.state == "conflict":
        covered = row.whole or not SpanSet((s, e) for s, e, _ in row.spans).gaps(0, row.size)
        return State.CONFLICT if covered else State.PARTIAL
    return State.FAILED if row.state == "failed" else State.UNSENT


def _damaged(row: DamagedRow) -> Entry:
    spans = tuple((start, end) for start, end, _ in row.spans)
    return Entry(row.number, row.path, row.size, State.DAMAGED, spans, None, None, row.reason)


@contextmanager
def locked(root: Path, clock: Clock) -> Iterator[Disk]:
    """The cache directory `root`, with its lock.

    Raises:
        MountUnusable: it is no cache, or a mount uses it.
    """
    if not (root / INDEX).exists() and not set_aside_in(root):
        raise MountUnusable(f"{root} is no cache of vofs: it has no {INDEX}")
    disk = Disk(root)
    try:
        try:
            disk.lock(clock, 0)
        except MountUnusable as exc:
            raise MountUnusable(
                f"a mount uses the cache {root}: ask it with vofs status, or unmount it first"
            ) from exc
        yield disk
    finally:
        disk.close()


@contextmanager
def inspecting(disk: Disk) -> Iterator[Inspection]:
    """Read the index of a locked cache, whatever older format it has.

    Raises:
        UnknownIndex: it cannot be read: of a newer vofs, or damaged.
    """
    with ExitStack() as stack:
        copies = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vofs-cache-")))
        for part in (INDEX, f"{INDEX}-wal"):
            if (disk.root / part).exists():
                if not stat.S_ISREG((disk.root / part).lstat().st_mode):
                    raise UnknownIndex(f"{disk.root / part} is no file")
                shutil.copyfile(disk.root / part, copies / part)
        if not (copies / INDEX).exists():
            raise UnknownIndex(f"{disk.root} has no index")
        index = Index(copies / INDEX, None)
        stack.callback(index.close)
        index.check(thoroughly=True)
        yield Inspection(disk, index)
