"""What a power loss leaves of a cache directory.

`Unsynced` knows what of it is not on the disk: of each data file the pages as fdatasync(2) or
syncfs(2) last left them, where they have changed since; the data files that lost their name to
another one since the directory was last synced; and how much of the index's log a fully synchronous
commit or a checkpoint has brought there.  A `PowerCut` says what of that is lost: the kernel writes
back by itself, too, in any order, so less may be lost, or one without the other.

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
DATA, LOG = "data", "index.sqlite-wal"


class PowerCut(Enum):
    """What of the unsynced is lost."""

    ALL = "data, names and commits"
    DATA = "data and names, and no commit"
    COMMITS = "commits, and neither data nor names"
    PAGES = "every second page of data, and neither names nor commits"

    @property
    def loses_commits(self) -> bool:
        """Whether commits go that were not fully synchronous."""
        return self in (PowerCut.ALL, PowerCut.COMMITS)

    @property
    def loses_names(self) -> bool:
        """Whether a data file that was put in the place of another goes."""
        return self in (PowerCut.ALL, PowerCut.DATA)


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
    """See the module's docstring.  Files are known by their inodes, because names change."""

    def __init__(self) -> None:
        self._files: dict[int, _Changed] = {}
        self._replaced: dict[str, _Changed] = {}  # names: the file on the disk, with all its pages
        self.log_on_disk = 0  # bytes of the index's log

    def copied(self, root: Path, copy: Path) -> Unsynced:
        """What of `copy` is not on the disk, a copy of the cache directory `root` as it is now."""
        found = Unsynced()
        found.log_on_disk, found._replaced = self.log_on_disk, deepcopy(self._replaced)
        for path in (root / DATA).iterdir():
            changed = self._files.get(path.stat().st_ino)
            if changed is not None:
                found._files[(copy / DATA / path.name).stat().st_ino] = deepcopy(changed)
        return found

    def creates(self, descriptor: int) -> None:
        """An empty data file was made."""
        self._files[os.fstat(descriptor).st_ino] = _Changed(0)

    def changes(self, descriptor: int, start: int, end: int) -> None:
        """The bytes [start, end) of a data file, or its size, are about to change."""
        found = os.fstat(descriptor)
        changed = self._files.setdefault(found.st_ino, _Changed(found.st_size))
        last = min(end, changed.size)
        for page in range(start // PAGE, -(-last // PAGE)):
            if page not in changed.pages:
                changed.pages[page] = os.pread(descriptor, PAGE, page * PAGE)

    def replaces(self, path: Path) -> None:
        """Another file is about to get the name `path` of a data file."""
        if path.name in self._replaced:
            return
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            changed = self._files.get(found.st_ino, _Changed(found.st_size))
            for page in range(-(-changed.size // PAGE)):
                if page not in changed.pages:
                    changed.pages[page] = os.pread(file.fileno(), PAGE, page * PAGE)
        self._replaced[path.name] = changed

    def names_synced(self) -> None:
        """The directory of the data files was synced."""
        self._replaced.clear()

    def data_synced(self, descriptor: int) -> None:
        """A data file was synced."""
        self._files.pop(os.fstat(descriptor).st_ino, None)

    def synced(self, root: Path) -> None:
        """All of the cache directory `root` was brought to the disk."""
        self._files.clear()
        self._replaced.clear()
        self.committed(root)

    def committed(self, root: Path) -> None:
        """The index's log was brought to the disk."""
        self.log_on_disk = _log_size(root)

    def checkpointed(self, root: Path) -> None:
        """The log may have begun anew; what was in it is in the database, which was synced."""
        self.log_on_disk = min(self.log_on_disk, _log_size(root))

    def cut(self, root: Path, cut: PowerCut) -> None:
        """Leave in `root`, the directory that this is about, what `cut` leaves: all synced."""
        if cut.loses_commits and (root / LOG).exists():
            os.truncate(root / LOG, self.log_on_disk)
        if cut is not PowerCut.COMMITS:
            for path in (root / DATA).iterdir():
                changed = self._files.get(path.stat().st_ino)
                if cut.loses_names and path.name in self._replaced:
                    changed = self._replaced[path.name]
                if changed is not None:
                    _revert(path, changed, every_second=cut is PowerCut.PAGES)
        self.synced(root)


def _log_size(root: Path) -> int:
    try:
        return (root / LOG).stat().st_size
    except FileNotFoundError:
        return 0


def _revert(path: Path, changed: _Changed, *, every_second: bool) -> None:
    """Undo what changed; with `every_second` only of such pages, and not of the size."""
    size, pages = changed.size, changed.pages
    if every_second:
        size = path.stat().st_size
        appeared = range(-(-changed.size // PAGE), -(-size // PAGE))
        pages = dict.fromkeys(appeared, b"") | pages
        pages = {page: old for page, old in pages.items() if page % 2 == 0}
    with path.open("r+b") as file:
        for page, old in pages.items():
            os.pwrite(file.fileno(), old.ljust(PAGE, b"\0"), page * PAGE)
        os.ftruncate(file.fileno(), size)
