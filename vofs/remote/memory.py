"""A bounded memory of what spares a request: the oldest entry goes when it is full.

Decides nothing: whoever asks must be right without it.  For any thread.

Invariant: at most `capacity` entries.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from vofs.locks import Level, OrderedLock

__all__ = ["Memory"]

V = TypeVar("V")


class Memory(Generic[V]):
    """Path -> value, forgetting what was used longest ago.

    Args:
        capacity: most entries kept.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._values: dict[str, V] = {}
        self._lock = OrderedLock(Level.LEAF)  # protects _values

    def get(self, path: str) -> V | None:
        """Return what is remembered of `path`, and remember it longer."""
        with self._lock:
            value = self._values.pop(path, None)
            if value is not None:
                self._values[path] = value
            return value

    def put(self, path: str, value: V) -> None:
        """Remember `value`."""
        with self._lock:
            self._values.pop(path, None)
            self._values[path] = value
            while len(self._values) > self._capacity:
                del self._values[next(iter(self._values))]

    def drop(self, path: str) -> V | None:
        """Forget `path`; return what was remembered."""
        with self._lock:
            return self._values.pop(path, None)
