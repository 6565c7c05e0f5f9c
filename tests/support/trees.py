"""A tree of names over nodes in a dict, and what it asks of them: for tests without a service."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support.sessions import HeldAt, ManualClock
from vofs import locks
from vofs.cache.disk import Disk
from vofs.cache.filetable import FileTable
from vofs.cache.index import Index
from vofs.cache.waiting import WaitingPlaces
from vofs.core import uris
from vofs.core.errors import NodeNotFound, PermissionDenied
from vofs.core.nodes import LENGTH, MD5, NodeInfo, NodeKind
from vofs.mount.tree import Tree
from vofs.remote.api import Capabilities

TTL, NEGATIVE_TTL = 10.0, 5.0


class Nodes:
    """The part of a `Remote` that a tree uses: nodes in a dict, requests counted."""

    def __init__(self, *, lags: bool = False) -> None:
        self.capabilities = Capabilities(
            "identity", ranges=True, atomic_put=True, pages=True, empty_put=False,
            listing_lags=lags, writable=True,
        )  # fmt: skip
        self.nodes: dict[str, NodeInfo] = {}
        self.asked: list[str] = []
        self.hold: HeldAt | None = None
        self.failure: Exception | None = None
        self.unlisted = False
        self._lock = threading.Lock()
        self.add("/", None)

    def add(self, path: str, size: int | None, md5: str | None = None) -> None:
        kind = NodeKind.CONTAINER if size is None else NodeKind.DATA
        properties = {LENGTH: str(size or 0)} | ({} if md5 is None else {MD5: md5})
        self.nodes[path] = NodeInfo(path, kind, MappingProxyType(properties))

    def _answer(self, question: str, answer: Any) -> Any:
        with self._lock:
            self.asked.append(question)
            hold, self.hold = self.hold, None
        if hold is not None:
            hold.arrive()
        if self.failure is not None:
            raise self.failure
        return answer

    def get_node(self, path: str) -> NodeInfo:
        locks.assert_none_held("a request")
        node = self._answer(f"get {path}", self.nodes.get(path))
        if node is None:
            raise NodeNotFound(path)
        assert isinstance(node, NodeInfo)
        return node

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        locks.assert_none_held("a request")
        if self.unlisted:
            raise PermissionDenied(path)
        found = [n for p, n in self.nodes.items() if p != "/" and uris.parent_of(p) == path]
        return iter(self._answer(f"list {path}", found))


class NoTombstones:
    def find(self, path: str) -> None:
        return None


class Place:
    def __init__(self, root: Path, *, lags: bool = False) -> None:
        locks.checking(True)
        self.remote, self.clock = Nodes(lags=lags), ManualClock()
        self.disk = Disk(root / "cache")
        self.index = Index(root / "cache" / "index.sqlite", "identity")
        self.table = FileTable(self.disk, self.index, self.clock, 1 << 30)
        self.tree = Tree(
            self.remote,  # type: ignore[arg-type]
            self.table,
            NoTombstones(),  # type: ignore[arg-type]
            self.clock,
            WaitingPlaces(self.clock),
            attr_ttl_s=TTL,
            negative_ttl_s=NEGATIVE_TTL,
            timeout_s=10.0,
        )

    def names(self, path: str) -> list[str]:
        return [node.name for node in self.tree.children(path)]

    def asked(self) -> list[str]:
        questions, self.remote.asked = self.remote.asked, []
        return questions

    def close(self) -> None:
        self.table.close()
        self.index.close()
        self.disk.close()
        locks.checking(True)
