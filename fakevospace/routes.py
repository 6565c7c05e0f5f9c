"""Which resource a URL means: its endpoint's name, the node it is about, and who answers.

Decided from method and URL alone, before anything of the body is read, because faults and journal
need it then.  `bytes` is every request that carries file content: the byte URLs, and GET and PUT
of `/files` where that is the byte service.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from urllib.parse import parse_qsl

from fakevospace.endpoints.control import control
from fakevospace.endpoints.discovery import (
    availability,
    capabilities,
    catalogue,
    registry,
)
from fakevospace.endpoints.files import (
    PREAUTH,
    STORAGE_PREFIX,
    files,
    preauthorised_file,
    stored_bytes,
)
from fakevospace.endpoints.jobs import jobs
from fakevospace.endpoints.nodes import nodes
from fakevospace.endpoints.packages import package
from fakevospace.endpoints.transfers import synctrans, transfer_details
from fakevospace.exchange import Exchange, Reply
from fakevospace.jobs import JobKind
from fakevospace.names import decode_path, own_path
from fakevospace.refusals import Refusal, invalid_argument, no_such_resource, not_authenticated
from fakevospace.state import State

Handler = Callable[[State, Exchange], Reply]
CONTROL = "control"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes.

    Attributes:
        endpoint: name as in the journal; empty for a URL that means nothing.
        node: decoded path with a leading slash, empty when the URL does not say.
        handler: None when the URL itself is refused.
        refusal: why.
        needs_identity: only for callers who have authenticated themselves (`auth/`).
    """

    endpoint: str
    node: str = ""
    handler: Handler | None = None
    refusal: Refusal | None = None
    needs_identity: bool = False

    @property
    def is_control(self) -> bool:
        """True for the fake's own resources."""
        return self.endpoint == CONTROL

    def handle(self, state: State, exchange: Exchange) -> Reply:
        """Let the resource answer."""
        if self.needs_identity and exchange.caller.name is None:
            raise not_authenticated("credentials required below auth/")
        if self.handler is None:
            raise self.refusal or no_such_resource(exchange.request.path)
        return self.handler(state, exchange)


def route_of(state: State, method: str, raw_path: str, query: str) -> Route:
    """Find the resource of a request.

    Args:
        raw_path: percent-encoded path of the URL.
        query: raw query string.
    """
    elements = tuple(raw_path.lstrip("/").split("/"))
    rules = state.personality
    try:
        if not raw_path.isascii():
            raise invalid_argument("a URL is ASCII; escape the rest")
        match elements:
            case ("_fake", *rest):
                return Route(CONTROL, handler=partial(_control, rest=tuple(rest)))
            case ("reg", "resource-caps"):
                return Route("registry", handler=registry)
            case (first, "files", token, *rest) if first and first == rules.byte_service:
                return _stored_route(state, token, decode_path("/".join(rest)))
            case (first, "auth", name, *rest) if first == rules.service and rules.auth_paths:
                route = _service_route(state, method, name, rest, query)
                return replace(route, needs_identity=True)
            case (first, name, *rest) if first == rules.service:
                return _service_route(state, method, name, rest, query)
    except Refusal as refusal:
        return Route(elements[1] if len(elements) > 1 else "", refusal=refusal)
    return Route("", refusal=no_such_resource(raw_path))


def _control(state: State, exchange: Exchange, rest: tuple[str, ...]) -> Reply:
    return control(state, exchange, tuple(one for one in rest if one))


def _service_route(state: State, method: str, name: str, rest: list[str], query: str) -> Route:
    rules = state.personality
    match name:
        case "nodes":
            path = decode_path("/".join(rest))
            return Route("nodes", f"/{path}", partial(nodes, path=path))
        case "files" if rules.has_files:
            return _files_route(state, method, rest)
        case "synctrans":
            return Route("synctrans", _target(state, query), synctrans)
        case "transfers" | "xfer":
            return _job_route(state, name, tuple(one for one in rest if one))
        case "async-delete" | "async-setprops" if rules.recursive_jobs:
            return _job_route(state, name, tuple(one for one in rest if one))
        case "pkg" if rules.packages:
            return Route("pkg", handler=partial(package, rest=tuple(one for one in rest if one)))
        case "properties" | "views" | "protocols" if rules.catalogues and not any(rest):
            return Route("catalogues", handler=partial(catalogue, name=name))
        case "capabilities" if not any(rest):
            return Route("capabilities", handler=capabilities)
        case "availability" if not any(rest):
            return Route("availability", handler=availability)
        case _:
            return Route("", refusal=no_such_resource(name))


def _stored_route(state: State, token: str, rest: str) -> Route:
    storage_id = rest.removeprefix(STORAGE_PREFIX).partition(":fo/")[0]
    with state.lock:
        node = state.tree.by_storage_id(storage_id)
        path = "" if node is None else f"/{node.path}"
    return Route("bytes", path, partial(stored_bytes, token=token, storage_id=storage_id))


def _files_route(state: State, method: str, rest: list[str]) -> Route:
    first = decode_path(rest[0]) if rest else ""
    if state.personality.put_files and first.startswith(PREAUTH):
        token, path = first.removeprefix(PREAUTH), decode_path("/".join(rest[1:]))
        return Route("bytes", f"/{path}", partial(preauthorised_file, token=token, path=path))
    path = decode_path("/".join(rest))
    carries_content = state.personality.put_files and method in ("GET", "PUT")
    name = "bytes" if carries_content else "files"
    return Route(name, f"/{path}", partial(files, path=path))


def _target(state: State, query: str) -> str:
    """Return the node of a transfer in parameter form, empty when it does not say."""
    for name, value in parse_qsl(query):
        if name.upper() == "TARGET":
            try:
                return f"/{own_path(value, state.personality.authority)}"
            except Refusal:
                return ""
    return ""


def _job_route(state: State, name: str, rest: tuple[str, ...]) -> Route:
    job = state.jobs.get(rest[0]) if rest else None
    path = "" if job is None else f"/{job.node_path}"
    if name != "xfer":
        return Route(name, path, partial(jobs, kind=JobKind(name), rest=rest))
    if len(rest) != 1:
        raise no_such_resource("/".join((name, *rest)))
    return Route("xfer", path, partial(transfer_details, number=rest[0]))
