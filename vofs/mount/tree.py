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

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.filetable import FileTable
from vofs.cache.tombstones import Tombstones
from vofs.cache.waiting import WaitingPlaces
from vofs.core import uris
from vofs.core.attributes import version_token
from vofs.core.errors import NodeNotFound, NotAContainer, RemoteTimeout, VofsError
from vofs.core.nodes import LENGTH, NodeInfo, NodeKind, VersionToken
from vofs.locks import Level, OrderedLock
from vofs.remote.api import Remote


def local_node(file: CachedFile) -> NodeInfo:
    """The node of a file that the service does not have, or not under this name."""
    properties = MappingProxyType({LENGTH: str(file.size)})
    return NodeInfo(file.path, NodeKind.DATA, properties)


@dataclass(frozen=True, slots=True)
class Known:
    """A node as it was seen.

    Attributes:
        node: the node.
        since: when the answer came: from then on it is believed for the time to live.
        asked_at: when the question was sent: the answer confirms nothing that is younger.
    """

    node: NodeInfo
    since: float
    asked_at: float


@dataclass(slots=True)
class Load:
    """One listing under way, shared by all who want it.

    Attributes:
        sequence: the number of the last local change before it began.
        asked_at: when it began, monotonic seconds.
        nodes: what came.
        failure: why nothing came.
        ended: one of the two is there.
    """

    sequence: int
    asked_at: float
    nodes: list[NodeInfo] = field(default_factory=list)
    failure: VofsError | None = None
    ended: bool = False


