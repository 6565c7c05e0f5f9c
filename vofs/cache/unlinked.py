"""Which names were unlinked while their files were open, and when their nodes may go (R9).

A rename over an open file arrives as the same hide, followed at once by the rename.  So for a
moment, `GRACE_S`, nothing is committed: the row stays, and a crash undoes an unlink, which loses
nothing, instead of deleting a file that was only about to be replaced.  Until that is decided the
file is kept in use from here, because its data must not go before its row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.filetable import FileTable
from vofs.cache.journal import Tombstone
from vofs.locks import Level, OrderedLock

GRACE_S = 0.2
NEVER = float("inf")


@dataclass(frozen=True, slots=True)
class Unlinked:
    """One name that is gone here.

    Attributes:
        path: the name.
        tombstone: what is to go from the service; None: nothing, it never had the file.
        file: the open file, as long as its row is there; None when that is gone.
        committed: it is in the journal, and the file's row is gone.
        due_at: when the node may go, monotonic seconds.
        attempts: how often the service refused to delete it.
        older: what stood at the name before, when that was unlinked, made again and unlinked
            again: its node is still to go.
    """

    path: str
    tombstone: Tombstone | None
    file: CachedFile | None
    committed: bool
    due_at: float
    attempts: int = 0
    older: Unlinked | None = None


class UnlinkedNames:
    """See the module's docstring.

    Args:
        table: keeps the files in use.
        clock: for times.
    """

    def __init__(self, table: FileTable, clock: Clock) -> None:
        self._table, self._clock = table, clock
        self._lock = OrderedLock(Level.LEAF)
        self._unlinked: dict[str, Unlinked] = {}

    def placed(self, tombstone: Tombstone) -> None:
        """A tombstone is in the journal: its node goes when it is due."""
        path, due_at = tombstone.path, self._clock.monotonic()
        entry = Unlinked(path, tombstone, None, True, due_at)
        with self._lock:
            self._unlinked[path] = entry

    def raised(self, file: CachedFile, path: str, tombstone: Tombstone | None) -> None:
        """The open file `file` was unlinked; nothing is committed yet.  See `Unlinked`."""
        due_at = self._clock.monotonic() + GRACE_S
        self._table.share(file)
        with self._lock:
            older = self._unlinked.get(path)
            self._unlinked[path] = Unlinked(path, tombstone, file, False, due_at, older=older)

    def find(self, path: str) -> Unlinked | None:
        """What stands at `path`, or None."""
        with self._lock:
            return self._unlinked.get(path)

    def consumed(self, path: str) -> None:
        """What stood at `path` is needed no longer (already out of the journal)."""
        with self._lock:
            entry = self._unlinked.pop(path, None)
        self._release(entry)

    def given_back(self, path: str) -> None:
        """The file that was unlinked last has its name back."""
        with self._lock:
            entry = self._unlinked.pop(path, None)
            if entry is not None and entry.older is not None:
                self._unlinked[path] = entry.older
        self._release(entry)

    def _release(self, entry: Unlinked | None) -> None:
        if entry and entry.file:
            self._table.release(entry.file)

    def hold_off(self, path: str) -> None:
        """A rename onto `path` begins: it will consume what stands there, or give the name back."""
        self._change(path, due_at=NEVER)

    def let_go(self, path: str) -> None:
        """The rename did neither: the node goes after all."""
        self._change(path, due_at=self._clock.monotonic())

    def _change(self, path: str, **fields: float) -> None:
        with self._lock:
            entry = self._unlinked.get(path)
            if entry is not None:
                self._unlinked[path] = replace(entry, **fields)  # type: ignore[arg-type]

    def below(self, path: str) -> list[str]:
        """Paths of all tombstones below the container `path`."""
        prefix = path.rstrip("/") + "/"
        with self._lock:
            return [name for name in self._unlinked if name.startswith(prefix)]
