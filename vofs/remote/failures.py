"""What the exceptions of vos, cadcutils, requests and urllib3 mean, as `core.errors`.

Decides by type and by the response that an exception carries, never by its text.  The one question
beside the kind is whether the request may have reached the service: a connection that was never
made (refused, no such host, a server certificate that is not trusted) proves that it did not.

Invariant: inside `by_meaning` nothing of those libraries gets out; errors of vofs pass unchanged.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import requests
import urllib3.exceptions as u3
from cadcutils import exceptions as cadc

from vofs.core.errnos import error_from_answer
from vofs.core.errors import (
    NotAuthenticated,
    ProtocolViolation,
    RemoteError,
    RemoteFailed,
    RemoteTimeout,
    RemoteUnavailable,
    VofsError,
)

__all__ = ["answer_error", "by_meaning", "meaning_of"]

# Of TLS errors only this one: others may also end a connection that was in use.
_UNTRUSTED = ssl.SSLCertVerificationError
_NEVER_CONNECTED = (u3.ConnectTimeoutError, u3.ProxyError, requests.ConnectTimeout, _UNTRUSTED)
_LONGEST_BODY = 4096  # of an error's text; the fault is its first word


@contextmanager
def by_meaning(what: str, *, sent: bool) -> Iterator[None]:
    """Raise every failure of the network inside by its meaning.

    Args:
        what: the request, for the message: "GET https://host/path".
        sent: whether it is a change, which may have had an effect once it was connected (R8).
    """
    try:
        yield
    except VofsError:
        raise
    except Exception as exc:
        error = meaning_of(exc, what, sent=sent)
        if error is None:
            raise
        raise error from exc


def meaning_of(exc: BaseException, what: str, *, sent: bool) -> VofsError | None:
    """Return what `exc` means, or None when it comes from nowhere near the network."""
    response = _response_of(exc)
    if response is not None:
        return answer_error(response)
    chain = list(_chain(exc))
    if any(isinstance(item, _NEVER_CONNECTED) for item in chain):
        return _not_connected(chain, what)
    if any(isinstance(item, u3.TimeoutError | requests.Timeout) for item in chain):
        return RemoteTimeout(f"{what}: no answer within the timeout", sent=sent)
    match exc:
        case cadc.UnauthorizedException():
            return NotAuthenticated(f"{what}: {_line(exc)}")
        case requests.exceptions.InvalidURL() | requests.exceptions.MissingSchema():
            return ProtocolViolation(f"{what}: the service gave an unusable URL: {_line(exc)}")
        case cadc.HttpException() | requests.RequestException() | u3.HTTPError():
            return RemoteUnavailable(f"{what}: {_line(_innermost(chain))}", sent=sent)
        case OSError():  # a socket's own, from below urllib3
            return RemoteUnavailable(f"{what}: {_line(exc)}", sent=sent)
        case _:
            return None


def answer_error(response: requests.Response) -> VofsError:
    """Return what an HTTP answer with an error status means, and release its connection.

    A service that answers has refused, so nothing is in doubt; whoever sent it a body knows better.
    """
    try:
        body = _text_of(response)
    finally:
        response.close()
    return error_from_answer(
        response.status_code,
        body,
        retry_after_s=_retry_after_s(response.headers.get("Retry-After")),
    )


def _text_of(response: requests.Response) -> str:
    try:
        data = next(response.iter_content(_LONGEST_BODY), b"")
    except (requests.RequestException, u3.HTTPError, OSError, RuntimeError):
        data = b""  # the status alone has to do
    return data[:_LONGEST_BODY].decode("utf-8", "replace")


def _retry_after_s(text: str | None) -> float | None:
    # Seconds only: the services never send the date form (protocol.md 4.7).
    return float(text) if text and text.isascii() and text.isdecimal() else None


def _response_of(exc: BaseException) -> requests.Response | None:
    for item in _chain(exc):
        if isinstance(item, requests.HTTPError) and item.response is not None:
            return item.response
    return None


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """Yield `exc` and everything it wraps, by cause, orig_exception, reason and arguments."""
    waiting: list[BaseException] = [exc]
    seen: set[int] = set()
    while waiting:
        item = waiting.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        wrapped = [
            item.__cause__,
            item.__context__,
            getattr(item, "orig_exception", None),
            getattr(item, "reason", None),
            *item.args,
        ]
        waiting.extend(inner for inner in wrapped if isinstance(inner, BaseException))


def _not_connected(chain: list[BaseException], what: str) -> RemoteError:
    if any(isinstance(item, _UNTRUSTED) for item in chain):
        # Not transient, and worth its own words: cadcutils says what to do about a certificate.
        advice = next((item for item in chain if isinstance(item, cadc.SslException)), chain[0])
        return RemoteFailed(f"{what}: {_line(advice)}")
    # urllib3's NewConnectionError (refused, no such host) is a ConnectTimeoutError by descent.
    if any(isinstance(item, u3.NewConnectionError | u3.ProxyError) for item in chain):
        return RemoteUnavailable(f"{what}: {_line(_innermost(chain))}")
    return RemoteTimeout(f"{what}: no connection within the timeout")


def _innermost(chain: list[BaseException]) -> BaseException:
    system = (item for item in chain if isinstance(item, OSError) and item.strerror)
    return next(system, chain[-1])


def _line(exc: BaseException) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    lines = str(exc).strip().splitlines()
    return lines[0][:300] if lines else type(exc).__name__
