"""getNode: detail, children, paging (VOSpace 2.1, section 6.3.1)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from conformance.capabilities import Capabilities
from conformance.expect import expect_fault, expect_redirect, expect_status
from conformance.wire import Service, parse, read_node, succeed
from conformance.wire.terms import (
    CONTAINER,
    LENGTH,
    READABLE,
    TITLE,
    WRITABLE,
    XSI,
)

NAMES = tuple(f"child{number}" for number in range(1, 7))


@pytest.fixture
def six(service: Service, container: str) -> str:
    """A container of six children, made in another order than that of their names."""
    for name in sorted(NAMES, reverse=True):
        service.make(f"{container}/{name}")
    return container


def fill(service: Service, container: str, count: int) -> list[str]:
    """Make many data nodes, over four connections; returns their names in order."""
    names = [f"n{number:05d}" for number in range(count)]

    def make(part: int) -> None:
        user = service.acting_as(service.connection.credentials)
        user.connection.clause = service.connection.clause
        for name in names[part::4]:
            succeed(user.nodes.put(f"{container}/{name}", "DataNode"))
        user.connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))
    return names


@pytest.mark.clause("VOS-6.3.1-missing", source="VOSpace 2.1 §6.3.1: 404 NodeNotFound")
def test_a_missing_node(service: Service, container: str) -> None:
    answer = service.nodes.get(f"{container}/missing")
    expect_fault(answer, 404, "NodeNotFound")
    assert answer.headers["Content-Type"].startswith("text/plain")
    expect_status(service.nodes.get(f"{container}/missing/below"), 404)


@pytest.mark.clause(
    "VOS-6.3.1-below-data", source="VOSpace 2.1 §6.3.1: 404; a data node has no children"
)
def test_nothing_is_below_a_data_node(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    expect_status(service.nodes.get(f"{container}/data/below"), 404)


@pytest.mark.clause(
    "VOS-6.3.1-full-record", source="VOSpace 2.1 §6.3.1: without parameters the full record"
)
def test_the_full_record(service: Service, container: str) -> None:
    service.make(f"{container}/a", properties={TITLE: "inner"})
    service.nodes.post(container, CONTAINER, {TITLE: "outer"})
    answer = expect_status(service.nodes.get(container), 200)
    node = read_node(answer.content)
    assert node.properties[TITLE] == "outer"
    # Children come at the same level of detail.
    assert node.nodes[0].properties[TITLE] == "inner"


@pytest.mark.clause(
    "VOS-6.3.1-detail-min",
    source="VOSpace 2.1 §6.3.1: detail=min leaves out all optional parts; opencadc testDetail",
)
def test_minimal_detail(service: Service, six: str) -> None:
    node = service.nodes.read(six, detail="min")
    assert not node.properties and not any(child.properties for child in node.nodes)
    assert node.kind == CONTAINER
    assert sorted(node.children) == sorted(NAMES)


@pytest.mark.clause(
    "VOS-6.3.1-detail-properties", source="VOSpace 2.1 §6.3.1: detail=properties has the properties"
)
def test_detail_properties(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"12345", {TITLE: "t"})
    found = service.nodes.read(f"{container}/data", detail="properties").properties
    assert (found[TITLE], found[LENGTH]) == ("t", "5")


@pytest.mark.clause(
    "VOS-6.3.1-detail-max", source="VOSpace 2.1 §6.3.1: detail=max is no less than the default"
)
def test_maximal_detail(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"12345", {TITLE: "t"})
    default = service.nodes.read(container)
    largest = service.nodes.read(container, detail="max")
    assert default.properties.items() <= largest.properties.items()
    assert default.nodes[0].properties.items() <= largest.nodes[0].properties.items()


@pytest.mark.clause(
    "VOS-CADC-readable-writable",
    source="opencadc VOSpaceClientTest: detail=max shows readable and writable, the default not",
)
@pytest.mark.needs("computedRights")
def test_rights_are_shown_in_maximal_detail(service: Service, container: str) -> None:
    service.make(f"{container}/inner")
    shown = service.nodes.read(container, detail="max")
    for node in (shown, *shown.nodes):
        assert (node.properties.get(READABLE), node.properties.get(WRITABLE)) == ("true", "true")
        assert {READABLE, WRITABLE} <= node.read_only
    assert not {READABLE, WRITABLE} & service.nodes.read(container).properties.keys()


@pytest.mark.clause(
    "VOS-6.3.1-direct-children",
    source="VOSpace 2.1 §6.3.1: direct children only; each with xsi:type",
)
def test_only_direct_children_are_listed(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    service.make(f"{container}/a/b")
    service.make(f"{container}/data", b"bytes")
    answer = service.nodes.get(container)
    node = read_node(answer.content)
    assert sorted(node.children) == ["a", "data"]
    assert all(not child.nodes for child in node.nodes)
    listed = parse(answer.content).findall("{*}nodes/{*}node")
    assert all(child.get(f"{{{XSI}}}type") for child in listed)
    assert {child.uri for child in node.nodes} == {
        service.nodes.uri(f"{container}/{name}") for name in ("a", "data")
    }


@pytest.mark.clause(
    "VOS-6.3.1-child-is-node", source="VOSpace 2.1 §6.3.1: a listed child is the node itself"
)
def test_a_listed_child_says_what_the_node_says(service: Service, container: str) -> None:
    service.make(f"{container}/a", properties={TITLE: "t", "urn:x": "y"})
    child = service.nodes.read(container).nodes[0]
    node = service.nodes.read(f"{container}/a")
    assert (child.uri, child.kind, child.properties) == (node.uri, node.kind, node.properties)


def every_child(service: Service, container: str, flags: Capabilities) -> list[str]:
    """All names, page by page where the service pages: it may cap a listing."""
    seen = list(service.nodes.read(container).children)
    while flags.has("paginationSupported") and seen:
        uri = service.nodes.uri(f"{container}/{seen[-1]}")
        page = service.nodes.read(container, uri=uri).children
        if len(page) < 2:
            break
        seen += page[1:]
    return seen


@pytest.mark.clause(
    "VOS-CADC-trailing-slash", source="protocol.md 9: a trailing slash in a node path is tolerated"
)
def test_a_trailing_slash_is_tolerated(service: Service, six: str) -> None:
    answer = service.connection.send("GET", service.nodes.url(six) + "/")
    assert read_node(expect_status(answer, 200).content).uri == service.nodes.uri(six)


@pytest.mark.clause("VOS-6.3.1-root", source="VOSpace 2.1 §6: /nodes is the URL of the top node")
def test_the_root(service: Service) -> None:
    for url in (service.nodes.root, service.nodes.root + "/"):
        answer = expect_status(service.connection.send("GET", url, params={"limit": 0}), 200)
        assert read_node(answer.content).kind == CONTAINER


@pytest.mark.clause("VOS-6.3.1-repeatable", source="VOSpace 2.1 §6.3.1: reading changes nothing")
def test_reading_changes_nothing(service: Service, six: str) -> None:
    assert service.nodes.get(six).content == service.nodes.get(six).content


@pytest.mark.clause(
    "VOS-6.4.3-view-data",
    source="VOSpace 2.1 §6.4.3: view=data reads the bytes; opencadc NodesTest.testDataView",
)
def test_view_data_leads_to_the_bytes(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"the bytes")
    answer = service.nodes.get(f"{container}/data", view="data")
    if answer.status_code != 200:
        url = expect_redirect(answer)
        answer = service.connection.send("GET", url)
    assert answer.content == b"the bytes"


@pytest.mark.clause(
    "VOS-CADC-view-data-location",
    source="opencadc NodesTest.testDataView: 303, the node URL with /files/ for /nodes/",
)
@pytest.mark.needs("files")
def test_view_data_leads_to_files(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"the bytes")
    answer = expect_status(service.nodes.get(f"{container}/data", view="data"), 303)
    assert answer.headers["Location"] == service.file_url(f"{container}/data")


@pytest.mark.clause(
    "VOS-CADC-json", source="protocol.md 4.3: Accept=application/json as a parameter selects JSON"
)
@pytest.mark.needs("jsonNodes")
def test_a_node_as_json(service: Service, six: str) -> None:
    answer = service.connection.send(
        "GET", service.nodes.url(six), params={"Accept": "application/json"}
    )
    expect_status(answer, 200)
    assert answer.headers["Content-Type"].startswith("application/json")
    assert service.nodes.uri(six) in str(answer.json())
