"""Where everything is: registry, `/capabilities`, `/availability` (protocol.md section 1), and the
lists of properties, views and protocols of the specification.
"""

from __future__ import annotations

from fakevospace.documents import write_catalogue
from fakevospace.exchange import TEXT, Exchange, Reply, see_other, xml_reply
from fakevospace.jobdocuments import write_availability, write_capabilities
from fakevospace.modes import Mode, mode_named
from fakevospace.personality import Personality
from fakevospace.properties import KNOWN, LATER
from fakevospace.refusals import invalid_argument, method_not_allowed, permission_denied
from fakevospace.state import State

STANDARD = "ivo://ivoa.net/std/VOSpace"
CATALOGUES = {"properties": "property", "views": "view", "protocols": "protocol"}
SECURITY_METHODS = (
    None,
    "ivo://ivoa.net/sso#tls-with-certificate",
    "ivo://ivoa.net/sso#cookie",
    "ivo://ivoa.net/sso#token",
)
PROTOCOLS = tuple(
    f"ivo://ivoa.net/vospace/core#http{s}{word}" for s in ("", "s") for word in ("get", "put")
)


def offered(rules: Personality) -> list[tuple[str, str]]:
    """Return (standardID, path below the service) of every resource that a service has."""
    found = [
        ("ivo://ivoa.net/std/VOSI#capabilities", "capabilities"),
        ("ivo://ivoa.net/std/VOSI#availability", "availability"),
        (f"{STANDARD}/v2.0#nodes", "nodes"),
        (f"{STANDARD}#sync-2.1", "synctrans"),
        (f"{STANDARD}/v2.0#transfers", "transfers"),
    ]
    if rules.has_files:
        found.append((f"{STANDARD}#files-proto", "files"))
    if rules.recursive_jobs:
        found.append((f"{STANDARD}#recursive-delete-proto", "async-delete"))
        found.append((f"{STANDARD}#recursive-nodeprops-proto", "async-setprops"))
    if rules.catalogues:
        found += [(f"{STANDARD}/v2.0#{name}", name) for name in CATALOGUES]
    if rules.packages:
        found.append(("vos://cadc.nrc.ca~vospace/CADC/std/Pkg-1.0", "pkg"))
    return found


def registry(state: State, exchange: Exchange) -> Reply:
    """Answer `/reg/resource-caps`: one `resourceID = capabilities URL` per line."""
    _only_read(exchange)
    service = state.personality
    url = f"{exchange.base}/{service.service}/capabilities"
    return Reply(200, (("Content-Type", TEXT),), f"{service.resource_id} = {url}\n".encode())


def capabilities(state: State, exchange: Exchange) -> Reply:
    """Answer `/capabilities`: every resource that this service has, and no other."""
    _only_read(exchange)
    root = exchange.root(state.personality.service)
    found = [(standard_id, f"{root}/{name}") for standard_id, name in offered(state.personality)]
    return xml_reply(write_capabilities(found, SECURITY_METHODS))


def availability(state: State, exchange: Exchange) -> Reply:
    """Answer `/availability`; POST of `state=ReadWrite|ReadOnly|Offline` switches the service.

    Raises:
        Refusal: 400 another state, 403 who does not administer the service.
    """
    if exchange.request.method == "POST":
        if not exchange.caller.sets_admin_properties:
            raise permission_denied("availability")
        words = [value for name, value in exchange.parameters() if name.lower() == "state"]
        mode = mode_named(words[0]) if len(words) == 1 else None
        if mode is None:
            raise invalid_argument(f"state must be one of {[one.value for one in Mode]}")
        state.mode = mode
        return see_other(f"{exchange.root(state.personality.service)}/availability")
    _only_read(exchange)
    mode = state.mode
    return xml_reply(write_availability(mode.note, available=mode is not Mode.OFFLINE))


def catalogue(state: State, exchange: Exchange, name: str) -> Reply:
    """Answer `/properties`, `/views` or `/protocols`: what the service knows.

    A plain list, as the schema has it; the prose of the specification would group it.
    """
    _only_read(exchange)
    match name:
        case "properties":
            with state.lock:
                known = sorted(KNOWN | LATER | _used(state))
        case "views":
            known = sorted(state.personality.views)
        case _:
            known = list(PROTOCOLS)
    return xml_reply(write_catalogue(name, CATALOGUES[name], known))


def _used(state: State) -> set[str]:
    """Return the properties of all nodes; call with `state.lock` held."""
    found: set[str] = set()
    waiting = [state.tree.root]
    while waiting:
        node = waiting.pop()
        found |= node.properties.keys()
        waiting += node.children
    return found


def _only_read(exchange: Exchange) -> None:
    if exchange.request.method not in ("GET", "HEAD"):
        raise method_not_allowed(exchange.request.method)
