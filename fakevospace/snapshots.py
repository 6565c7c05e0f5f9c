"""A service as it was: taken, put back, or emptied.

A snapshot holds the nodes, copies of their bytes, and the jobs; not the journal, the faults and
the clock, which belong to whoever tests.  It can be put back any number of times.  Requests that
are being answered while a tree is put back may end on the old one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fakevospace.jobs import Job
from fakevospace.modes import Mode
from fakevospace.nodes import NO_CHILDREN, Node
from fakevospace.storage import ByteStore

if TYPE_CHECKING:
    from fakevospace.state import State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A service as it was; the nodes are copies that nobody else holds, parents first."""

    nodes: tuple[Node, ...]
    jobs: tuple[Job, ...]
    mode: Mode


def take(state: State) -> Snapshot:
    """Keep everything as it is now."""
    with state.lock:
        nodes = _copied(state.tree.root, state.store)
        return Snapshot(tuple(nodes), tuple(state.jobs.all()), state.mode)


def put_back(state: State, snapshot: Snapshot) -> None:
    """Make everything as it was."""
    with state.lock:
        old = _contents(_walk(state.tree.root))
        state.replant(_copied(snapshot.nodes[0], state.store))
        for key in old:
            state.store.delete(key)
    _replace_jobs(state, snapshot.jobs)
    state.mode = snapshot.mode


def discard(state: State, snapshot: Snapshot) -> None:
    """Give back the space that a snapshot takes; it cannot be used after that."""
    for key in _contents(snapshot.nodes):
        state.store.delete(key)


def start_over(state: State) -> None:
    """Empty the service and forget what happened: as if it had just been started without data.

    Faults are lifted, the clock is right again, the sample files are back where there were some.
    """
    state.faults.clear()
    state.clock.resume()
    with state.lock:
        old = _contents(_walk(state.tree.root))
        state.replant()
        for key in old:
            state.store.delete(key)
    for transaction in state.transactions.end_all():
        state.store.delete(transaction.content)
    _replace_jobs(state, ())
    state.mode = Mode.READ_WRITE
    state.at_reset()
    state.journal.clear()


def _replace_jobs(state: State, jobs: Iterable[Job]) -> None:
    for job in state.jobs.all():
        state.jobs.remove(job.number)
    for job in jobs:
        state.jobs.add(job)


def _walk(root: Node) -> list[Node]:
    """Return a node and all below it that were ever made, parents first."""
    found = [root]
    for node in found:  # grows while it is walked
        found.extend(node.children.made())
    return found


def _contents(nodes: Iterable[Node]) -> list[str]:
    return [node.content for node in nodes if node.content is not None]


def _copied(root: Node, store: ByteStore) -> list[Node]:
    """Copy a tree with its bytes; parents come first."""
    copies: dict[int, Node] = {}
    for node in _walk(root):
        parent = None if node is root or node.parent is None else copies[id(node.parent)]
        copy = replace(
            node,
            parent=parent,
            properties=dict(node.properties),
            content=None if node.content is None else store.duplicate(node.content),
        )
        copy.children = NO_CHILDREN
        if node.children is not NO_CHILDREN:
            copy.children = node.children.emptied(copy)
        if parent is not None:
            parent.children.add(copy)
        copies[id(node)] = copy
    return list(copies.values())
