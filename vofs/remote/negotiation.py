"""Where the bytes of a node are: the shortcut, the parameter form, the document form.

Decides by what the service answers: /synctrans with parameters answers a push with a redirect to a
pre-authorised URL (vault, protocol.md 5.3); where it does not, and for every GET on a service
without /files, a transfer document is negotiated (protocol.md 5.2).

Invariants: at most `_MAX_HOPS` redirects; the credential goes only where `Transport` lets it; a
negotiation for PUT has no effect on existing bytes.
"""

from __future__ import annotations

import re
from urllib.parse import urljoin

import requests

from vofs.core.errnos import error_from_fault
from vofs.core.errors import (
    InvalidRequest,
    NotSupported,
    ProtocolViolation,
    RemoteFailed,
    VofsError,
)
from vofs.core.transferxml import (
    Direction,
    Endpoint,
    Protocol,
    build_transfer,
    parse_job,
    parse_transfer,
)
from vofs.core.uris import ServiceUri, node_uri
from vofs.remote.discovery import Service
from vofs.remote.transport import Transport, release

__all__ = ["Negotiation", "location_of"]

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_HOPS = 5
# Answers of /synctrans that lead to a transfer document, not to bytes (protocol.md 5.2, 5.3).
_DETAILS = re.compile(r"/(results/transferDetails|xfer/[^/]+)/?$")


class Negotiation:
    """Asks one service where bytes go.

    Args:
        transport: the way to it.
        service: its URLs.
        uri: its name.
        secure_only: take only https protocols when negotiating by document.
    """

    def __init__(
        self, transport: Transport, service: Service, uri: ServiceUri, *, secure_only: bool
    ) -> None:
        self._transport = transport
        self._service = service
        self._uri = uri
        self._secure_only = secure_only

    def push_url(self, path: str) -> str:
        """Return the URL that takes a PUT of the bytes of `path` without a credential.

        Raises:
            VofsError: the service refuses the push, by meaning.
        """
        fields = {
            "TARGET": node_uri(self._uri, path),
            "DIRECTION": Direction.PUSH.value,
            "PROTOCOL": Protocol.HTTPS_PUT.value,
        }
        try:
            response = self._transport.request("POST", self._service.synctrans, data=fields)
        except (InvalidRequest, NotSupported):  # no parameter form here
            return self._by_document(path, Direction.PUSH)
        if response.status_code in _REDIRECTS:
            location = location_of(response)
            if not _DETAILS.search(location):
                return location
            return self._endpoint(self._details(location), location)
        return self._endpoint(self._transport.read(response, sent=False), self._service.synctrans)

    def pull_url(self, path: str) -> str:
        """Return the URL that answers a GET with the bytes of `path` without a credential."""
        return self._by_document(path, Direction.PULL)

    def _by_document(self, path: str, direction: Direction) -> str:
        secure, plain = (
            (Protocol.HTTPS_PUT, Protocol.HTTP_PUT)
            if direction is Direction.PUSH
            else (Protocol.HTTPS_GET, Protocol.HTTP_GET)
        )
        protocols = (secure,) if self._secure_only else (secure, plain)
        response = self._transport.request(
            "POST",
            self._service.synctrans,
            data=build_transfer(node_uri(self._uri, path), direction, protocols),
            headers={"Content-Type": "text/xml"},
        )
        if response.status_code in _REDIRECTS:
            location = location_of(response)
            return self._endpoint(self._details(location), location)
        return self._endpoint(self._transport.read(response), self._service.synctrans)

    def _details(self, url: str) -> bytes:
        """Follow `url` to the transfer document; a failed job's own error says more than a 500."""
        job_url = re.sub(r"/results/transferDetails/?$", "", url)
        try:
            for _ in range(_MAX_HOPS):
                response = self._transport.request("GET", url)
                if response.status_code not in _REDIRECTS:
                    return self._transport.read(response)
                url = location_of(response)
        except RemoteFailed as exc:
            raise self._job_error(job_url) or exc from exc
        raise ProtocolViolation(f"more than {_MAX_HOPS} redirects to a transfer document")

    def _endpoint(self, document: bytes, source: str) -> str:
        for endpoint in parse_transfer(document):
            if _needs_no_credential(endpoint):
                return endpoint.url
        error = self._job_error(re.sub(r"/results/transferDetails/?$", "", source))
        raise error or ProtocolViolation("the service offers no place for the bytes")

    def _job_error(self, job_url: str) -> VofsError | None:
        if "/transfers/" not in job_url and "/synctrans/" not in job_url:
            return None
        try:
            job = parse_job(self._transport.read(self._transport.request("GET", job_url)))
        except VofsError:
            return None  # the first failure stays the one that is told
        return error_from_fault(job.error) if job.phase == "ERROR" else None


def location_of(response: requests.Response) -> str:
    """Return the absolute URL that a redirect leads to, and release its connection.

    Raises:
        ProtocolViolation: it leads nowhere or to something that is not HTTP.
    """
    release(response)
    location = urljoin(response.url, response.headers.get("Location", ""))
    if location == response.url or not location.startswith(("http://", "https://")):
        raise ProtocolViolation(f"a redirect ({response.status_code}) to {location[:100]!r}")
    return location


def _needs_no_credential(endpoint: Endpoint) -> bool:
    return endpoint.security_method is None
