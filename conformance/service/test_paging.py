"""Listings: limit, uri, order and size (VOSpace 2.1, section 6.3.1)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from conformance.capabilities import Capabilities
from conformance.expect import expect_fault, expect_status
from conformance.wire import Service, read_node, succeed

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


@pytest.mark.clause(
    "VOS-6.3.1-limit-zero",
    source="VOSpace 2.1 §6.3.1; opencadc NodesTest.testLimit: limit=0 is 200",
)
def test_limit_zero_lists_nothing(service: Service, six: str) -> None:
    node = read_node(expect_status(service.nodes.get(six, limit=0), 200).content)
    assert node.children == ()
    assert node.properties


@pytest.mark.clause(
    "VOS-6.3.1-limit", source="VOSpace 2.1 §6.3.1: limit is the maximum number of children"
)
@pytest.mark.needs("paginationSupported")
def test_limit_bounds_a_listing(service: Service, six: str) -> None:
    everything = service.nodes.read(six).children
    for limit in (1, 2, 6, 7, 1000):
        assert service.nodes.read(six, limit=limit).children == everything[:limit]


@pytest.mark.clause(
    "VOS-6.3.1-limit-invalid",
    source="protocol.md 4.3: a negative or non-integer limit is 400 InvalidArgument",
)
def test_a_limit_that_is_none_is_refused(service: Service, container: str) -> None:
    for limit in ("-1", "ten", "1.5"):
        expect_status(service.nodes.get(container, limit=limit), 400)


@pytest.mark.clause(
    "VOS-6.3.1-uri-inclusive",
    source="VOSpace 2.1 §6.3.1: the listing begins at the node named by uri; testListBatches",
)
@pytest.mark.needs("paginationSupported")
def test_a_page_begins_at_the_node_named(service: Service, six: str) -> None:
    pages = {"child1": NAMES[0:3], "child3": NAMES[2:5], "child5": NAMES[4:6]}
    for start, page in pages.items():
        uri = service.nodes.uri(f"{six}/{start}")
        assert service.nodes.read(six, uri=uri, limit=3).children == page


@pytest.mark.clause(
    "VOS-6.3.1-pages-add-up",
    source="VOSpace 2.1 §6.3.1: pages are drawn from the same ordered sequence",
)
@pytest.mark.needs("paginationSupported")
def test_pages_add_up_to_the_listing(service: Service, six: str) -> None:
    everything = service.nodes.read(six).children
    seen = list(service.nodes.read(six, limit=2).children)
    while True:
        start = service.nodes.uri(f"{six}/{seen[-1]}")
        page = service.nodes.read(six, uri=start, limit=2).children
        assert page[0] == seen[-1]
        if len(page) == 1:
            break
        seen += page[1:]
    assert tuple(seen) == everything


@pytest.mark.clause(
    "VOS-CADC-page-from-missing",
    source="protocol.md 4.3: the child named by uri need not exist",
)
@pytest.mark.needs("paginationSupported", "files")
def test_a_page_may_begin_between_two_names(service: Service, six: str) -> None:
    uri = service.nodes.uri(f"{six}/child3-and-more")
    assert service.nodes.read(six, uri=uri).children == NAMES[3:]


@pytest.mark.clause(
    "VOS-6.3.1-uri-elsewhere", source="protocol.md 4.3: a uri that is no child is 400 InvalidURI"
)
def test_a_page_cannot_begin_elsewhere(service: Service, six: str) -> None:
    for uri in (service.nodes.uri("elsewhere/child1"), "vos://example.org~other/child1"):
        expect_status(service.nodes.get(six, uri=uri, limit=3), 400)


@pytest.mark.clause(
    "VOS-CADC-pagination-refused",
    source="opencadc NodesTest.testLimit: without pagination uri is OptionNotSupported, and limit "
    "is accepted",
)
def test_paging_that_is_not_there_is_refused(
    service: Service, six: str, flags: Capabilities
) -> None:
    if flags.has("paginationSupported"):
        pytest.skip("listings can be paged here")
    uri = service.nodes.uri(f"{six}/child3")
    expect_fault(service.nodes.get(six, uri=uri, limit=3), 400, "OptionNotSupported")
    expect_status(service.nodes.get(six, limit=3), 200)


@pytest.mark.clause(
    "VOS-6.3.1-list-600", source="VOSpace 2.1 §6.3.1: all children; vos pages only above 500"
)
def test_a_listing_of_600(service: Service, container: str, flags: Capabilities) -> None:
    names = fill(service, container, 600)
    assert sorted(every_child(service, container, flags)) == names


@pytest.mark.clause(
    "VOS-6.3.1-list-1100",
    source="VOSpace 2.1 §6.3.1: all children, also of more than a thousand (fetch sizes of CADC)",
)
def test_a_listing_of_1100(service: Service, container: str, flags: Capabilities) -> None:
    names = fill(service, container, 1100)
    assert sorted(every_child(service, container, flags)) == names


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
    "VOS-6.3.1-data-has-no-list", source="VOSpace 2.1 §6.3.1: options of listings on a data node"
)
def test_listing_options_on_a_data_node(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    node = service.nodes.read(f"{container}/data", limit=0)
    assert node.children == () and "nodes" not in node.elements


@pytest.mark.clause(
    "VOS-CADC-sort-refused", source="protocol.md 4.3: sort and order on a container are 400"
)
@pytest.mark.needs("sortRefused")
def test_sorting_is_refused(service: Service, six: str) -> None:
    expect_status(service.nodes.get(six, order="desc"), 400)
    expect_status(service.nodes.get(six, sort="ivo://ivoa.net/vospace/core#date"), 400)
