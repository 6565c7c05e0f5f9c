"""pullFromVoSpace by document, and byte URLs (VOSpace 2.1, section 6.4.3)."""

from __future__ import annotations

import pytest

from conformance.capabilities import Capabilities
from conformance.expect import expect_phase, expect_redirect, expect_status, sample
from conformance.grammar import check
from conformance.wire import Protocol, Service, transfer_document
from conformance.wire.terms import CORE, HTTP_GET, HTTP_PUT, HTTPS_GET, HTTPS_PUT, PULL, PUSH

GETS = (Protocol(HTTPS_GET), Protocol(HTTP_GET))


@pytest.mark.clause(
    "VOS-6.4.3-details", source="VOSpace 2.1 §6.4.3, §3.6.1: 303, then the transfer with endpoints"
)
def test_the_details_of_a_pull(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    found = service.transfers.negotiate(f"{container}/data", PULL, GETS)
    assert expect_redirect(found.answer).endswith("/results/transferDetails")
    check(expect_status(found.details, 200).content, "transfer")
    assert found.transfer.direction == PULL
    assert found.protocols
    for one in found.protocols:
        assert one.uri in (HTTP_GET, HTTPS_GET) and one.endpoint


@pytest.mark.clause(
    "VOS-6.4.3-every-endpoint", source="VOSpace 2.1 §6.4.3: the client can read from these URLs"
)
def test_every_endpoint_gives_the_bytes(service: Service, container: str) -> None:
    content = sample(5000)
    service.make(f"{container}/data", content)
    for one in service.transfers.negotiate(f"{container}/data", PULL).protocols:
        answer = service.connection.send("GET", str(one.endpoint))
        assert expect_status(answer, 200).content == content


@pytest.mark.clause(
    "VOS-6.4.3-alternative-separator",
    source="VOSpace 2.1 §2, §6.4.3: both separators in the target",
)
def test_the_target_with_the_other_separator(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    uri = service.nodes.uri(f"{container}/data")
    swapped = uri.replace("~", "!", 1) if "~" in uri else uri.replace("!", "~", 1)
    answer = service.transfers.post(transfer_document([swapped], PULL, GETS))
    details = service.connection.send("GET", expect_redirect(answer))
    check(expect_status(details, 200).content, "transfer")
    assert b"endpoint" in details.content


@pytest.mark.clause(
    "VOS-CADC-preauthorised",
    source="opencadc TransferTest.syncPushPullTest: GET of an endpoint works without credentials",
)
@pytest.mark.needs("preauthorised", "strict")
def test_a_byte_url_needs_no_credentials(service: Service, container: str) -> None:
    content = sample(5000)
    service.make(f"{container}/data", content)
    one = service.transfers.negotiate(f"{container}/data", PULL, GETS).protocols[0]
    answer = expect_status(service.anonymous.send("GET", str(one.endpoint)), 200)
    assert answer.content == content
    assert answer.headers["Content-Length"] == "5000"
    assert answer.headers["Content-Type"].startswith("application/octet-stream")


@pytest.mark.clause(
    "VOS-CADC-preauthorised-push",
    source="opencadc TransferTest (cavern) testPreauthToken: PUT works without credentials",
)
@pytest.mark.needs("preauthorised", "strict")
def test_a_push_url_needs_no_credentials(service: Service, container: str) -> None:
    asked = [Protocol(HTTPS_PUT)]
    (one,) = service.transfers.negotiate(f"{container}/data", PUSH, asked).protocols
    assert one.security_method is None
    expect_status(service.anonymous.send("PUT", str(one.endpoint), data=b"bytes"), 200, 201)
    assert service.pull(f"{container}/data").content == b"bytes"


@pytest.mark.clause(
    "VOS-CADC-read-url-cannot-write",
    source="protocol.md 5.6: tokens are bound to read or write; a read token on PUT is 403",
)
@pytest.mark.needs("preauthorised", "strict")
def test_a_read_url_cannot_be_written(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    one = service.transfers.negotiate(f"{container}/data", PULL, GETS).protocols[0]
    answer = service.anonymous.send("PUT", str(one.endpoint), data=b"other")
    expect_status(answer, 401, 403)
    assert service.pull(f"{container}/data").content == b"bytes"


@pytest.mark.clause(
    "VOS-CADC-write-url-cannot-read",
    source="protocol.md 5.6: tokens are bound to read or write",
)
@pytest.mark.needs("preauthorised", "strict")
def test_a_write_url_cannot_be_read(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    asked = [Protocol(HTTPS_PUT), Protocol(HTTP_PUT)]
    one = service.transfers.negotiate(f"{container}/data", PUSH, asked).protocols[0]
    expect_status(service.anonymous.send("GET", str(one.endpoint)), 401, 403)


@pytest.mark.clause(
    "VOS-CADC-byte-url-bound",
    source="protocol.md 5.6: a token is good for the path it was made for, and for no other",
)
@pytest.mark.needs("preauthorised", "strict")
def test_a_byte_url_is_good_for_one_node(service: Service, container: str) -> None:
    service.make(f"{container}/mine", b"mine")
    service.make(f"{container}/other", b"other")
    ends = [
        str(service.transfers.negotiate(f"{container}/{name}", PULL, GETS).protocols[0].endpoint)
        for name in ("mine", "other")
    ]
    mine, other = (end.split("/") for end in ends)
    differing = [
        number for number, pair in enumerate(zip(mine, other, strict=True)) if len({*pair}) > 1
    ]
    # Each part of the other node's URL alone, put into ours: none may open the other's bytes.
    for number in differing:
        mixed = [*mine]
        mixed[number] = other[number]
        answer = service.anonymous.send("GET", "/".join(mixed))
        assert not (answer.ok and answer.content == b"other"), answer.url


@pytest.mark.clause(
    "VOS-6.4.3-missing-no-endpoint",
    source="VOSpace 2.1 §6.4.3: a missing source is a fault, and no endpoint is given",
)
def test_a_pull_of_a_missing_node(service: Service, container: str) -> None:
    found = service.transfers.negotiate(f"{container}/missing", PULL, GETS)
    assert found.protocols == ()
    expect_phase(service.jobs().read(found.job), "ERROR")
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.4.3-missing-fault",
    source="VOSpace 2.1 §6.4.3: a source that does not exist is NodeNotFound",
)
def test_the_fault_of_a_missing_source(service: Service, container: str) -> None:
    found = service.transfers.negotiate(f"{container}/missing", PULL, GETS)
    job = expect_phase(service.jobs().read(found.job), "ERROR")
    assert "NodeNotFound" in str(job.error)


@pytest.mark.clause(
    "VOS-6.4.3-error-resource",
    source="VOSpace 2.1 §6.4.3: the fault is at (job)/error; the transfer has no protocols",
)
def test_a_failed_pull_tells_why(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    found = service.transfers.negotiate(f"{container}/a", PULL, GETS)
    assert found.protocols == ()
    error = expect_status(service.jobs().get(found.job, "error"), 200)
    assert error.text.strip() == str(service.jobs().read(found.job).error)


@pytest.mark.clause(
    "VOS-6.4.3-asynchronous", source="VOSpace 2.1 §6.4.3 example 1: a pull may be a job"
)
@pytest.mark.needs("asyncTransfers")
def test_a_pull_as_a_job(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    jobs, uri = service.jobs(), service.nodes.uri(f"{container}/data")
    job = expect_redirect(jobs.create(transfer_document([uri], PULL, GETS)))
    expect_status(jobs.post_phase(job, "RUN"), 302, 303)
    assert jobs.read(job, WAIT=5).phase in ("EXECUTING", "COMPLETED")
    answer = service.connection.send("GET", f"{job}/results/transferDetails")
    check(expect_status(answer, 200).content, "transfer")
    assert b"endpoint" in answer.content


@pytest.mark.clause(
    "VOS-6.4.3-empty", source="protocol.md 5.6, 6.1: a node without bytes: no endpoint, or 204"
)
def test_a_pull_of_an_empty_node(service: Service, container: str) -> None:
    service.make(f"{container}/empty", b"")
    for one in service.transfers.negotiate(f"{container}/empty", PULL).protocols:
        answer = service.connection.send("GET", str(one.endpoint))
        expect_status(answer, 200, 204)
        assert answer.content == b""


@pytest.mark.clause("VOS-6.4.1-empty-push", source="VOSpace 2.1 §6.4.1: no bytes are bytes too")
def test_a_push_of_nothing(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, b"some")
    answer = service.transfers.push(path, b"")
    expect_status(answer, 200, 201, 204)
    assert service.nodes.read(path).properties[CORE + "length"] == "0"
    for one in service.transfers.negotiate(path, PULL).protocols:
        assert service.connection.send("GET", str(one.endpoint)).content == b""


@pytest.mark.clause(
    "VOS-3.5.4-public-share",
    source="VOSpace 2.1 §3.5.4: an endpoint that anybody can read, without a security method",
)
@pytest.mark.needs("publicShare")
def test_the_public_share_protocol(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    share = "http://wiki.ivoa.net/twiki/bin/view/IVOA/VOSpacePublicShare"
    (one,) = service.transfers.negotiate(f"{container}/data", PULL, [Protocol(share)]).protocols
    assert one.security_method is None
    assert service.anonymous.send("GET", str(one.endpoint)).content == b"bytes"


@pytest.mark.clause(
    "VOS-3.5.4-public-share-absent",
    source="VOSpace 2.1 §3.5.4: where it is not supported: ERROR, ProtocolNotSupported",
)
def test_an_absent_public_share_protocol(
    service: Service, container: str, flags: Capabilities
) -> None:
    if flags.has("publicShare"):
        pytest.skip("the public share protocol is offered here")
    service.make(f"{container}/data", b"bytes")
    share = "http://wiki.ivoa.net/twiki/bin/view/IVOA/VOSpacePublicShare"
    found = service.transfers.negotiate(f"{container}/data", PULL, [Protocol(share)])
    assert found.protocols == ()
    job = expect_phase(service.jobs().read(found.job), "ERROR")
    assert "ProtocolNotSupported" in str(job.error)


@pytest.mark.clause(
    "VOS-CADC-preauth-pull",
    source="opencadc TransferTest (cavern) testPreauthToken: two protocols, the first for anybody",
)
@pytest.mark.needs("preauthorised", "filesPut", "strict")
def test_a_pull_offers_two_protocols(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    asked = [Protocol(HTTPS_GET)]
    first, second = service.transfers.negotiate(f"{container}/data", PULL, asked).protocols
    assert (first.security_method, second.security_method) == (None, None)
    assert service.anonymous.send("GET", str(first.endpoint)).content == b"bytes"
