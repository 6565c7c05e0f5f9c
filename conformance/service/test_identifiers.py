"""Identifiers and the model of nodes (VOSpace 2.1, sections 2 and 3)."""

from __future__ import annotations

import pytest

from conformance.capabilities import Capabilities
from conformance.expect import expect_fault, expect_status, sample
from conformance.grammar import check_node
from conformance.wire import Service, node_document, parse, read_node
from conformance.wire.terms import (
    CONTAINER,
    CORE,
    DATA,
    DATE,
    DESCRIPTION,
    LENGTH,
    LINK,
    TITLE,
    XSI,
)


def swapped(uri: str) -> str:
    """The same URI with the other separator in its authority."""
    authority, slash, path = uri.removeprefix("vos://").partition("/")
    table = str.maketrans("~!", "!~")
    return f"vos://{authority.translate(table)}{slash}{path}"


@pytest.mark.clause(
    "VOS-2-both-separators", source="VOSpace 2.1 §2: a service accepts ! and ~ in requests"
)
def test_both_separators_are_accepted(service: Service, container: str) -> None:
    uri = service.nodes.uri(f"{container}/a")
    expect_status(service.nodes.put(f"{container}/a"), 201)
    other = swapped(service.nodes.uri(f"{container}/b"))
    expect_status(
        service.nodes.put(f"{container}/b", document=node_document(other, CONTAINER)), 201
    )
    answer = service.nodes.post(
        f"{container}/a", document=node_document(swapped(uri), CONTAINER, {TITLE: "t"})
    )
    expect_status(answer, 200)


@pytest.mark.clause(
    "VOS-2-one-separator", source="VOSpace 2.1 §2: a service is consistent in its own URIs"
)
def test_own_uris_use_one_separator(service: Service, container: str) -> None:
    path = f"{container}/a"
    other = swapped(service.nodes.uri(path))
    created = service.nodes.put(path, document=node_document(other, CONTAINER))
    uris = {read_node(created.content).uri, service.nodes.read(path).uri}
    uris |= {node.uri for node in service.nodes.read(container).nodes}
    uris |= {service.nodes.read(container).uri}
    assert len({uri.removeprefix("vos://").partition("/")[0] for uri in uris}) == 1, uris


