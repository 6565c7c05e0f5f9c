"""Every document that the service emits validates against the published schemas."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from lxml import etree

from .conftest import CORE, LOCKED, VOS, Client, MakeClient

HERE = Path(__file__).resolve()
XSD = Path(os.environ.get("VOSPACE_XSD_DIR", HERE.parents[3].parent / "shared" / "xsd"))
SCHEMAS = {
    "http://www.ivoa.net/xml/UWS/v1.0": "UWS-v1.1.xsd",
    "http://www.ivoa.net/xml/Xlink/xlink.xsd": "XLINK.xsd",
}
XML = {"Content-Type": "text/xml"}
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


def test_node_documents(each: Client) -> None:
    each.fake.mkdir("d/e")
    each.fake.put("d/f é#1", b"bytes")
    each.fake.set_property("d/f é#1", CORE + "title", "a < b & c")
    each.fake.set_property("d", LOCKED, "true")
    link = each.node("d/l", "LinkNode", target=each.uri("elsewhere"))
    each.fake.set_property("d", LOCKED, None)
    created = each.call("PUT", "nodes/d/l", data=link, headers=XML)
    assert created.status_code == 201
    check(created.content, NODES)
    for path in ("", "d", "d/e", "d/f%20%C3%A9%231", "d/l"):
        for detail in ("min", "properties", "max", "raw"):
            answer = each.call("GET", f"nodes/{path}?detail={detail}")
            assert answer.status_code == 200
            check(answer.content, NODES)


def test_transfer_documents(each: Client) -> None:
    each.fake.put("f", b"x")
    for direction in ("pullFromVoSpace", "pushToVoSpace"):
        method = "ivo://ivoa.net/sso#tls-with-certificate"
        document = each.transfer("f", direction, method=method)
        answer = each.negotiate(document)
        while answer.is_redirect:
            answer = each.call("GET", answer.headers["Location"])
        check(answer.content, NODES)


def test_job_documents(each: Client) -> None:
    each.fake.put("a", b"x")
    document = each.transfer("a", each.uri("b"), keep=False)
    pending = each.negotiate(document, "transfers").headers["Location"]
    for job in (pending, each.move("a", "c"), each.move("none", "d")):
        check(each.call("GET", job).content, "UWS-v1.1.xsd")
        for part in ("results", "parameters"):
            check(each.call("GET", f"{job}/{part}").content, "UWS-v1.1.xsd")
    check(each.call("GET", "transfers").content, "UWS-v1.1.xsd")
    if not each.fake.personality.recursive_jobs:
        return
    each.fake.mkdir("t")
    for resource, body in (
        ("async-setprops", each.node("t", "ContainerNode", {CORE + "title": "t"})),
        ("async-delete", f"target={each.uri('t')}".encode()),
    ):
        kind = "application/x-www-form-urlencoded" if body.startswith(b"target") else "text/xml"
        answer = each.call("POST", resource, data=body, headers={"Content-Type": kind})
        job = answer.headers["Location"]
        check(each.call("GET", job).content, "UWS-v1.1.xsd")
        each.call("POST", f"{job}/phase", data={"PHASE": "RUN"})
        assert each.call("GET", f"{job}/phase").text == "COMPLETED"
        check(each.call("GET", job).content, "UWS-v1.1.xsd")
        check(each.call("GET", resource).content, "UWS-v1.1.xsd")


def test_catalogue_documents(make: MakeClient) -> None:
    spec = make("spec")
    for name in ("properties", "views", "protocols"):
        check(spec.call("GET", name).content, NODES)


def test_package_job_documents(cavern: Client) -> None:
    document = cavern.transfer("f", "pullFromVoSpace").replace(
        b"</direction>",
        b'</direction><view uri="vos://cadc.nrc.ca~vospace/CADC/std/Pkg-1.0">'
        b'<param uri="ivo://ivoa.net/vospace/core#format">application/zip</param></view>',
    )
    run = cavern.call("POST", "synctrans", data=document).headers["Location"]
    job = run.replace("/pkg/", "/transfers/").removesuffix("/run")
    check(cavern.call("GET", job).content, "UWS-v1.1.xsd")


def test_capabilities_declare_what_readers_need(each: Client) -> None:
    root = etree.fromstring(each.call("GET", "capabilities").content)
    assert "xsi" in root.nsmap
    found = {one.get("standardID"): one.findtext("interface/accessURL") for one in root}
    assert found["ivo://ivoa.net/std/VOSpace/v2.0#nodes"] == f"{each.url}/{each.service}/nodes"
    assert "ivo://ivoa.net/std/VOSI#availability" in found
    assert b"true" in each.call("GET", "availability").content


def test_pyvo_reads_capabilities_and_availability(each: Client) -> None:
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):  # astropy wants what it is told of
        Path(os.environ[variable]).mkdir(parents=True, exist_ok=True)
    from pyvo.io import vosi  # imports astropy: here, for this test alone

    for name, parse in (
        ("capabilities", vosi.parse_capabilities),
        ("availability", vosi.parse_availability),
    ):
        found = parse(io.BytesIO(each.call("GET", name).content), pedantic=True)
        if name == "availability":
            assert found.available is True
            continue
        ids = {one.standardid: one for one in found}
        nodes = ids["ivo://ivoa.net/std/VOSpace/v2.0#nodes"]
        (interface,) = nodes.interfaces
        assert interface.accessurls[0].content.endswith("/nodes")
        assert len(interface.securitymethods) == 4


def test_registry_names_the_service(each: Client) -> None:
    answer = each.call("GET", f"{each.url}/reg/resource-caps")
    url = f"{each.url}/{each.service}/capabilities"
    assert answer.text == f"{each.fake.personality.resource_id} = {url}\n"
