"""What a live service can do, found without changing anything: GET and HEAD only.

Read from its capabilities document, and tried on what is there already: the first container with
two children and the first data node with bytes that a short walk finds. What would need a change,
or something that is not there, stays unknown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import requests

from conformance.capabilities import FLAGS
from conformance.wire import Node, Service, WireError, succeed
from conformance.wire.terms import (
    CONTAINER,
    FILES,
    HTTP_GET,
    IS_LOCKED,
    LENGTH,
    LINK,
    NODES,
    PACKAGE,
    PROPERTIES,
    PROTOCOLS,
    PULL,
    READABLE,
    RECURSIVE_DELETE,
    RECURSIVE_PROPS,
    SYNC_2_0,
    SYNC_2_1,
    TRANSFERS,
    VIEWS,
)

WALK_LIMIT = 25  # containers that are looked into for something to try on
REDIRECTS = (301, 302, 303, 307, 308)

Flags = dict[str, bool | None]


@dataclass(slots=True)
class Sight:
    """What a walk found to try things on: decoded paths."""

    container: str | None = None
    data: str | None = None
    seen: list[Node] = field(default_factory=list)


def probe(service: Service, base: str) -> Mapping[str, bool | None]:
    """Every flag, true, false or None for unknown; nothing is changed at the service."""
    flags: Flags = dict.fromkeys(FLAGS)
    flags.update(_offered(service))
    sight = _walk(service, base)
    flags.update(_listing(service, base, sight))
    flags.update(_documents(service, base, sight))
    if sight.data is not None:
        flags.update(_bytes(service, sight.data))
    return flags


def _offered(service: Service) -> Flags:
    """What the capabilities document says by itself."""
    offered = service.endpoints
    return {
        "files": FILES in offered,
        "filesRedirect": None if FILES in offered else False,
        "filesPut": None if FILES in offered else False,
        "syncTransfers": SYNC_2_1 in offered or SYNC_2_0 in offered,
        "asyncTransfers": TRANSFERS in offered,
        "recursiveDelete": RECURSIVE_DELETE in offered,
        "recursiveProps": RECURSIVE_PROPS in offered,
        "packages": PACKAGE in offered,
        "serviceMetadata": all(one in offered for one in (PROTOCOLS, VIEWS, PROPERTIES)),
    }


def _walk(service: Service, base: str) -> Sight:
    sight = Sight()
    waiting = deque([base])
    for _ in range(WALK_LIMIT):
        if not waiting or (sight.container is not None and sight.data is not None):
            break
        path = waiting.popleft()
        answer = service.nodes.get(path)
        if not answer.ok:
            continue
        node = service.nodes.read(path)
        sight.seen += [node, *node.nodes]
        if len(node.nodes) > 1 and sight.container is None:
            sight.container = path
        for child in node.nodes:
            inner = f"{path}/{child.name}".lstrip("/")
            if child.kind == CONTAINER:
                waiting.append(inner)
            elif child.properties.get(LENGTH, "0") not in ("", "0") and child.kind != LINK:
                sight.data = sight.data or inner
    return sight


def _listing(service: Service, base: str, sight: Sight) -> Flags:
    """Paging and order, on a container that need not have children."""
    nodes = service.nodes
    path = base if sight.container is None else sight.container
    start = nodes.get(path, uri=nodes.uri(f"{path}/a".lstrip("/")), limit=1)
    paged, ignored = None, None
    if start.status_code == requests.codes.bad_request and "OptionNotSupported" in start.text:
        paged = False
    if sight.container is not None:
        one = nodes.get(path, limit=1)
        if one.ok:
            count = len(nodes.read(path, limit=1).nodes)
            ignored = count > 1
            paged = paged if paged is False else start.ok and count == 1
    order = nodes.get(path, order="desc")
    return {
        "paginationSupported": paged,
        "paginationLimitIgnored": ignored,
        "sortRefused": None if sight.container is None else order.status_code == 400,
    }


def _documents(service: Service, base: str, sight: Sight) -> Flags:
    largest = service.nodes.get(base, detail="max", limit=0)
    rights = READABLE in service.nodes.read(base, detail="max", limit=0).properties
    found: Flags = {"computedRights": rights if largest.ok else None}
    if any(node.kind == LINK and node.properties for node in sight.seen):
        found["linkNodeProps"] = True
    if any(node.properties.get(IS_LOCKED) == "true" for node in sight.seen):
        found["nodelockSupported"] = True
    return found


def _bytes(service: Service, path: str) -> Flags:
    """What can be seen on a data node with bytes."""
    found: Flags = {}
    if FILES in service.endpoints:
        url = service.file_url(path)
        led = service.connection.send("GET", url, follow=False, stream=True)
        led.close()
        found["filesRedirect"] = led.status_code in REDIRECTS
    if SYNC_2_1 in service.endpoints:
        found["parameterForm"] = _by_parameters(service, path)
    part = _first_byte(service, path)
    if part is not None and part.ok:
        found["ranges"] = part.status_code == requests.codes.partial_content
        found["digests"] = None if "Digest" in part.headers else False
        part.close()
    return found


def _by_parameters(service: Service, path: str) -> bool:
    answer = service.transfers.by_parameters(
        {"TARGET": service.nodes.uri(path), "DIRECTION": PULL, "PROTOCOL": HTTP_GET}, "GET"
    )
    return answer.ok


def _first_byte(service: Service, path: str) -> requests.Response | None:
    """The answer to a request for one byte; only over /files, as a negotiation makes a job."""
    if FILES not in service.endpoints:
        return None
    headers = {"Range": "bytes=0-0"}
    return service.connection.send("GET", service.file_url(path), headers=headers, stream=True)


def describe(service: Service, flags: Mapping[str, bool | None]) -> str:
    """The flags and the resources of a service as text for a terminal."""
    words = {True: "yes", False: "no", None: "unknown"}
    width = max(len(flag) for flag in flags)
    lines = [f"capabilities  {service.capabilities_url}", f"authority     {service.authority}", ""]
    lines += [
        f"{flag:<{width}}  {words[value]:<8} {FLAGS[flag][0]}" for flag, value in flags.items()
    ]
    lines += ["", *(f"{standard}  {url}" for standard, url in service.endpoints.items())]
    return "\n".join(lines)


def read_only(service: Service, base: str) -> str:
    """Probe and describe; raises WireError when the service has no nodes to look at."""
    if NODES not in service.endpoints:
        raise WireError("the service has no capability for nodes")
    succeed(service.nodes.get(base, limit=0))
    return describe(service, probe(service, base))
