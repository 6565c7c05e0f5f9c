"""Whether a document is what the standards say: the grammar `vospace.rng`, with readable errors."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lxml import etree

from conformance.wire import parse

_GRAMMAR = Path(__file__).parent / "vospace.rng"


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(_GRAMMAR)))


def check(document: bytes, name: str) -> None:
    """The document is one of this name (`node`, `transfer`, `job`, ...) and valid."""
    root = parse(document)
    found = str(root.tag).rpartition("}")[2]
    if found != name:
        raise AssertionError(f"a {found} document instead of a {name}: {document[:300]!r}")
    schema = _schema()
    if not schema.validate(root):
        errors = "; ".join(str(error.message) for error in schema.error_log)
        raise AssertionError(f"not a valid {name} document: {errors}: {document[:2000]!r}")


def check_node(document: bytes) -> None:
    """The document is a valid node."""
    check(document, "node")