class Tree:
    """See the module's docstring.

    Args:
        remote: the service.
        table: knows files that exist only here.
        tombstones: names that are gone here and not yet there.
        clock: for ages.
        places: how many may wait for the service.
        attr_ttl_s: seconds for which attributes and listings are believed.
        negative_ttl_s: seconds for which a name stays missing.
        timeout_s: how long to wait for a listing that another thread loads.
    """

    def __init__(
        self,
        remote: Remote,
        table: FileTable,
        tombstones: Tombstones,
        clock: Clock,
        places: WaitingPlaces,
        *,
        attr_ttl_s: float,
        negative_ttl_s: float,
        timeout_s: float,
    ) -> None:
        self._remote, self._table, self._tombstones = remote, table, tombstones
        self._clock, self._places = clock, places
        self._attr_ttl_s, self._negative_ttl_s = attr_ttl_s, negative_ttl_s
        self._timeout_s = timeout_s
        self._lock = OrderedLock(Level.TREE)
        self._nodes: dict[str, Known] = {}
        self._missing: dict[str, float] = {}
        self._listings: dict[str, tuple[set[str], float]] = {}
        self._loading: dict[str, Load] = {}
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
        try:
            return self.remembered(path) or self._ask(path)
        except NodeNotFound:
            if file is not None and file.is_dirty:  # deleted there, and changed here: it is sent
                return local_node(file)
            raise

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

    def _ask(self, path: str, *, unnoticed: bool = False) -> NodeInfo:
        """Ask the service; an answer that is older than a change of ours is asked for again.

        Args:
            path: of the node.
            unnoticed: nobody waits for it, so nobody's place is taken.
        """
        while True:
            asked_at = self._clock.monotonic()
            with self._lock:
                started = self._sequence
            try:
                with nullcontext() if unnoticed else self._places.place(path):
                    node = self._remote.get_node(path)
            except NodeNotFound:
                with self._lock:
                    if self._override(path, started) is not True:
                        self._forget(path)
                        self._missing[path] = self._clock.monotonic()
                        raise
                continue
            with self._lock:
                younger = self._override(path, started)
                if younger is False:
                    raise NodeNotFound(path)
                if younger is None:
                    self._nodes[path] = Known(node, self._clock.monotonic(), asked_at)
                    self._missing.pop(path, None)
                    return node

    def _override(self, path: str, started: int) -> bool | None:
        """What a change younger than `started` says of `path`: present, absent, or nothing."""
        change = self._changes.get(uris.parent_of(path), {}).get(uris.name_of(path))
        return None if change is None or change[0] <= started else change[1]

    def fresh(self, path: str) -> NodeInfo:
        """The node at `path` as the service has it now, or that of a file that is only here.

        Raises:
            NodeNotFound, RemoteError.
        """
        file = self._table.peek(path)
        return local_node(file) if file is not None and file.is_local else self._ask(path)

    # -- for siblings that are fetched ahead (R24) ------------------------------------------------

    def order(self, path: str) -> tuple[float, Callable[[], list[str]]]:
        """When the container `path` was listed (monotonic), and its names, sorted, when called."""

        def names() -> list[str]:
            with self._lock:
                found = list(self._listings.get(path, (set[str](), 0.0))[0])
            return sorted(found)

        with self._lock:
            return self._listings.get(path, (set(), float("-inf")))[1], names

    def found_again(self, path: str) -> NodeInfo | None:
        """The node at `path`, not older than the time to live, for nobody who waits; None: none.

        Raises:
            RemoteError: the service cannot be asked.
        """
        if self._tombstones.find(path) is not None:
            return None
        try:
            return self.remembered(path) or self._ask(path, unnoticed=True)
        except NodeNotFound:
            return None

    def proved(self, path: str, token: VersionToken) -> None:
        """The service has just sent bytes that proved this version: the node is believed anew."""
        with self._lock:
            known = self._nodes.get(path)
            if known is not None and version_token(known.node) == token:
                self._nodes[path] = replace(known, since=self._clock.monotonic())

    # -- listings -------------------------------------------------------------------------------

    def children(self, path: str) -> list[NodeInfo]:
        """All nodes in the container `path`, not older than the time to live.

        Raises:
            NotAContainer, NodeNotFound, RemoteError.
        """
        if self.lookup(path).kind is not NodeKind.CONTAINER:
            raise NotAContainer(path)
        # Ours before: a file that is stored meanwhile is in both, never in neither.  Ours after:
        # one that was made meanwhile is there, too, and one that went is not.
        before = self._local_children(path)
        nodes = self._without_gone(path, before | {node.name: node for node in self._listed(path)})
        nodes |= self._local_children(path)
        return [nodes[name] for name in sorted(nodes)]

    def _local_children(self, path: str) -> dict[str, NodeInfo]:
        return {node.name: node for node in map(local_node, self._table.dirty_children(path))}

    def _without_gone(self, path: str, nodes: dict[str, NodeInfo]) -> dict[str, NodeInfo]:
        """`nodes` but for those whose last change of ours took them away."""
        with self._lock:
            gone = {name for name, (_, there) in self._changes.get(path, {}).items() if not there}
        return {name: node for name, node in nodes.items() if name not in gone}

    def _listed(self, path: str) -> list[NodeInfo]:
        """The children that the service has and that are not unlinked here."""
        with self._lock:
            known = self._known_children(path)
            load = self._loading.get(path)
            mine = load is None
            if known is None and load is None:
                load = self._loading[path] = Load(self._sequence, self._clock.monotonic())
        if known is not None:
            return known
        assert load is not None
        return self._load(path, load) if mine else self._await(path, load)

    def _known_children(self, path: str) -> list[NodeInfo] | None:
        """The children from memory, or None when they are not all known and fresh.  Lock held."""
        names, at = self._listings.get(path, (set(), float("-inf")))
        if self._clock.monotonic() - at >= self._attr_ttl_s:
            return None
        found = [self._nodes.get(uris.child_path(path, name)) for name in names]
        if not all(found):
            return None
        return self._living([known.node for known in found if known is not None])

    def _load(self, path: str, load: Load) -> list[NodeInfo]:
        """Ask for the listing, for everybody who waits for it too."""
        try:
            with self._places.place(path):
                nodes = list(self._remote.list_children(path))
            unknown = self._take_listing(path, nodes, load)
            for name in unknown:  # stored while the listing was under way
                with suppress(NodeNotFound):
                    self._ask(uris.child_path(path, name))
            with self._lock:
                names, _ = self._listings[path]
                found = [self._nodes.get(uris.child_path(path, name)) for name in names]
                load.nodes = self._living([known.node for known in found if known is not None])
            return load.nodes
        except VofsError as exc:
            load.failure = exc
            raise
        finally:
            with self._lock:
                self._loading.pop(path, None)
                load.ended = True
                self._lock.notify_all()

    def _await(self, path: str, load: Load) -> list[NodeInfo]:
        """Share the load that another thread has begun, its failure included.

        Raises:
            RemoteTimeout: it does not end within the timeout.
        """
        deadline = self._clock.monotonic() + self._timeout_s
        with self._lock:
            while not load.ended:
                remaining = deadline - self._clock.monotonic()
                if remaining <= 0:
                    raise RemoteTimeout(f"the listing of {path} has not come")
                self._lock.wait(remaining)
        if load.failure is not None:
            raise load.failure
        return load.nodes

    def _take_listing(self, path: str, nodes: list[NodeInfo], load: Load) -> list[str]:
        """Remember what `load` brought; changes younger than its beginning override it (R16).

        Returns:
            Names that are there by a younger change and of which no node is known.
        """
        now = self._clock.monotonic()
        with self._lock:
            changes = self._changes.pop(path, {})
            younger = {
                name: change for name, change in changes.items() if change[0] > load.sequence
            }
            if younger:
                self._changes[path] = younger
            names = {node.name for node in nodes if node.name not in younger}
            for node in nodes:
                if node.name in names:
                    self._nodes[node.path] = Known(node, now, load.asked_at)
                    self._missing.pop(node.path, None)
            present = {name for name, (_, is_present) in younger.items() if is_present}
            self._listings[path] = names | present, now
            return [name for name in present if uris.child_path(path, name) not in self._nodes]

    def _living(self, nodes: list[NodeInfo]) -> list[NodeInfo]:
        return [node for node in nodes if self._tombstones.find(node.path) is None]

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

    def _changed(self, path: str, *, present: bool) -> None:
        """Number a change and correct the listing.  Lock held."""
        parent, name = uris.parent_of(path), uris.name_of(path)
        self._sequence += 1
        self._changes.setdefault(parent, {})[name] = self._sequence, present
        names, _ = self._listings.get(parent, (set(), 0.0))
        (names.add if present else names.discard)(name)

    def seen_at(self, path: str) -> float:
        """When the service was asked for what is known of `path` (monotonic; -inf: nothing is)."""
        with self._lock:
            known = self._nodes.get(path)
            return float("-inf") if known is None else known.asked_at

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
        memories: tuple[dict[str, Any], ...] = (
            self._nodes,
            self._missing,
            self._listings,
            self._changes,
        )
        for memory in memories:
            for stale in [other for other in memory if uris.is_below(other, path)]:
                del memory[stale]
