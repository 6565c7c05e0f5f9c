"""One HTTP request at a time: which session, which timeout, what its failure means.

Decides whether a request carries the credential: only to the service's own origins, whatever URL a
redirect or a document names.  Redirects are never followed here, so that no credential can travel
with one.  Each thread has its own two sessions (requests' are not for several threads); a thread
that ends drops them.

Invariants: every request has a timeout; every answer with an error status leaves as an error with
its connection released; no lock of the caller's is held while the network is used.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import requests
import requests.adapters

from vofs import locks
from vofs.core.errors import RemoteUnavailable
from vofs.remote.discovery import Access, Service, open_session
from vofs.remote.failures import answer_error, by_meaning
from vofs.remote.sizedbody import SizedBody

__all__ = ["Transport", "release", "shown"]

log = logging.getLogger(__name__)

_WORTH_READING = 64 * 1024  # bytes: reading on is cheaper than another connection


class Transport:
    """The way to one service, for any thread.

    Args:
        access: how the service is reached.
        service: where it is.
    """

    def __init__(self, access: Access, service: Service) -> None:
        self._access = access
        self._origins = frozenset(
            _origin(url)
            for url in (service.nodes, service.files, service.synctrans, service.transfers)
            if url is not None
        )
        self._mine = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()
        self._lock = locks.OrderedLock(locks.Level.LEAF)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | Iterable[bytes] | Mapping[str, str] | None = None,
        anonymous: bool = False,
    ) -> requests.Response:
        """Send one request and return its answer, the body still unread, below status 400.

        Args:
            method: HTTP method; any but GET and HEAD counts as a change for `sent`.
            url: absolute.
            params: query.
            headers: in addition to the session's.
            data: the body.
            anonymous: the URL carries its own permission: send no credential, to whomever.

        Raises:
            VofsError: by meaning, see `failures`.
        """
        change = method not in ("GET", "HEAD")
        what = f"{method} {shown(url, secret=anonymous)}"
        locks.assert_none_held(what)
        began = time.monotonic()
        with by_meaning(what, sent=change):
            session = self._session(anonymous=anonymous or _origin(url) not in self._origins)
            response = session.request(
                method,
                url,
                params=params,
                headers=headers,
                data=data,
                allow_redirects=False,
                stream=True,
                timeout=self._access.timeout_s,
            )
        elapsed_s = time.monotonic() - began
        log.debug("%s -> %d in %.3f s", what, response.status_code, elapsed_s)
        if response.status_code >= 400:
            raise answer_error(response)
        return response

    def put(
        self, url: str, body: SizedBody, *, headers: Mapping[str, str] | None, anonymous: bool
    ) -> requests.Response:
        """PUT bytes; what the body itself raised leaves as it is, for it is no network error.

        Raises:
            RemoteUnavailable: with sent=True once the first byte was handed out, be it by answer.
            VofsError: as for `request`.
        """
        try:
            return self.request(
                "PUT", url, headers=headers, data=body if len(body) else b"", anonymous=anonymous
            )
        except Exception as exc:
            if body.failure is not None:
                raise body.failure from None
            if isinstance(exc, RemoteUnavailable):
                exc.sent = exc.sent or body.begun
            raise

    def read(self, response: requests.Response, *, sent: bool = False) -> bytes:
        """Return the whole body of a small answer and release its connection."""
        what = f"answer of {shown(response.url)}"
        locks.assert_none_held(what)
        with response, by_meaning(what, sent=sent):
            return response.content

    def close(self) -> None:
        """Close the sessions of all threads."""
        with self._lock:
            sessions = list(self._sessions)
            self._sessions.clear()
        for session in sessions:
            _close_pools(session)
            session.close()

    def _session(self, *, anonymous: bool) -> requests.Session:
        name = "anonymous" if anonymous else "credentialed"
        session: requests.Session | None = getattr(self._mine, name, None)
        if session is None:
            session = self._anonymous_session() if anonymous else open_session(self._access)
            setattr(self._mine, name, session)
            with self._lock:
                self._sessions.add(session)
        return session

    def _anonymous_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False  # no ~/.netrc, as with the sessions of vos
        session.verify = self._access.verify
        return session


def release(response: requests.Response) -> None:
    """Let go of an answer whose body does not matter, so that its connection is used again.

    Closing an answer closes its connection unless the body was read, even an empty one.
    """
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) <= _WORTH_READING:
        with suppress(requests.RequestException, OSError):
            response.content  # noqa: B018 - read for its effect
    response.close()


def _close_pools(session: requests.Session) -> None:
    # Session.close() only forgets the pools: urllib3 closes their connections when they are
    # collected, which the traceback of any error that somebody keeps puts off.
    for adapter in session.adapters.values():
        if isinstance(adapter, requests.adapters.HTTPAdapter):
            pools = adapter.poolmanager.pools
            for key in pools.keys():  # noqa: SIM118 - it is no mapping to iterate over
                pool = pools.get(key)
                if pool is not None:
                    pool.close()


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def shown(url: str, *, secret: bool = False) -> str:
    """Return `url` for messages and logs, without its query.

    Args:
        url: absolute.
        secret: its path is a permission (a pre-authorised URL): show the server only.
    """
    parts = urlsplit(url)
    path = "/(bytes)" if secret else parts.path[:200]
    return f"{parts.scheme}://{parts.netloc}{path}"
