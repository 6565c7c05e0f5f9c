"""Documents of a service, of whatever kind: how they are parsed and written.

Never reads a URL or an entity, and never more than libxml2's limits: whatever a service sends, the
worst outcome is ProtocolViolation.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lxml import etree

from vofs.core.errors import ProtocolViolation

HARDENED: Mapping[str, Any] = MappingProxyType(
    {
        "resolve_entities": False, "load_dtd": False, "no_network": True, "huge_tree": False,
        "remove_comments": True, "remove_pis": True,
    }
)  # fmt: skip


def parse_document(data: bytes) -> etree._Element:
    """Parse any document of a service: no entities, no network, bounded sizes.

    Raises:
        ProtocolViolation: not well-formed, or it has a DOCTYPE.
    """
    try:
        root = etree.fromstring(data, etree.XMLParser(**HARDENED))
    except (etree.XMLSyntaxError, ValueError) as exc:
        raise ProtocolViolation(f"malformed document: {exc}") from exc
    refuse_doctype(root)
    return root


def serialise(root: etree._Element) -> bytes:
    """Return the document as UTF-8 with its XML declaration."""
    document: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return document


def refuse_doctype(root: etree._Element) -> None:
    """Make sure that the document declares no types or entities of its own.

    Raises:
        ProtocolViolation: it does.
    """
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolViolation("a document of a VOSpace service has no DOCTYPE")
