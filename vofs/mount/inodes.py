"""Inode numbers that stay: the same file has the same one after a remount (R23).

A number is the hash of the URI of an *identity*, which is a path: the one where a node was first
seen.  That is the node's own path, with two exceptions, which are all that is remembered:

* a renamed node takes its identity along, and so does everything below it;
* the name that it left, and the name of a file that was unlinked while it is open, get a fresh
  identity: what is made there next must not look like the file that is still in use.

So `mv a b`, then a new `a`, are two files to every program, and an open file keeps its number for
as long as it is open.  Only the last `REMEMBERED` exceptions are kept: a program that has held a
number for longer than that many renames is told another one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakKeyDictionary

from vofs.cache.cachedfile import CachedFile
from vofs.core import uris
from vofs.core.attributes import inode_of
from vofs.locks import Level, OrderedLock

REMEMBERED = 1024


class Inodes:
    """See the module's docstring.

    Args:
        uri_of: the full URI of a decoded node path.
    """

    def __init__(self, uri_of: Callable[[str], str]) -> None:
        self._uri_of = uri_of
        self._lock = OrderedLock(Level.LEAF)
        self._identities: OrderedDict[str, str] = OrderedDict()
        self._nameless: WeakKeyDictionary[CachedFile, str] = WeakKeyDictionary()
        self._fresh = 0

    def of(self, path: str) -> int:
        """The number of what is at `path`."""
        with self._lock:
            return self._number(self._identity(path))

    def of_file(self, file: CachedFile) -> int:
        """The number of a file in use, which may have lost its name."""
        detached = file.is_detached
        with self._lock:
            kept = self._nameless.get(file) if detached else None
            return self._number(self._identity(file.path) if kept is None else kept)

    def renamed(self, source: str, destination: str) -> None:
        """What was at `source`, with all below it, is at `destination` now."""
        with self._lock:
            moved = [(destination, self._identity(source))]
            for path in [path for path in self._identities if uris.is_below(path, source)]:
                identity = self._identities.pop(path)
                if path != source:
                    moved.append((uris.replace_prefix(path, source, destination), identity))
            self._drop_below(destination)
            for path, identity in moved:
                self._remember(path, identity)
            self._make_fresh(source)

    def name_lost(self, file: CachedFile) -> None:
        """An open file is unlinked: it keeps its number, its name gets another."""
        with self._lock:
            self._nameless[file] = self._identity(file.path)
            self._drop_below(file.path)
            self._make_fresh(file.path)

    def name_back(self, file: CachedFile) -> None:
        """The unlink was undone: name and file belong together again."""
        with self._lock:
            identity = self._nameless.pop(file, None)
            if identity is not None:
                self._remember(file.path, identity)

    def _identity(self, path: str) -> str:
        """The identity of `path`: its own, or below that of an ancestor.  Lock held."""
        above = path
        while above not in self._identities:
            if above == "/":
                return path
            above = uris.parent_of(above)
        return uris.replace_prefix(path, above, self._identities[above])

    def _number(self, identity: str) -> int:
        return inode_of(self._uri_of(identity))

    def _make_fresh(self, path: str) -> None:
        self._fresh += 1
        self._remember(path, f"{path}\0{self._fresh}")  # NUL is in no name

    def _drop_below(self, path: str) -> None:
        for stale in [other for other in self._identities if uris.is_below(other, path)]:
            del self._identities[stale]

    def _remember(self, path: str, identity: str) -> None:
        self._identities[path] = identity
        self._identities.move_to_end(path)
        while len(self._identities) > REMEMBERED:
            self._identities.popitem(last=False)
