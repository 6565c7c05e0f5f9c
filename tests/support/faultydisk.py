"""A cache directory that can fail at any change, or be left as a killed process leaves it.

`FaultyDisk` is a `Disk`, with its index and its data files, whose every change passes `Changes`:
each write, truncation, creation and removal, each fdatasync, and each commit that changes a row.
There a test plans what happens before a change, after it, or in the middle of a write.

What of it is not on the disk is kept in `Changes.unsynced`, for a power loss (`powercut.py`).

Changes happen one at a time.  So a copy of the directory that is made at one of them, or while they
are `still`, is of one moment, like what is left behind by kill -9.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.powercut import Unsynced
from vofs.cache.datafile import DataFile
from vofs.cache.disk import Disk
from vofs.cache.index import Index

Act = Callable[[], None]
COMMIT, WRITE, TRUNCATE, SYNC = "commit", "write", "truncate", "fdatasync"
CREATE, REMOVE, ASIDE, RENAME, PUNCH = "create", "remove", "aside", "rename", "punch"


@dataclass(frozen=True, slots=True)
class DiskFault:
    """What happens at the `nth` change (from 1) of the kind `name`.

    Attributes:
        nth: which of those that match.
        name: one of the constants above, or "*" for any.
        times: how many from the nth on.
        before: runs when nothing is changed yet; may raise.
        midway: of a write, runs when the first half is in the file; may raise.
        after: runs when all is done; may raise.
    """

    nth: int = 1
    name: str = "*"
    times: int = 1
    before: Act | None = None
    midway: Act | None = None
    after: Act | None = None


class Changes:
    """Counts the changes of a cache directory and lets what is planned happen at them.

    Args:
        unsynced: what a killed process has left there that is not on the disk.
    """

    def __init__(self, unsynced: Unsynced | None = None) -> None:
        self._lock = threading.RLock()
        self._faults: list[tuple[DiskFault, list[int]]] = []
        self._files: list[DataFile] = []
        self.made: list[str] = []
        self.file_system_type: int | None = None  # what the cache is on; None: what it really is
        self.before_read: Act | None = None  # of a data file; may raise
        self.unsynced = unsynced or Unsynced()

    def opened(self, file: DataFile) -> None:
        """A data file was opened."""
        self._files.append(file)

    def close_all(self) -> None:
        """Close what a killed process had open and could not close."""
        for file in self._files:
            file.close()

    def plan(self, *faults: DiskFault) -> None:
        """Add faults; they count from now."""
        with self._lock:
            self._faults += [(fault, [0]) for fault in faults]

    def heal(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._faults.clear()

    @contextmanager
    def still(self) -> Iterator[None]:
        """Nothing changes meanwhile."""
        with self._lock:
            yield

    @contextmanager
    def change(self, name: str) -> Iterator[DiskFault | None]:
        """One change is made inside; yields the fault that is due at it."""
        with self._lock:
            self.made.append(name)
            due = None
            for fault, seen in self._faults:
                if fault.name in (name, "*"):
                    seen[0] += 1
                    if fault.nth <= seen[0] < fault.nth + fault.times and due is None:
                        due = fault
            if due is not None and due.before is not None:
                due.before()
            yield due
            if due is not None and due.after is not None:
                due.after()


class FaultyDataFile(DataFile):
    """A data file whose changes pass `changes`.

    Args:
        taken: the open file that this object takes over.
        changes: counts them.
    """

    def __init__(self, taken: DataFile, changes: Changes) -> None:
        super().__init__(taken._descriptor)
        self._changes = changes
        changes.opened(self)

    def read(self, offset: int, size: int) -> bytes:
        if self._changes.before_read is not None:
            self._changes.before_read()
        return super().read(offset, size)

    def _touch(self, start: int, end: int) -> None:
        self._changes.unsynced.changes(self._descriptor, start, end)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        with self._changes.change(WRITE) as due:
            self._touch(offset, offset + len(data))
            if due is not None and due.midway is not None:
                half = len(data) // 2
                super().write(offset, memoryview(data)[:half])
                due.midway()
            super().write(offset, data)

    def truncate(self, size: int) -> None:
        with self._changes.change(TRUNCATE):
            self._touch(*sorted((size, self.size)))
            super().truncate(size)

    def punch(self, start: int, end: int) -> bool:
        with self._changes.change(PUNCH):
            self._touch(start, end)
            return super().punch(start, end)

    def sync(self) -> None:
        with self._changes.change(SYNC):
            super().sync()
            self._changes.unsynced.data_synced(self._descriptor)

    def duplicate(self) -> DataFile:
        return FaultyDataFile(DataFile(os.dup(self._descriptor)), self._changes)


class FaultyIndex(Index):
    """An index whose commits pass `changes`, if they change anything."""

    def __init__(self, path: Path, identity: str, changes: Changes) -> None:
        self._changes = changes
        super().__init__(path, identity)

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        with ExitStack() as stack:
            connection = stack.enter_context(super().transaction(durable=durable))
            rows = connection.total_changes
            yield connection
            if connection.total_changes != rows:
                with self._changes.change(COMMIT):
                    stack.close()
                    if durable:
                        self._changes.unsynced.committed(self._log_file.parent)

    def checkpoint(self) -> None:
        with self._changes.still():
            super().checkpoint()
            self._changes.unsynced.checkpointed(self._log_file.parent)


class FaultyDisk(Disk):
    """A cache directory whose changes pass `changes`; the other arguments are those of `Disk`."""

    def __init__(self, root: Path, min_free_bytes: int, changes: Changes) -> None:
        self._changes = changes
        super().__init__(root, min_free_bytes)

    @property
    def file_system_type(self) -> int:
        told = self._changes.file_system_type
        return super().file_system_type if told is None else told

    def open_index(self, identity: str) -> Index:
        return FaultyIndex(self.root / "index.sqlite", identity, self._changes)

    def open_data(self, number: int, *, create: bool) -> DataFile:
        if not create:
            return FaultyDataFile(super().open_data(number, create=False), self._changes)
        return self._made(CREATE, lambda: super(FaultyDisk, self).open_data(number, create=True))

    def open_aside(self) -> DataFile:
        return self._made(ASIDE, super().open_aside)

    def open_new(self, number: int) -> DataFile:
        return self._made(CREATE, lambda: super(FaultyDisk, self).open_new(number))

    def put_in_place(self, number: int) -> None:
        with self._changes.change(RENAME):
            self._changes.unsynced.replaces(self.root / "data" / str(number))
            super().put_in_place(number)

    def _made(self, name: str, make: Callable[[], DataFile]) -> DataFile:
        with ExitStack() as closed_on_failure:
            with self._changes.change(name):
                made = FaultyDataFile(make(), self._changes)
                self._changes.unsynced.creates(made._descriptor)
                closed_on_failure.callback(made.close)
            closed_on_failure.pop_all()
        return made

    def remove_data(self, number: int) -> None:
        with self._changes.change(REMOVE):
            super().remove_data(number)

    def set_aside_data(self, number: int) -> None:
        with self._changes.change(RENAME):
            super().set_aside_data(number)

    def set_aside(self, time_ns: int) -> Path:
        with self._changes.change(RENAME):
            return super().set_aside(time_ns)

    def finish_setting_aside(self) -> None:
        with self._changes.change(RENAME):
            super().finish_setting_aside()

    def sync(self) -> None:
        with self._changes.change(SYNC):
            super().sync()
            self._changes.unsynced.synced(self.root)

    def sync_names(self) -> None:
        with self._changes.change(SYNC):
            super().sync_names()
            self._changes.unsynced.names_synced()
