"""The documents of VOSpace and UWS: written as a client writes them, read whatever their prefixes.

Written from the standards and independent of vofs and fakevospace on purpose: an error that both
shared would otherwise be invisible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from lxml import etree

from conformance.wire.terms import LINK, VOS, XLINK, XSI

NIL = f"{{{XSI}}}nil"
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


@dataclass(frozen=True, slots=True)
class Node:
    """What a node document says.

    `kind` is the type without its prefix, `elements` the names of the direct child elements,
    `read_only` the properties so marked.
    """

    uri: str
    kind: str
    properties: Mapping[str, str]
    nodes: tuple[Node, ...] = ()
    target: str | None = None
    read_only: frozenset[str] = frozenset()
    elements: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The last element of the path, decoded."""
        return unquote(self.uri.rstrip("/").rpartition("/")[2])

    @property
    def children(self) -> tuple[str, ...]:
        """The decoded names of the nodes listed."""
        return tuple(node.name for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol of a transfer document."""

    uri: str
    endpoint: str | None = None
    security_method: str | None = None


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a transfer document says."""

    target: str
    direction: str
    protocols: tuple[Protocol, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What a UWS job document says; `results` maps ids to their links."""

    number: str
    phase: str
    results: Mapping[str, str]
    error: str | None

    def count(self, result: str) -> int | None:
        """The number in a result such as `final:4`; None when there is no such result."""
        link = self.results.get(result)
        return None if link is None else int(link.rpartition(":")[2])


def parse(document: bytes) -> etree._Element:
    """Parse a document; entities are not resolved and nothing is fetched."""
    return etree.fromstring(document, _PARSER)


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def read_node(document: bytes) -> Node:
    """Read a node document; namespaces decide, prefixes do not matter."""
    return _node(parse(document))


def _node(root: etree._Element) -> Node:
    listed = root.findall("{*}properties/{*}property")
    return Node(
        str(root.get("uri")),
        str(root.get(f"{{{XSI}}}type")).rpartition(":")[2],
        {str(element.get("uri")): element.text or "" for element in listed},
        tuple(_node(element) for element in root.iterfind("{*}nodes/{*}node")),
        root.findtext("{*}target"),
        frozenset(
            str(element.get("uri")) for element in listed if element.get("readOnly") == "true"
        ),
        tuple(local_name(element) for element in root.iterchildren(tag=etree.Element)),
    )


def read_transfer(document: bytes) -> Transfer:
    """Read a transfer document."""
    root = parse(document)
    protocols = []
    for element in root.iterfind("{*}protocol"):
        endpoint, method = element.findtext("{*}endpoint"), element.find("{*}securityMethod")
        protocols.append(
            Protocol(
                str(element.get("uri")),
                endpoint.strip() if endpoint else None,
                None if method is None else method.get("uri"),
            )
        )
    return Transfer(
        (root.findtext("{*}target") or "").strip(),
        (root.findtext("{*}direction") or "").strip(),
        tuple(protocols),
    )


def read_job(document: bytes) -> Job:
    """Read a job document."""
    root = parse(document)
    results = {
        str(element.get("id")): str(element.get(f"{{{XLINK}}}href"))
        for element in root.iterfind("{*}results/{*}result")
    }
    error = root.findtext("{*}errorSummary/{*}message")
    return Job(
        (root.findtext("{*}jobId") or "").strip(),
        (root.findtext("{*}phase") or "").strip(),
        results,
        error.strip() if error else None,
    )


def node_document(
    uri: str | None,
    kind: str | None,
    properties: Mapping[str, str | None] | None = None,
    *,
    target: str | None = None,
    accepts: Sequence[str] = (),
) -> bytes:
    """Write a node document; None as a value asks for the property to be deleted.

    Without `uri` or `kind` that attribute is missing, which no correct client does.
    """
    root = etree.Element(f"{{{VOS}}}node", nsmap={"vos": VOS, "xsi": XSI})
    if uri is not None:
        root.set("uri", uri)
    if kind is not None:
        root.set(f"{{{XSI}}}type", f"vos:{kind}")
    holder = etree.SubElement(root, f"{{{VOS}}}properties")
    for key, value in (properties or {}).items():
        element = etree.SubElement(holder, f"{{{VOS}}}property", uri=key)
        element.text = value
        if value is None:
            element.set(NIL, "true")
    if kind == LINK:
        etree.SubElement(root, f"{{{VOS}}}target").text = target
    else:
        views = etree.SubElement(root, f"{{{VOS}}}accepts")
        for view in accepts:
            etree.SubElement(views, f"{{{VOS}}}view", uri=view)
        etree.SubElement(root, f"{{{VOS}}}provides")
    if kind == "ContainerNode":
        etree.SubElement(root, f"{{{VOS}}}nodes")
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def transfer_document(
    targets: Sequence[str],
    direction: str,
    protocols: Sequence[Protocol] = (),
    *,
    view: str | None = None,
    view_parameters: Mapping[str, str] | None = None,
    keep_bytes: bool | None = None,
) -> bytes:
    """Write a transfer document of version 2.1."""
    root = etree.Element(f"{{{VOS}}}transfer", nsmap={"vos": VOS}, version="2.1")
    for target in targets:
        etree.SubElement(root, f"{{{VOS}}}target").text = target
    etree.SubElement(root, f"{{{VOS}}}direction").text = direction
    if view is not None:
        holder = etree.SubElement(root, f"{{{VOS}}}view", uri=view)
        for key, value in (view_parameters or {}).items():
            etree.SubElement(holder, f"{{{VOS}}}param", uri=key).text = value
    for protocol in protocols:
        element = etree.SubElement(root, f"{{{VOS}}}protocol", uri=protocol.uri)
        if protocol.endpoint is not None:
            etree.SubElement(element, f"{{{VOS}}}endpoint").text = protocol.endpoint
        if protocol.security_method is not None:
            etree.SubElement(element, f"{{{VOS}}}securityMethod", uri=protocol.security_method)
    if keep_bytes is not None:
        etree.SubElement(root, f"{{{VOS}}}keepBytes").text = str(keep_bytes).lower()
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
