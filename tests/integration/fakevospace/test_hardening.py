"""Bad input over the wire: an answer of the right class or a closed connection, no more."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import socket
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakevospace import FakeVOSpace
from fakevospace.server import TURNED_AWAY, connection_limit

from .conftest import Client, MakeClient

TIMEOUT_S = 20


def connect(client: Client) -> socket.socket:
    parts = urlsplit(client.url)
    return socket.create_connection((parts.hostname or "", parts.port or 0), TIMEOUT_S)


def converse(client: Client, data: bytes, *, shut: bool = False) -> bytes:
    """Send bytes and return everything that comes back until the connection is closed."""
    with connect(client) as connection:
        try:
            connection.sendall(data)
            if shut:
                connection.shutdown(socket.SHUT_WR)
            parts = []
            while block := connection.recv(1 << 16):
                parts.append(block)
        except ConnectionError:
            pass
        return b"".join(parts)


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([line, "Host: x", "Connection: close", *headers, "", ""]).encode() + body


def status_of(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:60]
    return int(answer[9:12])


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"\x16\x03\x01\x02\x00\x01\n\r\n\r\n", 400), (b"GET / HTTP/9.9\r\n\r\n", 505),
     (b"GET / HTTP/1.1\r\n\r\n", 400), (b"<xml/>\r\n\r\n", 400),
     (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
     (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", 431),
     (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431)],
)  # fmt: skip
def test_malformed_http_is_answered_in_our_own_words(
    vault: Client, data: bytes, status: int
) -> None:
    answer = converse(vault, data)
    assert status_of(answer) == status
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"text/plain" in head and b"Connection: close" in head
    assert body.count(b"\n") == 1 and b"<" not in body


@pytest.mark.parametrize(
    "path",
    ["..", "a/../../etc/passwd", "%2e%2e", "a%2F..%2Fb", "%2e%2e%2fetc", "a/%2E%2E/b", "./a",
     "a%00b", "%ff", "%c0%ae%c0%ae", "%zz", "%", "a%2"],
)  # fmt: skip
@pytest.mark.parametrize("where", ["nodes", "files"])
def test_traversal_and_escapes_that_are_none(both: Client, where: str, path: str) -> None:
    answer = converse(both, request(f"GET /{both.service}/{where}/{path} HTTP/1.1"))
    assert status_of(answer) == 400


BOMBS = {
    "lol": b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (n + 1, b"&%c;" % n * 10) for n in range(97, 110))
    + b"]><node>&n;</node>",
    "attribute": b'<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (n + 1, b"&%c;" % n * 10) for n in range(97, 110))
    + b']><node uri="&n;"/>',
    "external": b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><node uri="a">&x;</node>',
    "parameter": b'<!DOCTYPE l [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]><node/>',
    "dtd": b'<!DOCTYPE l SYSTEM "http://127.0.0.1:9/x.dtd"><node/>',
    "utf-16": '<!DOCTYPE l [<!ENTITY a "b">]><node>&a;</node>'.encode("utf-16"),
    "utf-7": b'<?xml version="1.0" encoding="UTF-7"?>+ADw-node+AD4-',
    "deep": b"<a>" * 10_000,
    "wide": b"<a" + b"".join(b' x%d=""' % n for n in range(3000)) + b"/>",
    "nul": b"<node>\x00</node>",
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("target", ["PUT nodes/x", "POST synctrans", "POST transfers"])
def test_xml_bombs_and_external_entities(vault: Client, name: str, target: str) -> None:
    method, path = target.split()
    began = time.monotonic()
    answer = vault.call(method, path, data=BOMBS[name], headers={"Content-Type": "text/xml"})
    assert answer.status_code == 400, answer.text
    assert "root:" not in answer.text and time.monotonic() - began < 5


@pytest.mark.parametrize(
    "query",
    ["limit=" + "9" * 5000, "limit=%C2%B2", "limit=-1", "limit=1e3", "uri=%00", "detail=%ff",
     "uri=vos://x", "uri=", "view=%3Cscript%3E", "&&&=&=", "limit=1&limit=2"],
)  # fmt: skip
def test_queries(both: Client, query: str) -> None:
    assert both.call("GET", f"nodes?{query}").status_code in (200, 400)


@pytest.mark.parametrize("wait", ["nan", "inf", "-inf", "1e999", "x", "", "0"])
def test_wait_of_a_job(both: Client, wait: str) -> None:
    both.fake.put("a", b"x")
    job = both.move("a", "b")
    assert both.call("GET", f"{job}?WAIT={wait}").status_code in (200, 400)


@pytest.mark.parametrize("value", ["bytes=" + "9" * 5000 + "-", "bytes=\xb2-", "bytes=--1", "x"])
def test_ranges(vault: Client, value: str) -> None:
    vault.fake.put("f", b"data")
    url = vault.endpoints("f", "pullFromVoSpace")[0]
    assert vault.call("GET", url, headers={"Range": value}).status_code in (200, 416)


def test_names_cannot_end_a_header(cavern: Client) -> None:
    name = "a\r\nX-Evil: 1"
    cavern.fake.put(name, b"x")
    push = "TARGET=vos://cadc.nrc.ca~arc/a%250D%250AX-Evil:%25201&DIRECTION=pushToVoSpace"
    protocol = "ivo://ivoa.net/vospace/core%23httpsput"
    answer = cavern.call("POST", f"synctrans?{push}&PROTOCOL={protocol}")
    assert answer.status_code == 303 and "X-Evil" not in answer.headers
    head = cavern.call("HEAD", "files/a%0D%0AX-Evil:%201")
    assert head.status_code == 200 and "X-Evil" not in head.headers


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"5\r\nhello\r\n0\r\n\r\n", 201), (b"5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n", 201),
     (b"5\r\nhello\r\n", 400), (b"5\r\nhel", 400), (b"zz\r\nhello\r\n0\r\n\r\n", 400),
     (b"5\r\nhello!\r\n0\r\n\r\n", 400), (b"-5\r\nhello\r\n0\r\n\r\n", 400),
     (b"F" * 15 + b"\r\nhello", 400), (b"5\r\nhello\r\n0\r\n", 400)],
)  # fmt: skip
def test_chunked_uploads_are_whole_or_refused(both: Client, body: bytes, status: int) -> None:
    url = urlsplit(both.endpoints("f", "pushToVoSpace")[0])
    data = request(f"PUT {url.path} HTTP/1.1", "Transfer-Encoding: chunked", body=body)
    assert status_of(converse(both, data, shut=True)) == status
    assert both.fake.get("f") == (b"hello" if status == 201 else b"")


def test_half_sent_bodies(make: MakeClient) -> None:
    client = make("vault", body_timeout_s=0.3)
    client.fake.put("f", b"before")
    url = urlsplit(client.endpoints("f", "pushToVoSpace")[0])
    data = request(f"PUT {url.path} HTTP/1.1", "Content-Length: 100", body=b"half")
    assert status_of(converse(client, data)) == 408
    assert status_of(converse(client, data, shut=True)) == 412
    assert client.fake.get("f") == b"before"


def test_a_body_that_drips_is_answered_408() -> None:
    """Each byte comes well within the pause that is allowed; all of them together are too slow."""
    with FakeVOSpace() as fake, fake.serve(body_timeout_s=0.3, body_rate=1000.0) as served:
        client = Client(fake, served.url)
        head = request("PUT /vault/nodes/x HTTP/1.1", "Content-Length: 1000", body=b"<")
        began = time.monotonic()
        with client.session, connect(client) as slow:
            slow.sendall(head)
            slow.settimeout(0.05)
            answer = b""
            while not answer and time.monotonic() - began < 10:
                with contextlib.suppress(TimeoutError):
                    slow.sendall(b" ")
                    answer = slow.recv(1 << 16)
            assert status_of(answer) == 408
            assert 0.2 < time.monotonic() - began < 3
            # The same number of bytes in one packet with the head is no drip.
            assert status_of(converse(client, head + b" " * 999)) == 400


def test_a_slow_body_that_keeps_the_rate_is_taken() -> None:
    with FakeVOSpace() as fake, fake.serve(body_timeout_s=0.2, body_rate=1000.0) as served:
        client = Client(fake, served.url)
        url = urlsplit(client.endpoints("f", "pushToVoSpace")[0])
        with client.session, connect(client) as slow:
            slow.sendall(request(f"PUT {url.path} HTTP/1.1", "Content-Length: 5000"))
            for _ in range(10):  # longer in all than the body may pause
                slow.sendall(b"x" * 500)
                time.sleep(0.04)
            assert status_of(slow.recv(1 << 16)) == 201


def test_two_requests_in_one_packet_and_what_follows_a_bad_one(vault: Client) -> None:
    one = b"GET /vault/nodes?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = converse(vault, one + one + b"rubbish\r\n\r\n" + one)
    codes = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert codes == [b"200", b"200", b"400"]


def test_absolute_targets(vault: Client) -> None:
    answer = converse(vault, request(f"GET {vault.url}/vault/nodes?limit=0 HTTP/1.1"))
    assert status_of(answer) == 200


def test_slow_heads_are_answered_408(make: MakeClient) -> None:
    with FakeVOSpace() as fake, fake.serve(head_timeout_s=0.3) as served:
        parts = urlsplit(served.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHo")
            assert status_of(slow.recv(1 << 16)) == 408


def test_a_thousand_slow_connections(make: MakeClient) -> None:
    """Others are served meanwhile; the slow ones end with 408; nothing stays behind."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4096 if hard < 0 else min(4096, hard)
    if wanted < 3000:
        pytest.skip(f"only {hard} files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    slow: list[socket.socket] = []
    try:
        with (
            FakeVOSpace() as fake,
            fake.serve(head_timeout_s=3.0, body_timeout_s=3.0) as served,
        ):
            client = Client(fake, served.url)
            whole = request("PUT /vault/nodes/x HTTP/1.1", "Content-Length: 1000", body=b"<")
            for number in range(1000):
                slow.append(connect(client))
                slow[-1].sendall(whole if number % 2 else whole[:30])
            with client.session:
                assert client.call("GET", "nodes").status_code == 200
                ends = {status_of(one.recv(1 << 16)) for one in slow}
                assert ends == {408}
                assert client.call("GET", "nodes").status_code == 200
    finally:
        for one in slow:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_more_connections_than_there_may_be_are_turned_away(make: MakeClient) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[socket.socket] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    try:
        with FakeVOSpace() as fake, fake.serve() as served:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            client = Client(fake, served.url)
            limit = 200 * 3 // 4
            for _ in range(limit):
                held.append(connect(client))
                held[-1].sendall(b"GET /vault/nodes?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n")
                assert held[-1].recv(1 << 16)
            with connect(client) as one:
                assert one.recv(1 << 16) == TURNED_AWAY
            held.pop().close()
            with client.session:
                assert any(client.call("GET", "nodes").ok for _ in range(100))
    finally:
        for one in held:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert connection_limit() > 100


def test_rubbish_on_a_tls_port() -> None:
    with FakeVOSpace() as fake, fake.serve(tls=True) as served:
        authority = (served.certificate_authority or b"").decode()
        parts = urlsplit(served.url)
        for data in (os.urandom(2000), b"GET / HTTP/1.1\r\n\r\n", b""):
            with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as one:
                one.sendall(data)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=10,
            context=ssl.create_default_context(cadata=authority),
        )  # fmt: skip
        connection.request("GET", "/vault/nodes")
        assert connection.getresponse().status == 200
        connection.close()


def test_memory_does_not_grow_with_bad_requests(make: MakeClient, tmp_path: Path) -> None:
    client = make("vault")
    bad = [
        request("PUT /vault/nodes/x HTTP/1.1", "Content-Length: 33000", body=bytes(33_000)),
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"\0" * 50_000,
    ]

    def round_of_them(count: int) -> None:
        for number in range(count):
            converse(client, bad[number % len(bad)])

    def resident_kib() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4

    round_of_them(150)
    before_kib = resident_kib()
    round_of_them(300)
    assert resident_kib() - before_kib < 8 * 1024
