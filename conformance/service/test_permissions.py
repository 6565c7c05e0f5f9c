"""Who may do what (VOSpace 2.1, section 5; protocol.md 8; opencadc's permission tests)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_fault, expect_phase, expect_status
from conformance.wire import Connection, Credentials, Service, transfer_document
from conformance.wire.terms import (
    CONTAINER,
    DATA,
    GROUP_READ,
    GROUP_WRITE,
    IS_PUBLIC,
    PULL,
    PUSH,
    READABLE,
    TITLE,
    WRITABLE,
)

SECOND = pytest.mark.needs("secondUser", "permissionProps")
GROUP = pytest.mark.needs("group", "permissionProps")
STRANGER = pytest.mark.needs("strict", "permissionProps")


@pytest.fixture
def private(service: Service, open_container: str) -> str:
    """A private container with a private data node, below one that anybody can read."""
    path = f"{open_container}/private"
    service.make(path, properties={IS_PUBLIC: "false"})
    service.make(f"{path}/data", b"secret", {IS_PUBLIC: "false"})
    return path


def change(service: Service, path: str, kind: str = CONTAINER, **values: str) -> None:
    """Set permissions, by the short names of their properties."""
    keys = {"public": IS_PUBLIC, "read": GROUP_READ, "write": GROUP_WRITE}
    given = {keys[name]: value for name, value in values.items()}
    expect_status(service.nodes.post(path, kind, given), 200)


@pytest.mark.clause(
    "VOS-5-wrong-token", source="protocol.md 1.3: a credential that is not valid is 401"
)
@pytest.mark.needs("strict")
def test_a_wrong_token_is_refused(service: Service, container: str) -> None:
    somebody = Connection(Credentials("no-such-token"), service.connection.authority_file)
    answer = somebody.send("GET", service.nodes.url(container))
    somebody.close()
    expect_status(answer, 401, 403)


@pytest.mark.clause(
    "VOS-6.2.1-permission", source="VOSpace 2.1 §6.2.1: 403 PermissionDenied without the right"
)
@SECOND
def test_another_user_cannot_create(other: Service, open_container: str) -> None:
    expect_fault(other.nodes.put(f"{open_container}/new"), 403, "PermissionDenied")


@pytest.mark.clause("VOS-6.3.2-permission", source="VOSpace 2.1 §6.3.2: 403 PermissionDenied")
@SECOND
def test_another_user_cannot_change(service: Service, other: Service, open_container: str) -> None:
    answer = other.nodes.post(open_container, CONTAINER, {TITLE: "theirs"})
    expect_fault(answer, 403, "PermissionDenied")
    assert TITLE not in service.nodes.read(open_container).properties


@pytest.mark.clause("VOS-6.2.4-permission", source="VOSpace 2.1 §6.2.4: 403 PermissionDenied")
@SECOND
def test_another_user_cannot_delete(service: Service, other: Service, private: str) -> None:
    expect_fault(other.nodes.delete(private), 403, "PermissionDenied")
    assert service.nodes.exists(private)


@pytest.mark.clause(
    "VOS-6.3.1-permission",
    source="VOSpace 2.1 §6.3.1, protocol.md 4.3: 403 below a container that cannot be read",
)
@SECOND
def test_another_user_cannot_look_into_a_private_container(other: Service, private: str) -> None:
    expect_fault(other.nodes.get(f"{private}/data"), 403, "PermissionDenied")


@pytest.mark.clause(
    "VOS-CADC-private-listing",
    source="protocol.md 4.3: 200, the metadata and an empty list for who cannot read a container",
)
@SECOND
def test_a_private_container_is_listed_empty(other: Service, private: str) -> None:
    node = other.nodes.read(private)
    assert (node.kind, node.children) == (CONTAINER, ())


@pytest.mark.clause("VOS-CADC-public", source="protocol.md 8: ispublic lets anybody read")
@SECOND
def test_a_public_node_is_read_by_all(service: Service, other: Service, private: str) -> None:
    change(service, private, public="true")
    change(service, f"{private}/data", DATA, public="true")
    assert other.nodes.read(private).children == ("data",)
    assert other.pull(f"{private}/data").content == b"secret"


@pytest.mark.clause("VOS-CADC-group-read", source="opencadc NodesTest.testPermissions: groupread")
@GROUP
def test_a_group_may_read(service: Service, other: Service, private: str, group: str) -> None:
    change(service, private, read=group)
    change(service, f"{private}/data", DATA, read=group)
    assert other.nodes.read(private).children == ("data",)
    assert other.pull(f"{private}/data").content == b"secret"
    expect_status(other.nodes.put(f"{private}/new"), 403)
    expect_status(other.nodes.post(private, CONTAINER, {TITLE: "t"}), 403)


@pytest.mark.clause("VOS-CADC-group-write", source="opencadc NodesTest.testPermissions: groupwrite")
@GROUP
def test_a_group_may_write(service: Service, other: Service, private: str, group: str) -> None:
    change(service, private, write=group)
    expect_status(other.nodes.put(f"{private}/new"), 201)
    expect_status(other.nodes.post(private, CONTAINER, {TITLE: "theirs"}), 200)
    # Whoever may write may read, and may remove what is inside.
    assert "new" in other.nodes.read(private).children
    expect_status(other.nodes.delete(f"{private}/new"), 200, 204)


@pytest.mark.clause(
    "VOS-CADC-group-replaced",
    source="opencadc NodesTest.testNodePropertyUpdates: groups are replaced; taken away they end",
)
@GROUP
def test_a_group_is_taken_out(service: Service, other: Service, private: str, group: str) -> None:
    change(service, private, read=group)
    assert other.nodes.read(private).children == ("data",)
    change(service, private, read="")
    assert other.nodes.read(private).children == ()
    assert not service.nodes.read(private).properties.get(GROUP_READ)


@pytest.mark.clause(
    "VOS-CADC-allocation-owner",
    source="opencadc NodesTest.testPermissions: who owns the allocation may read what others make",
)
@GROUP
def test_the_owner_of_the_allocation_reads_all(
    service: Service, other: Service, private: str, group: str
) -> None:
    change(service, private, write=group)
    expect_status(other.nodes.put(f"{private}/theirs", CONTAINER, {IS_PUBLIC: "false"}), 201)
    expect_status(other.nodes.put(f"{private}/theirs/deep", CONTAINER), 201)
    assert service.nodes.read(f"{private}/theirs").children == ("deep",)


@pytest.mark.clause(
    "VOS-CADC-rights-of-another",
    source="protocol.md 4.2: detail=max shows readable and writable for the caller",
)
@pytest.mark.needs("computedRights", "group", "permissionProps")
def test_the_rights_of_another_user(
    service: Service, other: Service, private: str, group: str
) -> None:
    def rights() -> tuple[bool, bool]:
        found = other.nodes.read(private, detail="max").properties
        return READABLE in found, WRITABLE in found

    assert rights() == (False, False)
    change(service, private, read=group)
    assert rights() == (True, False)
    change(service, private, write=group)
    assert rights() == (True, True)


@pytest.mark.clause(
    "VOS-CADC-files-permission",
    source="opencadc FilesTest.testDataNodePermission: HEAD is 200, GET is 403",
)
@pytest.mark.needs("files", "secondUser", "permissionProps")
def test_a_private_file_in_a_public_container(
    service: Service, other: Service, open_container: str
) -> None:
    path = f"{open_container}/data"
    service.make(path, b"secret", {IS_PUBLIC: "false"})
    url = service.file_url(path)
    head = expect_status(other.connection.send("HEAD", url), 200)
    assert head.content == b""
    expect_status(other.connection.send("GET", url), 403)


@pytest.mark.clause(
    "VOS-6.4.3-permission",
    source="opencadc TransferTest.testDataNodePermission: no endpoint, PermissionDenied",
)
@SECOND
def test_another_user_cannot_pull(service: Service, other: Service, open_container: str) -> None:
    path = f"{open_container}/data"
    service.make(path, b"secret", {IS_PUBLIC: "false"})
    found = other.transfers.negotiate(path, PULL)
    assert found.protocols == ()
    job = expect_phase(other.jobs().read(found.job), "ERROR")
    assert "PermissionDenied" in str(job.error)


@pytest.mark.clause(
    "VOS-6.4.1-permission",
    source="opencadc TransferTest.testDataNodePermission: no endpoint for a push either",
)
@SECOND
def test_another_user_cannot_push(service: Service, other: Service, open_container: str) -> None:
    service.make(f"{open_container}/data", b"bytes", {IS_PUBLIC: "true"})
    for name in ("data", "new"):
        assert other.transfers.negotiate(f"{open_container}/{name}", PUSH).protocols == ()
    assert service.nodes.read(open_container).children == ("data",)
    assert service.pull(f"{open_container}/data").content == b"bytes"


@pytest.mark.clause(
    "VOS-CADC-group-push",
    source="opencadc TransferTest.testDataNodePermission: after groupwrite an endpoint is given",
)
@GROUP
def test_a_group_may_push(
    service: Service, other: Service, open_container: str, group: str
) -> None:
    path = f"{open_container}/data"
    service.make(path, b"bytes")
    change(service, path, DATA, write=group)
    expect_status(other.transfers.push(path, b"theirs"), 200, 201)
    assert service.pull(path).content == b"theirs"


@pytest.mark.clause("VOS-6.2.2-permission", source="VOSpace 2.1 §6.2.2: PermissionDenied")
@pytest.mark.needs("secondUser", "permissionProps", "asyncTransfers")
def test_another_user_cannot_move(service: Service, other: Service, open_container: str) -> None:
    service.make(f"{open_container}/a", properties={IS_PUBLIC: "true"})
    uris = service.nodes.uri(f"{open_container}/a"), service.nodes.uri(f"{open_container}/b")
    job = other.jobs().run(transfer_document([uris[0]], uris[1], keep_bytes=False))
    assert "PermissionDenied" in str(expect_phase(job, "ERROR").error)
    assert service.nodes.read(open_container).children == ("a",)


@pytest.mark.clause(
    "VOS-CADC-move-owner", source="protocol.md 5.4: a move needs to write to both containers"
)
@pytest.mark.needs("group", "permissionProps", "asyncTransfers")
def test_a_move_needs_both_containers(
    service: Service, other: Service, open_container: str, group: str
) -> None:
    service.make(f"{open_container}/from", properties={IS_PUBLIC: "true", GROUP_WRITE: group})
    service.make(f"{open_container}/to", properties={IS_PUBLIC: "true"})
    service.make(f"{open_container}/from/a", properties={IS_PUBLIC: "true"})
    uris = [service.nodes.uri(f"{open_container}/{end}") for end in ("from/a", "to")]
    document = transfer_document([uris[0]], uris[1], keep_bytes=False)
    expect_phase(other.jobs().run(document), "ERROR")
    change(service, f"{open_container}/to", write=group)
    expect_phase(other.jobs().run(document), "COMPLETED")
    assert service.nodes.read(f"{open_container}/to").children == ("a",)


@pytest.mark.clause(
    "VOS-CADC-anonymous-reads",
    source="protocol.md 8: without credentials public nodes can be read, and no others",
)
@STRANGER
def test_the_anonymous_caller_reads_public_nodes(
    service: Service, stranger: Service, open_container: str, private: str
) -> None:
    assert stranger.nodes.read(open_container).children == ("private",)
    assert stranger.nodes.read(private).children == ()
    expect_status(stranger.nodes.get(f"{private}/data"), 401, 403)


@pytest.mark.clause(
    "VOS-CADC-anonymous-never-writes",
    source="protocol.md 8: without credentials nothing is written",
)
@STRANGER
def test_the_anonymous_caller_writes_nothing(
    service: Service, stranger: Service, open_container: str
) -> None:
    nodes = stranger.nodes
    expect_status(nodes.put(f"{open_container}/new"), 401, 403)
    expect_status(nodes.post(open_container, CONTAINER, {TITLE: "t"}), 401, 403)
    expect_status(nodes.delete(open_container), 401, 403)
    answer = stranger.transfers.post(
        transfer_document(
            [service.nodes.uri(f"{open_container}/new")],
            PUSH,
            stranger.transfers.usual_protocols(PUSH),
        )
    )
    if answer.status_code in (302, 303):
        details = stranger.connection.send("GET", answer.headers["Location"])
        assert b"endpoint" not in details.content
    assert service.nodes.read(open_container).children == ()


@pytest.mark.clause(
    "VOS-CADC-who-am-i",
    source="protocol.md 1.3: X-VO-Authenticated names the user; else a WWW-Authenticate challenge",
)
@pytest.mark.needs("strict", "files")
def test_the_service_says_whom_it_sees(
    service: Service, stranger: Service, open_container: str
) -> None:
    assert service.nodes.get(open_container).headers.get("X-VO-Authenticated")
    answer = stranger.nodes.get(open_container)
    assert "X-VO-Authenticated" not in answer.headers
    assert "WWW-Authenticate" in answer.headers
