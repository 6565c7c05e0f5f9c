"""pushToVoSpace by document (VOSpace 2.1, sections 3.6.1, 3.6.4 and 6.4.1)."""

from __future__ import annotations

import hashlib

import pytest

from conformance.expect import (
    digest_header,
    expect_redirect,
    expect_status,
    sample,
    stored_md5,
)
from conformance.grammar import check
from conformance.wire import Protocol, Service, transfer_document
from conformance.wire.terms import (
    CONTENT_DATE,
    DATA,
    HTTP_PUT,
    HTTPS_PUT,
    LENGTH,
    MD5,
    PUSH,
    TITLE,
)

PUTS = (Protocol(HTTPS_PUT), Protocol(HTTP_PUT))


def document(service: Service, path: str) -> bytes:
    """A request for a push."""
    return transfer_document([service.nodes.uri(path)], PUSH, PUTS)


@pytest.mark.clause(
    "VOS-6.4.1-see-other",
    source="VOSpace 2.1 §6.4.1: 303 to .../transfers/(jobid)/results/transferDetails",
)
def test_a_push_answers_303(service: Service, container: str) -> None:
    answer = service.transfers.post(document(service, f"{container}/data"))
    url = expect_redirect(answer)
    assert url.endswith("/results/transferDetails")
    expect_status(answer, 303)


@pytest.mark.clause(
    "VOS-6.4.1-details",
    source="VOSpace 2.1 §3.6.1, §6.4.1: target, direction and endpoints; only what was asked for",
)
def test_the_details_of_a_push(service: Service, container: str) -> None:
    found = service.transfers.negotiate(f"{container}/data", PUSH, PUTS)
    check(expect_status(found.details, 200).content, "transfer")
    assert found.details.headers["Content-Type"].partition(";")[0] == "text/xml"
    assert found.transfer.direction == PUSH
    assert found.transfer.target.replace("!", "~") == service.nodes.uri(f"{container}/data")
    assert found.protocols
    for one in found.protocols:
        assert one.uri in (HTTP_PUT, HTTPS_PUT)
        assert one.endpoint and one.endpoint.startswith(("http://", "https://"))


@pytest.mark.clause(
    "VOS-6.4.1-round-trip", source="VOSpace 2.1 §6.4.1, §6.4.3: the bytes pushed are those pulled"
)
def test_pushed_bytes_come_back(service: Service, container: str) -> None:
    path, content = f"{container}/data", sample(70_257)
    pushed = expect_status(service.transfers.push(path, content), 200, 201)
    if "Digest" in pushed.headers:
        assert pushed.headers["Digest"] == digest_header(content)
    pulled = expect_status(service.pull(path), 200)
    assert pulled.content == content
    assert service.nodes.read(path).properties[LENGTH] == str(len(content))


@pytest.mark.clause(
    "VOS-6.4.1-large", source="VOSpace 2.1 §6.4.1: of any size; a body without Content-Length"
)
def test_a_push_in_chunks(service: Service, container: str) -> None:
    path, content = f"{container}/data", sample(3_000_001)
    blocks = (content[offset : offset + 65_536] for offset in range(0, len(content), 65_536))
    expect_status(service.transfers.push(path, blocks), 200, 201)
    assert service.pull(path).content == content


@pytest.mark.clause(
    "VOS-6.4.1-creates-node", source="VOSpace 2.1 §6.4.1: without a node at the target one is made"
)
def test_a_push_creates_the_node(service: Service, container: str) -> None:
    service.transfers.push(f"{container}/data", b"bytes")
    node = service.nodes.read(f"{container}/data")
    assert node.kind in (DATA, "UnstructuredDataNode", "StructuredDataNode")


@pytest.mark.clause(
    "VOS-6.4.1-overwrites",
    source="VOSpace 2.1 §6.4.1: data is imported into an existing node; its old data is replaced",
)
def test_a_push_replaces_the_bytes(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, sample(5000))
    for content in (sample(300, 2), sample(9000, 3), b"x"):
        expect_status(service.transfers.push(path, content), 200, 201)
        assert service.pull(path).content == content
        assert service.nodes.read(path).properties[LENGTH] == str(len(content))
    assert service.nodes.read(container).children == ("data",)


@pytest.mark.clause(
    "VOS-6.4.1-clears-properties",
    source="VOSpace 2.1 §6.4.1: the properties of the existing node are cleared",
)
def test_a_push_clears_properties(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, b"old", {TITLE: "of the old"})
    service.transfers.push(path, b"new")
    assert TITLE not in service.nodes.read(path).properties


@pytest.mark.clause(
    "VOS-CADC-push-keeps-properties",
    source="protocol.md 5.2, 8: properties and permissions of a node outlive a push",
)
@pytest.mark.needs("pushKeepsProperties")
def test_a_push_keeps_properties(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, b"old", {TITLE: "kept", "urn:mine": "too"})
    service.transfers.push(path, b"new")
    found = service.nodes.read(path).properties
    assert (found.get(TITLE), found.get("urn:mine")) == ("kept", "too")


@pytest.mark.clause(
    "VOS-6.4.1-md5",
    source="protocol.md 4.2, opencadc NodesTest.testDataNodeProps: the MD5 property",
)
@pytest.mark.needs("digests")
def test_the_md5_property_follows_the_bytes(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, b"")
    assert MD5 not in service.nodes.read(path).properties
    for content in (sample(1024), sample(1024, 2), sample(2000, 3)):
        service.transfers.push(path, content)
        found = service.nodes.read(path)
        assert MD5 in found.read_only
        assert stored_md5(found.properties) == hashlib.md5(content).hexdigest()


