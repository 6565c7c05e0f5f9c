"""The order of clauses: sections of VOSpace 2.1 first, then CADC's extensions, then the mount."""

from __future__ import annotations

from collections.abc import Mapping

SECTIONS: Mapping[str, str] = {
    "2": "VOSpace identifiers",
    "3.1": "Nodes and node types",
    "3.2": "Properties",
    "3.2.1": "Property values",
    "3.2.2": "Property identifiers",
    "3.2.3": "Property descriptions",
    "3.2.4": "Standard properties",
    "3.3": "Capabilities",
    "3.4": "Views",
    "3.4.4": "Default views",
    "3.4.5": "Container views",
    "3.5": "Protocols",
    "3.5.3": "Standard protocols",
    "3.5.4": "External standard protocols",
    "3.5.5": "Security methods",
    "3.6": "Transfers",
    "3.6.1": "XML document transfers",
    "3.6.2": "URL parameter transfers",
    "3.6.3": "Service-initiated transfers",
    "3.6.4": "Client-initiated transfers",
    "4": "REST bindings and VOSI",
    "5": "Access control",
    "6": "Web service operations: notes",
    "6.1": "Service metadata",
    "6.1.1": "getProtocols",
    "6.1.2": "getViews",
    "6.1.3": "getProperties",
    "6.2.1": "createNode",
    "6.2.2": "moveNode",
    "6.2.3": "copyNode",
    "6.2.4": "deleteNode",
    "6.3.1": "getNode",
    "6.3.2": "setNode",
    "6.4": "Transferring data: jobs",
    "6.4.1": "pushToVoSpace",
    "6.4.2": "pullToVoSpace",
    "6.4.3": "pullFromVoSpace",
    "6.4.4": "pushFromVoSpace",
    "6.5": "Fault arguments",
    "CADC": "Extensions of the CADC services",
    "FS": "The mount as a file system",
}
_ORDER = {section: number for number, section in enumerate(SECTIONS)}


def section_of(clause: str) -> str:
    """The section in the id of a clause: `VOS-6.2.1-duplicate` is of 6.2.1, `FS-...` of FS."""
    kind, _, rest = clause.partition("-")
    return kind if kind == "FS" else rest.partition("-")[0]


def title_of(section: str) -> str:
    """How a section is headed, with its number."""
    title = SECTIONS.get(section, "")
    return f"{section} {title}".strip() if section[:1].isdigit() else title or section


def in_order(clause: str) -> tuple[int, str]:
    """The key that sorts clauses by section, then by their names."""
    return _ORDER.get(section_of(clause), len(_ORDER)), clause
