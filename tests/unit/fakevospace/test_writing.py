"""Node documents are written as text; an XML parser must read back what was meant."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fakevospace.describe import NodeRecord
from fakevospace.documents import VOS, XSI, write_node
from fakevospace.nodes import Kind

TEXTS = st.text(st.characters(min_codepoint=0x20, exclude_characters="\ufffe\uffff"), max_size=30)
RECORDS = st.recursive(
    st.builds(
        NodeRecord, TEXTS, st.sampled_from(Kind), st.none() | st.lists(
            st.tuples(TEXTS, TEXTS, st.booleans()), max_size=3).map(tuple),
        st.none() | st.booleans(), st.none() | TEXTS, st.none(),
    ),
    lambda inner: st.builds(
        NodeRecord, TEXTS, st.just(Kind.CONTAINER), st.none(), st.none(), st.none(),
        st.lists(inner, max_size=3).map(tuple),
    ),
    max_leaves=6,
)  # fmt: skip


def read(node: etree._Element) -> NodeRecord:
    """The record that a node element stands for."""
    holder = node.find(f"{{{VOS}}}properties")
    properties = None
    if holder is not None:
        properties = tuple(
            (one.get("uri") or "", one.text or "", one.get("readOnly") == "true") for one in holder
        )
    children = node.find(f"{{{VOS}}}nodes")
    busy = node.get("busy")
    return NodeRecord(
        node.get("uri") or "",
        Kind((node.get(f"{{{XSI}}}type") or "").removeprefix("vos:")),
        properties,
        None if busy is None else busy == "true",
        node.findtext(f"{{{VOS}}}target"),
        None if children is None else tuple(read(one) for one in children),
    )


def meant(record: NodeRecord) -> NodeRecord:
    """What of a record shows in a document: targets in links only, children elsewhere only."""
    link = record.kind is Kind.LINK
    children = None if record.children is None else tuple(meant(one) for one in record.children)
    return NodeRecord(
        record.uri,
        record.kind,
        record.properties,
        record.busy,
        (record.target or "") if link else None,
        None if link else children,
    )


@given(RECORDS)
def test_what_is_written_is_read(record: NodeRecord) -> None:
    assert read(etree.fromstring(write_node(record))) == meant(record)


def test_what_xml_cannot_hold_becomes_a_question_mark() -> None:
    record = NodeRecord(
        "a\x00b\ud800\t", Kind.DATA, (("k", "\x1b\ufffe\n", False),), False, None, None
    )
    found = read(etree.fromstring(write_node(record)))
    assert found.uri == "a?b?\t" and found.properties == (("k", "??\n", False),)
