"""One user's HTTP connection to a service: credentials, time limits, and the tag of the clause.

No judgement here: a clause gets the plain response. Only what a clause merely needs on its way
raises WireError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import requests

from conformance.wire.terms import CERTIFICATE, TOKEN

# Longer than any service may think about a request, shorter than a patient user.
TIMEOUT_S = 60.0

Parameters = Mapping[str, int | str] | Sequence[tuple[str, str]]


class WireError(Exception):
    """The service did not answer a step that the clause only needs on its way."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks: a bearer token, a proxy certificate, or nobody."""

    token: str | None = None
    certificate: str | None = None

    @property
    def method(self) -> str | None:
        """The security method by which the service knows this credential."""
        if self.token:
            return TOKEN
        return CERTIFICATE if self.certificate else None


@dataclass(slots=True)
class Connection:
    """Sends requests as one user; `clause` goes along with each, for the service's log."""

    credentials: Credentials = Credentials()
    authority_file: str | None = None
    clause: str = ""
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        """Give the session what this user sends with every request."""
        # Settings of the machine (.netrc, proxies) must not change who asks.
        self.session.trust_env = False
        self.session.verify = self.authority_file or True
        self.session.cert = self.credentials.certificate
        if self.credentials.token:
            self.session.headers["Authorization"] = f"Bearer {self.credentials.token}"
        # Unlike what requests sends by itself: no compression, whose lengths nobody could compare.
        self.session.headers["Accept-Encoding"] = "identity"

    def send(
        self,
        method: str,
        url: str,
        *,
        params: Parameters | None = None,
        data: bytes | Iterable[bytes] | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        follow: bool = True,
        stream: bool = False,
    ) -> requests.Response:
        """Send one request; `follow` says whether redirects are followed."""
        tagged = dict(headers or {})
        if self.clause:
            tagged["X-Conformance-Test"] = self.clause
        query: Any = params
        return self.session.request(
            method,
            url,
            params=query,
            data=data,
            headers=tagged,
            timeout=TIMEOUT_S,
            allow_redirects=follow,
            stream=stream,
        )

    def another(self) -> Connection:
        """A connection of the same user with a session of its own, for another thread."""
        return Connection(self.credentials, self.authority_file, self.clause)

    def close(self) -> None:
        """Close the sockets that are kept open."""
        self.session.close()


def succeed(answer: requests.Response) -> requests.Response:
    """The same answer when it is a success (or a redirect that was not to be followed).

    Raises WireError otherwise.
    """
    if not answer.ok:
        request = answer.request
        raise WireError(f"{request.method} {request.url}: {answer.status_code} {answer.text[:200]}")
    return answer
