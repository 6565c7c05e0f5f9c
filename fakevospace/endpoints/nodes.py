"""`/{service}/nodes/{path}`: read, create, update and delete nodes (protocol.md section 4)."""

from __future__ import annotations

import re

from fakevospace.describe import Detail, NodeRecord, describe, shown_properties
from fakevospace.documents import parse_node, write_node
from fakevospace.exchange import Exchange, Reply, see_other, text_reply, xml_reply
from fakevospace.jsondocuments import JSON, json_of
from fakevospace.names import encode_path, own_path, split_path
from fakevospace.nodes import Kind, Node
from fakevospace.properties import check_changeable
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    invalid_uri,
    method_not_allowed,
    option_not_supported,
    unsupported,
    unsupported_media_type,
    view_not_supported,
)
from fakevospace.state import State

LIMIT = re.compile(r"[0-9]{1,18}\Z")


def nodes(state: State, exchange: Exchange, path: str) -> Reply:
    """Answer a request for the node at `path`.

    Raises:
        Refusal: as sections 4.3 to 4.7 say.
    """
    method = exchange.request.method
    if method in ("PUT", "POST", "DELETE"):
        _check_form(state, exchange)
    match method:
        case "GET":
            return _get(state, exchange, path)
        case "HEAD":
            return Reply(200, length=len(_bytes(_get(state, exchange, path))))
        case "PUT":
            return _put(state, exchange, path)
        case "POST":
            return _post(state, exchange, path)
        case "DELETE":
            return _delete(state, exchange, path)
        case other:
            raise method_not_allowed(other)


def _bytes(reply: Reply) -> bytes:
    return reply.body if isinstance(reply.body, bytes) else b""


def _check_form(state: State, exchange: Exchange) -> None:
    """Refuse what some services insist on in a change: no query, documents as text/xml."""
    rules = state.personality
    if exchange.query and not rules.query_on_changes:
        raise invalid_argument(f"query string not allowed: {exchange.query}")
    mimetype, method = exchange.request.mimetype, exchange.request.method
    if rules.form_documents and method != "DELETE" and mimetype != "text/xml":
        raise unsupported_media_type(mimetype)


def _answer(exchange: Exchange, record: NodeRecord, status: int = 200) -> Reply:
    """Answer with a node, as JSON when the parameter `Accept` (not the header) asks for it."""
    document = write_node(record)
    if exchange.parameter("Accept") == JSON:
        return Reply(status, (("Content-Type", JSON),), json_of(document))
    return xml_reply(document, status)


def _get(state: State, exchange: Exchange, path: str) -> Reply:
    with state.lock:
        node = state.space.resolve(path, exchange.caller)
        if exchange.parameter("view") == "data":
            if not state.personality.has_files:
                raise view_not_supported("data")
            root = exchange.root(state.personality.service)
            return see_other(f"{root}/files/{encode_path(node.path)}")
        children = _page(state, exchange, node) if node.kind is Kind.CONTAINER else []
        detail = Detail.from_query(exchange.parameter("detail"))
        record = describe(state.space, node, exchange.caller, detail, children)
    return _answer(exchange, record)


def _page(state: State, exchange: Exchange, container: Node) -> list[Node]:
    """Choose the children to list, as the query asks; call with `state.lock` held."""
    if (order := exchange.parameter("order")) is not None:
        raise unsupported(f"sort order {order}")
    if (key := exchange.parameter("sort")) is not None:
        raise unsupported(f"sort by {key}")
    limit = _limit(exchange.parameter("limit"))
    start = exchange.parameter("uri")
    rules = state.personality
    if start is not None and not rules.paging:
        raise option_not_supported(
            "batch container node listing: limit ignored, resume not implemented"
        )
    first = None if start is None else _child_name(state, container, start)
    if not exchange.caller.can_read(container):
        return []
    if limit and not rules.paging:
        limit = None
    if state.page_cap:
        limit = state.page_cap if limit is None else min(limit, state.page_cap)
    return container.children.page(first, limit, by_name=rules.sorted_listing)


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    if LIMIT.match(text) is None:
        raise invalid_argument("value for limit must be a positive integer.")
    return int(text)


def _child_name(state: State, container: Node, uri: str) -> str:
    parent, name = split_path(own_path(uri, state.personality.authority))
    if parent != container.path or not name:
        raise invalid_uri(f"{uri} is not a child of {state.space.uri(container.path)}")
    return name


def _full_record(state: State, exchange: Exchange, node: Node) -> NodeRecord:
    """Describe a node as create and update answer with: everything, children not listed."""
    return describe(state.space, node, exchange.caller, Detail.MAX)


def _put(state: State, exchange: Exchange, path: str) -> Reply:
    draft = parse_node(exchange.document())
    if own_path(draft.uri, state.personality.authority) != path:
        raise invalid_uri(f"{draft.uri} is not the requested {state.space.uri(path)}")
    with state.lock:
        if state.personality.refuses_read_only:
            check_changeable(draft.properties, {})
        node = state.space.create(path, draft, exchange.caller)
        record = _full_record(state, exchange, node)
    return _answer(exchange, record, 201)


def _post(state: State, exchange: Exchange, path: str) -> Reply:
    draft = parse_node(exchange.document())
    try:
        theirs = own_path(draft.uri, state.personality.authority)
    except Refusal as refusal:
        raise invalid_argument(refusal.text) from None
    if theirs != path:
        raise invalid_argument(f"{draft.uri} is not the requested {state.space.uri(path)}")
    with state.lock:
        if state.personality.refuses_read_only:
            node = state.space.resolve(path, exchange.caller)
            check_changeable(draft.properties, shown_properties(state.space, node))
        node = state.space.update(path, draft, exchange.caller)
        record = _full_record(state, exchange, node)
    return _answer(exchange, record)


def _delete(state: State, exchange: Exchange, path: str) -> Reply:
    with state.lock:
        for node in state.space.delete(path, exchange.caller):
            if node.content is not None:
                state.store.delete(node.content)
    return text_reply(state.personality.delete_status, "")
