"""Requests as nobody would write them: an answer of the right class, or a closed connection.

A few hundred requests by default, 25,000 with `--hypothesis-profile=long`.  What is checked of
each: a status of 2xx to 5xx that the request may get, never 500 but where the real service has it
(protocol.md 5.2: details of a transfer that failed), no traceback, no hang; and after all of them
the service still answers.  A defect of the fake is logged as an error, which fails the test too.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakevospace import FakeVOSpace

from .conftest import VOS, XSI, Client

TIMEOUT_S = 20
EACH = 5  # requests of one example

NAMES = st.sampled_from(
    ["", "f", "d", "d/f", "link", "..", "%2e%2e", "a%2Fb", "%00", "%ff", "%", "a b", "+", "é",
     "%C3%A9", "%F0%9F%98%80", "x" * 300, "d/../f", "//", "?", "[", "preauth:x/f", "auth/nodes"]
)  # fmt: skip
RESOURCES = st.sampled_from(
    ["nodes/", "files/", "synctrans", "transfers", "transfers/x/phase", "xfer/x", "async-delete",
     "async-setprops", "pkg", "capabilities", "availability", "properties", "auth/nodes/", "x"]
)  # fmt: skip
QUERIES = st.sampled_from(
    ["", "?", "?limit=0", "?limit=x", "?limit=99999999999999999999", "?uri=vos://x!y/z", "?uri=%00",
     "?detail=max", "?view=data", "?view=zip", "?sort=x", "?order=desc", "?WAIT=nan", "?LAST=0",
     "?TARGET=vos://cadc.nrc.ca~vault/f&DIRECTION=pullFromVoSpace&PROTOCOL=x", "?TARGET=%ff",
     "?TARGET=vos://cadc.nrc.ca~arc/f&DIRECTION=pushToVoSpace&PROTOCOL=x", "?RUNID=%0A&PHASE=RUN"]
)  # fmt: skip
METHODS = st.sampled_from(
    ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "X"]
)
HEADERS = st.lists(
    st.sampled_from(
        ["Content-Type: text/xml", "Content-Type: application/x-www-form-urlencoded",
         "Content-Type: \x80", "Range: bytes=0-1", "Range: bytes=-", "Range: bytes=9-1",
         "Range: bytes=99999999999999999999-", "Digest: md5=x", "Digest: md5=", "Digest: \xe9=AA==",
         "Digest: sha-256=AAAA", "Expect: 100-continue", "Expect: x", "Authorization: Bearer x",
         "Authorization: Basic \xff", "Authorization: Basic OjpY", "Cookie: a=\x7f; CADC_SSO=x",
         "x-put-txn-op: start", "x-put-txn-op: commit", "x-put-txn-id: x", "x-total-length: -1",
         "Transfer-Encoding: chunked", "Transfer-Encoding: x", "Content-Length: 5",
         "Content-Length: x", "Connection: keep-alive", "Host: y", "Accept: application/json",
         "If-Modified-Since: x", "X-CADC-DelegationToken: \xa0", " folded", "no colon", ":"]
    ),
    max_size=5,
)  # fmt: skip


def node(uri: str, kind: str, rest: str) -> bytes:
    return (
        f'<vos:node xmlns:vos="{VOS}" xmlns:xsi="{XSI}" uri="{uri}" xsi:type="{kind}">{rest}'
        "</vos:node>"
    ).encode()


URIS = st.sampled_from(
    ["vos://cadc.nrc.ca~vault/f", "vos://cadc.nrc.ca!arc/d/n", "vos://x", "", "vos://a~b/../c",
     "vos://cadc.nrc.ca~vault/%zz", "http://x/", "vos://cadc.nrc.ca~vault/f?x#y"]
)  # fmt: skip
KINDS = st.sampled_from(
    ["vos:DataNode", "vos:ContainerNode", "vos:LinkNode", "DataNode", "vos:", "vos:X", ":DataNode"]
)
RESTS = st.sampled_from(
    ["", '<vos:properties><vos:property uri="q">x</vos:property></vos:properties>',
     "<vos:target>vos://cadc.nrc.ca~vault/link</vos:target>", "<vos:target/>", "&amp;", "]]",
     '<vos:properties><vos:property/></vos:properties>', "<!--x--><?pi x?>",
     f'<vos:properties><vos:property uri="ivo://ivoa.net/vospace/core#quota">{"9" * 5000}'
     "</vos:property></vos:properties>"]
)  # fmt: skip
TRANSFERS = st.builds(
    lambda target, direction, rest: (
        f'<transfer xmlns="{VOS}" version="2.1"><target>{target}</target>'
        f"<direction>{direction}</direction>{rest}</transfer>"
    ).encode(),
    URIS,
    st.sampled_from(["pullFromVoSpace", "pushToVoSpace", "vos://cadc.nrc.ca~vault/d", "x", ""]),
    st.sampled_from(["", "<keepBytes>false</keepBytes>", '<view uri="x"/>', "<protocol/>"]),
)
BODIES = st.one_of(
    st.just(b""),
    st.binary(max_size=60),
    st.builds(node, URIS, KINDS, RESTS),
    TRANSFERS,
    st.sampled_from(
        [b"PHASE=RUN", b"phase=abort&ACTION=DELETE", b"target=%ff", b"0\r\n\r\n", b"5\r\nhello\r\n",
         b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', b"<a" * 3000, b"x" * 40_000, b"\xff\xfe<\0"]
    ),
)  # fmt: skip


@st.composite
def requests_sent(draw: st.DrawFn) -> bytes:
    """One request: of sensible parts mostly, with a byte changed now and then, or no request."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    service = draw(st.sampled_from(["vault", "arc", "minoc/files/x", "reg", "_fake", ""]))
    target = f"/{service}/{draw(RESOURCES)}{draw(NAMES)}{draw(QUERIES)}"
    lines = [f"{draw(METHODS)} {target} HTTP/1.1", "Host: x", *draw(HEADERS)]
    body = draw(BODIES)
    if draw(st.booleans()):
        lines.append(f"Content-Length: {len(body)}")
    data = bytearray("\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body)
    if draw(st.integers(0, 4)) == 0:
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@pytest.fixture(scope="module", params=["vault", "cavern", "datalab", "spec"])
def target(request: pytest.FixtureRequest) -> Iterator[Client]:
    """One fake for all examples: what one request leaves behind, the next one meets."""
    with FakeVOSpace(request.param) as fake:
        fake.put("f", b"0123456789")
        fake.mkdir("d")
        with fake.serve(body_timeout_s=0.2, head_timeout_s=0.5) as served:
            client = Client(fake, served.url)
            with client.session:
                yield client


def converse(client: Client, data: bytes) -> bytes:
    """Send bytes, say that no more will come, and return what comes back until the end."""
    parts = urlsplit(client.url)
    received = []
    with socket.create_connection((parts.hostname or "", parts.port or 0), TIMEOUT_S) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(1 << 16):
                received.append(block)
        except ConnectionError:
            pass
    return b"".join(received)


def check(data: bytes, answer: bytes) -> None:
    """Judge the first answer: there is none, or it is a sound one."""
    if not answer:
        return
    assert answer.startswith(b"HTTP/1.1 "), (data, answer[:200])
    status = int(answer[9:12])
    assert 100 <= status < 600 and b"Traceback" not in answer, (data, answer[:200])
    assert status != 500 or b"Internal Error: " in answer, (data, answer[:400])


@pytest.mark.slow
@settings(max_examples=max(25, settings().max_examples // 4))
@given(sent=st.lists(requests_sent(), min_size=EACH, max_size=EACH))
def test_anything_gets_an_answer_or_an_end(target: Client, sent: list[bytes]) -> None:
    for data in sent:
        check(data, converse(target, data))
    assert target.call("GET", "capabilities").status_code == 200
