"""Heads of requests as bytes: which are refused, and with what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakevospace.requesthead import HEADERS, LINE_BYTES, check_headers, check_request_line

HOST = b"Host: x:1\r\n"


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1\r\n", b"PUT /a%20b?x=[1] HTTP/1.0\n", b"M-SEARCH * HTTP/1.1\r\n",
     b"GET http://h:80/p HTTP/1.1\r\n", b"GET http://[::1]:8 HTTP/1.1\r\n"],
)  # fmt: skip
def test_request_lines(line: bytes) -> None:
    assert check_request_line(line) is None


@pytest.mark.parametrize(
    ("line", "status"),
    [(b"GET /\r\n", 400), (b"GET  / HTTP/1.1\r\n", 400), (b"GET / HTTP/1.1", 400),
     (b"G\x00T / HTTP/1.1\r\n", 400), ("GET /é HTTP/1.1\r\n".encode(), 400),
     (b"GET a HTTP/1.1\r\n", 400), (b"GET ftp://x/ HTTP/1.1\r\n", 400), (b"\x16\x03\x01", 400),
     (b"GET /a b HTTP/1.1\r\n", 400), (b"GET / HTTP/2.0\r\n", 505), (b"GET / http/1.1\r\n", 400),
     (b"GET http://a b/ HTTP/1.1\r\n", 400), (b"GET /" + b"a" * LINE_BYTES, 414)],
)  # fmt: skip
def test_request_lines_that_are_none(line: bytes, status: int) -> None:
    bad = check_request_line(line)
    assert bad is not None and bad.status == status and "\n" not in bad.text


@pytest.mark.parametrize(
    ("lines", "status"),
    [([], 400), ([HOST, HOST], 400), ([b"Host: a b\r\n"], 400), ([b'Host: "x"\r\n'], 400),
     ([HOST, b"no colon\r\n"], 400), ([HOST, b" folded: x\r\n"], 400),
     ([HOST, b"Name : x\r\n"], 400), ([HOST, b"X: a\x00b\r\n"], 400), ([HOST, b"X: a\rb\r\n"], 400),
     ([HOST, b"Content-Length: -1\r\n"], 400), ([HOST, b"Content-Length: 1, 1\r\n"], 400),
     ([HOST, b"Content-Length: 1\r\n", b"Content-Length: 1\r\n"], 400),
     ([HOST, b"Content-Length: " + b"9" * 30 + b"\r\n"], 400),
     ([HOST, b"Content-Length: 1\r\n", b"Transfer-Encoding: chunked\r\n"], 400),
     ([HOST, b"Transfer-Encoding: gzip, chunked\r\n"], 501), ([HOST, b"Expect: tea\r\n"], 417),
     ([HOST] + [b"X: y\r\n"] * HEADERS, 431)],
)  # fmt: skip
def test_headers_that_are_refused(lines: list[bytes], status: int) -> None:
    bad = check_headers(lines, needs_host=True)
    assert bad is not None and bad.status == status


@pytest.mark.parametrize(
    "lines",
    [[HOST], [HOST, b"Content-Length: 0\r\n"], [HOST, b"Transfer-Encoding: Chunked\r\n"],
     [HOST, b"Expect: 100-Continue\r\n"], [HOST, "X: é\t b\r\n".encode(), b"Y:\r\n"]],
)  # fmt: skip
def test_headers(lines: list[bytes]) -> None:
    assert check_headers(lines, needs_host=True) is None


def test_http_1_0_needs_no_host() -> None:
    assert check_headers([], needs_host=False) is None


@given(st.lists(st.binary(max_size=60)))
def test_anything_gets_a_verdict(lines: list[bytes]) -> None:
    for line in lines:
        check_request_line(line)
    check_headers(lines, needs_host=True)
