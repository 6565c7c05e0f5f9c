"""One VOSpace service as one user sees it: its resources, and what clauses need on their way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

import requests

from conformance.wire.connection import Connection, Credentials, WireError, succeed
from conformance.wire.discovery import Interface, choose_endpoints, read_interfaces
from conformance.wire.documents import read_node
from conformance.wire.jobs import Jobs
from conformance.wire.nodes import Nodes, Properties
from conformance.wire.terms import (
    CONTAINER,
    DATA,
    FILES,
    LINK,
    NODES,
    SYNC_2_0,
    SYNC_2_1,
    TRANSFERS,
)
from conformance.wire.transfers import Transfers


@dataclass(frozen=True, slots=True)
class Dialect:
    """How documents must be sent where a service wants it otherwise than the standard says."""

    transfer_type: str = "text/xml"


@dataclass(slots=True)
class Service:
    """One service; `interfaces` are those of its capabilities document."""

    connection: Connection
    anonymous: Connection
    capabilities_url: str
    interfaces: tuple[Interface, ...]
    authority: str = ""
    dialect: Dialect = Dialect()

    @classmethod
    def at(
        cls,
        capabilities_url: str,
        connection: Connection,
        dialect: Dialect | None = None,
        authority: str = "",
    ) -> Service:
        """The service that describes itself at this URL.

        Without `authority` that of its URIs is read from its root. Raises WireError.
        """
        answer = succeed(connection.send("GET", capabilities_url))
        anonymous = Connection(authority_file=connection.authority_file)
        service = cls(
            connection,
            anonymous,
            capabilities_url,
            tuple(read_interfaces(answer.content)),
            authority,
            dialect or Dialect(),
        )
        if not authority:
            root = read_node(succeed(service.nodes.get("", limit=0)).content)
            service.authority = root.uri.removeprefix("vos://").partition("/")[0]
        return service

    def acting_as(self, credentials: Credentials) -> Service:
        """The same service as another user sees it."""
        return replace(self, connection=Connection(credentials, self.connection.authority_file))

    @property
    def endpoints(self) -> Mapping[str, str]:
        """The URL of each resource, for our credentials."""
        return choose_endpoints(list(self.interfaces), self.connection.credentials.method)

    def endpoint(self, *standards: str) -> str:
        """The URL of the first of these resources that there is; raises WireError."""
        endpoints = self.endpoints
        for standard in standards:
            if standard in endpoints:
                return endpoints[standard]
        raise WireError(f"the service has no capability {standards[0]}")

    @property
    def nodes(self) -> Nodes:
        """/nodes."""
        return Nodes(self.connection, self.endpoint(NODES), self.authority)

    def jobs(self, standard: str = TRANSFERS) -> Jobs:
        """The jobs of one resource."""
        kind = self.dialect.transfer_type if standard == TRANSFERS else "text/xml"
        return Jobs(self.connection, self.endpoint(standard), kind)

    @property
    def transfers(self) -> Transfers:
        """/synctrans."""
        return Transfers(
            self.connection,
            self.anonymous,
            self.endpoint(SYNC_2_1, SYNC_2_0),
            self.nodes,
            self.jobs(),
            self.dialect.transfer_type,
        )

    def file_url(self, path: str) -> str:
        """The URL of a path below /files."""
        return f"{self.endpoint(FILES)}/{quote(path)}"

    def make(
        self, path: str, content: bytes | None = None, properties: Properties | None = None
    ) -> None:
        """Make a container, or with `content` a data node; raises WireError."""
        kind = CONTAINER if content is None else DATA
        succeed(self.nodes.put(path, kind, properties))
        if content:
            succeed(self.transfers.push(path, content))

    def make_link(self, path: str, target: str) -> None:
        """Make a link to a path of this service; raises WireError."""
        succeed(self.nodes.put(path, LINK, target=self.nodes.uri(target)))

    def pull(self, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """GET of the bytes: from /files where there is one, else negotiated."""
        if FILES in self.endpoints:
            return self.connection.send("GET", self.file_url(path), headers=headers)
        return self.transfers.pull(path, headers)
