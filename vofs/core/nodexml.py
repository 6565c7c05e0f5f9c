"""Node documents: VOSpace XML -> NodeInfo, and the documents that create and change nodes.

Knows the shapes of vault, cavern and the bare specification: any namespace prefix, a missing
`busy`, `md5:` before the MD5 (cavern, protocol.md 4.2), "!" or "~".  Transfer and job documents are
in `transferxml`.  Never reads a URL or an entity: a document with a DOCTYPE is refused.

Invariants: what is not well-formed or not of the expected shape raises ProtocolViolation, whatever
its bytes; an update names only what changes (a full document would drop properties, protocol.md 8);
built documents satisfy the published schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lxml import etree

from vofs.core.errors import InvalidName, NotAContainer, ProtocolViolation
from vofs.core.nodes import MD5, NodeInfo, NodeKind
from vofs.core.uris import ServiceUri, child_path, name_of, node_uri, path_of_uri
from vofs.core.xmldocument import HARDENED, parse_document, refuse_doctype, serialise

__all__ = [
    "VOSPACE_NS",
    "ListingParser",
    "TypedNode",
    "build_node",
    "build_update",
    "parse_node",
    "type_name_of",
]

VOSPACE_NS = "http://www.ivoa.net/xml/VOSpace/v2.0"  # also for 2.1
XSI_NS = "http://www.w3.org/2001/XMLSchema-instance"

_NODE = f"{{{VOSPACE_NS}}}node"
_NODES = f"{{{VOSPACE_NS}}}nodes"
_PROPERTY = f"{{{VOSPACE_NS}}}properties/{{{VOSPACE_NS}}}property"
_TARGET = f"{{{VOSPACE_NS}}}target"
_TYPE = f"{{{XSI_NS}}}type"
_NIL = f"{{{XSI_NS}}}nil"
_NSMAP = {"vos": VOSPACE_NS, "xsi": XSI_NS}

_KINDS: Mapping[str, NodeKind] = MappingProxyType(
    {
        "ContainerNode": NodeKind.CONTAINER,
        "DataNode": NodeKind.DATA,
        "UnstructuredDataNode": NodeKind.DATA,
        "StructuredDataNode": NodeKind.DATA,
        "LinkNode": NodeKind.LINK,
    }
)
_TYPE_NAMES: Mapping[NodeKind, str] = MappingProxyType(
    {
        NodeKind.CONTAINER: "ContainerNode",
        NodeKind.DATA: "DataNode",
        NodeKind.LINK: "LinkNode",
    }
)


@dataclass(frozen=True, slots=True)
class TypedNode:
    """A node and the exact name of its type, which an update must repeat (protocol.md 4.5)."""

    node: NodeInfo
    type_name: str


def type_name_of(kind: NodeKind) -> str:
    """Return the type that a new node of `kind` gets: "ContainerNode", "DataNode", "LinkNode"."""
    return _TYPE_NAMES[kind]


def parse_node(data: bytes, *, path: str, md5_proves: bool) -> TypedNode:
    """Read one node document; children are left out (see `ListingParser`).

    Args:
        data: the document.
        path: the path that was asked for, which the node keeps: a service that followed a link on
            the way answers with another one.
        md5_proves: see `VersionToken`.

    Raises:
        ProtocolViolation: this is no node document.
    """
    root = parse_document(data)
    if root.tag != _NODE:
        raise ProtocolViolation(f"expected a node document, got {root.tag!r}")
    return _typed_node(root, path, md5_proves, {})


class ListingParser:
    """Reads a container's document as it arrives and gives its children one by one.

    Memory stays bounded whatever the number of children: each is dropped once it was given.
    Not for use by several threads.

    Args:
        path: node path of the container; the children's paths are made of it.
        md5_proves: see `VersionToken`.

    Attributes:
        unusable_names: URIs of children whose names no file system can hold; they are left out.
        count: children so far, those left out included.
        last_uri: URI of the last of them as the service wrote it, with which the next page begins.
    """

    def __init__(self, path: str, *, md5_proves: bool) -> None:
        self._path = path
        self._md5_proves = md5_proves
        self._parser: Any = etree.XMLPullParser(events=("start", "end"), **HARDENED)
        self._names: dict[str, str] = {}  # of properties: one text each for a whole listing
        self._depth = 0
        self._complete = False
        self.unusable_names: list[str] = []
        self.count = 0
        self.last_uri = ""

    def feed(self, data: bytes) -> list[TypedNode]:
        """Take the next bytes of the document and return the children completed by them.

        Raises:
            NotAContainer: the document describes another kind of node.
            ProtocolViolation: malformed.
        """
        try:
            self._parser.feed(data)
            return list(self._children())
        except etree.XMLSyntaxError as exc:
            raise ProtocolViolation(f"malformed listing of {self._path}: {exc}") from exc

    def close(self) -> None:
        """Say that no more bytes come.

        Raises:
            ProtocolViolation: the document is not complete.
        """
        if not self._complete:
            raise ProtocolViolation(f"the listing of {self._path} ends early")

    def _children(self) -> Iterator[TypedNode]:
        for event, element in self._parser.read_events():
            if event == "start":
                self._depth += 1
                if self._depth == 1:
                    self._check_root(element)
                continue
            self._depth -= 1
            if self._depth == 0:
                self._complete = True
            if self._depth == 2 and element.tag == _NODE:
                child = self._child(element)
                if child is not None:
                    yield child
                _forget(element)

    def _check_root(self, element: etree._Element) -> None:
        refuse_doctype(element)
        if element.tag != _NODE:
            raise ProtocolViolation(f"expected a node document, got {element.tag!r}")
        if _KINDS.get(_type_name(element)) is not NodeKind.CONTAINER:
            raise NotAContainer(f"{self._path} is a {_type_name(element)}")

    def _child(self, element: etree._Element) -> TypedNode | None:
        uri = element.get("uri") or ""
        self.count += 1
        self.last_uri = uri
        try:
            path = child_path(self._path, name_of(path_of_uri(uri)))
        except InvalidName:
            self.unusable_names.append(uri)
            return None
        return _typed_node(element, path, self._md5_proves, self._names)


def build_node(service: ServiceUri, node: NodeInfo) -> bytes:
    """Return the document that creates `node` (PUT), with its properties and its link target."""
    root = _node_element(service, node.path, _TYPE_NAMES[node.kind])
    _add_properties(root, node.properties)
    match node.kind:
        case NodeKind.LINK:
            etree.SubElement(root, _TARGET).text = node.target or ""
        case NodeKind.CONTAINER:
            etree.SubElement(root, _NODES)
        case NodeKind.DATA:
            pass
    return serialise(root)


def build_update(
    service: ServiceUri,
    path: str,
    type_name: str,
    changes: Mapping[str, str | None],
    target: str | None = None,
) -> bytes:
    """Return the document that changes properties (POST): the changed ones and nothing else.

    Args:
        service: whose node it is.
        path: node path.
        type_name: exact type as the service named it; another one is refused (protocol.md 4.5).
        changes: property URI -> new text, or None to delete the property.
        target: a link's target, which its document cannot lack; it is not changed by an update.
    """
    root = _node_element(service, path, type_name)
    _add_properties(root, changes)
    if type_name == "LinkNode":
        etree.SubElement(root, _TARGET).text = target or ""
    elif type_name == "ContainerNode":
        etree.SubElement(root, _NODES)
    return serialise(root)


def _type_name(element: etree._Element) -> str:
    return (element.get(_TYPE) or "").rpartition(":")[2].strip()


def _typed_node(
    element: etree._Element, path: str, md5_proves: bool, names: dict[str, str]
) -> TypedNode:
    type_name = _type_name(element)
    kind = _KINDS.get(type_name)
    if kind is None:
        raise ProtocolViolation(f"{path} has the unknown node type {type_name!r}")
    target = element.findtext(_TARGET)
    node = NodeInfo(
        path=path,
        kind=kind,
        properties=MappingProxyType(_properties(element, names)),
        target=target.strip() if kind is NodeKind.LINK and target else None,
        busy=(element.get("busy") or "").strip() in ("true", "1"),
        md5_proves=md5_proves,
    )
    return TypedNode(node, type_name)


def _properties(element: etree._Element, names: dict[str, str]) -> dict[str, str]:
    properties = {}
    for item in element.iterfind(_PROPERTY):
        uri = item.get("uri")
        if uri and item.get(_NIL) not in ("true", "1"):
            properties[names.setdefault(uri, uri)] = item.text or ""
    if MD5 in properties:
        properties[MD5] = properties[MD5].strip().removeprefix("md5:").lower()
    return properties


def _forget(element: etree._Element) -> None:
    element.clear()
    parent = element.getparent()
    while element.getprevious() is not None and parent is not None:
        del parent[0]


def _node_element(service: ServiceUri, path: str, type_name: str) -> etree._Element:
    root = etree.Element(_NODE, nsmap=_NSMAP)
    root.set("uri", node_uri(service, path))
    root.set(_TYPE, f"vos:{type_name}")
    return root


def _add_properties(root: etree._Element, properties: Mapping[str, str | None]) -> None:
    holder = etree.SubElement(root, f"{{{VOSPACE_NS}}}properties")
    for uri in sorted(properties):
        text = properties[uri]
        item = etree.SubElement(holder, f"{{{VOSPACE_NS}}}property", uri=uri)
        if text is None:
            item.set(_NIL, "true")
            continue
        try:
            item.text = text
        except ValueError as exc:  # control characters, which XML 1.0 cannot hold
            raise InvalidName(f"property {uri} has a value that XML cannot hold") from exc
