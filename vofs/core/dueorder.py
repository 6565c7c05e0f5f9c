"""Keys in the order of their ranks: what is first, in logarithmic time on average.

Pure.  A heap in which a changed rank is one more item; the item of the old one is passed over when
it comes first, or goes when most items are old.
"""

from __future__ import annotations

import heapq

Rank = tuple[float, ...]
LEAST_ITEMS = 64


class DueOrder:
    """See the module's docstring."""

    __slots__ = ("_heap", "_ranks")

    def __init__(self) -> None:
        self._heap: list[tuple[Rank, int]] = []
        self._ranks: dict[int, Rank] = {}

    def place(self, key: int, *rank: float) -> None:
        """Give `key` that rank; the least is the first, and of equal ones the least key."""
        if self._ranks.get(key) == rank:
            return
        self._ranks[key] = rank
        heapq.heappush(self._heap, (rank, key))
        if len(self._heap) > LEAST_ITEMS + 2 * len(self._ranks):
            self._heap = [(found, other) for other, found in self._ranks.items()]
            heapq.heapify(self._heap)

    def drop(self, key: int) -> None:
        """Forget `key`, if it is known."""
        self._ranks.pop(key, None)

    def first(self) -> tuple[int, Rank] | None:
        """The key that is first, and its rank; None when there is none."""
        while self._heap:
            rank, key = self._heap[0]
            if self._ranks.get(key) == rank:
                return key, rank
            heapq.heappop(self._heap)
        return None

    def first_rank(self) -> float | None:
        """The first number of the first key's rank, or None."""
        found = self.first()
        return None if found is None else found[1][0]
