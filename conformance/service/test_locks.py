"""Locks (opencadc NodesTest.testContainerNode, protocol.md 8), and services without."""

from __future__ import annotations

import pytest

from conformance.capabilities import Capabilities
from conformance.expect import expect_fault, expect_phase, expect_status
from conformance.wire import Service, transfer_document
from conformance.wire.terms import CONTAINER, DATA, IS_LOCKED, LENGTH, PUSH, TITLE

LOCKED = {IS_LOCKED: "true"}


@pytest.fixture
def locked(service: Service, container: str) -> str:
    """A locked container with a data node and a container in it."""
    path = f"{container}/locked"
    service.make(path)
    service.make(f"{path}/data", b"bytes")
    service.make(f"{path}/inner")
    expect_status(service.nodes.post(path, CONTAINER, LOCKED), 200)
    return path


def move(service: Service, source: str, destination: str) -> str:
    """The phase in which a move ends."""
    uris = service.nodes.uri(source), service.nodes.uri(destination)
    return service.jobs().run(transfer_document([uris[0]], uris[1], keep_bytes=False)).phase


@pytest.mark.clause("VOS-CADC-lock-visible", source="opencadc NodesTest.testContainerNode")
@pytest.mark.needs("nodelockSupported")
def test_a_lock_is_visible(service: Service, locked: str) -> None:
    assert service.nodes.read(locked).properties[IS_LOCKED] == "true"


@pytest.mark.clause(
    "VOS-CADC-lock-create", source="opencadc NodesTest.testContainerNode: PUT of a child is 403"
)
@pytest.mark.needs("nodelockSupported")
def test_nothing_is_created_in_a_locked_container(service: Service, locked: str) -> None:
    for kind in (CONTAINER, DATA):
        expect_fault(service.nodes.put(f"{locked}/new", kind), 403, "PermissionDenied")
    assert sorted(service.nodes.read(locked).children) == ["data", "inner"]


@pytest.mark.clause(
    "VOS-CADC-lock-delete-in", source="protocol.md 8: no DELETE in a locked container"
)
@pytest.mark.needs("nodelockSupported")
def test_nothing_is_deleted_in_a_locked_container(service: Service, locked: str) -> None:
    for name in ("data", "inner"):
        expect_fault(service.nodes.delete(f"{locked}/{name}"), 403, "PermissionDenied")
    assert sorted(service.nodes.read(locked).children) == ["data", "inner"]


@pytest.mark.clause(
    "VOS-CADC-lock-delete", source="protocol.md 4.6: DELETE of a locked node is 403"
)
@pytest.mark.needs("nodelockSupported")
def test_a_locked_node_is_not_deleted(service: Service, container: str) -> None:
    for name, kind in (("a", CONTAINER), ("data", DATA)):
        expect_status(service.nodes.put(f"{container}/{name}", kind, LOCKED), 201)
        expect_fault(service.nodes.delete(f"{container}/{name}"), 403, "PermissionDenied")
        assert service.nodes.exists(f"{container}/{name}")
        service.nodes.post(f"{container}/{name}", kind, {IS_LOCKED: "false"})


@pytest.mark.clause("VOS-CADC-lock-push", source="protocol.md 8: no push to a locked node")
@pytest.mark.needs("nodelockSupported")
def test_nothing_is_pushed_to_a_locked_node(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, b"bytes")
    service.nodes.post(path, DATA, LOCKED)
    found = service.transfers.negotiate(path, PUSH)
    assert found.protocols == ()
    expect_phase(service.jobs().read(found.job), "ERROR")
    assert service.nodes.read(path).properties[LENGTH] == "5"
    service.nodes.post(path, DATA, {IS_LOCKED: None})


@pytest.mark.clause(
    "VOS-CADC-lock-push-new", source="protocol.md 8: no push into a locked container"
)
@pytest.mark.needs("nodelockSupported")
def test_nothing_is_pushed_into_a_locked_container(service: Service, locked: str) -> None:
    found = service.transfers.negotiate(f"{locked}/new", PUSH)
    assert found.protocols == ()
    assert sorted(service.nodes.read(locked).children) == ["data", "inner"]


@pytest.mark.clause("VOS-CADC-lock-move", source="protocol.md 8: no move out of, or into, a lock")
@pytest.mark.needs("nodelockSupported", "asyncTransfers")
def test_nothing_is_moved_past_a_lock(service: Service, container: str, locked: str) -> None:
    service.make(f"{container}/a")
    assert move(service, f"{locked}/inner", f"{container}/new") == "ERROR"
    assert move(service, f"{container}/a", f"{locked}/new") == "ERROR"
    assert sorted(service.nodes.read(locked).children) == ["data", "inner"]
    assert sorted(service.nodes.read(container).children) == ["a", "locked"]


@pytest.mark.clause("VOS-CADC-lock-read", source="protocol.md 8: a lock does not stop reading")
@pytest.mark.needs("nodelockSupported")
def test_a_lock_does_not_stop_reading(service: Service, locked: str) -> None:
    assert service.pull(f"{locked}/data").content == b"bytes"


@pytest.mark.clause(
    "VOS-CADC-lock-properties", source="protocol.md 4.5: a lock does not stop changes of properties"
)
@pytest.mark.needs("nodelockSupported")
def test_a_lock_does_not_stop_properties(service: Service, locked: str) -> None:
    expect_status(service.nodes.post(locked, CONTAINER, {TITLE: "t"}), 200)
    expect_status(service.nodes.post(f"{locked}/data", DATA, {TITLE: "t"}), 200)


@pytest.mark.clause("VOS-CADC-lock-not-inherited", source="protocol.md 8: a lock is of one node")
@pytest.mark.needs("nodelockSupported")
def test_a_lock_is_not_inherited(service: Service, locked: str) -> None:
    expect_status(service.nodes.put(f"{locked}/inner/new"), 201)
    expect_status(service.nodes.delete(f"{locked}/inner/new"), 200, 204)


@pytest.mark.clause(
    "VOS-CADC-unlock",
    source="opencadc NodesTest.testContainerNode: islocked=false unlocks; vlock sends xsi:nil",
)
@pytest.mark.needs("nodelockSupported")
def test_a_node_is_unlocked(service: Service, locked: str) -> None:
    for value in ("false", None):
        expect_status(service.nodes.post(locked, CONTAINER, {IS_LOCKED: value}), 200)
        assert service.nodes.read(locked).properties.get(IS_LOCKED, "false") == "false"
        expect_status(service.nodes.put(f"{locked}/new"), 201)
        expect_status(service.nodes.delete(f"{locked}/new"), 200, 204)
        expect_status(service.nodes.post(locked, CONTAINER, LOCKED), 200)


@pytest.mark.clause(
    "VOS-CADC-lock-dropped",
    source="protocol.md 8: without locks the POST is 200, and has no effect",
)
def test_a_lock_that_is_not_there_stops_nobody(
    service: Service, locked: str, flags: Capabilities
) -> None:
    if flags.has("nodelockSupported"):
        pytest.skip("locks are enforced here")
    expect_status(service.nodes.put(f"{locked}/new"), 201)
    expect_status(service.nodes.delete(f"{locked}/new"), 200, 204)
