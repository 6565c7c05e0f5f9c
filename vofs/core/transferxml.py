"""Transfer and job documents: what is asked of /transfers and /synctrans, and what they answer.

Built transfers carry no view (every service takes the absence for the default one) and ask for
bytes or for a move, never for a copy, which no CADC service implements (protocol.md 5.1).

Invariants: as in `nodexml`: malformed or unexpected documents raise ProtocolViolation, and what is
built satisfies the published schema.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lxml import etree

from vofs.core.errors import ProtocolViolation
from vofs.core.nodexml import VOSPACE_NS
from vofs.core.xmldocument import parse_document, serialise

__all__ = [
    "Direction",
    "Endpoint",
    "JobDocument",
    "Protocol",
    "build_move",
    "build_transfer",
    "parse_job",
    "parse_transfer",
]

UWS_NS = "http://www.ivoa.net/xml/UWS/v1.0"
XLINK_NS = "http://www.w3.org/1999/xlink"

_CORE = "ivo://ivoa.net/vospace/core#"


class Direction(enum.Enum):
    """The two directions of bytes that the services implement."""

    PUSH = "pushToVoSpace"
    PULL = "pullFromVoSpace"


class Protocol(enum.Enum):
    """How bytes may travel."""

    HTTPS_GET = _CORE + "httpsget"
    HTTPS_PUT = _CORE + "httpsput"
    HTTP_GET = _CORE + "httpget"
    HTTP_PUT = _CORE + "httpput"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place where the bytes may be sent or fetched.

    Attributes:
        protocol: its URI.
        url: where.
        security_method: URI of the method that the URL demands; None: it needs no credential.
    """

    protocol: str
    url: str
    security_method: str | None = None


@dataclass(frozen=True, slots=True)
class JobDocument:
    """A UWS job.

    Attributes:
        phase: as the service spells it, upper case.
        results: result id -> href.
        error: message of the errorSummary, "" when there is none.
    """

    phase: str
    results: Mapping[str, str]
    error: str = ""


def build_transfer(target_uri: str, direction: Direction, protocols: Sequence[Protocol]) -> bytes:
    """Return the document that asks where to send or fetch the bytes of `target_uri`."""
    root = _transfer(target_uri, direction.value)
    for protocol in protocols:
        etree.SubElement(root, _vos("protocol"), uri=protocol.value)
    return serialise(root)


def build_move(source_uri: str, destination_uri: str) -> bytes:
    """Return the document of a move: the direction is the destination, keepBytes is false."""
    root = _transfer(source_uri, destination_uri)
    etree.SubElement(root, _vos("keepBytes")).text = "false"
    return serialise(root)


def parse_transfer(data: bytes) -> tuple[Endpoint, ...]:
    """Return the endpoints of a transfer document, in the service's order.

    Raises:
        ProtocolViolation: this is no transfer document.
    """
    root = parse_document(data)
    if root.tag != _vos("transfer"):
        raise ProtocolViolation(f"expected a transfer document, got {root.tag!r}")
    endpoints = []
    for protocol in root.iterfind(_vos("protocol")):
        url = (protocol.findtext(_vos("endpoint")) or "").strip()
        if url:
            method = protocol.find(_vos("securityMethod"))
            endpoints.append(
                Endpoint(
                    protocol=(protocol.get("uri") or "").strip(),
                    url=url,
                    security_method=None if method is None else method.get("uri"),
                )
            )
    return tuple(endpoints)


def parse_job(data: bytes) -> JobDocument:
    """Return phase, results and error of a job document (UWS 1.1).

    Raises:
        ProtocolViolation: this is no job document, or it names no phase.
    """
    root = parse_document(data)
    phase = (root.findtext(_uws("phase")) or "").strip().upper()
    if root.tag != _uws("job") or not phase:
        raise ProtocolViolation(f"expected a job document with a phase, got {root.tag!r}")
    results = {}
    for result in root.iterfind(f"{_uws('results')}/{_uws('result')}"):
        results[result.get("id") or ""] = result.get(f"{{{XLINK_NS}}}href") or ""
    message = root.findtext(f"{_uws('errorSummary')}/{_uws('message')}") or ""
    return JobDocument(phase, MappingProxyType(results), message.strip())


def _transfer(target_uri: str, direction: str) -> etree._Element:
    # version 2.1 is what switches security methods and parameters on (protocol.md 5.1).
    root = etree.Element(_vos("transfer"), nsmap={"vos": VOSPACE_NS}, version="2.1")
    etree.SubElement(root, _vos("target")).text = target_uri
    etree.SubElement(root, _vos("direction")).text = direction
    return root


def _vos(name: str) -> str:
    return f"{{{VOSPACE_NS}}}{name}"


def _uws(name: str) -> str:
    return f"{{{UWS_NS}}}{name}"
