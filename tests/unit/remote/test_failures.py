"""What the exceptions of four libraries mean (remote/failures.py); needs no socket."""

from __future__ import annotations

import errno
import io
import ssl

import pytest
import requests
import urllib3
import urllib3.exceptions as u3
from cadcutils import exceptions as cadc

from vofs.core import errors
from vofs.core.errors import RemoteUnavailable, VofsError
from vofs.remote.failures import by_meaning, meaning_of


def answer(status: int, body: bytes = b"", **headers: str) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    response.raw = urllib3.HTTPResponse(io.BytesIO(body), preload_content=False)
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return requests.HTTPError(response=response)


def refused() -> requests.ConnectionError:
    reason = u3.NewConnectionError(None, "refused")  # type: ignore[arg-type]
    reason.__cause__ = ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
    return requests.ConnectionError(u3.MaxRetryError(None, "/x", reason))  # type: ignore[arg-type]


def reset() -> requests.ConnectionError:
    inner = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    return requests.ConnectionError(u3.ProtocolError("Connection aborted.", inner))


def untrusted() -> cadc.SslException:
    inner = requests.exceptions.SSLError(u3.SSLError(ssl.SSLCertVerificationError()))
    return cadc.SslException("not trusted", orig_exception=inner)


@pytest.mark.parametrize(
    ("exc", "expected"),
    [
        (
            cadc.NotFoundException(orig_exception=answer(404, b"NodeNotFound: x")),
            errors.NodeNotFound,
        ),
        (cadc.ForbiddenException(orig_exception=answer(403)), errors.PermissionDenied),
        (cadc.UnauthorizedException(orig_exception=answer(401)), errors.NotAuthenticated),
        (cadc.AlreadyExistsException(orig_exception=answer(409)), errors.NodeExists),
        (cadc.ByteLimitException(orig_exception=answer(413)), errors.QuotaExceeded),
        (cadc.InternalServerException(orig_exception=answer(500)), errors.RemoteFailed),
        (cadc.UnexpectedException(orig_exception=answer(423)), errors.NodeLocked),
        (answer(416), errors.VersionChanged),
        (cadc.UnauthorizedException("no"), errors.NotAuthenticated),
        (cadc.HttpException(orig_exception=refused()), errors.RemoteUnavailable),
        (cadc.TransferException("Transfer error on URL: x"), errors.RemoteUnavailable),
        (untrusted(), errors.RemoteFailed),
        (cadc.SslException("eof", orig_exception=u3.SSLError()), errors.RemoteUnavailable),
        (requests.ReadTimeout(), errors.RemoteTimeout),
        (requests.ConnectTimeout(), errors.RemoteTimeout),
        (requests.exceptions.MissingSchema("x"), errors.ProtocolViolation),
        (u3.ReadTimeoutError(None, "/x", "slow"), errors.RemoteTimeout),  # type: ignore[arg-type]
        (u3.ProtocolError("cut"), errors.RemoteUnavailable),
        (u3.IncompleteRead(1, 2), errors.RemoteUnavailable),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), errors.RemoteUnavailable),
    ],
)
def test_meanings(exc: Exception, expected: type[VofsError]) -> None:
    assert type(meaning_of(exc, "GET x", sent=False)) is expected


@pytest.mark.parametrize(
    ("exc", "sent"),
    [
        (refused(), False),
        (cadc.HttpException(orig_exception=refused()), False),
        (requests.ConnectTimeout(), False),
        (reset(), True),
        (requests.ReadTimeout(), True),
        (cadc.TransferException("reset"), True),
        (cadc.UnexpectedException(orig_exception=answer(503)), False),
        (cadc.UnexpectedException(orig_exception=answer(502)), True),
    ],
)
def test_a_change_is_in_doubt_unless_it_provably_never_left(exc: Exception, sent: bool) -> None:
    """R8."""
    error = meaning_of(exc, "PUT x", sent=True)
    assert isinstance(error, RemoteUnavailable)
    assert error.sent is sent


def test_retry_after_is_passed_on() -> None:
    error = meaning_of(answer(503, b"temporarily unavailable", Retry_After="7"), "x", sent=False)
    assert isinstance(error, RemoteUnavailable)
    assert error.retry_after_s == 7
    dated = meaning_of(answer(503, Retry_After="Thu, 01 Jan 1970 00:00:05 GMT"), "x", sent=False)
    assert isinstance(dated, RemoteUnavailable)
    assert dated.retry_after_s is None


def test_messages_are_one_line_and_say_why() -> None:
    error = meaning_of(cadc.HttpException(orig_exception=refused()), "GET http://h/x", sent=False)
    assert str(error) == "GET http://h/x: Connection refused"


def test_defects_pass_unchanged() -> None:
    for exc in (KeyError("defect"), errors.NodeNotFound("x")):
        with pytest.raises(type(exc)) as caught, by_meaning("GET x", sent=False):
            raise exc
        assert caught.value is exc
