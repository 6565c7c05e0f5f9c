"""`/{service}/files/{path}` and the pre-authorised byte URLs (protocol.md 5.6 and 6.1).

Two worlds.  On vault the bytes are at another service, minoc, under a storage id and a token;
`/files` only leads there.  On cavern `/files` is the byte service: plain for those who may, and
with `preauth:TOKEN` in front of the path for those who were given one.
"""

from __future__ import annotations

from fakevospace.access import Caller
from fakevospace.documents import TransferProtocol
from fakevospace.endpoints.content import content_headers, send_content
from fakevospace.endpoints.puts import (
    NUMBER,
    change_transaction,
    put_in_parts,
    show_transaction,
    transaction_asked,
)
from fakevospace.endpoints.receiving import receive_atomic, receive_truncating
from fakevospace.endpoints.stored import send_stored
from fakevospace.exchange import Exchange, Reply, see_other
from fakevospace.names import encode_path
from fakevospace.nodes import Kind, Node, NodeDraft
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    method_not_allowed,
    permission_denied,
)
from fakevospace.state import State
from fakevospace.tokens import Grant

STORAGE_PREFIX = "cadc:vault/"
PREAUTH = "preauth:"
SECURITY_METHODS = frozenset(
    f"ivo://ivoa.net/sso#{one}" for one in ("tls-with-certificate", "cookie", "token")
)


def files(state: State, exchange: Exchange, path: str) -> Reply:
    """Answer a request for `/files/{path}`.

    Raises:
        Refusal: 400 for what holds no bytes, 403, 404.
    """
    match exchange.request.method:
        case "GET" | "HEAD":
            return _read_file(state, exchange, path)
        case "PUT" if state.personality.put_files:
            return _put_file(state, exchange, path, exchange.caller)
        case other:
            raise method_not_allowed(other)


def _read_file(state: State, exchange: Exchange, path: str) -> Reply:
    with state.lock:
        try:
            node = state.space.resolve(path, exchange.caller, follow_leaf=True)
        except Refusal as refusal:
            if refusal.text.startswith("NodeNotFound") and state.personality.files_redirect:
                raise Refusal(404, f"Target not found: {path}") from None
            raise
        _check_data_node(state, node)
        if exchange.request.method == "HEAD":  # answers without read permission, as real ones do
            return send_content(state, exchange, node, ranges=state.personality.ranges)
        if not exchange.caller.can_read(node):
            raise permission_denied(state.space.uri(path))
        if not state.personality.files_redirect or not node.length:
            return send_content(state, exchange, node, ranges=state.personality.ranges)
        query = f"?{exchange.query}" if exchange.query else ""
        url = byte_url(state, exchange, node, Grant.READ)
        return see_other(f"{url}{query}", content_headers(state, node, ranges=True))


def _check_data_node(state: State, node: Node) -> None:
    if node.kind is Kind.CONTAINER and state.personality.files_redirect:
        raise Refusal(400, "Resolved target is not a data node")
    if node.kind is Kind.CONTAINER:
        raise Refusal(400, "GET for directories not supported")


def _put_file(state: State, exchange: Exchange, path: str, caller: Caller) -> Reply:
    with state.lock:
        try:
            node = state.space.resolve(path, caller)
        except Refusal as refusal:
            if refusal.status != 404:
                raise
            draft = NodeDraft(state.space.uri(path), Kind.DATA, {})
            node = state.space.create(path, draft, caller)
        if not node.kind.holds_bytes:
            raise invalid_argument(f"not a data node: {path}")
        if not caller.can_write(node):
            raise permission_denied(state.space.uri(path))
    return receive_truncating(state, exchange, node)


def byte_url(state: State, exchange: Exchange, node: Node, grant: Grant) -> str:
    """Return a pre-authorised URL for the bytes of a node, good for one direction.

    Call with `state.lock` held.
    """
    user = exchange.caller.name
    if state.personality.put_files:
        # The path is not percent-encoded here, as the real service has it (5.6).
        token = state.tokens.issue(grant, node.path, user)
        return f"{_files_base(state, exchange)}/{PREAUTH}{token}/{node.path}"
    thing = node.storage_id or ""
    token = state.tokens.issue(grant, thing, user)
    name = f":fo/{encode_path(node.name)}" if grant is Grant.READ else ""
    base = f"{exchange.base}/{state.personality.byte_service}/files"
    return f"{base}/{token}/{STORAGE_PREFIX}{thing}{name}"


