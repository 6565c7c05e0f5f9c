"""Children that are made when somebody asks for them: a million nodes in no time and no space.

A `GeneratedChildren` counts as full from the start.  A node comes into being when it is looked up
by name and stays from then on, so that it can be changed; those that a page only shows are made for
the page.  Names are numbers with leading zeros: the place of a name is arithmetic, so a page costs
what it holds, wherever it begins.

A `Recipe` is all it takes to make them again.  Not thread safe: every call with the lock of
`State` held.
"""

from __future__ import annotations

import bisect
import heapq
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from fakevospace.nodes import Children, Kind, Node
from fakevospace.properties import IS_PUBLIC

MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Recipe:
    """What the generated nodes of one container are made from, the same each time.

    Attributes:
        count: how many there are.
        first: number of the first node; the others follow.
        owner, date_ms: of each.
    """

    count: int
    first: int
    owner: str
    date_ms: int

    @property
    def last(self) -> int:
        """Number of the last node; that before the first one when there are none."""
        return self.first + self.count - 1

    def covers(self, number: int) -> bool:
        """Tell whether a node of that number is one of these."""
        return self.first <= number <= self.last

    def node(self, container: Node, name: str, index: int) -> Node:
        """Make one node."""
        number = self.first + index
        return Node(
            number,
            name,
            Kind.DATA,
            container,
            self.owner,
            self.date_ms,
            properties={IS_PUBLIC: "true"},
            storage_id=storage_id_of(number),
        )


def storage_id_of(number: int) -> str:
    """Return the name of the bytes of a generated node."""
    return str(uuid.UUID(int=number))


class Names(Sequence[str]):
    """The names, in order, none of which is kept."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._digits = len(str(max(0, count - 1)))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> str:  # type: ignore[override]  # slices are not needed
        if not 0 <= index < self._count:
            raise IndexError(index)
        return f"node-{index:0{self._digits}d}"

    def place(self, name: object) -> int | None:
        """Return the index of a name, None when it is none of these."""
        if not isinstance(name, str) or not name.startswith("node-"):
            return None
        digits = name.removeprefix("node-")
        if len(digits) != self._digits or not (digits.isascii() and digits.isdigit()):
            return None
        return int(digits) if int(digits) < self._count else None


class GeneratedChildren(Children):
    """Generated nodes, those among them that were touched or taken away, and others besides."""

    def __init__(self, container: Node, recipe: Recipe) -> None:
        """Begin with all children of the recipe."""
        super().__init__()
        self.recipe = recipe
        self._container = container
        self._generated = Names(recipe.count)
        self._gone: set[str] = set()  # generated names that were removed (and maybe added again)

    def __len__(self) -> int:
        overlapping = sum(self._is_generated(name) for name in self._nodes)
        return len(self._generated) - len(self._gone) + len(self._nodes) - overlapping

    def _is_generated(self, name: str) -> bool:
        return name not in self._gone and self._generated.place(name) is not None

    def __iter__(self) -> Iterator[Node]:
        return self._from(None)

    def get(self, name: str) -> Node | None:
        """Return the child of that name, made now if need be; None when there is none."""
        found = super().get(name)
        if found is None and self._is_generated(name):
            found = self._make(name)
            super().add(found)
        return found

    def _make(self, name: str) -> Node:
        return self.recipe.node(self._container, name, self._generated.place(name) or 0)

    def name_of(self, number: int) -> str:
        """Return the name that the recipe gives to a node of its own."""
        return self._generated[number - self.recipe.first]

    def by_storage_id(self, storage_id: str) -> Node | None:
        """Return the generated child whose bytes have that name, None when there is none."""
        try:
            number = uuid.UUID(storage_id).int
        except ValueError:
            return None
        if not self.recipe.covers(number) or storage_id_of(number) != storage_id:
            return None
        name = self.name_of(number)
        return self.get(name) if self._is_generated(name) else None

    def lose(self, number: int) -> None:
        """Be without a generated child that was never made here."""
        self._gone.add(self.name_of(number))

    def gone_numbers(self) -> list[int]:
        """Return the numbers of the generated children that were removed."""
        places = (self._generated.place(name) for name in self._gone)
        return [self.recipe.first + place for place in places if place is not None]

    def keep(self, node: Node) -> None:
        """Let a generated child that a page showed stay: it is going to be changed."""
        shown = node.name not in self._nodes and self._is_generated(node.name)
        if shown and self.recipe.covers(node.number) and self.name_of(node.number) == node.name:
            super().add(node)

    def remove(self, node: Node) -> None:
        """Let a node go, also one that only a page showed."""
        if node.name in self._nodes:
            super().remove(node)
        if self._generated.place(node.name) is not None:
            self._gone.add(node.name)

    def emptied(self, container: Node) -> Children:
        """Return the same generated children for a copy of the container, none touched yet."""
        made = GeneratedChildren(container, self.recipe)
        made._gone = set(self._gone)
        return made

    def page(self, start: str | None, limit: int | None, *, by_name: bool) -> list[Node]:
        """Return children from `start` on, as `Children.page`; always in name order."""
        return list(islice(self._from(start if by_name else None), limit))

    def _from(self, start: str | None) -> Iterator[Node]:
        """Yield children in the order of their names, from a name on."""
        begin = 0 if start is None else bisect.bisect_left(self._generated, start)
        names = (self._generated[index] for index in range(begin, len(self._generated)))
        touched = sorted(name for name in self._nodes if start is None or name >= start)
        fresh = (name for name in names if name not in self._gone and name not in self._nodes)
        for name in heapq.merge(fresh, touched):
            found = self._nodes.get(name)
            yield self._make(name) if found is None else found
