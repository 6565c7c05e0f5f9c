"""Links inside a path are followed (protocol.md 4.3, 8; CADC's services)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_fault, expect_status
from conformance.wire import Service, transfer_document
from conformance.wire.terms import CONTAINER, LINK

pytestmark = pytest.mark.needs("linksFollowed")


@pytest.fixture
def linked(service: Service, container: str) -> str:
    """A container with `real`/inner/data, and `link` to `real`."""
    service.make(f"{container}/real")
    service.make(f"{container}/real/inner")
    service.make(f"{container}/real/inner/data", b"bytes")
    service.make_link(f"{container}/link", f"{container}/real")
    return container


@pytest.mark.clause(
    "VOS-CADC-link-in-path", source="protocol.md 4.3: intermediate links are followed"
)
def test_a_link_in_the_path_is_followed(service: Service, linked: str) -> None:
    assert service.nodes.read(f"{linked}/link/inner").children == ("data",)
    assert service.pull(f"{linked}/link/inner/data").content == b"bytes"


@pytest.mark.clause(
    "VOS-CADC-link-leaf", source="protocol.md 4.3: a leaf link is returned as it is"
)
def test_a_link_itself_is_shown(service: Service, linked: str) -> None:
    node = service.nodes.read(f"{linked}/link")
    assert (node.kind, node.target) == (LINK, service.nodes.uri(f"{linked}/real"))
    kinds = {child.name: child.kind for child in service.nodes.read(linked).nodes}
    assert kinds == {"real": CONTAINER, "link": LINK}


@pytest.mark.clause("VOS-CADC-link-to-link", source="protocol.md 8: links to links, to 20 hops")
def test_links_to_links(service: Service, linked: str) -> None:
    last = f"{linked}/link"
    for number in range(10):
        service.make_link(f"{linked}/l{number}", last)
        last = f"{linked}/l{number}"
    assert service.nodes.read(f"{last}/inner").children == ("data",)


@pytest.mark.clause(
    "VOS-CADC-link-cycle", source="protocol.md 4.3: a cycle is 404 UnreadableLinkTarget"
)
def test_a_cycle_of_links(service: Service, container: str) -> None:
    service.make_link(f"{container}/self", f"{container}/self")
    service.make_link(f"{container}/a", f"{container}/b")
    service.make_link(f"{container}/b", f"{container}/c")
    service.make_link(f"{container}/c", f"{container}/a")
    for name in ("self", "a", "b", "c"):
        expect_fault(service.nodes.get(f"{container}/{name}/x"), 404, "UnreadableLinkTarget")
        assert service.nodes.read(f"{container}/{name}").kind == LINK


@pytest.mark.clause(
    "VOS-CADC-link-deep-cycle", source="protocol.md 4.3: a cycle through containers ends too"
)
def test_a_cycle_through_a_container(service: Service, container: str) -> None:
    service.make(f"{container}/d")
    service.make_link(f"{container}/d/up", container)
    assert "d" in service.nodes.read(f"{container}/d/up/d/up/d").uri
    deep = "/d/up" * 30
    answer = service.nodes.get(f"{container}{deep}/d")
    expect_status(answer, 200, 404)


@pytest.mark.clause("VOS-CADC-link-broken", source="protocol.md 4.3, 4.7: 404 for a broken link")
def test_a_broken_link(service: Service, container: str) -> None:
    service.make_link(f"{container}/broken", f"{container}/missing")
    expect_status(service.nodes.get(f"{container}/broken/x"), 404)
    expect_status(service.nodes.put(f"{container}/broken/x"), 404)


@pytest.mark.clause(
    "VOS-CADC-link-elsewhere",
    source="protocol.md 4.3: a target in another service is 400 in a path",
)
@pytest.mark.needs("linkNodeProps")
def test_a_link_out_of_the_service(service: Service, container: str) -> None:
    target = "vos://example.org~other/elsewhere"
    expect_status(service.nodes.put(f"{container}/out", LINK, target=target), 201)
    expect_status(service.nodes.get(f"{container}/out/x"), 400)


@pytest.mark.clause(
    "VOS-CADC-link-move-in", source="protocol.md 5.4: a link to a container takes in"
)
@pytest.mark.needs("asyncTransfers")
def test_a_move_into_a_linked_container(service: Service, linked: str) -> None:
    service.make(f"{linked}/data", b"moved")
    uris = service.nodes.uri(f"{linked}/data"), service.nodes.uri(f"{linked}/link")
    job = service.jobs().run(transfer_document([uris[0]], uris[1], keep_bytes=False))
    assert job.phase == "COMPLETED", job
    assert service.pull(f"{linked}/real/data").content == b"moved"
