"""Negotiating a transfer: protocols, views, security methods, refusals (VOSpace 2.1, sections 3.6
and 6.4).
"""

from __future__ import annotations

import pytest

from conformance.expect import (
    expect_fault,
    expect_phase,
    expect_redirect,
    expect_status,
)
from conformance.wire import Protocol, Service, transfer_document
from conformance.wire.terms import (
    CERTIFICATE,
    CONTAINER,
    CORE,
    HTTP_PUT,
    HTTPS_PUT,
    PUSH,
    TOKEN,
)

PUTS = (Protocol(HTTPS_PUT), Protocol(HTTP_PUT))


def document(service: Service, path: str) -> bytes:
    """A request for a push."""
    return transfer_document([service.nodes.uri(path)], PUSH, PUTS)


@pytest.mark.clause(
    "VOS-6.4.1-unknown-protocols",
    source="VOSpace 2.1 §6.4.1, §3.6.4: protocols that are not understood are ignored",
)
def test_unknown_protocols_are_ignored(service: Service, container: str) -> None:
    asked = [Protocol("ivo://example.org/protocols#pigeon"), *PUTS]
    found = service.transfers.negotiate(f"{container}/data", PUSH, asked)
    assert found.protocols and {one.uri for one in found.protocols} <= {HTTP_PUT, HTTPS_PUT}


@pytest.mark.clause(
    "VOS-6.4.1-no-protocol",
    source="VOSpace 2.1 §6.4.1, §3.6.4: no protocol supported: the job is in ERROR, with a fault",
)
def test_no_supported_protocol_is_an_error(service: Service, container: str) -> None:
    asked = [Protocol("ivo://example.org/protocols#pigeon")]
    found = service.transfers.negotiate(f"{container}/data", PUSH, asked)
    assert found.protocols == ()
    job = expect_phase(service.jobs().read(found.job), "ERROR")
    assert "ProtocolNotSupported" in str(job.error)


@pytest.mark.clause(
    "VOS-6.4.1-no-protocol-no-endpoint",
    source="VOSpace 2.1 §6.4.1: protocols that cannot be supported are not in the result",
)
def test_no_supported_protocol_means_no_endpoint(service: Service, container: str) -> None:
    asked = [Protocol("ivo://example.org/protocols#pigeon")]
    found = service.transfers.negotiate(f"{container}/data", PUSH, asked)
    assert found.protocols == ()


@pytest.mark.clause(
    "VOS-6.4.1-view-not-supported",
    source="VOSpace 2.1 §6.4.1: a view that is not supported: ERROR, ViewNotSupported",
)
def test_an_unknown_view_is_an_error(service: Service, container: str) -> None:
    found = service.transfers.negotiate(
        f"{container}/data", PUSH, PUTS, view="ivo://example.org/views#hologram"
    )
    assert found.protocols == ()
    job = expect_phase(service.jobs().read(found.job), "ERROR")
    assert "ViewNotSupported" in str(job.error)


