"""Names and attributes: what is known of the service's tree, completed by asking.

Answers come from memory (`KnownNodes`) for `attr_ttl_s`; a name that a fresh listing does not hold
is missing without a question.  One load of a listing is shared by everybody who wants it.

Files that the service never had are merged in from the file table, names under a tombstone left
out.  The lock (level 10) is never held while the service is asked.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from types import MappingProxyType

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.filetable import FileTable
from vofs.cache.tombstones import Tombstones
from vofs.cache.waiting import WaitingPlaces
from vofs.core import uris
from vofs.core.attributes import version_token
from vofs.core.errors import (
    NodeNotFound,
    NotAContainer,
    RemoteFailed,
    RemoteTimeout,
    VofsError,
)
from vofs.core.nodes import LENGTH, NodeInfo, NodeKind, VersionToken
from vofs.mount.knownnodes import KnownNodes
from vofs.mount.sightings import Known, Load
from vofs.remote.api import Remote


def local_node(file: CachedFile) -> NodeInfo:
    """The node of a file that the service does not have, or not under this name."""
    properties = MappingProxyType({LENGTH: str(file.size)})
    return NodeInfo(file.path, NodeKind.DATA, properties)


class Tree(KnownNodes):
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
        super().__init__(clock, attr_ttl_s, negative_ttl_s)
        self._remote, self._table, self._tombstones = remote, table, tombstones
        self._lags = remote.capabilities.listing_lags
        self._places, self._timeout_s = places, timeout_s

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
            return self.remembered(path) or self._listed_again(path) or self._ask(path)
        except NodeNotFound:
            if file is not None and file.is_dirty:  # deleted there, and changed here: it is sent
                return local_node(file)
            raise

    def _listed_again(self, path: str) -> NodeInfo | None:
        """The node at `path` from a new listing, if that is due; see `_pays_to_list`.

        Raises:
            NodeNotFound: it is not in that.
        """
        if not self._pays_to_list(path):
            return None
        try:
            self._listed(uris.parent_of(path))
        except VofsError:  # a container that may be passed and not listed: the node itself counts
            return None
        return self.remembered(path)

    def _ask(self, path: str, *, unnoticed: bool = False) -> NodeInfo:
        """Ask the service; an answer that is older than a change of ours is asked for again.

        Args:
            path: of the node.
            unnoticed: nobody waits for it, so nobody's place is taken.
        """
        while True:
            asked_at = self._clock.monotonic()
            with self._question() as started:
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

    def found_again(self, path: str) -> NodeInfo | None:
        """The node at `path`, not older than the time to live, for nobody who waits; None: none.

        Raises:
            RemoteError: the service cannot be asked.
        """
        if self._tombstones.find(path) is not None:
            return None
        try:
            node = self.remembered(path)
            if node is None or self._is_doubtful(node):
                return self._ask(path, unnoticed=True)
            return node
        except NodeNotFound:
            return None

    def lookup_version(self, path: str) -> NodeInfo:
        """As `lookup`, for whoever takes the node's version for that of the bytes there (R13)."""
        node = self.lookup(path)
        return self._ask(path) if self._is_doubtful(node) else node

    def _is_doubtful(self, node: NodeInfo) -> bool:
        """Whether the version of `node` is to be asked for, because a listing lags.

        A listed version will do when it names bytes and their MD5, which prove it as they come
        (R12), and is no other one than what is cached.  A listed length of 0 proves nothing.
        """
        if not self._is_hearsay(node):
            return False
        token, cached = version_token(node), self._table.version_of(node.path)
        if token.length == 0 or token.md5 is None:
            return True
        return cached is not None and not cached.same_version(token)

    def known_version(self, path: str) -> VersionToken | None:
        """The version of the node at `path`; None when only a listing that may lag tells it.

        Raises:
            NodeNotFound, RemoteError.
        """
        node = self.lookup(path)
        return None if self._is_hearsay(node) else version_token(node)

    def fresh(self, path: str) -> NodeInfo:
        """The node at `path` as the service has it now, or that of a file that is only here.

        Raises:
            NodeNotFound, RemoteError.
        """
        file = self._table.peek(path)
        return local_node(file) if file is not None and file.is_local else self._ask(path)

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

    def _listed(self, path: str) -> list[NodeInfo]:
        """The children that the service has and that are not unlinked here."""
        with self._lock:
            known = self._known_children(path)
            load = self._loading.get(path)
            mine = load is None
            if known is None and load is None:
                load = Load(self._sequence, self._clock.monotonic(), self._lags)
                self._loading[path] = load
        if known is not None:
            return self._living(known)
        assert load is not None
        return self._load(path, load) if mine else self._await(path, load)

    def _load(self, path: str, load: Load) -> list[NodeInfo]:
        """Ask for the listing, for everybody who waits for it too."""
        try:
            with self._places.place(path):
                nodes = self._as_known(path, self._remote.list_children(path))
            listed = {node.path: node for node in nodes}
            names, unknown = self._take_listing(path, nodes, load)
            for name in unknown:  # stored while the listing was under way
                with suppress(NodeNotFound):
                    node = self._ask(uris.child_path(path, name))
                    listed[node.path] = node
            with self._lock:
                paths = [uris.child_path(path, name) for name in names]
                known = {child: self._nodes.get(child) for child in paths}
                # What was forgotten meanwhile (a drop, a change above) was listed all the same.
                found = [
                    listed.get(child) if one is None else one.node for child, one in known.items()
                ]
                load.nodes = self._living([node for node in found if node is not None])
            return load.nodes
        except VofsError as exc:
            load.failure = exc
            raise
        except BaseException as exc:  # nobody who waits may take that for an empty container
            load.failure = RemoteFailed(f"the listing of {path}: {exc!r}")
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

    def _living(self, nodes: list[NodeInfo]) -> list[NodeInfo]:
        return [node for node in nodes if self._tombstones.find(node.path) is None]
