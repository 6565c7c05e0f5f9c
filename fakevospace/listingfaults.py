"""Listings that are not true: cut short, or behind the times.

Works on the document that the service has written, so that no endpoint knows of it.  A
`ListingHistory` keeps how nodes looked before they were changed; the newest state of a listing
with those put back is the listing as it was.  Kept for as long as some rule looks back, and for at
most `KEPT` changes.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from lxml import etree

from fakevospace.access import Caller
from fakevospace.describe import Detail, describe
from fakevospace.documents import VOS, to_bytes, write_node
from fakevospace.names import split_path
from fakevospace.state import State

NODES, NODE, PROPERTIES = (f"{{{VOS}}}{one}" for one in ("nodes", "node", "properties"))
KEPT = 1000
HAND = Caller("", admin=True, authenticated=True)


@dataclass(frozen=True, slots=True)
class Before:
    """How a node looked before a change.

    Attributes:
        uri: of the node; `parent` that of its container.
        changed_s: when the change came, by the service's clock.
        document: the node, None when there was none.
    """

    uri: str
    parent: str
    changed_s: float
    document: bytes | None


class ListingHistory:
    """The last changes, in order; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changes: deque[Before] = deque(maxlen=KEPT)

    def note(self, before: Before) -> None:
        """Keep how a node looked before a change that comes now."""
        with self._lock:
            self._changes.append(before)

    def since(self, moment_s: float) -> dict[str, Before]:
        """Return by URI how each node looked at a moment, for those that have changed since."""
        found: dict[str, Before] = {}
        with self._lock:
            for one in self._changes:
                if one.changed_s > moment_s:
                    found.setdefault(one.uri, one)
        return found


def how_it_looks(state: State, path: str) -> Before:
    """Return how the node at a path looks now, to whoever may see everything."""
    with state.lock:
        node = state.tree.at(path)
        document = None
        if node is not None:
            document = write_node(describe(state.space, node, HAND, Detail.PROPERTIES))
        container = state.space.uri(split_path(path)[0])
        return Before(state.space.uri(path), container, state.clock(), document)


def capped(document: bytes, count: int) -> bytes:
    """Leave out all children of a listing after the first `count`."""
    root = etree.fromstring(document)
    for nodes in root.findall(NODES):
        for child in list(nodes)[count:]:
            nodes.remove(child)
    return to_bytes(root)


def lagging(document: bytes, old: dict[str, Before]) -> bytes:
    """Put children of a listing back to how they looked.

    Children that were not there go, those that were come back, in the order of their URIs.
    """
    root = etree.fromstring(document)
    nodes = root.find(NODES)
    if nodes is None:
        return document
    mine = {uri: one for uri, one in old.items() if one.parent == root.get("uri")}
    for child in list(nodes):
        if child.get("uri") in mine:
            nodes.remove(child)
    for one in mine.values():
        if one.document is not None:
            _insert(nodes, one.document, bare=root.find(PROPERTIES) is None)
    return to_bytes(root)


def _insert(nodes: etree._Element, document: bytes, *, bare: bool) -> None:
    """Put a node among its siblings; `bare`: without properties, as detail=min has it."""
    node = etree.fromstring(document)
    if bare:
        for holder in node.findall(PROPERTIES):
            node.remove(holder)
        node.attrib.pop("busy", "")
    uri = node.get("uri") or ""
    place = sum((sibling.get("uri") or "") < uri for sibling in nodes)
    nodes.insert(place, node)
