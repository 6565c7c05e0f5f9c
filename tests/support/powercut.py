"""What a power loss leaves of a cache directory.

`Unsynced` knows what of it is not on the disk: of each data file the pages as fdatasync(2) or
syncfs(2) last left them, where they have changed since; and how much of the index's log a fully
synchronous commit or a checkpoint has brought there.  A `PowerCut` says what of that is lost: the
kernel writes back by itself, too, in any order, so less may be lost, or one without the other.

A new file whose bytes nobody synced is empty: file systems with a journal bring its name along with
the next commit of the index.  What was removed stays removed.
"""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

PAGE = 4096
LOG = "index.sqlite-wal"


class PowerCut(Enum):
    """What of the unsynced is lost."""

    ALL = "data and commits"
    DATA = "data, and no commit"
    COMMITS = "commits, and no data"
    PAGES = "every second page of data, and no commit"

    @property
    def loses_commits(self) -> bool:
        """Whether commits go that were not fully synchronous."""
        return self in (PowerCut.ALL, PowerCut.COMMITS)


@dataclass
class _Changed:
    """How a data file was when it was last synced.

    Attributes:
        size: its size in bytes.
        pages: the old bytes of changed pages, by number; of the last one what there was.
    """

    size: int
    pages: dict[int, bytes] = field(default_factory=dict)


class Unsynced:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._files: dict[int, _Changed] = {}
        self.log_on_disk = 0  # bytes of the index's log

    def copy(self) -> Unsynced:
        """The same, at this moment."""
        return deepcopy(self)

    def creates(self, number: int) -> None:
        """The data file `number` is about to be made."""
        self._files.setdefault(number, _Changed(0))

    def changes(self, number: int, descriptor: int, start: int, end: int) -> None:
        """The bytes [start, end) of a data file, or its size, are about to change.

        Args:
            number: the file.
            descriptor: where its present bytes are read.
            start: the first byte that changes.
            end: the byte behind the last one.
        """
        if number not in self._files:
            self._files[number] = _Changed(os.fstat(descriptor).st_size)
        changed = self._files[number]
        last = min(end, changed.size)
        for page in range(start // PAGE, -(-last // PAGE)):
            if page not in changed.pages:
                changed.pages[page] = os.pread(descriptor, PAGE, page * PAGE)

    def gone(self, number: int) -> None:
        """The data file `number` was synced, or is no longer there."""
        self._files.pop(number, None)

    def synced(self, root: Path) -> None:
        """All of the cache directory `root` was brought to the disk."""
        self._files.clear()
        self.committed(root)

    def committed(self, root: Path) -> None:
        """The index's log was brought to the disk."""
        self.log_on_disk = _log_size(root)

    def checkpointed(self, root: Path) -> None:
        """The log may have begun anew; what was in it is in the database, which was synced."""
        self.log_on_disk = min(self.log_on_disk, _log_size(root))

    def cut(self, root: Path, cut: PowerCut) -> None:
        """Leave in `root`, a copy of the cache directory, what `cut` leaves: that is synced."""
        if cut.loses_commits and (root / LOG).exists():
            os.truncate(root / LOG, self.log_on_disk)
        if cut is not PowerCut.COMMITS:
            for number, changed in self._files.items():
                path = root / "data" / str(number)
                if path.exists():
                    _revert(path, changed, every_second=cut is PowerCut.PAGES)
        self.synced(root)


def _log_size(root: Path) -> int:
    try:
        return (root / LOG).stat().st_size
    except FileNotFoundError:
        return 0


def _revert(path: Path, changed: _Changed, *, every_second: bool) -> None:
    """Undo what changed; with `every_second` only of such pages, and not of the size."""
    present, before = path.stat().st_size, changed.size
    pages = changed.pages
    if every_second:
        appeared = range(-(-before // PAGE), -(-present // PAGE))
        pages = dict.fromkeys(appeared, b"") | pages
        pages = {page: old for page, old in pages.items() if page % 2 == 0}
    with path.open("r+b") as file:
        for page, old in pages.items():
            os.pwrite(file.fileno(), old.ljust(PAGE, b"\0"), page * PAGE)
        os.ftruncate(file.fileno(), present if every_second else before)
