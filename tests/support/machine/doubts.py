"""What names mean when only looking can tell: after a kill, after ETIMEDOUT, after other clients.

A doubt is a set of names and the worlds that are possible for them; a world says which file has
which name.  Nobody uses these names until `settle` has looked; handles go on.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

from tests.support.expected import Expected

World = dict[str, Expected]
Possible = dict[str, Expected | None]


class Doubts:
    """All doubts; no name is in two of them."""

    def __init__(self) -> None:
        self._doubts: list[list[Possible]] = []

    def __contains__(self, name: object) -> bool:
        return any(name in worlds[0] for worlds in self._doubts)

    def __bool__(self) -> bool:
        return bool(self._doubts)

    def add(self, *worlds: Possible) -> None:
        """One of `worlds`, all of the same names, is right; joined with older doubts of these."""
        joined = list(worlds)
        for older in [d for d in self._doubts if d[0].keys() & worlds[0].keys()]:
            self._doubts.remove(older)
            joined = [{**a, **b} for a, b in product(older, joined)] + [
                {**b, **a} for a, b in product(older, joined)
            ]
        self._doubts.append(joined)

    def changed(self, name: str, file: Expected) -> None:
        """`file` has unsent changes: if it has that name in one world, it has it in all."""
        for worlds in self._doubts:
            if name in worlds[0] and any(world[name] is file for world in worlds):
                worlds[:] = [world for world in worlds if world[name] is not None]

    def unlinked(self, name: str, file: Expected) -> None:
        """The file, if it was what had that name, has it no more."""
        for worlds in self._doubts:
            for world in worlds:
                if world.get(name) is file:
                    world[name] = None

    def means(self, name: str, file: Expected) -> None:
        """That name is the file's in every possible world."""
        for worlds in self._doubts:
            for world in worlds:
                if name in world:
                    world[name] = file

    def resolve(self, fits: Callable[[str, Expected | None], bool]) -> tuple[World, list[str]]:
        """End all doubts by looking.

        Args:
            fits: whether what is found at a name may be that file; None: that nothing is there.

        Returns:
            Which file has which name, and the names for which no world is possible.
        """
        found: World = {}
        impossible: list[str] = []
        for worlds in self._doubts:
            for world in worlds:
                if all(fits(name, file) for name, file in world.items()):
                    found.update((n, file) for n, file in world.items() if file is not None)
                    break
            else:
                impossible += list(worlds[0])
        self._doubts.clear()
        return found, impossible
