"""Node documents as JSON, in the shape of cadc-vos: `{"vos:node": {"@uri": ..., ...}}`.

Attributes become `@name`, text becomes `$`.  The elements that hold lists (`vos:properties`,
`vos:accepts`, `vos:provides`, `vos:nodes`) become `{"$": [{"property": {...}}, ...]}`, their
entries without a prefix.  Values stay text.
"""

from __future__ import annotations

import json
from typing import Any

from lxml import etree

from fakevospace.documents import VOS, XSI

JSON = "application/json"
LISTS = frozenset({"properties", "accepts", "provides", "nodes"})
PREFIXES = {VOS: "vos", XSI: "xsi"}


def json_of(document: bytes) -> bytes:
    """Turn a document of the service into JSON."""
    root = etree.fromstring(document)
    spaces = {f"@xmlns:{prefix}": uri for prefix, uri in root.nsmap.items()}
    shown = {_name(str(root.tag)): spaces | _element(root)}
    return (json.dumps(shown, indent=2, ensure_ascii=False) + "\n").encode()


def _element(element: etree._Element) -> dict[str, Any]:
    shown: dict[str, Any] = {f"@{_name(str(key))}": str(v) for key, v in element.items()}
    if etree.QName(element).localname in LISTS:
        shown["$"] = [{etree.QName(one).localname: _element(one)} for one in element]
        return shown
    for child in element:
        shown[_name(str(child.tag))] = _element(child)
    if not len(element):
        shown["$"] = element.text or ""
    return shown


def _name(qualified: str) -> str:
    """Return `prefix:local` for a qualified name, the name itself without a namespace."""
    space, _, local = qualified.rpartition("}")
    return f"{PREFIXES[space[1:]]}:{local}" if space else local