def _files_base(state: State, exchange: Exchange) -> str:
    return f"{exchange.root(state.personality.service)}/files"


def endpoints(
    state: State,
    exchange: Exchange,
    node: Node,
    grant: Grant,
    requested: tuple[TransferProtocol, ...],
) -> tuple[TransferProtocol, ...]:
    """Answer the protocols of a transfer request with URLs (5.6).

    Call with `state.lock` held.

    Returns:
        What the service can do of what was asked; nothing for the bytes of an empty node.
    """
    word = "get" if grant is Grant.READ else "put"
    known = {f"ivo://ivoa.net/vospace/core#http{s}{word}" for s in ("", "s")}
    wanted = [one for one in requested if one.uri in known]
    if not state.personality.put_files:
        if grant is Grant.READ and not node.length:
            return ()
        url = byte_url(state, exchange, node, grant)
        uris = dict.fromkeys(one.uri for one in wanted)
        return tuple(TransferProtocol(uri, endpoint=url) for uri in uris)
    plain = f"{_files_base(state, exchange)}/{node.path}"
    answered = []
    for one in wanted:
        if one.security_method is None:
            url = byte_url(state, exchange, node, grant)
            answered.append(TransferProtocol(one.uri, endpoint=url))
            if grant is Grant.READ:
                answered.append(TransferProtocol(one.uri, endpoint=plain))
        elif one.security_method in SECURITY_METHODS:
            answered.append(TransferProtocol(one.uri, one.security_method, plain))
    return tuple(answered)


def stored_bytes(state: State, exchange: Exchange, token: str, storage_id: str) -> Reply:
    """Answer a request for a byte URL of vault's byte service.

    A read token allows GET and HEAD, a write token PUT, HEAD and, for transactions, POST.

    Raises:
        Refusal: 403 the token does not allow it, 404 there are no such bytes.
    """
    method = exchange.request.method
    in_parts = state.personality.put_transactions
    allowed = state.tokens.check(token, storage_id)
    needed = {"GET": (Grant.READ,), "HEAD": (Grant.READ, Grant.WRITE), "PUT": (Grant.WRITE,)}
    if in_parts:
        needed["POST"] = (Grant.WRITE,)
    if method not in needed:
        raise method_not_allowed(method)
    if allowed is None or allowed[0] not in needed[method]:
        raise permission_denied(f"{STORAGE_PREFIX}{storage_id}")
    if method == "POST":
        return change_transaction(state, exchange, storage_id)
    if in_parts and transaction_asked(exchange):
        if method == "PUT":
            return put_in_parts(state, exchange, storage_id)
        if method == "HEAD" and NUMBER in exchange.request.headers:
            return show_transaction(state, exchange, storage_id)
    if method == "PUT":
        return receive_atomic(state, exchange, storage_id)
    with state.lock:
        node = state.tree.by_storage_id(storage_id)
        if node is None or node.content is None:
            raise Refusal(404, f"not found: {STORAGE_PREFIX}{storage_id}")
        return send_stored(state, exchange, node)


def preauthorised_file(state: State, exchange: Exchange, token: str, path: str) -> Reply:
    """Answer a request for `/files/preauth:TOKEN/{path}` (cavern).

    A read token allows GET and HEAD, a write token only PUT.

    Raises:
        Refusal: 403 the token does not allow it, 404.
    """
    method = exchange.request.method
    allowed = state.tokens.check(token, path)
    needed = {"GET": Grant.READ, "HEAD": Grant.READ, "PUT": Grant.WRITE}
    if method not in needed:
        raise method_not_allowed(method)
    if allowed is None or allowed[0] is not needed[method]:
        raise permission_denied(state.space.uri(path))
    # Whoever holds the token acts as the one it was given to, with just this right.
    bearer = Caller(allowed[1], admin=True, authenticated=False)
    if method == "PUT":
        return _put_file(state, exchange, path, bearer)
    with state.lock:
        node = state.space.resolve(path, bearer, follow_leaf=True)
        _check_data_node(state, node)
        return send_content(state, exchange, node, ranges=state.personality.ranges)
