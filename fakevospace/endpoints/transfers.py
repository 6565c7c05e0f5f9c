"""`/synctrans` and `/xfer/{job}`: negotiating where bytes go (protocol.md 5.1 to 5.3, 5.6).

A push makes the data node before any byte is sent.  The document form always answers 303 to the
job's transfer details, also when negotiation failed; the parameter form answers 303 straight to
the bytes, or the error itself.
"""

from __future__ import annotations

from fakevospace.documents import (
    TransferDocument,
    TransferProtocol,
    parse_transfer,
    write_transfer,
)
from fakevospace.endpoints.files import endpoints
from fakevospace.exchange import Exchange, Reply, see_other, xml_reply
from fakevospace.jobs import Job, Phase, new_number
from fakevospace.names import own_path
from fakevospace.nodes import Kind, Node, NodeDraft
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    method_not_allowed,
    no_such_resource,
    permission_denied,
)
from fakevospace.state import State
from fakevospace.tokens import Grant

PUSH, PULL = "pushtovospace", "pullfromvospace"
NOT_IMPLEMENTED = frozenset({"pulltovospace", "pushfromvospace", "bidirectional"})
VIEWS = frozenset(
    {None, "ivo://ivoa.net/vospace/core#defaultview", "ivo://cadc.nrc.ca/vospace/view#data"}
)


def synctrans(state: State, exchange: Exchange) -> Reply:
    """Answer `/synctrans` in either form.

    Raises:
        Refusal: parameter form: what went wrong; document form: a document that is none.
    """
    given = {name.upper() for name in exchange.request.args}
    form = exchange.request.mimetype == "application/x-www-form-urlencoded"
    match exchange.request.method:
        case "GET" | "HEAD":
            return _by_parameters(state, exchange)
        case "POST" if "TARGET" in given or form:
            return _by_parameters(state, exchange)
        case "POST":
            return _by_document(state, exchange)
        case other:
            raise method_not_allowed(other)


def _by_document(state: State, exchange: Exchange) -> Reply:
    transfer = parse_transfer(exchange.document())
    path, error = "", None
    try:
        path = own_path(transfer.target, state.personality.authority)
        with state.lock:
            _negotiate(state, exchange, transfer, path)
    except Refusal as refusal:
        error = error_text(refusal)
    phase = Phase.EXECUTING if error is None else Phase.ERROR
    job = new_job(state, exchange, transfer, path, phase, error)
    root = f"{exchange.base}/{state.personality.service}/transfers"
    return see_other(f"{root}/{job.number}/results/transferDetails")


def new_job(
    state: State,
    exchange: Exchange,
    transfer: TransferDocument,
    path: str,
    phase: Phase,
    error: str | None = None,
) -> Job:
    """Make a job and put it into the store."""
    with state.lock:
        now_ms = state.tree.next_date_ms()
    started_ms = None if phase is Phase.PENDING else now_ms
    ended_ms = now_ms if phase is Phase.ERROR else None
    job = Job(
        new_number(),
        exchange.caller.name,
        path,
        transfer,
        phase,
        now_ms,
        started_ms,
        ended_ms,
        error,
    )
    state.jobs.add(job)
    return job


def error_text(refusal: Refusal) -> str:
    """Return what a job's error says: the bare word for a refused permission (5.5)."""
    return "PermissionDenied" if refusal.status == 403 else refusal.text


def _negotiate(state: State, exchange: Exchange, transfer: TransferDocument, path: str) -> Node:
    """Decide whether bytes may flow, making the node of a push; call with `state.lock` held.

    Raises:
        Refusal: they may not.
    """
    direction = transfer.direction.lower()
    if direction in NOT_IMPLEMENTED:
        raise Refusal(405, f"OperationNotSupported: {transfer.direction} is not implemented")
    if direction not in (PUSH, PULL):
        raise invalid_argument(f"direction: {transfer.direction}")
    if transfer.view not in VIEWS:
        raise Refusal(400, f"ViewNotSupported ({transfer.view})")
    if direction == PULL:
        return _pull(state, exchange, path)
    return _push(state, exchange, path)


def _pull(state: State, exchange: Exchange, path: str) -> Node:
    try:
        node = state.space.resolve(path, exchange.caller, follow_leaf=True)
    except Refusal as refusal:
        if refusal.text.startswith("NodeNotFound"):
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
        return space.create(path, NodeDraft(space.uri(path), Kind.DATA, {}), caller)
    if not node.kind.holds_bytes:
        raise Refusal(400, "target is not a data node")
    locked = space.is_locked(node) or (node.parent is not None and space.is_locked(node.parent))
    if locked or not caller.can_write(node):
        raise permission_denied(space.uri(path))
    return node


def _by_parameters(state: State, exchange: Exchange) -> Reply:
    given: dict[str, list[str]] = {}
    for name, value in exchange.parameters():
        given.setdefault(name.upper(), []).append(value)
    if missing := [name for name in ("TARGET", "DIRECTION", "PROTOCOL") if name not in given]:
        raise invalid_argument(f"missing parameter {missing[0]}")
    protocols = tuple(TransferProtocol(uri) for uri in given["PROTOCOL"])
    transfer = TransferDocument(given["TARGET"][0], given["DIRECTION"][0], protocols=protocols)
    path = own_path(transfer.target, state.personality.authority)
    with state.lock:
        node = _negotiate(state, exchange, transfer, path)
        answered = endpoints(state, exchange, node, _grant(transfer), protocols)
    if not answered or answered[0].endpoint is None:
        raise invalid_argument("no endpoint for the protocols asked for")
    return see_other(answered[0].endpoint)


def _grant(transfer: TransferDocument) -> Grant:
    return Grant.READ if transfer.direction.lower() == PULL else Grant.WRITE


def transfer_details(state: State, exchange: Exchange, number: str) -> Reply:
    """Answer `/xfer/{job}`: the transfer document with endpoints (5.2).

    A failed job shows no protocols while its node exists, and a 500 when it does not.

    Raises:
        Refusal: 404 no such job; 500 as above.
    """
    if exchange.request.method not in ("GET", "HEAD"):
        raise method_not_allowed(exchange.request.method)
    job = state.jobs.get(number)
    if job is None:
        raise no_such_resource(f"xfer/{number}")
    transfer = job.transfer
    answered: tuple[TransferProtocol, ...] = ()
    with state.lock:
        try:
            node = state.space.resolve(job.node_path, exchange.caller, follow_leaf=True)
        except Refusal as refusal:
            raise Refusal(500, f"Internal Error: {refusal.text}") from None
        if job.phase is Phase.EXECUTING and node.kind.holds_bytes:
            answered = endpoints(state, exchange, node, _grant(transfer), transfer.protocols)
    document = TransferDocument(
        transfer.target,
        transfer.direction,
        transfer.view,
        answered,
        transfer.keep_bytes,
        transfer.version,
    )
    return xml_reply(write_transfer(document))