@pytest.mark.clause(
    "VOS-2-ancestors", source="VOSpace 2.1 §2: all ancestors are resolvable as containers"
)
def test_every_ancestor_is_a_container(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    service.make(f"{container}/a/b")
    elements = f"{container}/a/b".split("/")
    for count in range(len(elements) + 1):
        node = service.nodes.read("/".join(elements[:count]), limit=0)
        assert node.kind == CONTAINER
        assert node.uri == service.nodes.uri("/".join(elements[:count]))


@pytest.mark.clause(
    "VOS-2-hash-in-name",
    source="VOSpace 2.1 §2: a # or ? in a name is percent-encoded, never a fragment or a query",
)
def test_an_encoded_hash_is_part_of_the_name(service: Service, container: str) -> None:
    service.make(f"{container}/h#x")
    assert not service.nodes.exists(f"{container}/h")
    assert service.nodes.read(container).children == ("h#x",)


@pytest.mark.clause(
    "VOS-3.1-container-document", source="VOSpace 2.1 §3.1: elements of a ContainerNode; schema"
)
def test_a_container_document(service: Service, container: str) -> None:
    service.make(f"{container}/inner")
    answer = service.nodes.get(container)
    assert answer.headers["Content-Type"].partition(";")[0] in ("text/xml", "application/xml")
    check_node(answer.content)
    node = read_node(answer.content)
    assert node.kind == CONTAINER
    assert {"properties", "nodes"} <= set(node.elements)


@pytest.mark.clause(
    "VOS-3.1-data-document", source="VOSpace 2.1 §3.1: elements of a DataNode; schema"
)
def test_a_data_document(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    answer = service.nodes.get(f"{container}/data")
    check_node(answer.content)
    assert {"properties", "accepts", "provides"} <= set(read_node(answer.content).elements)


@pytest.mark.clause(
    "VOS-3.1-link-document", source="VOSpace 2.1 §3.1: elements of a LinkNode; schema"
)
def test_a_link_document(service: Service, container: str) -> None:
    service.make_link(f"{container}/link", f"{container}/nowhere")
    answer = service.nodes.get(f"{container}/link")
    check_node(answer.content)
    node = read_node(answer.content)
    assert (node.kind, node.target) == (LINK, service.nodes.uri(f"{container}/nowhere"))


@pytest.mark.clause(
    "VOS-3.1-type-has-prefix",
    source="VOSpace 2.1 §3.1: xsi:type names the type of a node (a QName of the VOSpace schema)",
)
def test_types_are_qualified_names(service: Service, container: str) -> None:
    service.make(f"{container}/inner")
    root = parse(service.nodes.get(container).content)
    for element in (root, *root.iterfind("{*}nodes/{*}node")):
        prefix, colon, _ = str(element.get(f"{{{XSI}}}type")).partition(":")
        assert colon and prefix in element.nsmap


@pytest.mark.clause(
    "VOS-3.1-all-types-parsed",
    source="VOSpace 2.1 §3.1: any type is parsed; one not supported is TypeNotSupported",
)
def test_every_type_of_the_standard_is_parsed(service: Service, container: str) -> None:
    for kind in ("Node", DATA, "UnstructuredDataNode", "StructuredDataNode", CONTAINER):
        answer = service.nodes.put(f"{container}/{kind}", kind)
        if answer.status_code != 201:
            expect_fault(answer, 400, "TypeNotSupported")


@pytest.mark.clause(
    "VOS-3.1-unstructured-bits",
    source="VOSpace 2.1 §3.1: bits read from an UnstructuredDataNode are those written",
)
def test_unstructured_data_keeps_its_bits(service: Service, container: str) -> None:
    path = f"{container}/data"
    expect_status(service.nodes.put(path, "UnstructuredDataNode"), 201)
    content = sample(70_001)
    expect_status(service.transfers.push(path, content), 200, 201)
    assert service.pull(path).content == content


@pytest.mark.clause(
    "VOS-3.1-link-to-anything",
    source="VOSpace 2.1 §3.1: a link target can be any resource, also outside of VOSpace",
)
def test_a_link_may_point_anywhere(service: Service, container: str) -> None:
    targets = ("https://example.org/data.fits", "vos://example.org~other/elsewhere")
    for number, target in enumerate(targets):
        path = f"{container}/link{number}"
        expect_status(service.nodes.put(path, LINK, target=target), 201)
        assert service.nodes.read(path).target == target


@pytest.mark.clause(
    "VOS-3.1-link-properties",
    source="VOSpace 2.1 §3.1: properties of a link do not propagate to its target; opencadc "
    "NodesTest.testLinkNode",
)
@pytest.mark.needs("linkNodeProps")
def test_properties_of_a_link_are_its_own(service: Service, container: str) -> None:
    service.make(f"{container}/target", properties={TITLE: "of the target"})
    service.make_link(f"{container}/link", f"{container}/target")
    changed = service.nodes.post(
        f"{container}/link",
        LINK,
        {TITLE: "of the link"},
        target=service.nodes.uri(f"{container}/target"),
    )
    expect_status(changed, 200)
    assert service.nodes.read(f"{container}/link").properties[TITLE] == "of the link"
    assert service.nodes.read(f"{container}/target").properties[TITLE] == "of the target"


@pytest.mark.clause(
    "VOS-CADC-link-without-properties",
    source="protocol.md 4.2: a service without linkNodeProps refuses them with 400",
)
def test_a_link_that_cannot_have_properties_refuses_them(
    service: Service, container: str, flags: Capabilities
) -> None:
    if flags.has("linkNodeProps"):
        pytest.skip("link nodes may carry properties here")
    target = service.nodes.uri(container)
    expect_status(service.nodes.put(f"{container}/l", LINK, {TITLE: "t"}, target=target), 400)
    assert not service.nodes.exists(f"{container}/l")


@pytest.mark.clause(
    "VOS-3.1-no-bytes", source="VOSpace 2.1 §3.1: a ContainerNode has no data bytes"
)
def test_a_container_has_no_bytes(service: Service, container: str) -> None:
    assert LENGTH not in service.nodes.read(container).properties or (
        service.nodes.read(container).properties[LENGTH] == "0"
    )
    negotiation = service.transfers.negotiate(container, "pullFromVoSpace")
    assert negotiation.protocols == ()


@pytest.mark.clause(
    "VOS-3.2-read-only-marked",
    source="VOSpace 2.1 §3.2: readOnly says that a client cannot change the property",
)
def test_what_the_service_computes_is_marked_read_only(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes", {TITLE: "mine"})
    node = service.nodes.read(f"{container}/data")
    assert {LENGTH, DATE} <= node.read_only
    assert TITLE not in node.read_only


@pytest.mark.clause(
    "VOS-3.2.1-unknown-kept",
    source="VOSpace 2.1 §3.2.1: properties that are not understood are stored as strings",
)
def test_unknown_properties_are_kept(service: Service, container: str) -> None:
    values = {"urn:my-property": "a < b & c", "ivo://example.org/props#x": "é ☃", "custom:s": " x "}
    service.make(f"{container}/a", properties=values)
    found = service.nodes.read(f"{container}/a").properties
    assert {key: found.get(key) for key in values} == values


@pytest.mark.clause(
    "VOS-3.2.2-unique", source="VOSpace 2.1 §3.2.2: a property is identified by a unique URI"
)
def test_a_property_appears_once(service: Service, container: str) -> None:
    service.make(f"{container}/a", properties={TITLE: "1"})
    service.nodes.post(f"{container}/a", CONTAINER, {TITLE: "2"})
    root = parse(service.nodes.get(f"{container}/a").content)
    uris = [element.get("uri") for element in root.iterfind("{*}properties/{*}property")]
    assert len(uris) == len(set(uris))


@pytest.mark.clause(
    "VOS-3.2.4-descriptive",
    source="VOSpace 2.1 §3.2.4: the URIs of the standard properties that describe a resource",
)
def test_standard_properties_can_be_set(service: Service, container: str) -> None:
    words = (
        "title subject description publisher contributor format identifier source language "
        "relation coverage rights"
    )
    values = {CORE + word: f"the {word}" for word in words.split()}
    service.make(f"{container}/a", properties=values)
    found = service.nodes.read(f"{container}/a").properties
    assert {key: found.get(key) for key in values} == values


@pytest.mark.clause(
    "VOS-3.2.4-times",
    source="VOSpace 2.1 §3.2.4 and appendix: btime, ctime, mtime and publicread are recognised",
)
def test_later_standard_properties_are_recognised(service: Service, container: str) -> None:
    for word in ("btime", "ctime", "mtime", "publicread"):
        answer = service.nodes.put(f"{container}/{word}", CONTAINER, {CORE + word: "true"})
        # A read-only one may be refused as such (403), an unknown one would be a 400.
        expect_status(answer, 201, 403)


@pytest.mark.clause(
    "VOS-3.2.4-length-and-date",
    source="VOSpace 2.1 §3.2.4: core#length is the size, core#date a point in time",
)
def test_length_and_date(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"12345", {DESCRIPTION: "d"})
    found = service.nodes.read(f"{container}/data").properties
    assert found[LENGTH] == "5"
    assert found[DATE]
