"""Where everything is: registry, `/capabilities` and `/availability` (protocol.md section 1)."""

from __future__ import annotations

from fakevospace.exchange import TEXT, Exchange, Reply, xml_reply
from fakevospace.jobdocuments import write_availability, write_capabilities
from fakevospace.refusals import method_not_allowed
from fakevospace.state import State

OFFERED = (
    ("ivo://ivoa.net/std/VOSI#capabilities", "capabilities"),
    ("ivo://ivoa.net/std/VOSI#availability", "availability"),
    ("ivo://ivoa.net/std/VOSpace/v2.0#nodes", "nodes"),
    ("ivo://ivoa.net/std/VOSpace#sync-2.1", "synctrans"),
    ("ivo://ivoa.net/std/VOSpace/v2.0#transfers", "transfers"),
    ("ivo://ivoa.net/std/VOSpace#files-proto", "files"),
)
SECURITY_METHODS = (
    None,
    "ivo://ivoa.net/sso#tls-with-certificate",
    "ivo://ivoa.net/sso#cookie",
    "ivo://ivoa.net/sso#token",
)


def registry(state: State, exchange: Exchange) -> Reply:
    """Answer `/reg/resource-caps`: one `resourceID = capabilities URL` per line."""
    _only_read(exchange)
    service = state.personality
    url = f"{exchange.base}/{service.service}/capabilities"
    return Reply(200, (("Content-Type", TEXT),), f"{service.resource_id} = {url}\n".encode())


def capabilities(state: State, exchange: Exchange) -> Reply:
    """Answer `/capabilities`: every resource that this service has, and no other."""
    _only_read(exchange)
    root = f"{exchange.base}/{state.personality.service}"
    offered = [(standard_id, f"{root}/{name}") for standard_id, name in OFFERED]
    return xml_reply(write_capabilities(offered, SECURITY_METHODS))


def availability(state: State, exchange: Exchange) -> Reply:
    """Answer `/availability`."""
    _only_read(exchange)
    return xml_reply(write_availability("service is accepting requests"))


def _only_read(exchange: Exchange) -> None:
    if exchange.request.method not in ("GET", "HEAD"):
        raise method_not_allowed(exchange.request.method)
