"""The node tree on disk: one SQLite row per node, keyed by its number.

A row names its parent by number, so that a move is one row.  Generated nodes have no row until
they are changed: their container has a recipe, and `gone` holds the numbers of those that were
deleted.  One that was moved away says so by its own row.

Not thread safe: every call with the lock of `State` held.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from fakevospace.datafile import DataFile
from fakevospace.generated import GeneratedChildren, Recipe
from fakevospace.nodes import Children, Kind, Node
from fakevospace.storage import ByteStore

PLAIN_FIELDS = (
    "name", "owner", "date_ms", "properties", "target", "storage_id", "content", "length", "md5",
    "content_date_ms",
)  # fmt: skip


class NodeTable:
    """The log of changes of a `Space`, kept in a file."""

    def __init__(self, file: DataFile) -> None:
        self._file = file
        self._recipes = {
            int(container): Recipe(**json.loads(text))
            for container, text in file.rows("select * from generated")
        }

    def saved(self, node: Node) -> None:
        """Write the row of a node."""
        record: dict[str, Any] = {name: getattr(node, name) for name in PLAIN_FIELDS}
        record["kind"] = node.kind.value
        parent = None if node.parent is None else node.parent.number
        row = (node.number, parent, json.dumps(record))
        if isinstance(node.children, GeneratedChildren) and node.number not in self._recipes:
            with self._file.together():
                self._file.run("insert or replace into nodes values (?, ?, ?)", *row)
                self._save_recipe(node.number, node.children)
        else:
            self._file.run("insert or replace into nodes values (?, ?, ?)", *row)

    def _save_recipe(self, container: int, children: GeneratedChildren) -> None:
        recipe = children.recipe
        self._recipes[container] = recipe
        text = json.dumps(asdict(recipe))
        self._file.run("insert or replace into generated values (?, ?)", container, text)
        numbers = ((number,) for number in children.gone_numbers())
        self._file.run_many("insert or ignore into gone values (?)", numbers)

    def removed(self, node: Node) -> None:
        """Delete the row of a node, and remember that a generated one is gone."""
        with self._file.together():
            self._file.run("delete from nodes where number = ?", node.number)
            if any(recipe.covers(node.number) for recipe in self._recipes.values()):
                self._file.run("insert or ignore into gone values (?)", node.number)
            recipe = self._recipes.pop(node.number, None)
            if recipe is not None:
                self._file.run("delete from generated where container = ?", node.number)
                self._file.run(
                    "delete from gone where number between ? and ?", recipe.first, recipe.last
                )

    def replace_all(self, nodes: Iterable[Node]) -> None:
        """Forget all rows and write these instead; at once, should the process be killed."""
        with self._file.together():
            for table in ("nodes", "generated", "gone"):
                self._file.run(f"delete from {table}")
            self._recipes.clear()
            for node in nodes:
                self.saved(node)

    def load(self, store: ByteStore) -> list[Node]:
        """Read the tree; sizes are those of the bytes, which a kill may have left behind.

        Returns:
            All nodes, linked to each other; empty for a new table.
        """
        nodes: dict[int, Node] = {}
        parents: dict[int, int | None] = {}
        for number, parent, text in self._file.rows("select * from nodes"):
            record = json.loads(text)
            kind = Kind(record.pop("kind"))
            node = Node(number=number, kind=kind, parent=None, **record)
            if kind is Kind.CONTAINER:
                node.children = Children()
            if node.content is not None:
                node.length = store.size(node.content)
            nodes[number], parents[number] = node, parent
        for container, recipe in self._recipes.items():
            nodes[container].children = self._generated(nodes[container], recipe, nodes, parents)
        for number in sorted(nodes):
            parent_number = parents[number]
            if parent_number is not None:
                nodes[number].parent = nodes[parent_number]
                nodes[parent_number].children.add(nodes[number])
        return list(nodes.values())

    def _generated(
        self,
        container: Node,
        recipe: Recipe,
        nodes: dict[int, Node],
        parents: dict[int, int | None],
    ) -> GeneratedChildren:
        """Make generated children anew, without those that were deleted or are elsewhere now."""
        made = GeneratedChildren(container, recipe)
        span = (recipe.first, recipe.last)
        for (number,) in self._file.rows("select * from gone where number between ? and ?", *span):
            made.lose(number)
        for number, node in nodes.items():
            if recipe.covers(number):
                at_home = parents[number] == container.number
                if not at_home or node.name != made.name_of(number):
                    made.lose(number)
        return made


class NoTable:
    """The log of changes of a `Space` that lives in memory only."""

    def saved(self, node: Node) -> None:
        """Nothing to keep."""

    def removed(self, node: Node) -> None:
        """Nothing to keep."""

    def replace_all(self, nodes: Iterable[Node]) -> None:
        """Nothing to keep."""