@pytest.mark.clause(
    "VOS-CADC-md5-plain", source="protocol.md 4.2: core#MD5 is hexadecimal, without any prefix"
)
@pytest.mark.needs("digests")
def test_the_md5_property_has_no_prefix(service: Service, container: str) -> None:
    path = f"{container}/data"
    for content in (sample(100), sample(100, 2)):
        service.transfers.push(path, content)
        assert len(service.nodes.read(path).properties[MD5]) == 32


@pytest.mark.clause(
    "VOS-CADC-wrong-digest",
    source="opencadc TransferTest.syncPushPullTest: a wrong Digest is 412, the right one echoed",
)
@pytest.mark.needs("digests")
def test_a_wrong_digest_is_refused(service: Service, container: str) -> None:
    path, content = f"{container}/data", sample(5000)
    wrong = {"Digest": digest_header(b"something else")}
    expect_status(service.transfers.push(path, content, wrong), 412)
    assert service.nodes.read(path).properties.get(LENGTH, "0") == "0"
    pushed = service.transfers.push(path, content, {"Digest": digest_header(content)})
    assert expect_status(pushed, 200, 201).headers["Digest"] == digest_header(content)
    assert service.pull(path).content == content


@pytest.mark.clause(
    "VOS-CADC-wrong-digest-keeps-old",
    source="protocol.md 6.3: a refused PUT leaves the previous content where PUT is atomic",
)
@pytest.mark.needs("digests", "atomicPut")
def test_a_refused_push_keeps_the_old_bytes(service: Service, container: str) -> None:
    path, content = f"{container}/data", sample(5000)
    service.make(path, content)
    wrong = {"Digest": digest_header(b"something else")}
    expect_status(service.transfers.push(path, sample(400, 2), wrong), 412)
    assert service.pull(path).content == content
    assert stored_md5(service.nodes.read(path).properties) is not None


@pytest.mark.clause(
    "VOS-6.4.1-job-result",
    source="VOSpace 2.1 §6.4.1, §3.6.1: the job has a result transferDetails, and ends well",
)
def test_the_job_of_a_push(service: Service, container: str) -> None:
    found = service.transfers.negotiate(f"{container}/data", PUSH, PUTS)
    answer = expect_status(service.jobs().get(found.job), 200)
    check(answer.content, "job")
    job = service.jobs().read(found.job)
    assert job.phase in ("EXECUTING", "COMPLETED")
    details = service.connection.send("GET", job.results["transferDetails"])
    check(expect_status(details, 200).content, "transfer")


@pytest.mark.clause(
    "VOS-6.4.1-asynchronous",
    source="VOSpace 2.1 §6.4.1 example 1: a push may be a job; opencadc TransferRunner",
)
@pytest.mark.needs("asyncTransfers")
def test_a_push_as_a_job(service: Service, container: str) -> None:
    jobs, path = service.jobs(), f"{container}/data"
    job = expect_redirect(jobs.create(document(service, path)))
    expect_status(jobs.post_phase(job, "RUN"), 302, 303)
    assert jobs.read(job, WAIT=5).phase in ("EXECUTING", "COMPLETED")
    answer = service.connection.send("GET", f"{job}/results/transferDetails")
    check(expect_status(answer, 200).content, "transfer")


@pytest.mark.clause(
    "VOS-CADC-push-through-data-link",
    source="opencadc TransferTest.syncPushPullViaDataLinkTest",
)
@pytest.mark.needs("linksFollowed")
def test_a_push_through_a_link_to_data(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"old")
    service.make_link(f"{container}/link", f"{container}/data")
    expect_status(service.transfers.push(f"{container}/link", b"new"), 200, 201)
    assert service.pull(f"{container}/data").content == b"new"
    assert service.transfers.pull(f"{container}/link").content == b"new"


@pytest.mark.clause(
    "VOS-CADC-push-through-container-link",
    source="opencadc TransferTest.syncPushPullViaContainerLinkTest",
)
@pytest.mark.needs("linksFollowed")
def test_a_push_through_a_link_to_a_container(service: Service, container: str) -> None:
    service.make(f"{container}/real")
    service.make_link(f"{container}/link", f"{container}/real")
    expect_status(service.transfers.push(f"{container}/link/data", b"new"), 200, 201)
    assert service.pull(f"{container}/real/data").content == b"new"
    assert service.transfers.pull(f"{container}/link/data").content == b"new"


@pytest.mark.clause(
    "VOS-CADC-content-date",
    source="opencadc NodesTest (vault) testDataNodeProps: absent before a push, there after it",
)
@pytest.mark.needs("contentDate")
def test_the_date_of_the_bytes(service: Service, container: str) -> None:
    path = f"{container}/data"
    service.make(path, b"")
    assert CONTENT_DATE not in service.nodes.read(path).properties
    service.transfers.push(path, sample(1024))
    node = service.nodes.read(path)
    assert node.properties[CONTENT_DATE] and CONTENT_DATE in node.read_only
    # A change of a property is none of the bytes.
    before = node.properties[CONTENT_DATE]
    expect_status(service.nodes.post(path, DATA, {TITLE: "t"}), 200)
    assert service.nodes.read(path).properties[CONTENT_DATE] == before