@pytest.mark.clause(
    "VOS-6.4.1-default-view",
    source="VOSpace 2.1 §3.4.4: the default view may be named",
)
def test_the_default_view_may_be_named(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    found = service.transfers.negotiate(
        f"{container}/data", "pullFromVoSpace", view=CORE + "defaultview"
    )
    assert found.protocols


@pytest.mark.clause(
    "VOS-6.4.1-container-target", source="protocol.md 5.2: bytes cannot be pushed to a container"
)
def test_a_push_to_a_container_is_refused(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    found = service.transfers.negotiate(f"{container}/a", PUSH)
    assert found.protocols == ()
    expect_phase(service.jobs().read(found.job), "ERROR")
    assert service.nodes.read(f"{container}/a").kind == CONTAINER


@pytest.mark.clause(
    "VOS-6.4.1-missing-container", source="VOSpace 2.1 §2, §6.4.1: the container must exist"
)
def test_a_push_into_nowhere_is_refused(service: Service, container: str) -> None:
    found = service.transfers.negotiate(f"{container}/a/data", PUSH)
    assert found.protocols == ()
    expect_phase(service.jobs().read(found.job), "ERROR")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-5-security-method",
    source="VOSpace 2.1 §5: a securityMethod in the answer if and only if the client gave one",
)
def test_no_security_method_unless_asked(service: Service, container: str) -> None:
    found = service.transfers.negotiate(f"{container}/data", PUSH, PUTS)
    assert all(one.security_method is None for one in found.protocols)


@pytest.mark.clause(
    "VOS-3.5.5-unknown-method",
    source="VOSpace 2.1 §3.5.5, §6.4.1: security methods that are not understood are ignored",
)
def test_an_unknown_security_method_is_ignored(service: Service, container: str) -> None:
    unknown = "ivo://example.org/sso#handshake"
    asked = [Protocol(HTTPS_PUT, security_method=unknown), *PUTS]
    found = service.transfers.negotiate(f"{container}/data", PUSH, asked)
    assert found.protocols
    assert {one.security_method for one in found.protocols} <= {None, TOKEN, CERTIFICATE}


@pytest.mark.clause(
    "VOS-6.4.2-not-supported",
    source="VOSpace 2.1 §6.4.2, §6.4.4: optional; where absent ERROR, OperationNotSupported",
)
@pytest.mark.needs("asyncTransfers")
def test_transfers_by_the_service_end(service: Service, container: str) -> None:
    # Port 9 of this very machine answers nobody: a service that tries ends in ERROR as well.
    source = Protocol(CORE + "httpget", "http://127.0.0.1:9/nothing")
    target = Protocol(CORE + "httpput", "http://127.0.0.1:9/nothing")
    service.make(f"{container}/data", b"bytes")
    for direction, protocol in (("pullToVoSpace", source), ("pushFromVoSpace", target)):
        uri = service.nodes.uri(f"{container}/data")
        answer = service.jobs().create(transfer_document([uri], direction, [protocol]))
        job = service.jobs().finish(expect_redirect(answer))
        expect_phase(job, "ERROR")
    assert service.pull(f"{container}/data").content == b"bytes"


@pytest.mark.clause(
    "VOS-3.6.1-bad-direction", source="VOSpace 2.1 §3.6.1: the directions there are"
)
def test_an_unknown_direction_is_refused(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    found = service.transfers.post(
        transfer_document([service.nodes.uri(f"{container}/data")], "sideways", PUTS)
    )
    if found.status_code in (302, 303):
        job = found.headers["Location"].partition("/results/")[0]
        expect_phase(service.jobs().read(job), "ERROR")
    else:
        expect_status(found, 400)


@pytest.mark.clause(
    "VOS-3.6.1-malformed", source="VOSpace 2.1 §3.6.1: 400 for what is no transfer document"
)
def test_what_is_no_transfer_document_is_refused(service: Service) -> None:
    for body in (b"", b"<", transfer_document([], PUSH, PUTS)):
        expect_status(service.transfers.post(body), 400)


@pytest.mark.clause(
    "VOS-6-fault-whitespace",
    source="VOSpace 2.1 §6 notes: the exact fault name, then whitespace before any details",
)
def test_the_fault_name_is_followed_by_whitespace(service: Service, container: str) -> None:
    answer = service.nodes.get(f"{container}/missing")
    expect_fault(answer, 404, "NodeNotFound")
    rest = answer.text.removeprefix("NodeNotFound")
    assert not rest or rest[0].isspace(), repr(answer.text)


@pytest.mark.clause(
    "VOS-6.5-details", source="VOSpace 2.1 §6.5: NodeNotFound and DuplicateNode name the URI"
)
def test_faults_name_the_node(service: Service, container: str) -> None:
    for answer in (service.nodes.get(f"{container}/missing"), service.nodes.put(container)):
        path = f"{container}/missing" if answer.status_code == 404 else container
        assert service.nodes.uri(path) in answer.text
