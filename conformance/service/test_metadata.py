"""Service metadata: /protocols, /views and /properties (VOSpace 2.1, sections 3.3 to 3.5, 6.1)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_status
from conformance.grammar import check
from conformance.wire import Service, parse
from conformance.wire.terms import (
    CORE,
    HTTP_GET,
    HTTP_PUT,
    HTTPS_GET,
    HTTPS_PUT,
    PROPERTIES,
    PROTOCOLS,
    TITLE,
    VIEWS,
)


def uris(service: Service, standard: str, name: str, part: str) -> set[str]:
    """The identifiers in one list of a metadata document, which must be valid and unique."""
    answer = service.connection.send("GET", service.endpoint(standard))
    expect_status(answer, 200)
    check(answer.content, name)
    listed = [element.get("uri") for element in parse(answer.content).iterfind(f"{{*}}{part}/*")]
    assert len(listed) == len(set(listed)), f"an identifier appears twice in {part}: {listed}"
    return {str(uri) for uri in listed}


@pytest.mark.clause(
    "VOS-6.1.1-protocols", source="VOSpace 2.1 §6.1.1: 200, and what the service accepts, provides"
)
def test_protocols(service: Service) -> None:
    provided = uris(service, PROTOCOLS, "protocols", "provides")
    assert provided & {HTTP_GET, HTTPS_GET}
    uris(service, PROTOCOLS, "protocols", "accepts")


@pytest.mark.clause(
    "VOS-6.1.1-protocols-offered",
    source="VOSpace 2.1 §6.1.1, §3.5.3: providing a protocol means acting as its server",
)
@pytest.mark.needs("serviceMetadata")
def test_what_is_provided_is_offered(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    provided = uris(service, PROTOCOLS, "protocols", "provides")
    for direction in ("pullFromVoSpace", "pushToVoSpace"):
        offered = service.transfers.negotiate(f"{container}/data", direction).protocols
        asked = {HTTP_GET, HTTPS_GET, HTTP_PUT, HTTPS_PUT}
        assert {one.uri for one in offered} <= provided & asked


@pytest.mark.clause(
    "VOS-6.1.2-views", source="VOSpace 2.1 §6.1.2: 200, and the views accepted and provided"
)
def test_views(service: Service) -> None:
    uris(service, VIEWS, "views", "accepts")
    uris(service, VIEWS, "views", "provides")


@pytest.mark.clause(
    "VOS-3.4.4-default-views",
    source="VOSpace 2.1 §3.4.4: the standard URIs are used for the default views",
)
@pytest.mark.needs("serviceMetadata")
def test_default_views_have_their_uris(service: Service) -> None:
    known = {CORE + view for view in ("anyview", "binaryview", "defaultview")}
    found = uris(service, VIEWS, "views", "accepts") | uris(service, VIEWS, "views", "provides")
    assert found & known
    assert all(uri in known for uri in found if uri.startswith(CORE))


@pytest.mark.clause(
    "VOS-6.1.3-properties",
    source="VOSpace 2.1 §6.1.3: 200, and the properties accepted, provided and contained",
)
def test_properties(service: Service, container: str) -> None:
    service.make(f"{container}/a", properties={"urn:mine": "x", TITLE: "t"})
    for part in ("accepts", "provides"):
        assert uris(service, PROPERTIES, "properties", part)
    assert {"urn:mine", TITLE} <= uris(service, PROPERTIES, "properties", "contains")
