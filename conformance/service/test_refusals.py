"""Refusals: hostile and mistaken requests get an answer of the right class, and change nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

import pytest
import requests

from conformance.expect import expect_fault, expect_status, sample
from conformance.wire import Service, node_document
from conformance.wire.terms import CONTAINER, LENGTH, PUSH, TITLE, VOS, XSI


@pytest.mark.clause(
    "VOS-6.2.1-no-entities", source="XML 1.0 §4.1: external entities are not resolved into a node"
)
def test_external_entities(service: Service, container: str) -> None:
    uri = service.nodes.uri(f"{container}/a")
    body = f"""<?xml version="1.0"?><!DOCTYPE n [<!ENTITY x SYSTEM "file:///etc/passwd">]>
    <vos:node xmlns:vos="{VOS}" xmlns:xsi="{XSI}" xsi:type="vos:ContainerNode" uri="{uri}">
    <vos:properties><vos:property uri="{TITLE}">&x;</vos:property></vos:properties><vos:nodes/>
    </vos:node>"""
    answer = service.nodes.put(f"{container}/a", document=body.encode())
    expect_status(answer, 201, 400)
    assert "root:" not in service.nodes.get(f"{container}/a").text


@pytest.mark.clause("VOS-6.2.1-no-bombs", source="CWE-776: nested entities do not stop the service")
def test_nested_entities(service: Service, container: str) -> None:
    entities = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 12))
    uri = service.nodes.uri(f"{container}/a")
    body = f"""<?xml version="1.0"?><!DOCTYPE n [<!ENTITY e0 "x">{entities}]>
    <vos:node xmlns:vos="{VOS}" xmlns:xsi="{XSI}" xsi:type="vos:ContainerNode" uri="{uri}">
    <vos:properties><vos:property uri="{TITLE}">&e11;</vos:property></vos:properties><vos:nodes/>
    </vos:node>"""
    answer = service.nodes.put(f"{container}/a", document=body.encode())
    assert 400 <= answer.status_code < 500, answer.status_code
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-6-method", source="RFC 9110 §15.5.6: a method that a resource does not have"
)
def test_unknown_methods(service: Service, container: str) -> None:
    for method in ("PATCH", "PROPFIND", "BREW"):
        answer = service.connection.send(method, service.nodes.url(container))
        expect_status(answer, 400, 403, 404, 405, 501)
    assert service.nodes.exists(container)


@pytest.mark.clause(
    "VOS-6-fault-text",
    source="VOSpace 2.1 §6: a fault is in the body; opencadc VOSTest: text/plain",
)
def test_faults_are_plain_text(service: Service, container: str) -> None:
    for answer in (
        service.nodes.get(f"{container}/missing"),
        service.nodes.put(container),
        service.nodes.put(f"{container}/x", "HologramNode"),
        service.nodes.delete(f"{container}/missing"),
    ):
        assert answer.headers["Content-Type"].startswith("text/plain"), answer.headers
        assert answer.text.strip() and "Traceback" not in answer.text and "\tat " not in answer.text


@pytest.mark.clause("VOS-6-not-found", source="RFC 9110 §15.5.5: what is no resource is 404")
def test_what_is_no_resource(service: Service) -> None:
    base = service.capabilities_url.rpartition("/")[0]
    expect_status(service.connection.send("GET", f"{base}/no-such-resource"), 403, 404)


@pytest.mark.clause(
    "VOS-6.2.1-encodings", source="XML 1.0 §4.3.3: documents in UTF-8 and in UTF-16 are read alike"
)
def test_other_encodings(service: Service, container: str) -> None:
    document = node_document(service.nodes.uri(f"{container}/a"), CONTAINER, {TITLE: "é☃"})
    text = document.decode().replace("'UTF-8'", "'UTF-16'").encode("utf-16")
    answer = service.nodes.put(f"{container}/a", document=text)
    expect_status(answer, 201, 400)
    if answer.status_code == 201:
        assert service.nodes.read(f"{container}/a").properties[TITLE] == "é☃"


@pytest.mark.clause(
    "VOS-6.2.1-prefixes", source="Namespaces in XML 1.0: prefixes are the writer's choice"
)
def test_other_prefixes(service: Service, container: str) -> None:
    uri = service.nodes.uri(f"{container}/a")
    body = f"""<node xmlns="{VOS}" xmlns:ns1="{VOS}" xmlns:i="{XSI}" i:type="ns1:ContainerNode"
    uri="{uri}"><properties><ns1:property uri="{TITLE}">t</ns1:property></properties><nodes/>
    </node>"""
    expect_status(service.nodes.put(f"{container}/a", document=body.encode()), 201)
    assert service.nodes.read(f"{container}/a").properties[TITLE] == "t"


@contextmanager
def raw(service: Service, url: str) -> Iterator[tuple[socket.socket, str, str]]:
    """A bare connection to the host of a URL; with the target and the host for a request line."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    with closing(socket.create_connection((parts.hostname or "", port), 30)) as plain:
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=service.connection.authority_file)
            with context.wrap_socket(plain, server_hostname=parts.hostname) as secured:
                yield secured, target, parts.netloc
        else:
            yield plain, target, parts.netloc


