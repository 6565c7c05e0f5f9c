"""copyNode (VOSpace 2.1, section 6.2.3)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_phase, sample
from conformance.wire import Job, Service, transfer_document
from conformance.wire.terms import TITLE

pytestmark = pytest.mark.needs("asyncTransfers")


def request(service: Service, source: str, destination: str, *, keep: bool = False) -> bytes:
    """The document of a move, or with `keep` of a copy."""
    nodes = service.nodes
    return transfer_document([nodes.uri(source)], nodes.uri(destination), keep_bytes=keep)


def copy(service: Service, source: str, destination: str) -> Job:
    """Copy, and wait for the end of the job."""
    return service.jobs().run(request(service, source, destination, keep=True))


@pytest.fixture
def tree(service: Service, container: str) -> str:
    """A container `dir` with two data nodes and a container in it."""
    path = f"{container}/dir"
    service.make(path, properties={TITLE: "the directory"})
    service.make(f"{path}/data1", sample(1000))
    service.make(f"{path}/data2", b"two", {TITLE: "the second"})
    service.make(f"{path}/inner")
    return path


@pytest.mark.clause("VOS-6.2.3-data", source="VOSpace 2.1 §6.2.3: a node is copied")
def test_a_data_node_is_copied(service: Service, tree: str) -> None:
    expect_phase(copy(service, f"{tree}/data2", f"{tree}/new"), "COMPLETED")
    for name in ("data2", "new"):
        assert service.pull(f"{tree}/{name}").content == b"two"
        assert service.nodes.read(f"{tree}/{name}").properties[TITLE] == "the second"
    # Two nodes from now on: a change of one is none of the other.
    service.transfers.push(f"{tree}/new", b"changed")
    assert service.pull(f"{tree}/data2").content == b"two"


@pytest.mark.clause("VOS-6.2.3-container", source="VOSpace 2.1 §6.2.3: a deep recursive copy")
def test_a_container_is_copied_with_all_in_it(service: Service, container: str, tree: str) -> None:
    service.make(f"{tree}/inner/deep", b"deep")
    expect_phase(copy(service, tree, f"{container}/new"), "COMPLETED")
    for root in (tree, f"{container}/new"):
        assert sorted(service.nodes.read(root).children) == ["data1", "data2", "inner"]
        assert service.pull(f"{root}/inner/deep").content == b"deep"


@pytest.mark.clause(
    "VOS-6.2.3-into-container", source="VOSpace 2.1 §6.2.3: the copy is placed in the container"
)
def test_a_copy_is_placed_in_a_container(service: Service, container: str, tree: str) -> None:
    service.make(f"{container}/dest")
    expect_phase(copy(service, f"{tree}/data2", f"{container}/dest"), "COMPLETED")
    assert service.pull(f"{container}/dest/data2").content == b"two"


@pytest.mark.clause(
    "VOS-6.2.3-duplicate", source="VOSpace 2.1 §6.2.3: DuplicateNode; nothing is overwritten"
)
def test_a_copy_never_overwrites(service: Service, tree: str) -> None:
    expect_phase(copy(service, f"{tree}/data1", f"{tree}/data2"), "ERROR")
    assert service.pull(f"{tree}/data2").content == b"two"


@pytest.mark.clause("VOS-6.2.3-missing", source="VOSpace 2.1 §6.2.3: NodeNotFound")
def test_a_copy_of_a_missing_node(service: Service, container: str) -> None:
    expect_phase(copy(service, f"{container}/missing", f"{container}/new"), "ERROR")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.3-never-a-move",
    source="VOSpace 2.1 §6.2.3, §3.6.1: keepBytes=true never removes the source",
)
def test_a_copy_keeps_its_source(service: Service, tree: str) -> None:
    copy(service, f"{tree}/data2", f"{tree}/new")
    assert service.pull(f"{tree}/data2").content == b"two"
    # Absent it is true: then too the source stays.
    uris = service.nodes.uri(f"{tree}/data1"), service.nodes.uri(f"{tree}/newer")
    service.jobs().run(transfer_document([uris[0]], uris[1]))
    assert service.pull(f"{tree}/data1").content == sample(1000)
