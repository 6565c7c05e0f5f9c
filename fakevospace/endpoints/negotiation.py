"""May bytes flow, and to what: the decisions of a transfer (protocol.md 5.1, 5.2, 8).

Used by `/synctrans` at once and by jobs on `/transfers` when they run.  A push makes the data node
before any byte is sent.
"""

from __future__ import annotations

from fakevospace.documents import TransferDocument
from fakevospace.exchange import Exchange
from fakevospace.jobs import KEPT_MS, Job, JobKind, Phase, new_number
from fakevospace.nodes import Kind, Node, NodeDraft
from fakevospace.properties import CORE, INHERIT, IS_LOCKED, PERMISSIONS
from fakevospace.quotas import remaining_bytes
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    permission_denied,
    quota_exceeded,
    view_not_supported,
)
from fakevospace.state import State
from fakevospace.tokens import Grant

PUSH, PULL = "pushtovospace", "pullfromvospace"
NOT_IMPLEMENTED = frozenset({"pulltovospace", "pushfromvospace", "bidirectional"})


def is_known(protocol: str, word: str) -> bool:
    """Tell whether a protocol is one of those for `get` or `put`."""
    return protocol in {f"{CORE}http{s}{word}" for s in ("", "s")}


def grant_of(transfer: TransferDocument) -> Grant:
    """Return what the endpoints of a transfer must allow."""
    return Grant.READ if transfer.direction.lower() == PULL else Grant.WRITE


def error_text(refusal: Refusal) -> str:
    """Return what a job's error says: the bare word for a refused permission (5.5)."""
    return "PermissionDenied" if refusal.status == 403 else refusal.text


def negotiate(state: State, exchange: Exchange, transfer: TransferDocument, path: str) -> Node:
    """Decide whether bytes may flow, making the node of a push; call with `state.lock` held.

    Raises:
        Refusal: they may not.
    """
    direction = transfer.direction.lower()
    if direction in NOT_IMPLEMENTED:
        raise Refusal(405, f"OperationNotSupported: {transfer.direction} is not implemented")
    if direction not in (PUSH, PULL):
        raise invalid_argument(f"direction: {transfer.direction}")
    if transfer.view is not None and transfer.view not in state.personality.views:
        raise view_not_supported(transfer.view)
    word = "get" if direction == PULL else "put"
    asked = [one.uri for one in transfer.protocols]
    if state.personality.refuses_protocols and not any(is_known(uri, word) for uri in asked):
        raise Refusal(400, f"ProtocolNotSupported: {' '.join(asked) or 'none'}")
    if direction == PULL:
        return _pull(state, exchange, path)
    state.mode.check_write()
    return _push(state, exchange, path)


def _pull(state: State, exchange: Exchange, path: str) -> Node:
    try:
        node = state.space.resolve(path, exchange.caller, follow_leaf=True)
    except Refusal as refusal:
        missing = refusal.text.startswith("NodeNotFound")
        if missing and not state.personality.names_missing_source:
            raise Refusal(400, "target is not a data node") from None
        raise
    if not node.kind.holds_bytes:
        raise Refusal(400, "target is not a data node")
    if not exchange.caller.can_read(node):
        raise permission_denied(state.space.uri(path))
    return node


def _push(state: State, exchange: Exchange, path: str) -> Node:
    space, caller = state.space, exchange.caller
    try:
        node = space.resolve(path, caller, follow_leaf=True)
    except Refusal as refusal:
        if not refusal.text.startswith(("NodeNotFound", "UnreadableLinkTarget")):
            raise
        # A missing node, possibly below a link to its container; anything else fails again.
        node = space.create(path, NodeDraft(space.uri(path), Kind.DATA, {}), caller)
    else:
        if not node.kind.holds_bytes:
            raise Refusal(400, "target is not a data node")
        if space.is_locked(node) or not caller.can_write(node):
            raise permission_denied(space.uri(path))
        if state.personality.push_clears and node.content is not None:
            kept = {*PERMISSIONS, INHERIT, IS_LOCKED}
            node.properties = {key: v for key, v in node.properties.items() if key in kept}
            state.tree.touch(node)
    left = remaining_bytes(node)
    if left is not None and left <= 0:
        raise quota_exceeded()
    return node


def new_job(
    state: State,
    exchange: Exchange,
    path: str,
    phase: Phase,
    *,
    kind: JobKind = JobKind.TRANSFER,
    target: str | None = None,
    transfer: TransferDocument | None = None,
    draft: NodeDraft | None = None,
    error: str | None = None,
) -> Job:
    """Make a job and put it into the store."""
    with state.lock:
        now_ms = state.tree.next_date_ms()
    job = Job(
        new_number(),
        exchange.caller.name,
        path,
        phase,
        now_ms,
        now_ms + KEPT_MS,
        kind,
        target if transfer is None else transfer.target,
        transfer,
        draft,
        started_ms=None if phase is Phase.PENDING else now_ms,
        ended_ms=now_ms if phase is Phase.ERROR else None,
        error=error,
        run_id=exchange.request.args.get("RUNID"),
    )
    state.jobs.add(job)
    return job