@pytest.mark.clause(
    "VOS-CADC-half-sent",
    source="protocol.md 6.3, rules.md R1: a PUT that breaks off never shows as a whole file",
)
@pytest.mark.needs("atomicPut")
def test_a_push_that_breaks_off_keeps_the_old_bytes(service: Service, container: str) -> None:
    path, content = f"{container}/data", sample(5000)
    service.make(path, content)
    protocol = service.transfers.endpoint(path, PUSH)
    with raw(service, str(protocol.endpoint)) as (connection, target, host):
        head = f"PUT {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head.encode() + sample(20_000, 2))
    # Whatever the service does with the half: an old file stays what it was.
    assert service.pull(path).content == content
    assert service.nodes.read(path).properties[LENGTH] == "5000"


@pytest.mark.clause(
    "VOS-6-garbage", source="RFC 9112 §3: what is no HTTP ends in an error, never in success"
)
def test_what_is_no_http(service: Service, container: str) -> None:
    for line in (b"\x16\x03\x01garbage\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with raw(service, service.nodes.root) as (connection, _, _):
            connection.sendall(line)
            connection.settimeout(30)
            answer = connection.recv(200)
        assert b" 2" not in answer[:12] and b" 3" not in answer[:12], answer
    assert service.nodes.exists(container)


@pytest.mark.clause(
    "VOS-6-huge-header", source="RFC 6585 §5: headers of a megabyte are refused, not swallowed"
)
def test_huge_headers(service: Service, container: str) -> None:
    try:
        answer = service.connection.send(
            "GET", service.nodes.url(container), headers={"X-Huge": "x" * 1_000_000}
        )
    except requests.ConnectionError:
        pass
    else:
        assert 400 <= answer.status_code < 500, answer.status_code
    assert service.nodes.exists(container)


@pytest.mark.clause(
    "VOS-6.3.1-unknown-parameters", source="VOSpace 2.1 §6.3.1: parameters that mean nothing here"
)
def test_unknown_parameters_are_ignored(service: Service, container: str) -> None:
    answer = service.connection.send(
        "GET", service.nodes.url(container), params={"frobnicate": "yes", "detail": "nonsense"}
    )
    expect_status(answer, 200)


@pytest.mark.clause("VOS-6.2.1-other-schemes", source="VOSpace 2.1 §2: vos:// and nothing else")
def test_other_schemes(service: Service, container: str) -> None:
    uri = service.nodes.uri(f"{container}/a")
    for other in (uri.replace("vos://", "ivo://"), uri.replace("vos://", "VOS//"), uri[6:]):
        answer = service.nodes.put(f"{container}/a", document=node_document(other, CONTAINER))
        expect_status(answer, 400)
    expect_fault(service.nodes.get(f"{container}/a"), 404, "NodeNotFound")
