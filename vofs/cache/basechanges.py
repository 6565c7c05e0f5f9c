"""When the base version of a file last changed here: answers that are older say nothing of it.

An open asks for the node and then, perhaps much later (the container is asked for its lock, a row
is waited for), compares the answer with the file.  An upload of ours, or the answer to a younger
question, may have come in between: the older version must not be taken for a change (R13).  Counted
rather than timed, so that two events are never at the same time.
"""

from __future__ import annotations

from collections import OrderedDict

from vofs.locks import Level, OrderedLock

KEPT = 4096  # files; of one that was forgotten nothing is known, so it is asked for again


class BaseChanges:
    """See the module's docstring.  The lock is a leaf; files call with their own lock held."""

    def __init__(self) -> None:
        self._lock = OrderedLock(Level.LEAF)
        self._count = self._forgotten = 0
        self._last: OrderedDict[str, int] = OrderedDict()

    def mark(self) -> int:
        """A place in time, for `since`: to be taken before the question is asked."""
        with self._lock:
            return self._count

    def noted(self, path: str) -> None:
        """The file at `path` has another base version from now on."""
        with self._lock:
            self._count += 1
            self._last[path] = self._count
            self._last.move_to_end(path)
            if len(self._last) > KEPT:
                _, self._forgotten = self._last.popitem(last=False)

    def since(self, path: str, mark: int | None) -> bool:
        """Whether the base version of that file has changed, or may have, since `mark`.

        Args:
            path: of the file.
            mark: None: a moment ago, nothing came in between.
        """
        with self._lock:
            return mark is not None and self._last.get(path, self._forgotten) > mark
