"""What the jobs do when they run: transfers, moves, copies, recursive changes (protocol.md 5.4).

Work is done within the request that runs the job, and only for a job that is still EXECUTING:
one that was aborted meanwhile stops at its next node.
"""

from __future__ import annotations

from dataclasses import dataclass

from fakevospace.endpoints.negotiation import NOT_IMPLEMENTED, PULL, PUSH, error_text, negotiate
from fakevospace.endpoints.recursion import Tally, delete_recursively, set_recursively
from fakevospace.endpoints.transfers import negotiated_results
from fakevospace.exchange import Exchange
from fakevospace.jobs import Job, JobKind, Phase
from fakevospace.names import own_path
from fakevospace.nodes import Kind, Node
from fakevospace.refusals import Refusal, duplicate_node, invalid_argument
from fakevospace.state import State
from fakevospace.storage import ByteStore

COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended, or that a transfer goes on (EXECUTING)."""

    phase: Phase
    results: tuple[tuple[str, str], ...] = ()
    error: str | None = None


def perform(state: State, exchange: Exchange, job: Job) -> Outcome:
    """Do the work of a job; whatever is refused becomes the error of the job."""
    try:
        match job.kind:
            case JobKind.TRANSFER:
                return _transfer(state, exchange, job)
            case JobKind.DELETE:
                return _outcome(delete_recursively(state, exchange.caller, job))
            case JobKind.SET_PROPERTIES:
                return _outcome(set_recursively(state, exchange.caller, job))
    except Refusal as refusal:
        return Outcome(Phase.ERROR, error=error_text(refusal))


def _outcome(tally: Tally) -> Outcome:
    """Say how a recursive job ended: nothing done is an error without a word about it."""
    if not tally.successes:
        return Outcome(Phase.ERROR)
    results = (("successcount", f"final:{tally.successes}"),)
    if not tally.errors:
        return Outcome(Phase.COMPLETED, results)
    return Outcome(Phase.ABORTED, (*results, ("errorcount", f"final:{tally.errors}")))


def _transfer(state: State, exchange: Exchange, job: Job) -> Outcome:
    transfer, authority = job.transfer, state.personality.authority
    if transfer is None:
        raise invalid_argument("no transfer document")
    direction = transfer.direction.lower()
    source = own_path(transfer.target, authority)
    if direction in NOT_IMPLEMENTED | {PUSH, PULL}:
        with state.lock:
            negotiate(state, exchange, transfer, source)
        return Outcome(Phase.EXECUTING, negotiated_results(state, exchange, job))
    destination = own_path(transfer.direction, authority)
    if transfer.keep_bytes is False:
        with state.lock:
            node = state.space.move(source, destination, exchange.caller)
            return Outcome(Phase.COMPLETED, (("destination", state.space.uri(node.path)),))
    if not state.personality.copies:
        raise Refusal(405, "copyNode is not implemented")
    with state.lock:
        node = _copy(state, exchange, source, destination)
        return Outcome(Phase.COMPLETED, (("destination", state.space.uri(node.path)),))


def _copy(state: State, exchange: Exchange, source: str, destination: str) -> Node:
    """Copy a node with all below it; into a container under its own name, never over anything.

    Call with `state.lock` held.
    """
    space, caller = state.space, exchange.caller
    node = space.resolve(source, caller)
    container, name = space.destination(node, destination, caller)
    above: Node | None = container
    while above is not None:
        if above is node:
            raise invalid_argument("Cannot copy container node into its descendants")
        above = above.parent
    if container.children.get(name) is not None:
        raise duplicate_node(f"/{container.path}/{name}")
    space.check_entries_writable(container, caller)
    first = state.tree.copied(node, container, name, caller.name or "")
    waiting = [(node, first)]
    while waiting:
        original, copy = waiting.pop()
        if original.content is not None and caller.can_read(original):
            copy.content = _copied_content(state.store, original.content)
            copy.length, copy.md5 = original.length, original.md5
            copy.content_date_ms = original.content_date_ms
        state.tree.touch(copy)
        if original.kind is Kind.CONTAINER and caller.can_read(original):
            for child in list(original.children):
                waiting.append((child, state.tree.copied(child, copy, child.name, copy.owner)))
    return first


def _copied_content(store: ByteStore, key: str) -> str:
    made = store.create()
    reader, writer = store.reader(key), store.writer(made)
    try:
        offset = 0
        while block := reader.read(offset, COPY_BYTES):
            writer.write(block)
            offset += len(block)
    finally:
        reader.close()
        writer.close()
    return made
