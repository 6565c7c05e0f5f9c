"""Node and transfer documents: bytes to values and back (protocol.md 4.1, 5.1).

Its own codec on lxml, independent of any client on purpose.  Reading never resolves entities,
never touches the network and refuses documents over 32 KiB.  Writing follows the element order
of the published schemas.  Nothing here knows the tree or a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from lxml import etree

from fakevospace.describe import NodeRecord
from fakevospace.nodes import Kind, NodeDraft
from fakevospace.refusals import invalid_argument, too_large, type_not_supported

VOS = "http://www.ivoa.net/xml/VOSpace/v2.0"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
NIL = f"{{{XSI}}}nil"
XSI_TYPE = f"{{{XSI}}}type"
LIMIT_BYTES = 32 * 1024
DECLARATION = "<?xml version='1.0' encoding='UTF-8'?>\n"
NAMESPACES = f' xmlns:vos="{VOS}" xmlns:xsi="{XSI}"'
SPECIAL = re.compile('[\x00-\x1f&<>"\ud800-\udfff\ufffe\uffff]')
ESCAPES = dict.fromkeys([*range(0x20), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "?") | {
    ord(one): f"&#{ord(one)};" for one in '&<>"\t\n\r'
}
FORMAT = "ivo://ivoa.net/vospace/core#format"
ANONYMOUS = "ivo://ivoa.net/sso#anon"  # spelled out by some clients, the same as none


def parse_xml(data: bytes) -> etree._Element:
    """Parse an untrusted document.

    Raises:
        Refusal: 413 over the limit, 400 InvalidArgument when it is not well-formed.
    """
    if len(data) > LIMIT_BYTES:
        raise too_large(LIMIT_BYTES)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise invalid_argument(f"invalid document: {error}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise invalid_argument("invalid document: DOCTYPE is not allowed")
    return root


def to_bytes(root: etree._Element) -> bytes:
    """Serialize a document as UTF-8 with an XML declaration."""
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def parse_node(data: bytes) -> NodeDraft:
    """Read a node document as clients send it; the Content-Type plays no part.

    Raises:
        Refusal: 400 InvalidArgument, 400 TypeNotSupported, 413.
    """
    root = parse_xml(data)
    uri = root.get("uri")
    if root.tag != f"{{{VOS}}}node" or uri is None:
        raise invalid_argument("not a node document")
    prefix, _, local = (root.get(XSI_TYPE) or "").partition(":")
    if not prefix or local not in {kind.value for kind in Kind}:
        raise type_not_supported(root.get(XSI_TYPE) or "none")
    return NodeDraft(uri, Kind(local), _properties(root), _text(root, "target"))


def _properties(root: etree._Element) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for element in root.iterfind(f"{{{VOS}}}properties/{{{VOS}}}property"):
        key = element.get("uri")
        if not key:
            raise invalid_argument("property without uri")
        nil = element.get(NIL) in ("true", "1")
        found[key] = None if nil else (element.text or "")
    return found


def _text(root: etree._Element, name: str) -> str | None:
    text = root.findtext(f"{{{VOS}}}{name}")
    return text.strip() if text else None


def write_node(record: NodeRecord) -> bytes:
    """Write a node document with its children.

    As text, not with lxml: a listing of 10,000 nodes takes a third of the time
    (benchmarks/fake_server.py), and a node GET is what clients do most.
    """
    parts = [DECLARATION]
    _write_node(parts, record, NAMESPACES)
    return "".join(parts).encode("utf-8", "replace")


def _write_node(parts: list[str], record: NodeRecord, namespaces: str = "") -> None:
    busy = "" if record.busy is None else f' busy="{"true" if record.busy else "false"}"'
    uri, kind = _escaped(record.uri), record.kind.value
    parts.append(f'<vos:node{namespaces} uri="{uri}" xsi:type="vos:{kind}"{busy}>')
    if record.properties is not None:
        parts.append("<vos:properties>")
        for key, value, read_only in record.properties:
            mark = ' readOnly="true"' if read_only else ""
            text = _escaped(value)
            parts.append(f'<vos:property uri="{_escaped(key)}"{mark}>{text}</vos:property>')
        parts.append("</vos:properties>")
    if record.kind is Kind.LINK:
        parts.append(f"<vos:target>{_escaped(record.target or '')}</vos:target></vos:node>")
        return
    parts.append("<vos:accepts/><vos:provides/>")
    if record.children is not None:
        parts.append("<vos:nodes>")
        for child in record.children:
            _write_node(parts, child)
        parts.append("</vos:nodes>")
    parts.append("</vos:node>")


def _escaped(text: str) -> str:
    """Write text into XML, as content or in double quotes; what XML cannot hold becomes `?`."""
    return text.translate(ESCAPES) if SPECIAL.search(text) else text


@dataclass(frozen=True, slots=True)
class TransferProtocol:
    """One protocol of a transfer.

    Attributes:
        security_method: URI, None for an anonymous or pre-authorised URL.
        endpoint: URL, None in a request.
    """

    uri: str
    security_method: str | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class TransferDocument:
    """A transfer as clients ask for it and as the service answers.

    Attributes:
        target: URI of the node; the first one when there are several.
        direction: one of the four words, or the URI to move to.
        view: None when not given.
        keep_bytes: None when not given (which means true).
        version: None for VOSpace 2.0 documents, whose security methods are not read.
        more_targets: URIs after the first (packages).
        view_format: value of the view's format parameter.
        parameters: (URI, value), as `core#length`.
    """

    target: str
    direction: str
    view: str | None = None
    protocols: tuple[TransferProtocol, ...] = field(default=())
    keep_bytes: bool | None = None
    version: str | None = None
    more_targets: tuple[str, ...] = ()
    view_format: str | None = None
    parameters: tuple[tuple[str, str], ...] = ()


def parse_transfer(data: bytes) -> TransferDocument:
    """Read a transfer document.

    Raises:
        Refusal: 400 InvalidArgument, 413.
    """
    root = parse_xml(data)
    targets = [(one.text or "").strip() for one in root.iterfind(f"{{{VOS}}}target")]
    direction = _text(root, "direction")
    if root.tag != f"{{{VOS}}}transfer" or not any(targets) or direction is None:
        raise invalid_argument("not a transfer document")
    version = root.get("version")
    view = root.find(f"{{{VOS}}}view")
    keep = _text(root, "keepBytes")
    return TransferDocument(
        targets[0],
        direction,
        None if view is None else view.get("uri"),
        _protocols(root, version),
        None if keep is None else keep.lower() in ("true", "1"),
        version,
        tuple(targets[1:]),
        None if view is None else dict(_parameters(view)).get(FORMAT),
        _parameters(root) if version is not None else (),
    )


def _protocols(root: etree._Element, version: str | None) -> tuple[TransferProtocol, ...]:
    found = []
    for element in root.iterfind(f"{{{VOS}}}protocol"):
        method = element.find(f"{{{VOS}}}securityMethod")
        security = None if method is None or version is None else method.get("uri")
        security = None if security == ANONYMOUS else security
        found.append(TransferProtocol(element.get("uri") or "", security))
    return tuple(found)


def _parameters(parent: etree._Element) -> tuple[tuple[str, str], ...]:
    found = parent.iterfind(f"{{{VOS}}}param")
    return tuple((one.get("uri") or "", (one.text or "").strip()) for one in found)


def write_transfer(transfer: TransferDocument) -> bytes:
    """Write a transfer document; security methods only in a version 2.1 one."""
    root = etree.Element(f"{{{VOS}}}transfer", nsmap={"vos": VOS})
    if transfer.version is not None:
        root.set("version", transfer.version)
    for target in (transfer.target, *transfer.more_targets):
        etree.SubElement(root, f"{{{VOS}}}target").text = target
    etree.SubElement(root, f"{{{VOS}}}direction").text = transfer.direction
    if transfer.view is not None:
        view = etree.SubElement(root, f"{{{VOS}}}view", uri=transfer.view)
        if transfer.view_format is not None:
            etree.SubElement(view, f"{{{VOS}}}param", uri=FORMAT).text = transfer.view_format
    for protocol in transfer.protocols:
        element = etree.SubElement(root, f"{{{VOS}}}protocol", uri=protocol.uri)
        if protocol.endpoint is not None:
            etree.SubElement(element, f"{{{VOS}}}endpoint").text = protocol.endpoint
        if protocol.security_method is not None and transfer.version is not None:
            etree.SubElement(element, f"{{{VOS}}}securityMethod", uri=protocol.security_method)
    if transfer.keep_bytes is not None:
        etree.SubElement(root, f"{{{VOS}}}keepBytes").text = str(transfer.keep_bytes).lower()
    for uri, value in transfer.parameters:
        etree.SubElement(root, f"{{{VOS}}}param", uri=uri).text = value
    return to_bytes(root)


def write_catalogue(name: str, entry: str, uris: Iterable[str]) -> bytes:
    """Write a list of properties, views or protocols; `entry` names one of them."""
    root = etree.Element(f"{{{VOS}}}{name}", nsmap={"vos": VOS})
    for uri in uris:
        etree.SubElement(root, f"{{{VOS}}}{entry}", uri=uri)
    return to_bytes(root)
