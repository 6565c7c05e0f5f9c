"""Support interfaces: /capabilities and /availability (VOSI 1.1; VOSpace 2.1, section 4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import pytest

from conformance.capabilities import Capabilities
from conformance.expect import expect_status
from conformance.wire import Service, parse
from conformance.wire.documents import local_name
from conformance.wire.terms import (
    DATE,
    NODES,
    SYNC_2_0,
    SYNC_2_1,
    TRANSFERS,
    VOSI_AVAILABILITY,
    VOSI_CAPABILITIES,
    XSI,
)


@pytest.mark.clause(
    "VOS-4-resources", source="VOSpace 2.1 §4: the standard identifiers of the REST resources"
)
def test_the_resources_have_their_identifiers(service: Service) -> None:
    assert {NODES, TRANSFERS} <= service.endpoints.keys()
    assert SYNC_2_1 in service.endpoints or SYNC_2_0 in service.endpoints


@pytest.mark.clause(
    "VOS-4-sync-2.1", source="VOSpace 2.1 §4: synchronous transfers of version 2.1 by their own id"
)
def test_synchronous_transfers_of_2_1(service: Service) -> None:
    assert SYNC_2_1 in service.endpoints


@pytest.mark.clause(
    "VOS-4-document", source="VOSI 1.1 §2; protocol.md 1.2: capabilities as text/xml, xsi declared"
)
def test_the_capabilities_document(service: Service) -> None:
    answer = expect_status(service.connection.send("GET", service.capabilities_url), 200)
    assert answer.headers["Content-Type"].partition(";")[0] in ("text/xml", "application/xml")
    root = parse(answer.content)
    assert local_name(root) == "capabilities"
    assert root.nsmap.get("xsi") == XSI
    for interface in root.iter("{*}interface", "interface"):
        assert interface.get(f"{{{XSI}}}type"), "an interface without xsi:type"


@pytest.mark.clause(
    "VOS-4-access-urls", source="VOSI 1.1 §2; protocol.md 1.2: absolute URLs with host and path"
)
def test_access_urls_are_absolute(service: Service) -> None:
    for interface in service.interfaces:
        standard, url = urlsplit(interface.standard), urlsplit(interface.url)
        assert standard.scheme and standard.netloc and standard.path, interface
        assert url.scheme in ("http", "https") and url.netloc and url.path.strip("/"), interface


@pytest.mark.clause(
    "VOS-4-access-urls-answer", source="opencadc VosiCapabilitiesTest: the URLs listed are there"
)
def test_access_urls_answer(service: Service) -> None:
    for url in {interface.url for interface in service.interfaces}:
        params = {"limit": 0} if url.rstrip("/") == service.nodes.root else None
        answer = service.connection.send("GET", url, params=params, follow=False)
        # A resource may want parameters, another method, or credentials; it may not be missing.
        assert answer.status_code < 500 and "no such resource" not in answer.text, url
        if url.rstrip("/") == service.nodes.root:
            expect_status(answer, 200)


@pytest.mark.clause(
    "VOS-4-security-methods", source="VOSpace 2.1 §5; protocol.md 1.3: methods by their identifiers"
)
def test_security_methods_are_identified(service: Service) -> None:
    for interface in service.interfaces:
        for method in interface.methods:
            assert method is None or method.startswith("ivo://ivoa.net/sso#"), method


@pytest.mark.clause("VOS-4-self", source="VOSI 1.1 §2: capabilities and availability are listed")
def test_the_support_interfaces_are_listed(service: Service) -> None:
    assert {VOSI_CAPABILITIES, VOSI_AVAILABILITY} <= service.endpoints.keys()
    listed = service.connection.send("GET", service.endpoint(VOSI_CAPABILITIES))
    assert local_name(parse(expect_status(listed, 200).content)) == "capabilities"


@pytest.mark.clause(
    "VOS-4-availability", source="VOSI 1.1 §3; opencadc VosiAvailabilityTest: available is true"
)
def test_the_service_is_available(service: Service) -> None:
    url = service.endpoint(VOSI_AVAILABILITY)
    for params in (None, {"detail": "min"}):
        answer = expect_status(service.connection.send("GET", url, params=params), 200)
        root = parse(answer.content)
        assert local_name(root) == "availability"
        assert (root.findtext("{*}available") or "").strip() == "true"


@pytest.mark.clause(
    "VOS-4-anonymous-support", source="VOSI 1.1 §1: support interfaces need no credentials"
)
def test_support_interfaces_are_public(service: Service, stranger: Service) -> None:
    expect_status(stranger.connection.send("GET", service.capabilities_url), 200)
    expect_status(stranger.connection.send("GET", service.endpoint(VOSI_AVAILABILITY)), 200)


@pytest.mark.clause(
    "VOS-4-registry-safe",
    source="protocol.md 1.1: a URL with = cannot stand in the registry's list",
)
def test_the_capabilities_url_fits_the_registry(service: Service) -> None:
    assert "=" not in service.capabilities_url


@pytest.mark.clause(
    "VOS-4-profile-agrees",
    source="docs/conformance.md: what was found does not contradict the target's profile",
)
def test_the_profile_tells_the_truth(service: Service, flags: Capabilities) -> None:
    assert flags.contradictions() == []


@pytest.mark.clause(
    "VOS-3.2.4-date-format", source="protocol.md 4.2: yyyy-MM-ddTHH:mm:ss.SSS, UTC, without a zone"
)
def test_dates(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    answer = service.nodes.get(f"{container}/a")
    text = service.nodes.read(f"{container}/a").properties[DATE]
    date = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=UTC)
    assert len(text) == 23
    now = parsedate_to_datetime(answer.headers["Date"])
    assert abs(now - date) < timedelta(minutes=5)
