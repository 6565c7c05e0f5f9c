"""moveNode and copyNode (VOSpace 2.1, sections 6.2.2 and 6.2.3; opencadc TransferTest)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_phase, expect_redirect, expect_status, sample
from conformance.wire import Job, Protocol, Service, transfer_document
from conformance.wire.terms import CONTAINER, DATA, HTTPS_GET, HTTPS_PUT, LINK, TITLE

pytestmark = pytest.mark.needs("asyncTransfers")


def request(service: Service, source: str, destination: str, *, keep: bool = False) -> bytes:
    """The document of a move, or with `keep` of a copy."""
    nodes = service.nodes
    return transfer_document([nodes.uri(source)], nodes.uri(destination), keep_bytes=keep)


def move(service: Service, source: str, destination: str) -> Job:
    """Move, and wait for the end of the job."""
    return service.jobs().run(request(service, source, destination))


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


@pytest.mark.clause("VOS-6.2.2-see-other", source="VOSpace 2.1 §6.2.2: 303 to the created job")
def test_a_move_answers_303(service: Service, container: str, tree: str) -> None:
    answer = service.jobs().create(request(service, tree, f"{container}/new"))
    job = expect_redirect(answer)
    assert job.startswith(service.jobs().root + "/")
    expect_status(answer, 303)
    expect_phase(service.jobs().finish(job), "COMPLETED")


@pytest.mark.clause("VOS-6.2.2-rename", source="VOSpace 2.1 §6.2.2: a node is moved")
def test_a_data_node_is_renamed(service: Service, tree: str) -> None:
    before = service.nodes.read(f"{tree}/data2")
    expect_phase(move(service, f"{tree}/data2", f"{tree}/new"), "COMPLETED")
    expect_status(service.nodes.get(f"{tree}/data2"), 404)
    assert service.pull(f"{tree}/new").content == b"two"
    after = service.nodes.read(f"{tree}/new")
    assert (after.kind, after.properties[TITLE]) == (before.kind, "the second")


@pytest.mark.clause(
    "VOS-6.2.2-container", source="VOSpace 2.1 §6.2.2: all children are moved; asyncMoveTest"
)
def test_a_container_is_moved_with_all_in_it(service: Service, container: str, tree: str) -> None:
    service.make(f"{tree}/inner/deep", b"deep")
    expect_phase(move(service, tree, f"{container}/new"), "COMPLETED")
    expect_status(service.nodes.get(tree), 404)
    assert sorted(service.nodes.read(f"{container}/new").children) == ["data1", "data2", "inner"]
    assert service.pull(f"{container}/new/data1").content == sample(1000)
    assert service.pull(f"{container}/new/inner/deep").content == b"deep"
    assert service.nodes.read(f"{container}/new").properties[TITLE] == "the directory"


@pytest.mark.clause(
    "VOS-6.2.2-into-container",
    source="VOSpace 2.1 §6.2.2: an existing ContainerNode takes the source in, under its own name",
)
def test_a_node_is_moved_into_a_container(service: Service, container: str, tree: str) -> None:
    service.make(f"{container}/dest")
    expect_phase(move(service, tree, f"{container}/dest"), "COMPLETED")
    assert service.nodes.read(f"{container}/dest").children == ("dir",)
    assert sorted(service.nodes.read(f"{container}/dest/dir").children) == [
        "data1",
        "data2",
        "inner",
    ]
    expect_status(service.nodes.get(tree), 404)


@pytest.mark.clause(
    "VOS-6.2.2-destination-result",
    source="opencadc TransferTest.asyncMoveTest: exactly one result, the URI where the node is now",
)
def test_the_job_tells_where_the_node_is(service: Service, container: str, tree: str) -> None:
    service.make(f"{container}/dest")
    job = expect_phase(move(service, tree, f"{container}/dest"), "COMPLETED")
    assert list(job.results.values()) == [service.nodes.uri(f"{container}/dest/dir")]


@pytest.mark.clause(
    "VOS-6.2.2-duplicate",
    source="VOSpace 2.1 §6.2.2: a destination that is no container is DuplicateNode; asyncMoveTest",
)
def test_a_move_never_overwrites(service: Service, tree: str) -> None:
    job = expect_phase(move(service, f"{tree}/data1", f"{tree}/data2"), "ERROR")
    assert "DuplicateNode" in str(job.error)
    assert service.pull(f"{tree}/data1").content == sample(1000)
    assert service.pull(f"{tree}/data2").content == b"two"
    expect_phase(move(service, f"{tree}/inner", f"{tree}/data2"), "ERROR")
    assert service.nodes.read(f"{tree}/inner").kind == CONTAINER


@pytest.mark.clause(
    "VOS-6.2.2-duplicate-in-container",
    source="VOSpace 2.1 §6.2.2, protocol.md 5.4: a child of that name is in the way",
)
def test_a_child_of_that_name_is_in_the_way(service: Service, container: str, tree: str) -> None:
    service.make(f"{container}/dest")
    service.make(f"{container}/dest/data2", b"in the way")
    job = expect_phase(move(service, f"{tree}/data2", f"{container}/dest"), "ERROR")
    assert "DuplicateNode" in str(job.error)
    assert service.pull(f"{tree}/data2").content == b"two"
    assert service.pull(f"{container}/dest/data2").content == b"in the way"


@pytest.mark.clause(
    "VOS-6.2.2-circular", source="opencadc TransferTest.testCircularMove: a container into itself"
)
def test_a_container_cannot_be_moved_into_itself(service: Service, tree: str) -> None:
    for destination in (f"{tree}/inner", f"{tree}/inner/new", tree):
        expect_phase(move(service, tree, destination), "ERROR")
    assert sorted(service.nodes.read(tree).children) == ["data1", "data2", "inner"]
    assert service.nodes.read(f"{tree}/inner").children == ()


@pytest.mark.clause(
    "VOS-CADC-circular-message", source="opencadc TransferTest.testCircularMove: the message"
)
@pytest.mark.needs("files")
def test_what_is_said_of_a_circular_move(service: Service, tree: str) -> None:
    job = move(service, tree, f"{tree}/inner")
    assert "Cannot move container node into its descendants" in str(job.error)


@pytest.mark.clause(
    "VOS-6.2.2-sibling-prefix",
    source="VOSpace 2.1 §6.2.2: a sibling whose name begins alike is no descendant",
)
def test_a_sibling_is_no_descendant(service: Service, container: str, tree: str) -> None:
    service.make(f"{container}/dir2")
    expect_phase(move(service, tree, f"{container}/dir2"), "COMPLETED")
    assert service.nodes.read(f"{container}/dir2").children == ("dir",)


@pytest.mark.clause(
    "VOS-6.2.2-rename-longer", source="protocol.md 5.4: a plain rename to a longer name is fine"
)
def test_a_container_gets_a_longer_name(service: Service, container: str, tree: str) -> None:
    expect_phase(move(service, tree, f"{container}/dir2"), "COMPLETED")
    assert service.nodes.read(container).children == ("dir2",)


@pytest.mark.clause("VOS-6.2.2-missing", source="VOSpace 2.1 §6.2.2: NodeNotFound")
def test_a_missing_source(service: Service, container: str) -> None:
    job = expect_phase(move(service, f"{container}/missing", f"{container}/new"), "ERROR")
    assert "NodeNotFound" in str(job.error)
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.2.2-missing-parent", source="VOSpace 2.1 §2, §6.2.2: the new container must exist"
)
def test_a_missing_container(service: Service, container: str, tree: str) -> None:
    expect_phase(move(service, tree, f"{container}/missing/new"), "ERROR")
    assert service.nodes.read(container).children == ("dir",)


@pytest.mark.clause(
    "VOS-6.2.2-foreign", source="VOSpace 2.1 §6.2.2: within one service; InvalidURI"
)
def test_a_move_to_another_service(service: Service, tree: str) -> None:
    document = transfer_document(
        [service.nodes.uri(tree)], "vos://example.org~other/x", keep_bytes=False
    )
    answer = service.jobs().create(document)
    if answer.status_code != 400:
        expect_phase(service.jobs().finish(expect_redirect(answer)), "ERROR")
    assert service.nodes.exists(tree)


@pytest.mark.clause(
    "VOS-6.2.2-error-resource",
    source="VOSpace 2.1 §6.2.2: ERROR, the errorSummary, and the fault at (jobid)/error",
)
def test_a_failed_move_tells_why(service: Service, container: str) -> None:
    jobs = service.jobs()
    job = expect_redirect(jobs.create(request(service, f"{container}/x", f"{container}/y")))
    failed = expect_phase(jobs.finish(job), "ERROR")
    answer = expect_status(jobs.get(job, "error"), 200)
    assert answer.text.strip() == failed.error


@pytest.mark.clause(
    "VOS-CADC-move-protocols",
    source="opencadc asyncMoveTest: protocols in the document are ignored",
)
def test_protocols_in_a_move_are_ignored(service: Service, tree: str) -> None:
    document = transfer_document(
        [service.nodes.uri(f"{tree}/data1")],
        service.nodes.uri(f"{tree}/new"),
        [Protocol(HTTPS_PUT), Protocol(HTTPS_GET)],
        keep_bytes=False,
    )
    expect_phase(service.jobs().run(document), "COMPLETED")
    assert service.pull(f"{tree}/new").content == sample(1000)


@pytest.mark.clause(
    "VOS-6.2.2-link", source="protocol.md 5.4: a link is moved itself, its target stays"
)
def test_a_link_is_moved_itself(service: Service, container: str, tree: str) -> None:
    service.make_link(f"{container}/link", tree)
    expect_phase(move(service, f"{container}/link", f"{container}/new"), "COMPLETED")
    node = service.nodes.read(f"{container}/new")
    assert (node.kind, node.target) == (LINK, service.nodes.uri(tree))
    assert service.nodes.exists(tree)


@pytest.mark.clause(
    "VOS-6.2.2-empty-data", source="VOSpace 2.1 §6.2.2: a data node without bytes is moved too"
)
def test_an_empty_data_node_is_moved(service: Service, container: str) -> None:
    service.make(f"{container}/empty", b"")
    expect_phase(move(service, f"{container}/empty", f"{container}/new"), "COMPLETED")
    assert service.nodes.read(f"{container}/new").kind in (DATA, "UnstructuredDataNode")


@pytest.mark.clause(
    "VOS-6.2.2-back-and-forth", source="VOSpace 2.1 §6.2.2: the old name is free again"
)
def test_a_move_there_and_back(service: Service, tree: str) -> None:
    expect_phase(move(service, f"{tree}/data1", f"{tree}/new"), "COMPLETED")
    service.make(f"{tree}/data1", b"another")
    expect_phase(move(service, f"{tree}/data1", f"{tree}/third"), "COMPLETED")
    expect_phase(move(service, f"{tree}/new", f"{tree}/data1"), "COMPLETED")
    assert service.pull(f"{tree}/data1").content == sample(1000)
    assert service.pull(f"{tree}/third").content == b"another"


@pytest.mark.clause(
    "VOS-6.2.2-auto-name", source="VOSpace 2.1 §6.2.2: .auto as destination; the result tells"
)
@pytest.mark.needs("autoNames")
def test_a_move_to_auto(service: Service, container: str, tree: str) -> None:
    job = expect_phase(move(service, tree, f"{container}/.auto"), "COMPLETED")
    assert job.results["destination"].startswith(service.nodes.uri(container) + "/")


@pytest.mark.clause(
    "VOS-6.2.4-null-node", source="VOSpace 2.1 §6.2.4, §3.1: a move to .null deletes"
)
@pytest.mark.needs("nullNode")
def test_a_move_to_null_deletes(service: Service, container: str, tree: str) -> None:
    expect_phase(move(service, tree, f"{container}/.null"), "COMPLETED")
    assert service.nodes.read(container).children == ()
