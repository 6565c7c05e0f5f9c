"""Transfers by URL parameters (VOSpace 2.1, section 3.6.2), and CADC's reading of them."""

from __future__ import annotations

import pytest
import requests

from conformance.expect import expect_redirect, expect_status
from conformance.grammar import check
from conformance.wire import Service, read_transfer
from conformance.wire.terms import HTTP_GET, HTTP_PUT, HTTPS_GET, HTTPS_PUT, PULL, PUSH

pytestmark = pytest.mark.needs("parameterForm")


def ask(
    service: Service, path: str, direction: str, method: str = "POST", **more: str
) -> requests.Response:
    """A transfer by parameters, of the HTTPS protocol."""
    protocol = HTTPS_PUT if direction == PUSH else HTTPS_GET
    parameters = {
        "TARGET": service.nodes.uri(path),
        "DIRECTION": direction,
        "PROTOCOL": protocol,
        **more,
    }
    return service.transfers.by_parameters(parameters, method)


@pytest.fixture
def data(service: Service, container: str) -> str:
    """A data node with bytes."""
    service.make(f"{container}/data", b"the bytes")
    return f"{container}/data"


@pytest.mark.clause(
    "VOS-3.6.2-document",
    source="VOSpace 2.1 §3.6.2: the transfer results are in the body of the response",
)
def test_the_answer_is_a_transfer_document(service: Service, data: str) -> None:
    for direction in (PULL, PUSH):
        answer = expect_status(ask(service, data, direction), 200)
        check(answer.content, "transfer")
        assert read_transfer(answer.content).protocols[0].endpoint


@pytest.mark.clause(
    "VOS-3.6.2-redirect", source="VOSpace 2.1 §3.6.2: REQUEST=redirect leads to the endpoint"
)
def test_a_redirect_on_request(service: Service, data: str) -> None:
    url = expect_redirect(ask(service, data, PULL, REQUEST="redirect"))
    assert service.connection.send("GET", url).content == b"the bytes"


@pytest.mark.clause(
    "VOS-CADC-parameters-redirect",
    source="protocol.md 5.3: CADC's services always answer 303 to the byte endpoint",
)
@pytest.mark.needs("parametersRedirect")
def test_a_redirect_always(service: Service, data: str) -> None:
    for method in ("GET", "POST"):
        answer = expect_status(ask(service, data, PULL, method), 303)
        assert service.connection.send("GET", expect_redirect(answer)).content == b"the bytes"


@pytest.mark.clause(
    "VOS-CADC-parameters-push",
    source="protocol.md 5.3: a push by parameters creates the node and leads to the byte URL",
)
@pytest.mark.needs("parametersRedirect")
def test_a_push_by_parameters(service: Service, container: str) -> None:
    url = expect_redirect(ask(service, f"{container}/new", PUSH))
    assert service.nodes.exists(f"{container}/new")
    expect_status(service.connection.send("PUT", url, data=b"pushed"), 200, 201)
    assert service.pull(f"{container}/new").content == b"pushed"


@pytest.mark.clause(
    "VOS-6.4.1-by-parameters", source="VOSpace 2.1 §6.4.1 example 4: a push by POST or GET"
)
def test_a_push_by_parameters_gives_an_endpoint(service: Service, container: str) -> None:
    for number, method in enumerate(("POST", "GET")):
        path = f"{container}/new{number}"
        answer = ask(service, path, PUSH, method)
        if answer.status_code == 200:
            url = str(read_transfer(answer.content).protocols[0].endpoint)
        else:
            url = expect_redirect(answer)
        expect_status(service.connection.send("PUT", url, data=b"pushed"), 200, 201)
        assert service.pull(path).content == b"pushed"


@pytest.mark.clause(
    "VOS-3.6.2-mandatory", source="VOSpace 2.1 §3.6.2: TARGET, DIRECTION, PROTOCOL must be supplied"
)
def test_each_parameter_is_mandatory(service: Service, data: str) -> None:
    whole = {"TARGET": service.nodes.uri(data), "DIRECTION": PULL, "PROTOCOL": HTTPS_GET}
    for name in whole:
        rest = {key: value for key, value in whole.items() if key != name}
        expect_status(service.transfers.by_parameters(rest), 400)


@pytest.mark.clause(
    "VOS-3.6.2-case", source="DALI 1.1 §2: parameter names are not case-sensitive; protocol.md 5.3"
)
def test_names_in_any_case(service: Service, data: str) -> None:
    parameters = {"target": service.nodes.uri(data), "Direction": PULL, "protocol": HTTPS_GET}
    assert service.transfers.by_parameters(parameters).status_code in (200, 303)


@pytest.mark.clause(
    "VOS-3.6.2-directions",
    source="VOSpace 2.1 §3.6.2: only pushToVoSpace and pullFromVoSpace are allowed",
)
def test_only_two_directions(service: Service, data: str) -> None:
    for direction in ("pullToVoSpace", "pushFromVoSpace", "sideways", service.nodes.uri("x")):
        answer = ask(service, data, direction)
        assert 400 <= answer.status_code < 500, answer.status_code
    assert service.pull(data).content == b"the bytes"


@pytest.mark.clause(
    "VOS-3.6.2-protocol", source="VOSpace 2.1 §3.6.2: the protocol must be one that is supported"
)
def test_a_protocol_that_does_not_fit(service: Service, data: str) -> None:
    for protocol in ("ivo://example.org/protocols#pigeon", HTTP_PUT):
        answer = service.transfers.by_parameters(
            {"TARGET": service.nodes.uri(data), "DIRECTION": PULL, "PROTOCOL": protocol}
        )
        expect_status(answer, 400)


@pytest.mark.clause(
    "VOS-6.4.3-parameters-missing",
    source="VOSpace 2.1 §6.4.3: an error is in the response itself, with its status",
)
def test_a_missing_source(service: Service, container: str) -> None:
    answer = ask(service, f"{container}/missing", PULL)
    expect_status(answer, 400, 404)
    assert len(answer.text.strip().splitlines()) == 1
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6.4.3-parameters-container", source="protocol.md 5.2: a container has no bytes: 400"
)
def test_a_container_as_source(service: Service, container: str) -> None:
    expect_status(ask(service, container, PULL), 400)


@pytest.mark.clause(
    "VOS-3.6.2-http", source="VOSpace 2.1 §3.5.3, §3.6.2: the plain HTTP protocols by their URIs"
)
def test_the_plain_protocols(service: Service, data: str) -> None:
    parameters = {"TARGET": service.nodes.uri(data), "DIRECTION": PULL, "PROTOCOL": HTTP_GET}
    assert service.transfers.by_parameters(parameters).status_code in (200, 303)
