"""Values by path that cost nothing once they are old, and of which a subtree goes at once.

A mount that lives for weeks looks at more names than fit into memory.  So each value that is noted
lets go of the two oldest that count no more: there is never much more than what is in use, and
no operation pays for the others.  What lies below a container is found by way of its parents, so
forgetting a container looks at what is below it and at nothing else.

No lock of its own: the owner's guards it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, overload

from vofs.core import uris

V = TypeVar("V")
AT_A_TIME = 2


class PathMemory(Generic[V]):
    """See the module's docstring.

    Args:
        is_old: whether a value counts no more; asked of the values that were noted first.
    """

    def __init__(self, is_old: Callable[[V], bool]) -> None:
        self._is_old = is_old
        self._values: dict[str, V] = {}  # in the order in which they were noted
        self._below: dict[str, set[str]] = {}  # container -> children that are here, or lead there

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, path: str) -> bool:
        return path in self._values

    def __getitem__(self, path: str) -> V:
        return self._values[path]

    @overload
    def get(self, path: str) -> V | None: ...

    @overload
    def get(self, path: str, default: V) -> V: ...

    def get(self, path: str, default: V | None = None) -> V | None:
        """What is noted of `path`, else `default`."""
        return self._values.get(path, default)

    def __setitem__(self, path: str, value: V) -> None:
        """Note `value`, as the youngest; two that are old go."""
        if self._values.pop(path, None) is None:
            self._link(path)
        self._values[path] = value
        for _ in range(AT_A_TIME):
            oldest = next(iter(self._values))
            if oldest == path or not self._is_old(self._values[oldest]):
                return
            self.pop(oldest)

    def pop(self, path: str, default: None = None) -> V | None:
        """Forget `path` alone; returns what was noted."""
        value = self._values.pop(path, default)
        if value is not None:
            self._unlink(path)
        return value

    def children(self, container: str) -> Iterator[tuple[str, V]]:
        """What is noted of the children of `container`, by path."""
        for path in self._below.get(container, ()):
            if path in self._values:
                yield path, self._values[path]

    def drop_below(self, path: str) -> int:
        """Forget all below `path`, not itself; returns how many paths were looked at."""
        found, waiting = [], list(self._below.get(path, ()))
        while waiting:
            found.append(waiting.pop())
            waiting += self._below.get(found[-1], ())
        for below in reversed(found):
            self.pop(below)
        return len(found)

    def _link(self, path: str) -> None:
        while path != "/":
            container = uris.parent_of(path)
            siblings = self._below.setdefault(container, set())
            if path in siblings:
                return
            siblings.add(path)
            path = container

    def _unlink(self, path: str) -> None:
        while path != "/" and path not in self._values and path not in self._below:
            container = uris.parent_of(path)
            siblings = self._below[container]
            siblings.discard(path)
            if siblings:
                return
            del self._below[container]
            path = container
