"""setNode: POST of a node document (VOSpace 2.1, section 6.3.2)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_fault, expect_status
from conformance.grammar import check_node
from conformance.wire import Service, node_document, read_node
from conformance.wire.terms import CONTAINER, DATA, DATE, DESCRIPTION, LENGTH, LINK, MD5, TITLE


@pytest.fixture
def node(service: Service, container: str) -> str:
    """A container with a title and a property of ours."""
    service.make(f"{container}/node", properties={TITLE: "old", "urn:mine": "kept"})
    return f"{container}/node"


@pytest.mark.clause(
    "VOS-6.3.2-set-property",
    source="VOSpace 2.1 §6.3.2: 200 and the full record; existing and new values are united",
)
def test_a_property_is_set(service: Service, node: str) -> None:
    answer = expect_status(service.nodes.post(node, CONTAINER, {DESCRIPTION: "new"}), 200)
    check_node(answer.content)
    wanted = {TITLE: "old", "urn:mine": "kept", DESCRIPTION: "new"}
    for found in (read_node(answer.content).properties, service.nodes.read(node).properties):
        assert {key: found.get(key) for key in wanted} == wanted


@pytest.mark.clause(
    "VOS-6.3.2-change-property", source="VOSpace 2.1 §6.3.2: a value given replaces the old one"
)
def test_a_property_is_changed(service: Service, node: str) -> None:
    expect_status(service.nodes.post(node, CONTAINER, {TITLE: "new"}), 200)
    found = service.nodes.read(node).properties
    assert (found[TITLE], found["urn:mine"]) == ("new", "kept")


@pytest.mark.clause(
    "VOS-6.3.2-empty-value", source="VOSpace 2.1 §6.3.2: an empty value sets the value to blank"
)
def test_an_empty_value_is_a_value(service: Service, node: str) -> None:
    expect_status(service.nodes.post(node, CONTAINER, {TITLE: ""}), 200)
    assert service.nodes.read(node).properties.get(TITLE) == ""


@pytest.mark.clause(
    "VOS-6.3.2-delete-property", source="VOSpace 2.1 §6.3.2: xsi:nil deletes a property"
)
def test_a_property_is_deleted(service: Service, node: str) -> None:
    expect_status(service.nodes.post(node, CONTAINER, {TITLE: None}), 200)
    found = service.nodes.read(node).properties
    assert TITLE not in found and found["urn:mine"] == "kept"
    # Deleting what is not there is no error.
    expect_status(service.nodes.post(node, CONTAINER, {TITLE: None}), 200)


@pytest.mark.clause(
    "VOS-6.3.2-data-node", source="VOSpace 2.1 §6.3.2; opencadc NodesTest.testDataNode"
)
def test_properties_of_a_data_node(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"12345", {TITLE: "old"})
    expect_status(service.nodes.post(f"{container}/data", DATA, {TITLE: "new"}), 200)
    found = service.nodes.read(f"{container}/data").properties
    assert (found[TITLE], found[LENGTH]) == ("new", "5")
    assert service.pull(f"{container}/data").content == b"12345"


@pytest.mark.clause(
    "VOS-6.3.2-read-only", source="VOSpace 2.1 §6.3.2: 403 for a change of a read-only property"
)
def test_a_read_only_property_cannot_be_changed(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"12345")
    answer = service.nodes.post(f"{container}/data", DATA, {LENGTH: "1"})
    expect_fault(answer, 403, "PermissionDenied")


@pytest.mark.clause(
    "VOS-6.3.2-read-only-stays",
    source="VOSpace 2.1 §6.3.2, protocol.md 4.2: refused or ignored, a read-only property stays",
)
def test_a_read_only_property_stays(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"12345")
    before = service.nodes.read(f"{container}/data").properties
    for key, value in ((LENGTH, "1"), (DATE, "2001-01-01T00:00:00.000"), (MD5, "0" * 32)):
        expect_status(service.nodes.post(f"{container}/data", DATA, {key: value}), 200, 403)
    after = service.nodes.read(f"{container}/data").properties
    assert after[LENGTH] == before[LENGTH]
    assert not after[DATE].startswith("2001")
    assert after.get(MD5) != "0" * 32


@pytest.mark.clause(
    "VOS-6.3.2-full-document",
    source="protocol.md 3: vos posts documents as it received them (vlock, identical vcp): 200",
)
def test_a_document_as_received_can_be_posted(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"12345", {TITLE: "t"})
    received = service.nodes.get(f"{container}/data").content
    expect_status(service.nodes.post(f"{container}/data", document=received), 200)
    found = service.nodes.read(f"{container}/data").properties
    assert (found[TITLE], found[LENGTH]) == ("t", "5")


@pytest.mark.clause(
    "VOS-6.3.2-type-fixed", source="VOSpace 2.1 §6.3.2: the type cannot be modified"
)
def test_the_type_cannot_be_changed(service: Service, node: str) -> None:
    expect_status(service.nodes.post(node, DATA, {TITLE: "new"}), 400)
    found = service.nodes.read(node)
    assert (found.kind, found.properties[TITLE]) == (CONTAINER, "old")


@pytest.mark.clause(
    "VOS-6.3.2-views-fixed", source="VOSpace 2.1 §6.3.2: accepts and provides cannot be modified"
)
def test_views_cannot_be_changed(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    view = "ivo://example.org/views#mine"
    path = f"{container}/data"
    document = node_document(service.nodes.uri(path), DATA, accepts=[view])
    service.nodes.post(path, document=document)
    assert view.encode() not in service.nodes.get(path).content


@pytest.mark.clause(
    "VOS-6.3.2-no-children", source="VOSpace 2.1 §6.3.2: children cannot be created by this method"
)
def test_children_cannot_be_created(service: Service, node: str) -> None:
    uri = service.nodes.uri(node)
    document = node_document(uri, CONTAINER).replace(
        b"<vos:nodes/>",
        f'<vos:nodes><vos:node uri="{uri}/child" xsi:type="vos:DataNode"/></vos:nodes>'.encode(),
    )
    service.nodes.post(node, document=document)
    assert service.nodes.read(node).children == ()


@pytest.mark.clause("VOS-6.3.2-missing", source="VOSpace 2.1 §6.3.2: 404 NodeNotFound")
def test_a_missing_node(service: Service, container: str) -> None:
    answer = service.nodes.post(f"{container}/missing", CONTAINER, {TITLE: "t"})
    expect_fault(answer, 404, "NodeNotFound")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.3.2-container-not-found", source="VOSpace 2.1 §6.3.2: 404 ContainerNotFound"
)
def test_a_missing_container(service: Service, container: str) -> None:
    answer = service.nodes.post(f"{container}/missing/node", CONTAINER, {TITLE: "t"})
    expect_fault(answer, 404, "ContainerNotFound")


@pytest.mark.clause(
    "VOS-6.3.2-uri-mismatch", source="VOSpace 2.1 §6.3.2, protocol.md 4.5: 400 when they differ"
)
def test_a_document_for_another_node_is_refused(service: Service, node: str) -> None:
    document = node_document(service.nodes.uri(f"{node}-other"), CONTAINER, {TITLE: "new"})
    expect_status(service.nodes.post(node, document=document), 400)
    assert service.nodes.read(node).properties[TITLE] == "old"


@pytest.mark.clause(
    "VOS-CADC-link-target-fixed", source="protocol.md 4.5: a link's target cannot be changed"
)
@pytest.mark.needs("linkNodeProps", "files")
def test_the_target_of_a_link_stays(service: Service, container: str) -> None:
    service.make_link(f"{container}/link", f"{container}/first")
    service.nodes.post(
        f"{container}/link", LINK, {TITLE: "t"}, target=service.nodes.uri(f"{container}/second")
    )
    assert service.nodes.read(f"{container}/link").target == service.nodes.uri(f"{container}/first")


@pytest.mark.clause(
    "VOS-6.3.2-malformed", source="VOSpace 2.1 §6.3.2: 400 for what is no node document"
)
def test_what_is_no_node_document_is_refused(service: Service, node: str) -> None:
    for body in (b"", b"<", b"{}"):
        expect_status(service.nodes.post(node, document=body), 400)


@pytest.mark.clause(
    "VOS-6.3.2-many-values",
    source="VOSpace 2.1 §3.2, §6.3.2: values are strings; XML's own characters survive",
)
def test_values_survive(service: Service, node: str) -> None:
    values = {
        "urn:markup": "<a href=\"x\">&amp; 'y'</a>",
        "urn:spaces": "  two  blanks  ",
        "urn:lines": "one\ntwo\ttab",
        "urn:wide": "\U0001f52d é\u0301 \u200f",
        "urn:long": "x" * 4000,
    }
    expect_status(service.nodes.post(node, CONTAINER, values), 200)
    found = service.nodes.read(node).properties
    assert {key: found.get(key) for key in values} == values
