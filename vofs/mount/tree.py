"""Names and attributes: what is known of the service's tree, and for how long it is believed.

Answers come from memory for `attr_ttl_s`; a name that a fresh listing does not hold is missing
without a question.  One load of a listing is shared by everybody who wants it.

Listings in flight are the trap here (R16): a listing begun before a local change must not undo it.
Every confirmed local change gets a number; a listing carries the number at its start, younger
changes override what it says, and they retire with a listing begun after them.

Files that the service never had are merged in from the file table, names under a tombstone left
out.  The lock (level 10) is never held while the service is asked.
"""

from __future__ import annotations

from contextlib import suppress
from types import MappingProxyType
from typing import Any

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.filetable import FileTable
from vofs.cache.tombstones import Tombstones
from vofs.core import uris
from vofs.core.errors import NodeNotFound, NotAContainer
from vofs.core.nodes import LENGTH, NodeInfo, NodeKind
from vofs.locks import Level, OrderedLock
from vofs.remote.api import Remote


def local_node(file: CachedFile) -> NodeInfo:
    """The node of a file that the service does not have, or not under this name."""
    properties = MappingProxyType({LENGTH: str(file.size)})
    return NodeInfo(file.path, NodeKind.DATA, properties)


class Tree:
    """See the module's docstring.

    Args:
        remote: the service.
        table: knows files that exist only here.
        tombstones: names that are gone here and not yet there.
        clock: for ages.
        attr_ttl_s: seconds for which attributes and listings are believed.
        negative_ttl_s: seconds for which a name stays missing.
    """

    def __init__(
        self,
        remote: Remote,
        table: FileTable,
        tombstones: Tombstones,
        clock: Clock,
        *,
        attr_ttl_s: float,
        negative_ttl_s: float,
    ) -> None:
        self._remote, self._table, self._tombstones = remote, table, tombstones
        self._clock = clock
        self._attr_ttl_s, self._negative_ttl_s = attr_ttl_s, negative_ttl_s
        self._lock = OrderedLock(Level.TREE)
        self._nodes: dict[str, tuple[NodeInfo, float]] = {}
        self._missing: dict[str, float] = {}
        self._listings: dict[str, tuple[set[str], float]] = {}
        self._loading: set[str] = set()
        self._sequence = 0
        self._changes: dict[str, dict[str, tuple[int, bool]]] = {}

    # -- looking up -----------------------------------------------------------------------------

    def lookup(self, path: str) -> NodeInfo:
        """The node at `path`, not older than the time to live.

        Raises:
            NodeNotFound: there is none.
            RemoteError: the service cannot be asked.
        """
        if self._tombstones.find(path) is not None and self._table.peek(path) is None:
            raise NodeNotFound(path)
        file = self._table.peek(path)
        if file is not None and file.is_local:
            return local_node(file)
        node = self.remembered(path)
        return self._ask(path) if node is None else node

    def remembered(self, path: str) -> NodeInfo | None:
        """The node at `path` if it is known without asking, else None.

        Raises:
            NodeNotFound: it is known to be missing.
        """
        now = self._clock.monotonic()
        with self._lock:
            node, at = self._nodes.get(path, (None, 0.0))
            if node is not None and now - at < self._attr_ttl_s:
                return node
            if now - self._missing.get(path, float("-inf")) < self._negative_ttl_s:
                raise NodeNotFound(path)
            names, at = self._listings.get(uris.parent_of(path), (set(), float("-inf")))
            if now - at < self._negative_ttl_s and uris.name_of(path) not in names:
                raise NodeNotFound(path)
        return None

    def remembered_or_none(self, path: str) -> NodeInfo | None:
        """The node at `path` if it is known without asking; missing and unknown are None."""
        with suppress(NodeNotFound):
            return self.remembered(path)
        return None

    def _ask(self, path: str) -> NodeInfo:
        with self._lock:
            started = self._sequence
        try:
            node = self._remote.get_node(path)
        except NodeNotFound:
            with self._lock:
                if self._override(path, started) is not True:
                    self._forget(path)
                    self._missing[path] = self._clock.monotonic()
            raise
        with self._lock:
            if self._override(path, started) is False:
                raise NodeNotFound(path)
            self._nodes[path] = node, self._clock.monotonic()
            self._missing.pop(path, None)
        return node

    def _override(self, path: str, started: int) -> bool | None:
        """What a change younger than `started` says of `path`: present, absent, or nothing."""
        change = self._changes.get(uris.parent_of(path), {}).get(uris.name_of(path))
        return None if change is None or change[0] <= started else change[1]

    def fresh(self, path: str) -> NodeInfo:
        """The node at `path` as the service has it now."""
        self.invalidate(path)
        return self.lookup(path)

    # -- listings -------------------------------------------------------------------------------

    def children(self, path: str) -> list[NodeInfo]:
        """All nodes in the container `path`, not older than the time to live.

        Raises:
            NotAContainer, NodeNotFound, RemoteError.
        """
        if self.lookup(path).kind is not NodeKind.CONTAINER:
            raise NotAContainer(path)
        nodes = {node.name: node for node in self._listed(path)}
        for file in self._table.local_children(path):
            nodes[uris.name_of(file.path)] = local_node(file)
        return [nodes[name] for name in sorted(nodes)]

    def _listed(self, path: str) -> list[NodeInfo]:
        """The children that the service has and that are not unlinked here."""
        with self._lock:
            while path in self._loading:
                self._lock.wait(None)
            names, at = self._listings.get(path, (set(), float("-inf")))
            if self._clock.monotonic() - at < self._attr_ttl_s:
                found = [self._nodes.get(uris.child_path(path, name)) for name in names]
                if all(found):
                    return self._living([entry[0] for entry in found if entry is not None])
            self._loading.add(path)
            started = self._sequence
        try:
            nodes = list(self._remote.list_children(path))
        finally:
            with self._lock:
                self._loading.discard(path)
                self._lock.notify_all()
        return self._take_listing(path, nodes, started)

    def _take_listing(self, path: str, nodes: list[NodeInfo], started: int) -> list[NodeInfo]:
        now = self._clock.monotonic()
        with self._lock:
            younger = {
                name: present
                for name, (number, present) in self._changes.get(path, {}).items()
                if number > started
            }
            self._changes[path] = {
                name: change
                for name, change in self._changes.get(path, {}).items()
                if change[0] > started
            }
            merged = {node.name: node for node in nodes if younger.get(node.name) is not False}
            for name, present in younger.items():
                known = self._nodes.get(uris.child_path(path, name))
                if present and known is not None:
                    merged[name] = known[0]
            for node in merged.values():
                self._nodes[node.path] = node, now
                self._missing.pop(node.path, None)
            self._listings[path] = set(merged), now
            return self._living(list(merged.values()))

    def _living(self, nodes: list[NodeInfo]) -> list[NodeInfo]:
        return [node for node in nodes if self._tombstones.find(node.path) is None]

    # -- changes that we made, confirmed by the service ------------------------------------------

    def added(self, node: NodeInfo) -> None:
        """A node was made, or has come here by a rename."""
        with self._lock:
            self._forget(node.path)
            self._nodes[node.path] = node, self._clock.monotonic()
            self._changed(node.path, present=True)

    def removed(self, path: str) -> None:
        """The node at `path`, with all below it, is gone."""
        with self._lock:
            self._forget(path)
            self._missing[path] = self._clock.monotonic()
            self._changed(path, present=False)

    def _changed(self, path: str, *, present: bool) -> None:
        """Number a change and correct the listing.  Lock held."""
        parent, name = uris.parent_of(path), uris.name_of(path)
        self._sequence += 1
        self._changes.setdefault(parent, {})[name] = self._sequence, present
        names, _ = self._listings.get(parent, (set(), 0.0))
        (names.add if present else names.discard)(name)

    def invalidate(self, path: str) -> None:
        """What is known of `path` itself may be wrong: ask again."""
        with self._lock:
            self._nodes.pop(path, None)
            self._missing.pop(path, None)

    def stored(self, path: str) -> None:
        """The bytes of `path` have just arrived on the service: it has a node there now."""
        with self._lock:
            self._nodes.pop(path, None)
            self._missing.pop(path, None)
            names, _ = self._listings.get(uris.parent_of(path), (set(), 0.0))
            names.add(uris.name_of(path))

    def forget_below(self, path: str) -> None:
        """Ask again for everything at and below `path` (`vofs drop`)."""
        with self._lock:
            self._forget(path)
            self._listings.pop(uris.parent_of(path), None)

    def _forget(self, path: str) -> None:
        """Drop what is known of `path`, and below it when it may be a container.  Lock held."""
        node, _ = self._nodes.pop(path, (None, 0.0))
        self._missing.pop(path, None)
        if node is not None and node.kind is not NodeKind.CONTAINER:
            return
        known: tuple[dict[str, Any], ...] = (
            self._nodes,
            self._missing,
            self._listings,
            self._changes,
        )
        for memory in known:
            for stale in [other for other in memory if uris.is_below(other, path)]:
                del memory[stale]
