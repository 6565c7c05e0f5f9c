"""What is known of the service's tree, and for how long it is believed; nothing is asked here.

Listings in flight are the trap (R16): a listing begun before a local change must not undo it.
Every confirmed local change gets a number; a listing carries the number at its start, younger
changes override what it says.  They retire with a listing begun after them, or, where nobody lists,
minutes later, when no question that is older is still under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from vofs.cache.clock import Clock
from vofs.core import uris
from vofs.core.attributes import version_token
from vofs.core.errors import NodeNotFound
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.locks import Level, OrderedLock
from vofs.mount.pathmemory import PathMemory
from vofs.mount.sightings import NEVER, Change, Known, Load

PAGE_NODES = 1000  # what services list at a time: so much of a listing is one request
KEPT_S = 300.0  # how long what is not believed any more is kept, at least
SINGLY = 3  # nodes that are asked for one by one however short the listing is


class KnownNodes:
    """See the module's docstring.

    Args:
        clock: for ages.
        attr_ttl_s: seconds for which attributes and listings are believed.
        negative_ttl_s: seconds for which a name stays missing.
    """

    def __init__(self, clock: Clock, attr_ttl_s: float, negative_ttl_s: float) -> None:
        self._clock = clock
        self._attr_ttl_s, self._negative_ttl_s = attr_ttl_s, negative_ttl_s
        self._lock = OrderedLock(Level.TREE)
        kept_s = max(attr_ttl_s, KEPT_S)  # what is believed no longer may still be as it was
        self._nodes = PathMemory[Known](lambda known: self._age(known.since) >= kept_s)
        self._missing = PathMemory[float](lambda at: self._age(at) >= negative_ttl_s)
        self._listings = PathMemory[tuple[set[str], float]](
            lambda listing: self._age(listing[1]) >= kept_s
        )
        self._singly = PathMemory[tuple[int, float]](lambda asked: self._age(asked[1]) >= kept_s)
        self._sequence = 0
        self._changes = PathMemory[Change](self._overrides_nothing)
        self._asking: dict[
            int, int
        ] = {}  # questions under way: sequence at their start -> how many
        self._loading: dict[str, Load] = {}

    def _age(self, since: float) -> float:
        return self._clock.monotonic() - since

    def _overrides_nothing(self, change: Change) -> bool:
        """Whether no answer that is older than `change` can still come (R16)."""
        began = [*self._asking, *(load.sequence for load in self._loading.values())]
        is_settled = change.sequence <= min(began, default=self._sequence)
        return is_settled and self._age(change.at) >= KEPT_S

    @contextmanager
    def _question(self) -> Iterator[int]:
        """The service is asked meanwhile; yields the number of the last change before."""
        with self._lock:
            started = self._sequence
            self._asking[started] = self._asking.get(started, 0) + 1
        try:
            yield started
        finally:
            with self._lock:
                self._asking[started] -= 1
                if not self._asking[started]:
                    del self._asking[started]

    def remembered(self, path: str) -> NodeInfo | None:
        """The node at `path` if it is known without asking, else None.

        Raises:
            NodeNotFound: it is known to be missing.
        """
        now = self._clock.monotonic()
        with self._lock:
            known = self._nodes.get(path)
            if known is not None and now - known.since < self._attr_ttl_s:
                return known.node
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

    def _pays_to_list(self, path: str) -> bool:
        """Whether to ask for all nodes beside `path` at once, when it is to be asked for itself.

        A program that looks at each entry of a large directory takes longer than the listing is
        believed.  So they are asked for one by one only until that has cost, within the time to
        live, as many requests as the listing has pages: no more than twice what was needed.  A
        listing that is believed is not repeated for nodes that have changed since.
        """
        parent, now = uris.parent_of(path), self._clock.monotonic()
        with self._lock:
            names, at = self._listings.get(parent, (set(), now))
            if now - at < self._attr_ttl_s or uris.name_of(path) not in names:
                return False
            asked, since = self._singly.get(parent, (0, now))
            if now - since >= self._attr_ttl_s:
                asked, since = 0, now
            pays = asked >= max(SINGLY, len(names) // PAGE_NODES)
            self._singly[parent] = 0 if pays else asked + 1, since
            return pays

    def order(self, path: str) -> tuple[float, Callable[[], list[str]]]:
        """When the container `path` was listed (monotonic), and its names, sorted, when called."""

        def names() -> list[str]:
            with self._lock:
                found = list(self._listings.get(path, (set[str](), 0.0))[0])
            return sorted(found)

        with self._lock:
            return self._listings.get(path, (set(), float("-inf")))[1], names

    def proved(self, path: str, token: VersionToken) -> None:
        """The service has just sent bytes that proved this version: the node is believed anew."""
        with self._lock:
            known = self._nodes.get(path)
            if known is not None and version_token(known.node) == token:
                self._nodes[path] = replace(known, since=self._clock.monotonic())

    def confirmed(self, path: str, token: VersionToken, asked_at: float) -> None:
        """Bytes asked for at `asked_at` have proved that the node has this version."""
        with self._lock:
            known = self._nodes.get(path)
            if known is not None and version_token(known.node).same_version(token):
                self._nodes[path] = replace(known, asked_at=max(known.asked_at, asked_at))

    def _is_hearsay(self, node: NodeInfo) -> bool:
        """Whether `node`, known at this moment, was only seen in a listing that may lag."""
        with self._lock:
            known = self._nodes.get(node.path)
            return known is not None and known.node is node and known.asked_at == NEVER

    def _override(self, path: str, started: int) -> bool | None:
        """What a change younger than `started` says of `path`: present, absent, or nothing."""
        change = self._changes.get(path)
        return None if change is None or change.sequence <= started else change.present

    def _known_children(self, path: str) -> list[NodeInfo] | None:
        """The children from memory, or None when they are not all known and fresh.  Lock held."""
        names, at = self._listings.get(path, (set(), float("-inf")))
        if self._clock.monotonic() - at >= self._attr_ttl_s:
            return None
        found = [self._nodes.get(uris.child_path(path, name)) for name in names]
        if not all(found):
            return None
        return [known.node for known in found if known is not None]

    def _as_known(self, path: str, nodes: Iterable[NodeInfo]) -> list[NodeInfo]:
        """`nodes` of the container `path`, those that have not changed as they are known already.

        So a listing that is loaded again takes no more memory than what is new in it.
        """
        with self._lock:
            names, _ = self._listings.get(path, (set[str](), 0.0))
            children = [uris.child_path(path, name) for name in names]
            known = {child: self._nodes[child].node for child in children if child in self._nodes}
        found = ((node, known.get(node.path)) for node in nodes)
        return [before if before == node else node for node, before in found]

    def _without_gone(self, path: str, nodes: dict[str, NodeInfo]) -> dict[str, NodeInfo]:
        """`nodes` but for those whose last change of ours took them away."""
        with self._lock:
            gone = {child for child, change in self._changes.children(path) if not change.present}
        return {
            name: node for name, node in nodes.items() if uris.child_path(path, name) not in gone
        }

    def _take_listing(
        self, path: str, nodes: list[NodeInfo], load: Load
    ) -> tuple[set[str], list[str]]:
        """Remember what `load` brought; changes younger than its beginning override it (R16).

        Returns:
            All names, and those that are there by a younger change and of which no node is known.
        """
        now = self._clock.monotonic()
        with self._lock:
            younger = {}
            for child, change in list(self._changes.children(path)):
                if change.sequence > load.sequence:
                    younger[uris.name_of(child)] = change.present
                else:
                    self._changes.pop(child)
            names = {node.name for node in nodes if node.name not in younger}
            for node in nodes:
                if node.name in names:
                    self._nodes[node.path] = Known(
                        node, now, load.told_at(node, self._nodes.get(node.path))
                    )
                    self._missing.pop(node.path, None)
            present = {name for name, is_present in younger.items() if is_present}
            self._listings[path] = names | present, now
            self._singly.pop(path, None)
            unknown = [name for name in present if uris.child_path(path, name) not in self._nodes]
            return names | present, unknown

    # -- changes that we made, confirmed by the service ------------------------------------------

    def added(self, node: NodeInfo, *, empty: bool = False) -> None:
        """A node was made, or has come here by a rename.

        Args:
            node: the node.
            empty: it is a container that was just made: its listing is known.
        """
        now = self._clock.monotonic()
        with self._lock:
            self._forget(node.path)
            self._nodes[node.path] = Known(node, now, now)
            self._changed(node.path, present=True)
            if empty:
                self._listings[node.path] = set(), now

    def removed(self, path: str) -> None:
        """The node at `path`, with all below it, is gone."""
        with self._lock:
            self._forget(path)
            self._missing[path] = self._clock.monotonic()
            self._changed(path, present=False)

    def moved(self, source: str, destination: str) -> None:
        """A node has another name; what was known of it is no younger for that."""
        with self._lock:
            known = self._nodes.get(source)
        self.removed(source)
        self.appeared(destination)
        with self._lock:
            self._forget(destination)
            if known is not None:
                renamed = replace(known.node, path=destination)
                self._nodes[destination] = replace(known, node=renamed)

    def _changed(self, path: str, *, present: bool) -> None:
        """Number a change and correct the listing.  Lock held."""
        parent, name = uris.parent_of(path), uris.name_of(path)
        self._sequence += 1
        self._changes[path] = Change(self._sequence, present, self._clock.monotonic())
        names, _ = self._listings.get(parent, (set(), 0.0))
        (names.add if present else names.discard)(name)

    def seen_at(self, path: str) -> float:
        """When the service was asked for what is known of `path`; see `Known.asked_at`."""
        with self._lock:
            known = self._nodes.get(path)
            return NEVER if known is None else known.asked_at

    def invalidate(self, path: str) -> None:
        """What is known of `path` itself may be wrong: ask again."""
        with self._lock:
            self._nodes.pop(path, None)
            self._missing.pop(path, None)

    def appeared(self, path: str) -> None:
        """There is a node at `path` now that nobody has seen: stored, moved or given back."""
        with self._lock:
            self._nodes.pop(path, None)
            self._missing.pop(path, None)
            self._changed(path, present=True)

    def forget_below(self, path: str) -> None:
        """Ask again for everything at and below `path` (`vofs drop`)."""
        with self._lock:
            self._forget(path)
            self._listings.pop(uris.parent_of(path), None)

    def _forget(self, path: str) -> None:
        """Drop what is known of `path`, and below it when it may be a container.  Lock held."""
        known = self._nodes.pop(path, None)
        self._missing.pop(path, None)
        if known is not None and known.node.kind is not NodeKind.CONTAINER:
            return
        self._listings.pop(path)
        self._singly.pop(path)
        for memory in (self._nodes, self._missing, self._listings, self._singly, self._changes):
            memory.drop_below(path)
