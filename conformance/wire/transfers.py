"""/synctrans: negotiating where bytes go, and moving them.

The document form as every service has it, the parameter form as CADC's shortcut. Byte URLs that
name no security method are used without credentials: they are pre-authorised or public.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import requests

from conformance.wire.connection import Connection, Parameters, WireError, succeed
from conformance.wire.documents import Protocol, Transfer, read_transfer, transfer_document
from conformance.wire.jobs import Jobs, location
from conformance.wire.nodes import Nodes
from conformance.wire.terms import HTTP_GET, HTTP_PUT, HTTPS_GET, HTTPS_PUT, PULL, PUSH


@dataclass(frozen=True, slots=True)
class Negotiation:
    """A synchronous transfer: the redirect, what it led to, and the URL of the job."""

    answer: requests.Response
    details: requests.Response
    job: str

    @property
    def transfer(self) -> Transfer:
        """The transfer document; raises WireError when there is none."""
        return read_transfer(succeed(self.details).content)

    @property
    def protocols(self) -> tuple[Protocol, ...]:
        """The protocols offered; none when the negotiation failed."""
        return self.transfer.protocols if self.details.ok else ()


@dataclass(slots=True)
class Transfers:
    """The synchronous transfers of one service as one user."""

    connection: Connection
    anonymous: Connection
    root: str
    nodes: Nodes
    jobs: Jobs
    document_type: str = "text/xml"

    def post(self, document: bytes) -> requests.Response:
        """POST of a transfer document; the redirect is not followed."""
        headers = {"Content-Type": self.document_type}
        return self.connection.send("POST", self.root, data=document, headers=headers, follow=False)

    def negotiate(
        self,
        path: str,
        direction: str,
        protocols: Sequence[Protocol] | None = None,
        *,
        view: str | None = None,
    ) -> Negotiation:
        """Ask for a transfer and follow the redirects to its details.

        Raises WireError when the answer is no redirect.
        """
        wanted = self.usual_protocols(direction) if protocols is None else protocols
        answer = self.post(transfer_document([self.nodes.uri(path)], direction, wanted, view=view))
        url = location(answer)
        details = self.connection.send("GET", url)
        return Negotiation(answer, details, url.partition("/results/")[0])

    def usual_protocols(self, direction: str) -> list[Protocol]:
        """HTTPS before HTTP, pre-authorised before our own security method."""
        uris = (HTTPS_PUT, HTTP_PUT) if direction == PUSH else (HTTPS_GET, HTTP_GET)
        plain = [Protocol(uri) for uri in uris]
        method = self.connection.credentials.method
        return plain + [Protocol(uri, security_method=method) for uri in uris if method]

    def by_parameters(self, parameters: Parameters, method: str = "POST") -> requests.Response:
        """The parameter form; the redirect is not followed."""
        return self.connection.send(method, self.root, params=parameters, follow=False)

    def endpoint(self, path: str, direction: str) -> Protocol:
        """The first byte URL offered; raises WireError when there is none."""
        negotiation = self.negotiate(path, direction)
        for protocol in negotiation.protocols:
            if protocol.endpoint:
                return protocol
        raise WireError(
            f"{direction} of {path}: no endpoint; "
            f"{negotiation.details.status_code} {negotiation.details.text[:200]}"
        )

    def push(
        self,
        path: str,
        content: bytes | Iterable[bytes],
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Negotiate a push, then PUT the bytes to the first URL offered."""
        return self.send("PUT", self.endpoint(path, PUSH), data=content, headers=headers)

    def pull(
        self, path: str, headers: Mapping[str, str] | None = None, *, stream: bool = False
    ) -> requests.Response:
        """Negotiate a pull, then GET the bytes from the first URL offered."""
        return self.send("GET", self.endpoint(path, PULL), headers=headers, stream=stream)

    def send(
        self,
        method: str,
        protocol: Protocol,
        *,
        data: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Use a byte URL, with credentials only where it names a security method."""
        user = self.connection if protocol.security_method else self.anonymous
        url = protocol.endpoint or ""
        return user.send(method, url, data=data, headers=headers, stream=stream)
