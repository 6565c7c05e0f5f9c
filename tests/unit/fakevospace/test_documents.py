"""The codec, names and properties: values in, values out."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakevospace.describe import NodeRecord, date_text
from fakevospace.documents import (
    TransferDocument,
    TransferProtocol,
    parse_node,
    parse_transfer,
    write_node,
    write_transfer,
)
from fakevospace.names import decode_path, encode_path, node_uri, own_path
from fakevospace.nodes import Kind
from fakevospace.properties import GROUP_READ, IS_LOCKED, merged
from fakevospace.refusals import Refusal
from fakevospace.tokens import Grant, Tokens

VOS_SENDS = b"""<?xml version='1.0' encoding='UTF-8'?>
<node xmlns="http://www.ivoa.net/xml/VOSpace/v2.0" xmlns:ns1="http://www.w3.org/2001/XMLSchema-instance"
 ns1:type="vos:DataNode" uri="vos://cadc.nrc.ca!vault/d/f"><properties>
 <property uri="ivo://ivoa.net/vospace/core#title">a &amp; b</property>
 <property uri="ivo://ivoa.net/vospace/core#subject" ns1:nil="true"/></properties>
 <accepts><view uri="ivo://ivoa.net/vospace/core#defaultview"/></accepts><provides/></node>"""

texts = st.text(
    st.characters(min_codepoint=32, exclude_categories=["Cs", "Cc"], exclude_characters="￾￿"),
    max_size=20,
)
names = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=1, max_size=12)


def test_what_vos_sends_is_read() -> None:
    draft = parse_node(VOS_SENDS)
    assert (draft.uri, draft.kind) == ("vos://cadc.nrc.ca!vault/d/f", Kind.DATA)
    assert draft.properties == {
        "ivo://ivoa.net/vospace/core#title": "a & b",
        "ivo://ivoa.net/vospace/core#subject": None,
    }


@given(st.sampled_from([kind for kind in Kind if kind is not Kind.LINK]), texts, texts)
def test_nodes_round_trip(kind: Kind, value: str, other: str) -> None:
    properties = (("urn:a", value, False), ("urn:b", other, True))
    record = NodeRecord("vos://a~b/c", kind, properties, None, None, ())
    draft = parse_node(write_node(record))
    assert (draft.uri, draft.kind) == (record.uri, kind)
    assert draft.properties == {"urn:a": value, "urn:b": other}


@given(st.sampled_from(["pushToVoSpace", "vos://a~b/c"]), st.sampled_from([None, True, False]))
def test_transfers_round_trip(direction: str, keep: bool | None) -> None:
    protocols = (TransferProtocol("urn:p", "urn:s"), TransferProtocol("urn:q"))
    transfer = TransferDocument("vos://a~b/x", direction, "urn:v", protocols, keep, "2.1")
    assert parse_transfer(write_transfer(transfer)) == transfer


def test_security_methods_need_version_2_1() -> None:
    protocols = (TransferProtocol("urn:p", "urn:s"),)
    new = write_transfer(TransferDocument("vos://a~b/x", "d", None, protocols, None, "2.1"))
    old = parse_transfer(new.replace(b' version="2.1"', b""))
    assert old.protocols == (TransferProtocol("urn:p"),)


@pytest.mark.parametrize(
    "document",
    [b"", b"<", b"<a/>", VOS_SENDS.replace(b"vos:DataNode", b"DataNode"),
     VOS_SENDS.replace(b"vos:DataNode", b"vos:Nothing"),
     VOS_SENDS.replace(b"<node", b"<!DOCTYPE node [<!ENTITY x 'y'>]><node")],
)  # fmt: skip
def test_documents_that_are_none(document: bytes) -> None:
    with pytest.raises(Refusal) as error:
        parse_node(document)
    assert error.value.status == 400


@given(st.binary(max_size=200))
def test_noise_is_refused(noise: bytes) -> None:
    for parse in (parse_node, parse_transfer):
        with pytest.raises(Refusal):
            parse(noise)


@given(st.lists(names, max_size=3))
@example(["e\u0301"])
@example(["100% #1 [a]?"])
def test_paths_round_trip_up_to_nfc(elements: list[str]) -> None:
    try:
        path = decode_path(encode_path("/".join(elements)))
    except Refusal:
        assert any(one in (".", "..") for name in elements for one in name.split("/"))
        return
    assert decode_path(encode_path(path)) == path
    assert own_path(node_uri("cadc.nrc.ca~vault", path), "cadc.nrc.ca~vault") == path


def test_merging_groups_and_locks() -> None:
    stored = {GROUP_READ: "ivo://a/gms?g", IS_LOCKED: "true", "urn:x": "1"}
    changes = {GROUP_READ: " ", IS_LOCKED: "false", "urn:y": ""}
    assert merged(stored, changes) == {"urn:x": "1", "urn:y": ""}


def test_dates() -> None:
    assert date_text(0) == "1970-01-01T00:00:00.000"
    assert date_text(1_700_000_000_007) == "2023-11-14T22:13:20.007"


def test_tokens_are_good_for_one_thing() -> None:
    tokens = Tokens(b"key")
    token = tokens.issue(Grant.READ, "thing", "ann")
    assert tokens.check(token, "thing") == (Grant.READ, "ann")
    assert tokens.check(token, "other") is None
    assert tokens.check("w" + token[1:], "thing") is None
    assert Tokens(b"other key").check(token, "thing") is None
    assert tokens.check("", "thing") is None
    assert tokens.check(tokens.issue(Grant.WRITE, "t", None), "t") == (Grant.WRITE, None)
