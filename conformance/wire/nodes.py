"""/nodes: one method per operation, each returning the plain response."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

import requests

from conformance.wire.connection import Connection, succeed
from conformance.wire.documents import Node, node_document, read_node
from conformance.wire.terms import CONTAINER

XML = {"Content-Type": "text/xml"}

Properties = Mapping[str, str | None]


@dataclass(slots=True)
class Nodes:
    """The nodes of one service as one user sees them; paths are decoded, without outer slashes."""

    connection: Connection
    root: str
    authority: str

    def url(self, path: str) -> str:
        """The URL of a node."""
        return f"{self.root}/{quote(path)}".rstrip("/")

    def uri(self, path: str) -> str:
        """The VOSpace URI of a path."""
        return f"vos://{self.authority}/{quote(path)}".rstrip("/")

    def get(self, path: str, **query: int | str) -> requests.Response:
        """GET of the node document; redirects are not followed."""
        return self.connection.send("GET", self.url(path), params=query or None, follow=False)

    def read(self, path: str, **query: int | str) -> Node:
        """The node, read; raises WireError when it cannot be had."""
        return read_node(succeed(self.get(path, **query)).content)

    def put(
        self,
        path: str,
        kind: str = CONTAINER,
        properties: Properties | None = None,
        *,
        target: str | None = None,
        document: bytes | None = None,
    ) -> requests.Response:
        """PUT of a node: of the type and the properties given, or the document as it is."""
        body = document
        if body is None:
            body = node_document(self.uri(path), kind, properties, target=target)
        return self.connection.send("PUT", self.url(path), data=body, headers=XML)

    def post(
        self,
        path: str,
        kind: str = CONTAINER,
        properties: Properties | None = None,
        *,
        target: str | None = None,
        document: bytes | None = None,
    ) -> requests.Response:
        """POST of changed properties, or of the document as it is."""
        body = document
        if body is None:
            body = node_document(self.uri(path), kind, properties, target=target)
        return self.connection.send("POST", self.url(path), data=body, headers=XML)

    def delete(self, path: str) -> requests.Response:
        """DELETE of the node."""
        return self.connection.send("DELETE", self.url(path))

    def exists(self, path: str) -> bool:
        """True when the node can be read; raises WireError when the service does not tell."""
        answer = self.get(path, limit=0)
        if answer.status_code == requests.codes.not_found:
            return False
        succeed(answer)
        return True
