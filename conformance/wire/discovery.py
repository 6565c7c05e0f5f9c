"""Where the resources of a service are: its capabilities document (VOSI)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lxml import etree

from conformance.wire.documents import parse


@dataclass(frozen=True, slots=True)
class Interface:
    """One way to reach a resource; `methods` holds None for the anonymous caller."""

    standard: str
    url: str
    methods: tuple[str | None, ...]


def read_interfaces(document: bytes) -> list[Interface]:
    """All interfaces of a capabilities document, in its order."""
    root = parse(document)
    return [
        interface
        for capability in root.iter("{*}capability", "capability")
        for interface in _interfaces(capability)
    ]


def _interfaces(capability: etree._Element) -> Iterator[Interface]:
    for element in capability.iter("{*}interface", "interface"):
        url = (element.findtext("{*}accessURL") or element.findtext("accessURL") or "").strip()
        found = element.findall("{*}securityMethod") or element.findall("securityMethod")
        methods = tuple(one.get("standardID") for one in found)
        yield Interface(str(capability.get("standardID")), url, methods or (None,))


def choose_endpoints(interfaces: list[Interface], method: str | None) -> dict[str, str]:
    """The URL of each resource: for our security method, else anonymous, else any."""
    offers: dict[str, dict[str | None, str]] = {}
    for interface in interfaces:
        of_one = offers.setdefault(interface.standard, {})
        for offered in interface.methods:
            of_one.setdefault(offered, interface.url.rstrip("/"))
    return {
        standard: next(of_one[wanted] for wanted in (method, None, *of_one) if wanted in of_one)
        for standard, of_one in offers.items()
    }
