"""Every document that the service emits validates against the published schemas."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lxml import etree

from .conftest import CORE, LOCKED, VOS, Client

HERE = Path(__file__).resolve()
XSD = Path(os.environ.get("VOSPACE_XSD_DIR", HERE.parents[3].parent / "shared" / "xsd"))
SCHEMAS = {
    "http://www.ivoa.net/xml/UWS/v1.0": "UWS-v1.1.xsd",
    "http://www.ivoa.net/xml/Xlink/xlink.xsd": "XLINK.xsd",
}
NODES = "VOSpace-2.1.xsd"  # 2.0 as published uses a prefix that it does not declare
pytestmark = pytest.mark.skipif(
    not XSD.is_dir(), reason=f"the published schemas are not in {XSD} (set VOSPACE_XSD_DIR)"
)


class Offline(etree.Resolver):
    """Finds what the schemas import beside them."""

    def resolve(self, system_url: str, public_id: str, context: object = None) -> object:
        if system_url not in SCHEMAS:
            return None
        return self.resolve_filename(str(XSD / SCHEMAS[system_url]), context)  # type: ignore[attr-defined]


def schema(name: str) -> etree.XMLSchema:
    # VOSpace-2.1.xsd as published has an attribute twice; "recover" keeps the first.
    parser = etree.XMLParser(no_network=True, recover=True)
    parser.resolvers.add(Offline())
    return etree.XMLSchema(etree.parse(str(XSD / name), parser))


def check(document: bytes, name: str) -> None:
    """Validate; a node has no element of its own in the schema, so it goes into a list of nodes."""
    root = etree.fromstring(document)
    if root.tag == f"{{{VOS}}}node":
        holder = etree.Element(f"{{{VOS}}}searchDetails", nsmap={"vos": VOS})
        etree.SubElement(holder, f"{{{VOS}}}nodes").append(root)
        root = etree.fromstring(etree.tostring(holder))
    schema(name).assertValid(root)


def test_node_documents(both: Client) -> None:
    both.fake.mkdir("d/e")
    both.fake.put("d/f é#1", b"bytes")
    both.fake.set_property("d/f é#1", CORE + "title", "a < b & c")
    both.fake.set_property("d", LOCKED, "true")
    link = both.node("d/l", "LinkNode", target=both.uri("elsewhere"))
    both.fake.set_property("d", LOCKED, None)
    created = both.call("PUT", "nodes/d/l", data=link)
    assert created.status_code == 201
    check(created.content, NODES)
    for path in ("", "d", "d/e", "d/f%20%C3%A9%231", "d/l"):
        for detail in ("min", "properties", "max", "raw"):
            answer = both.call("GET", f"nodes/{path}?detail={detail}")
            assert answer.status_code == 200
            check(answer.content, NODES)


def test_transfer_documents(both: Client) -> None:
    both.fake.put("f", b"x")
    for direction in ("pullFromVoSpace", "pushToVoSpace"):
        method = "ivo://ivoa.net/sso#tls-with-certificate"
        document = both.transfer("f", direction, method=method)
        answer = both.call("POST", "synctrans", data=document)
        answer = both.call("GET", both.call("GET", answer.headers["Location"]).headers["Location"])
        check(answer.content, NODES)


def test_job_documents(both: Client) -> None:
    both.fake.put("a", b"x")
    document = both.transfer("a", both.uri("b"), keep=False)
    pending = both.call("POST", "transfers", data=document).headers["Location"]
    for job in (pending, both.move("a", "c"), both.move("none", "d")):
        check(both.call("GET", job).content, "UWS-v1.1.xsd")
        for part in ("results", "parameters"):
            check(both.call("GET", f"{job}/{part}").content, "UWS-v1.1.xsd")
    check(both.call("GET", "transfers").content, "UWS-v1.1.xsd")


def test_capabilities_declare_what_readers_need(both: Client) -> None:
    root = etree.fromstring(both.call("GET", "capabilities").content)
    assert "xsi" in root.nsmap
    found = {one.get("standardID"): one.findtext("interface/accessURL") for one in root}
    assert found["ivo://ivoa.net/std/VOSpace/v2.0#nodes"] == f"{both.url}/{both.service}/nodes"
    assert "ivo://ivoa.net/std/VOSI#availability" in found
    assert b"true" in both.call("GET", "availability").content


def test_registry_names_the_service(both: Client) -> None:
    answer = both.call("GET", f"{both.url}/reg/resource-caps")
    url = f"{both.url}/{both.service}/capabilities"
    assert answer.text == f"{both.fake.personality.resource_id} = {url}\n"
