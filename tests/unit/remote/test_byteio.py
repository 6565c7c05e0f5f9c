"""Proof of versions, ranges and lengths of byte replies (remote/byteio.py); needs no socket."""

from __future__ import annotations

import base64
import hashlib
import io

import pytest
import requests
import urllib3
from hypothesis import given
from hypothesis import strategies as st

from vofs.core.errors import (
    ProtocolViolation,
    RemoteUnavailable,
    TransferCorrupted,
    VersionChanged,
    VofsError,
)
from vofs.core.nodes import VersionToken
from vofs.remote.byteio import digest_md5, proved
from vofs.remote.sizedbody import SizedBody

DATA = b"0123456789"
MD5 = hashlib.md5(DATA).hexdigest()
DIGEST = "md5=" + base64.b64encode(bytes.fromhex(MD5)).decode()
DATE = "Thu, 01 Jan 1970 00:00:05 GMT"
VAULT = VersionToken(10, MD5)
CAVERN = VersionToken(10, "f" * 32, 5_999, md5_proves=False)


def reply(status: int, body: bytes = b"", **headers: str) -> requests.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    response = requests.Response()
    response.status_code = status
    response.url = "http://host/files/x?query"
    response.headers.update(named)
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(body), headers=named, status=status, preload_content=False
    )
    return response


def test_a_whole_body() -> None:
    response = reply(200, DATA, Content_Length="10", Digest=DIGEST)
    with proved(response, 0, 10, VAULT) as source:
        assert (source.start, source.total, source.md5) == (0, 10, MD5)
        assert b"".join(source.chunks()) == DATA


def test_a_range() -> None:
    response = reply(
        206, DATA[2:5], Content_Length="3", Content_Range="bytes 2-4/10", Digest=DIGEST
    )
    with proved(response, 2, 5, VAULT) as source:
        assert (source.start, source.total) == (2, 10)
        assert b"".join(source.chunks()) == DATA[2:5]


def test_a_200_in_answer_to_a_range_starts_at_0() -> None:
    """R12."""
    with proved(reply(200, DATA, Content_Length="10"), 7, 9, CAVERN) as source:
        assert source.start == 0
        assert b"".join(source.chunks()) == DATA


def test_an_empty_file_is_a_204() -> None:
    with proved(reply(204), 0, 0, VersionToken(0)) as source:
        assert (list(source.chunks()), source.total) == ([], 0)
    with pytest.raises(VersionChanged):
        proved(reply(204), 0, 10, VAULT)


@pytest.mark.parametrize(
    "response",
    [
        reply(206, DATA, Content_Range="bytes 0-4/10"),
        reply(206, DATA, Content_Range="bytes 2-9/10"),
        reply(206, DATA, Content_Range="bytes 2-4/*"),
        reply(206, DATA),
        reply(302, DATA),
    ],
)
def test_another_range_than_asked_for_is_no_answer(response: requests.Response) -> None:
    """R12: a 206 counts only with the Content-Range that was asked for."""
    with pytest.raises(ProtocolViolation):
        proved(response, 2, 5, VAULT)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (reply(200, DATA, Content_Length="11", Digest=DIGEST), VAULT),
        (reply(200, DATA, Content_Length="10", Digest=DIGEST), VersionToken(10, "f" * 32)),
        (reply(206, DATA, Content_Range="bytes 0-9/11"), VAULT),
        (
            reply(200, DATA, Content_Length="10", Last_Modified=DATE),
            VersionToken(10, MD5, 6000, False),
        ),
        (reply(200, DATA, Content_Length="9", Last_Modified=DATE), CAVERN),
    ],
)
def test_another_version_is_not_given(response: requests.Response, expected: VersionToken) -> None:
    """R12: before its first byte is accepted."""
    with pytest.raises(VersionChanged):
        proved(response, 0, 10, expected)


def test_on_a_file_system_the_md5_is_only_a_hint() -> None:
    """R13: the date decides to the second, the stale MD5 does not."""
    response = reply(200, DATA, Content_Length="10", Last_Modified=DATE, Digest=DIGEST)
    with proved(response, 0, 10, CAVERN) as source:
        assert source.md5 == MD5


def test_a_body_that_ends_early_is_an_error_after_the_bytes_that_came() -> None:
    with proved(reply(200, DATA[:6], Digest=DIGEST), 0, 10, VAULT) as source:
        chunks = source.chunks()
        assert next(chunks) == DATA[:6]
        with pytest.raises(RemoteUnavailable):
            next(chunks)


def test_a_body_longer_than_announced_is_an_error() -> None:
    with (
        proved(reply(200, DATA + b"x", Digest=DIGEST), 0, 10, VAULT) as source,
        pytest.raises(ProtocolViolation),
    ):
        list(source.chunks())


@pytest.mark.parametrize(
    ("header", "md5"),
    [
        (DIGEST, MD5),
        (DIGEST.replace("md5", "MD5"), MD5),
        ("sha-256=abc, " + DIGEST, MD5),
        ("md5=!!!", None),
        ("md5=" + base64.b64encode(b"short").decode(), None),
        ("", None),
    ],
)
def test_digests(header: str, md5: str | None) -> None:
    assert digest_md5(reply(200, Digest=header)) == md5


@given(st.lists(st.binary(max_size=5), max_size=5), st.integers(0, 30))
def test_a_body_is_as_long_as_announced_or_fails(chunks: list[bytes], size: int) -> None:
    body = SizedBody(chunks, size)
    assert len(body) == size
    if sum(map(len, chunks)) == size:
        assert list(body) == chunks
        assert body.failure is None
    else:
        with pytest.raises(TransferCorrupted):
            list(body)
        assert isinstance(body.failure, VofsError)


def test_what_the_caller_raises_is_kept_apart() -> None:
    def broken() -> object:
        yield b"x"
        raise KeyError("mine")

    body = SizedBody(broken(), 5)  # type: ignore[arg-type]
    with pytest.raises(KeyError):
        list(body)
    assert isinstance(body.failure, KeyError)
    assert body.begun
