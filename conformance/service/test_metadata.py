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


def uris(service: Service, standard: str, name: str, part: str = "") -> set[str]:
    """The identifiers in a metadata document, or in one of its lists; valid and unique in each.

    The text of the standard has lists (accepts, ...), its schema a flat one: both are read.
    """
    answer = service.connection.send("GET", service.endpoint(standard))
    expect_status(answer, 200)
    check(answer.content, name)
    root = parse(answer.content)
    found: set[str] = set()
    for holder in root.findall(f"{{*}}{part}") if part else [root, *root]:
        listed = [str(one.get("uri")) for one in holder if one.get("uri") is not None]
        assert len(listed) == len(set(listed)), f"an identifier appears twice: {listed}"
        found.update(listed)
    return found


@pytest.mark.clause(
    "VOS-6.1.1-protocols", source="VOSpace 2.1 §6.1.1: 200, and the protocols of the service"
)
def test_protocols(service: Service) -> None:
    assert uris(service, PROTOCOLS, "protocols") & {HTTP_GET, HTTPS_GET}


@pytest.mark.clause(
    "VOS-6.1.1-protocols-offered",
    source="VOSpace 2.1 §6.1.1, §3.5.3: providing a protocol means acting as its server",
)
@pytest.mark.needs("serviceMetadata")
def test_what_is_provided_is_offered(service: Service, container: str) -> None:
    service.make(f"{container}/data", b"bytes")
    provided = uris(service, PROTOCOLS, "protocols")
    for direction in ("pullFromVoSpace", "pushToVoSpace"):
        offered = service.transfers.negotiate(f"{container}/data", direction).protocols
        asked = {HTTP_GET, HTTPS_GET, HTTP_PUT, HTTPS_PUT}
        assert {one.uri for one in offered} <= provided & asked


@pytest.mark.clause(
    "VOS-6.1.2-views", source="VOSpace 2.1 §6.1.2: 200, and the views of the service"
)
def test_views(service: Service) -> None:
    assert uris(service, VIEWS, "views")


@pytest.mark.clause(
    "VOS-3.4.4-default-views",
    source="VOSpace 2.1 §3.4.4: the standard URIs are used for the default views",
)
@pytest.mark.needs("serviceMetadata")
def test_default_views_have_their_uris(service: Service) -> None:
    known = {CORE + view for view in ("anyview", "binaryview", "defaultview")}
    found = uris(service, VIEWS, "views")
    assert found & known
    assert all(uri in known for uri in found if uri.startswith(CORE))


@pytest.mark.clause(
    "VOS-6.1.3-properties",
    source="VOSpace 2.1 §6.1.3: 200, and the properties of the service, those in use among them",
)
def test_properties(service: Service, container: str) -> None:
    service.make(f"{container}/a", properties={"urn:mine": "x", TITLE: "t"})
    assert {"urn:mine", TITLE} <= uris(service, PROPERTIES, "properties")


@pytest.mark.clause(
    "VOS-6.1-accepts-provides",
    source="VOSpace 2.1 §6.1.1 to §6.1.3: what is accepted, what provided, what contained",
)
@pytest.mark.needs("serviceMetadata")
def test_the_lists_of_the_metadata(service: Service) -> None:
    for standard, name in ((PROTOCOLS, "protocols"), (VIEWS, "views"), (PROPERTIES, "properties")):
        assert uris(service, standard, name, "provides"), name
        uris(service, standard, name, "accepts")
