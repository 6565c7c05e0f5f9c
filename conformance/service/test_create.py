"""createNode: PUT of a node document (VOSpace 2.1, section 6.2.1)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_fault, expect_status
from conformance.grammar import check_node
from conformance.wire import Service, node_document, read_node
from conformance.wire.nodes import XML
from conformance.wire.terms import CONTAINER, CORE, DATA, LENGTH, LINK, MD5, TITLE, VOS


@pytest.mark.clause(
    "VOS-6.2.1-create-container", source="VOSpace 2.1 §6.2.1: 201 and the new node in the body"
)
def test_a_container_is_created(service: Service, container: str) -> None:
    created = expect_status(service.nodes.put(f"{container}/made"), 201)
    check_node(created.content)
    node = read_node(created.content)
    assert (node.kind, node.uri) == (CONTAINER, service.nodes.uri(f"{container}/made"))
    assert service.nodes.read(f"{container}/made").children == ()
    assert service.nodes.read(container).children == ("made",)


@pytest.mark.clause(
    "VOS-6.2.1-create-data", source="VOSpace 2.1 §6.2.1; opencadc NodesTest.testDataNode"
)
def test_a_data_node_is_created_empty(service: Service, container: str) -> None:
    created = expect_status(service.nodes.put(f"{container}/made", DATA), 201)
    assert read_node(created.content).kind in (DATA, "UnstructuredDataNode", "StructuredDataNode")
    found = service.nodes.read(f"{container}/made").properties
    assert found.get(LENGTH, "0") == "0"
    assert MD5 not in found


@pytest.mark.clause(
    "VOS-6.2.1-create-link",
    source="VOSpace 2.1 §6.2.1; opencadc NodesTest.testLinkNode: the target need not exist",
)
def test_a_link_to_nothing_is_created(service: Service, container: str) -> None:
    target = service.nodes.uri(f"{container}/nowhere")
    expect_status(service.nodes.put(f"{container}/made", LINK, target=target), 201)
    assert service.nodes.read(f"{container}/made").target == target


@pytest.mark.clause(
    "VOS-6.2.1-duplicate", source="VOSpace 2.1 §6.2.1: 409 DuplicateNode when the node exists"
)
def test_a_node_is_created_once(service: Service, container: str) -> None:
    service.make(f"{container}/made", properties={TITLE: "the first"})
    expect_fault(service.nodes.put(f"{container}/made"), 409, "DuplicateNode")
    # Of another type it is a duplicate all the same.
    expect_fault(service.nodes.put(f"{container}/made", DATA), 409, "DuplicateNode")
    node = service.nodes.read(f"{container}/made")
    assert (node.kind, node.properties[TITLE]) == (CONTAINER, "the first")


@pytest.mark.clause(
    "VOS-6.2.1-uri-mismatch", source="VOSpace 2.1 §6.2.1: 400 InvalidURI when URI and URL differ"
)
def test_a_document_for_another_path_is_refused(service: Service, container: str) -> None:
    document = node_document(service.nodes.uri(f"{container}/other"), CONTAINER)
    expect_fault(service.nodes.put(f"{container}/made", document=document), 400, "InvalidURI")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.1-foreign-uri", source="VOSpace 2.1 §6.2.1: 400 InvalidURI; §2: the naming authority"
)
def test_a_document_of_another_service_is_refused(service: Service, container: str) -> None:
    document = node_document(f"vos://example.org~other/{container}/made", CONTAINER)
    expect_fault(service.nodes.put(f"{container}/made", document=document), 400, "InvalidURI")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.1-uri-required", source="VOSpace 2.1 §6.2.1: a valid uri attribute is required"
)
def test_a_document_without_uri_is_refused(service: Service, container: str) -> None:
    document = node_document(None, CONTAINER)
    expect_status(service.nodes.put(f"{container}/made", document=document), 400)
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.1-invalid-uri", source="VOSpace 2.1 §6.2.1: 400 when the URI is invalid (RFC 3986)"
)
def test_a_document_with_an_invalid_uri_is_refused(service: Service, container: str) -> None:
    for bad in ("vos://", "not a uri", f"http://example.org/{container}/made"):
        document = node_document(bad, CONTAINER)
        expect_status(service.nodes.put(f"{container}/made", document=document), 400)
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.1-type-not-supported",
    source="VOSpace 2.1 §6.2.1, §3.1: 400 TypeNotSupported, never an error of the XML parser",
)
def test_an_unknown_type_is_refused(service: Service, container: str) -> None:
    answer = service.nodes.put(f"{container}/made", "HologramNode")
    expect_fault(answer, 400, "TypeNotSupported")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.1-type-absent",
    source="VOSpace 2.1 §6.2.1: without xsi:type a generic Node is implied (which need not be "
    "supported, §3.1)",
)
def test_a_document_without_type_is_a_generic_node(service: Service, container: str) -> None:
    document = node_document(service.nodes.uri(f"{container}/made"), None)
    answer = service.nodes.put(f"{container}/made", document=document)
    if answer.status_code != 201:
        expect_fault(answer, 400, "TypeNotSupported")


@pytest.mark.clause(
    "VOS-6.2.1-container-not-found", source="VOSpace 2.1 §6.2.1: 404 ContainerNotFound"
)
def test_the_container_must_exist(service: Service, container: str) -> None:
    expect_fault(service.nodes.put(f"{container}/a/b"), 404, "ContainerNotFound")
    expect_fault(service.nodes.put(f"{container}/a/b/c"), 404, "ContainerNotFound")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.1-parent-is-data", source="VOSpace 2.1 §2, §6.2.1: a data node is no container: 404"
)
def test_a_data_node_has_no_children(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    expect_fault(service.nodes.put(f"{container}/data/child"), 404, "ContainerNotFound")


@pytest.mark.clause(
    "VOS-6.2.1-link-found", source="VOSpace 2.1 §6.2.1: 400 LinkFound for a link in the path"
)
def test_a_link_in_the_path_is_refused(service: Service, container: str) -> None:
    service.make(f"{container}/real")
    service.make_link(f"{container}/link", f"{container}/real")
    expect_fault(service.nodes.put(f"{container}/link/made"), 400, "LinkFound")
    assert service.nodes.read(f"{container}/real").children == ()


@pytest.mark.clause(
    "VOS-CADC-create-through-link",
    source="protocol.md 4.4: links to the parent are followed (no CADC service knows LinkFound)",
)
@pytest.mark.needs("linksFollowed")
def test_a_node_is_created_through_a_link(service: Service, container: str) -> None:
    service.make(f"{container}/real")
    service.make_link(f"{container}/link", f"{container}/real")
    expect_status(service.nodes.put(f"{container}/link/made"), 201)
    assert service.nodes.read(f"{container}/real").children == ("made",)


@pytest.mark.clause(
    "VOS-6.2.1-read-only-property",
    source="VOSpace 2.1 §6.2.1: setting a read-only property is a PermissionDenied fault",
)
def test_a_read_only_property_is_refused(service: Service, container: str) -> None:
    answer = service.nodes.put(f"{container}/made", CONTAINER, {LENGTH: "123"})
    expect_fault(answer, 403, "PermissionDenied")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-CADC-read-only-ignored",
    source="opencadc NodesTest.testContainerNode: an immutable property is accepted and ignored; "
    "or refused as the standard has it",
)
def test_a_read_only_property_never_takes_effect(service: Service, container: str) -> None:
    answer = service.nodes.put(f"{container}/made", DATA, {LENGTH: "123", MD5: "0" * 32})
    if answer.status_code == 201:
        found = service.nodes.read(f"{container}/made").properties
        assert (found.get(LENGTH, "0"), found.get(MD5)) == ("0", None)
    else:
        expect_status(answer, 403)


@pytest.mark.clause(
    "VOS-6.2.1-views-not-set",
    source="VOSpace 2.1 §6.2.1: the accepts and provides lists cannot be set by this method",
)
def test_views_cannot_be_set(service: Service, container: str) -> None:
    view = "ivo://example.org/views#mine"
    document = node_document(service.nodes.uri(f"{container}/made"), DATA, accepts=[view])
    expect_status(service.nodes.put(f"{container}/made", document=document), 201)
    assert view.encode() not in service.nodes.get(f"{container}/made").content


@pytest.mark.clause(
    "VOS-6.2.1-properties-set", source="VOSpace 2.1 §6.2.1: properties of the template are set"
)
def test_properties_of_the_template_are_set(service: Service, container: str) -> None:
    values = {TITLE: "t", "urn:mine": "m"}
    created = expect_status(service.nodes.put(f"{container}/made", DATA, values), 201)
    for document in (created.content, service.nodes.get(f"{container}/made").content):
        found = read_node(document).properties
        assert {key: found.get(key) for key in values} == values


@pytest.mark.clause(
    "VOS-6.2.1-children-ignored",
    source="VOSpace 2.1 §6.2.1: one node is created at the URL, whatever children the template has",
)
def test_children_in_the_template_are_not_created(service: Service, container: str) -> None:
    uri = service.nodes.uri(f"{container}/made")
    document = node_document(uri, CONTAINER).replace(
        b"<vos:nodes/>",
        f'<vos:nodes><vos:node uri="{uri}/child" xsi:type="vos:DataNode"/></vos:nodes>'.encode(),
    )
    answer = service.nodes.put(f"{container}/made", document=document)
    expect_status(answer, 201, 400)
    if answer.status_code == 201:
        assert service.nodes.read(f"{container}/made").children == ()


@pytest.mark.clause(
    "VOS-6.2.1-auto-name", source="VOSpace 2.1 §6.2.1: .auto stands for a new unique name"
)
@pytest.mark.needs("autoNames")
def test_auto_makes_a_name(service: Service, container: str) -> None:
    for _ in range(2):
        created = expect_status(service.nodes.put(f"{container}/.auto"), 201)
        assert read_node(created.content).name != ".auto"
    assert len(set(service.nodes.read(container).children)) == 2


@pytest.mark.clause(
    "VOS-6.2.1-no-document", source="VOSpace 2.1 §6.2.1, protocol.md 4.4: 400 without a document"
)
def test_a_put_without_document_is_refused(service: Service, container: str) -> None:
    expect_status(service.nodes.put(f"{container}/made", document=b""), 400)
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.1-malformed", source="VOSpace 2.1 §6.2.1: 400 for what is no node document"
)
def test_what_is_no_node_document_is_refused(service: Service, container: str) -> None:
    whole = node_document(service.nodes.uri(f"{container}/made"), CONTAINER)
    other = f'<vos:transfer xmlns:vos="{VOS}" uri="x"/>'.encode()
    for body in (whole[:-10], b"\x00\xff", b"{}", other):
        expect_status(service.nodes.put(f"{container}/made", document=body), 400)
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-CADC-any-content-type",
    source="protocol.md 3: clients send node documents without or with another Content-Type",
)
@pytest.mark.needs("anyContentType")
def test_the_content_type_of_a_document_does_not_matter(service: Service, container: str) -> None:
    uri, url = service.nodes.uri(f"{container}/made"), service.nodes.url(f"{container}/made")
    service.make(f"{container}/made")
    body = node_document(uri, CONTAINER, {TITLE: "t"})
    for kind in ({}, {"Content-Type": "application/xml"}, XML):
        expect_status(service.connection.send("POST", url, data=body, headers=kind), 200)


@pytest.mark.clause(
    "VOS-CADC-unknown-core-key",
    source="opencadc NodesTest.testContainerNode: an unknown ivo://ivoa.net/vospace key is 400",
)
@pytest.mark.needs("coreKeysChecked")
def test_an_unknown_core_property_is_refused(service: Service, container: str) -> None:
    service.make(f"{container}/made")
    for key in (CORE + "make-stuff-up", "ivo://ivoa.net/vospacecore#make-stuff-up"):
        expect_fault(
            service.nodes.post(f"{container}/made", CONTAINER, {key: "x"}), 400, "InvalidArgument"
        )
    assert not any(
        "make-stuff" in key for key in service.nodes.read(f"{container}/made").properties
    )
