"""deleteNode (VOSpace 2.1, section 6.2.4)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_fault, expect_status, sample
from conformance.wire import Service
from conformance.wire.terms import LENGTH, MD5, PULL


@pytest.mark.clause("VOS-6.2.4-status", source="VOSpace 2.1 §6.2.4: a HTTP 204 status code")
def test_the_status_of_a_deletion(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    expect_status(service.nodes.delete(f"{container}/a"), 204)


@pytest.mark.clause(
    "VOS-6.2.4-gone", source="VOSpace 2.1 §6.2.4; opencadc VOSTest: 200 or 204, then 404"
)
def test_a_deleted_node_is_gone(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    service.make(f"{container}/data", b"bytes")
    for name in ("a", "data"):
        answer = expect_status(service.nodes.delete(f"{container}/{name}"), 200, 204)
        assert answer.content == b""
        expect_status(service.nodes.get(f"{container}/{name}"), 404)
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.4-children", source="VOSpace 2.1 §6.2.4: the children are deleted with the container"
)
def test_a_container_is_deleted_with_its_children(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    service.make(f"{container}/a/b")
    service.make(f"{container}/a/data", b"bytes")
    expect_status(service.nodes.delete(f"{container}/a"), 200, 204)
    for path in ("a", "a/b", "a/data"):
        expect_status(service.nodes.get(f"{container}/{path}"), 404)


@pytest.mark.clause(
    "VOS-CADC-delete-not-empty",
    source="protocol.md 4.6: a container that is not empty is refused with 400, and keeps all",
)
@pytest.mark.needs("refusesNonEmptyDelete")
def test_a_container_that_is_not_empty_stays(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    service.make(f"{container}/a/data", b"bytes")
    expect_status(service.nodes.delete(f"{container}/a"), 400)
    assert service.nodes.read(f"{container}/a").children == ("data",)
    assert service.pull(f"{container}/a/data").content == b"bytes"


@pytest.mark.clause("VOS-6.2.4-missing", source="VOSpace 2.1 §6.2.4: 404 NodeNotFound")
def test_a_missing_node(service: Service, container: str) -> None:
    expect_fault(service.nodes.delete(f"{container}/missing"), 404, "NodeNotFound")


@pytest.mark.clause("VOS-6.2.4-twice", source="VOSpace 2.1 §6.2.4: 404 once it is deleted")
def test_a_node_is_deleted_once(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    expect_status(service.nodes.delete(f"{container}/a"), 200, 204)
    expect_status(service.nodes.delete(f"{container}/a"), 404)


@pytest.mark.clause(
    "VOS-6.2.4-container-not-found", source="VOSpace 2.1 §6.2.4: 404 ContainerNotFound"
)
def test_a_missing_container(service: Service, container: str) -> None:
    expect_fault(service.nodes.delete(f"{container}/a/b"), 404, "ContainerNotFound")


@pytest.mark.clause(
    "VOS-6.2.4-link-found", source="VOSpace 2.1 §6.2.4: 400 LinkFound for a link in the path"
)
def test_a_link_in_the_path_is_refused(service: Service, container: str) -> None:
    service.make(f"{container}/real")
    service.make(f"{container}/real/a")
    service.make_link(f"{container}/link", f"{container}/real")
    expect_fault(service.nodes.delete(f"{container}/link/a"), 400, "LinkFound")
    assert service.nodes.read(f"{container}/real").children == ("a",)


@pytest.mark.clause(
    "VOS-6.2.4-link-itself",
    source="VOSpace 2.1 §6.2.4, protocol.md 4.6: a link is deleted itself, never its target",
)
def test_deleting_a_link_leaves_its_target(service: Service, container: str) -> None:
    service.make(f"{container}/real")
    service.make(f"{container}/real/data", b"bytes")
    service.make_link(f"{container}/link", f"{container}/real")
    expect_status(service.nodes.delete(f"{container}/link"), 200, 204)
    assert service.nodes.read(container).children == ("real",)
    assert service.nodes.read(f"{container}/real").children == ("data",)


@pytest.mark.clause(
    "VOS-6.2.4-bytes-gone", source="VOSpace 2.1 §6.2.4: the data of a deleted node is gone"
)
def test_a_name_used_again_is_a_new_node(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, sample(1000), {"urn:mine": "old"})
    expect_status(service.nodes.delete(path), 200, 204)
    service.make(path, b"")
    found = service.nodes.read(path).properties
    assert (found.get(LENGTH, "0"), found.get(MD5), found.get("urn:mine")) == ("0", None, None)


@pytest.mark.clause(
    "VOS-6.2.4-no-pull", source="VOSpace 2.1 §6.2.4, §6.4.3: a deleted node cannot be pulled"
)
def test_a_deleted_node_cannot_be_pulled(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, b"bytes")
    expect_status(service.nodes.delete(path), 200, 204)
    assert service.transfers.negotiate(path, PULL).protocols == ()


@pytest.mark.clause(
    "VOS-6.2.4-siblings", source="VOSpace 2.1 §6.2.4: one node is deleted, no other of a like name"
)
def test_a_container_in_use_keeps_its_siblings(service: Service, container: str) -> None:
    for name in ("a", "ab", "b"):
        service.make(f"{container}/{name}")
    expect_status(service.nodes.delete(f"{container}/a"), 200, 204)
    assert sorted(service.nodes.read(container).children) == ["ab", "b"]
