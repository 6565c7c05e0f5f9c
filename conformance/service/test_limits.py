"""Limits: how much a document, a value, a tree and a file may hold (protocol.md 4.1)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_status, sample
from conformance.wire import Service
from conformance.wire.terms import CONTAINER, GROUP_WRITE, LENGTH, QUOTA, TITLE

LIMIT = 32 * 1024


@pytest.mark.clause(
    "VOS-CADC-document-limit", source="protocol.md 4.1, 4.7: 413 for a document over 32 KiB"
)
@pytest.mark.needs("documentLimit")
def test_a_large_document_is_refused(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    for answer in (
        service.nodes.put(f"{container}/b", CONTAINER, {TITLE: "x" * LIMIT}),
        service.nodes.post(f"{container}/a", CONTAINER, {TITLE: "x" * LIMIT}),
    ):
        expect_status(answer, 413)
    assert service.nodes.read(container).children == ("a",)
    assert TITLE not in service.nodes.read(f"{container}/a").properties


@pytest.mark.clause(
    "VOS-CADC-document-below-limit", source="protocol.md 4.1: a document just below is taken"
)
def test_a_document_below_the_limit(service: Service, container: str) -> None:
    value = "x" * (LIMIT - 2048)
    expect_status(service.nodes.put(f"{container}/a", CONTAINER, {TITLE: value}), 201)
    assert service.nodes.read(f"{container}/a").properties[TITLE] == value


@pytest.mark.clause(
    "VOS-3.2-many-properties", source="VOSpace 2.1 §3.2: a set of properties of no stated size"
)
def test_many_properties(service: Service, container: str) -> None:
    values = {f"urn:p{number}": str(number) for number in range(200)}
    service.make(f"{container}/a", properties=values)
    found = service.nodes.read(f"{container}/a").properties
    assert {key: found.get(key) for key in values} == values


@pytest.mark.clause("VOS-2-deep", source="VOSpace 2.1 §2: a hierarchy of no stated depth")
def test_a_deep_tree(service: Service, container: str) -> None:
    path = container
    for _ in range(30):
        path = f"{path}/d"
        service.make(path)
    service.make(f"{path}/data", b"deep")
    assert service.pull(f"{path}/data").content == b"deep"


@pytest.mark.clause(
    "VOS-6.4.1-megabytes", source="VOSpace 2.1 §6.4.1: bytes of no stated number; streamed"
)
def test_some_megabytes(service: Service, container: str) -> None:
    path, content = f"{container}/data", sample(12_345_678)
    expect_status(service.transfers.push(path, content), 200, 201)
    assert service.nodes.read(path).properties[LENGTH] == str(len(content))
    assert service.pull(path).content == content


@pytest.mark.clause(
    "VOS-CADC-one-byte-each", source="protocol.md 6.3: bytes of every small size are kept exactly"
)
def test_small_sizes(service: Service, container: str) -> None:
    for size in (1, 2, 255, 256, 257, 4095, 4096, 4097, 65535, 65536, 65537):
        path = f"{container}/data{size}"
        service.transfers.push(path, sample(size))
        assert service.pull(path).content == sample(size), size


@pytest.mark.clause(
    "VOS-CADC-quota-not-for-all",
    source="protocol.md 4.2, 8: a quota is set by administrators; others are ignored or refused",
)
@pytest.mark.needs("group", "permissionProps")
def test_a_quota_is_not_for_everybody(
    service: Service, other: Service, open_container: str, group: str
) -> None:
    service.nodes.post(open_container, CONTAINER, {GROUP_WRITE: group})
    answer = other.nodes.post(open_container, CONTAINER, {QUOTA: "12345"})
    expect_status(answer, 200, 403)
    assert service.nodes.read(open_container).properties.get(QUOTA) != "12345"
