"""VosRemote: a real VOSpace service as a `Remote`, found and authenticated by the vos client.

Decides which requests an operation takes on the service's dialect.  The parts are elsewhere:
`discovery` (URLs, dialect, sessions), `transport` (one request), `negotiation` (where bytes are),
`byteio` (bytes), `moves` (jobs), `failures` (errors).  Nothing is tried again here: that is
`RetryingRemote`'s, but for a remembered byte URL or node type that has gone stale, which a second
request with fresh knowledge settles.

Invariants: what is remembered (byte URLs, node types) only saves requests; bytes prove their
version themselves and services refuse a wrong type, so that stale memory never changes a result.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from vofs.core.errors import (
    ContainerNotEmpty,
    ContainerNotFound,
    InvalidRequest,
    NodeError,
    NodeNotFound,
    ProtocolViolation,
    RemoteError,
    RemoteUnavailable,
    VersionChanged,
)
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.core.nodexml import (
    TypedNode,
    build_node,
    build_update,
    parse_node,
)
from vofs.core.uris import ServiceUri, url_path
from vofs.remote.api import ByteSource, Capabilities, MoveStatus, PutReceipt, PutTransactions
from vofs.remote.byteio import content_length, digest_md5, proved
from vofs.remote.credentials import Anonymous, Credential
from vofs.remote.discovery import Access, discover
from vofs.remote.listing import Listing
from vofs.remote.memory import Memory
from vofs.remote.moves import Moves
from vofs.remote.negotiation import Negotiation, location_of
from vofs.remote.retrying import Clock
from vofs.remote.sizedbody import SizedBody
from vofs.remote.transactions import HttpTransactions
from vofs.remote.transport import Transport, release

__all__ = ["VosRemote"]

log = logging.getLogger(__name__)

_XML = {"Content-Type": "text/xml"}
_RAW = {"Accept-Encoding": "identity"}  # the bytes as stored: offsets count in them
_LARGEST_DOCUMENT = 32 * 1024  # bytes; the services refuse larger ones with 413 (protocol.md 4.1)


class VosRemote:
    """One VOSpace service, as one account sees it; implements `api.Remote`.

    Looks the service up when it is made.

    Args:
        uri: the service; its root is not used, paths are below the service's own root.
        credential: who we are.
        insecure: do not verify the TLS certificates of servers.
        ca_file: PEM file of the authorities to trust instead of the usual ones.
        timeout_s: the longest wait in seconds without progress, for every request.
        secure_get: where bytes are negotiated by document, accept https only.
        clock: time for the wait on move jobs.

    Raises:
        NotSupported: no such service, or it is no VOSpace.
        RemoteUnavailable: registry or service cannot be reached.
    """

    def __init__(
        self,
        uri: ServiceUri,
        credential: Credential,
        *,
        insecure: bool = False,
        ca_file: Path | None = None,
        timeout_s: float = 30.0,
        secure_get: bool = True,
        clock: Clock = time,
    ) -> None:
        access = Access(uri, credential, insecure, ca_file, timeout_s)
        self._uri = uri
        self._service = discover(access)
        self._dialect = self._service.dialect
        self._transport = Transport(access, self._service)
        self._negotiation = Negotiation(self._transport, self._service, uri, secure_only=secure_get)
        self._moves = Moves(self._transport, self._service, uri, timeout_s, clock)
        self._listing = Listing(self._transport, self._service, uri)
        self._byte_urls: Memory[str] = Memory(1024)
        self._types: Memory[str] = Memory(8192)
        self.capabilities = self._capabilities(credential)
        self.transactions: PutTransactions | None = None
        if self._dialect.database:  # elsewhere the request that starts one truncates the file
            self.transactions = HttpTransactions(self._transport, self._negotiation.push_url)

    def get_node(self, path: str) -> NodeInfo:
        """See `Remote`: one request."""
        return self._get(path).node

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`: one request, or one per page."""
        for typed in self._listing.children(path):
            self._types.put(typed.node.path, typed.type_name)
            yield typed.node

    def create_node(self, node: NodeInfo) -> NodeInfo:
        """See `Remote`: one request."""
        document = _bounded(build_node(self._uri, node))
        try:
            response = self._transport.request(
                "PUT", self._node_url(node.path), data=document, headers=_XML
            )
        except NodeNotFound as exc:  # only the container can be missing
            raise ContainerNotFound(str(exc)) from exc
        return self._parsed(node.path, self._transport.read(response, sent=True)).node

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        """See `Remote`: one request, two when the node's type is not known yet."""
        remembered = self._types.get(path)
        if remembered not in (None, "LinkNode"):  # a link's document needs its target, too
            try:
                return self._update(path, remembered or "", changes, None)
            except InvalidRequest:  # perhaps another kind of node by now; nothing was changed
                if self._get(path).type_name == remembered:
                    raise
        typed = self._get(path)
        return self._update(path, typed.type_name, changes, typed.node.target)

    def delete_node(self, path: str) -> None:
        """See `Remote`: one request; one more where DELETE would take the children along."""
        if not self._dialect.refuses_full_containers:
            self._refuse_full(path)
        release(self._transport.request("DELETE", self._node_url(path)))
        self._types.drop(path)
        self._byte_urls.drop(path)

    def create_move(self, source: str, destination: str) -> str:
        """See `Remote`: one request."""
        return self._moves.create(source, destination)

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        """See `Remote`: two requests for a move that is done at once."""
        return self._moves.run(job_url, timeout_s)

    def move_status(self, job_url: str) -> MoveStatus:
        """See `Remote`: one request."""
        return self._moves.status(job_url)

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        """See `Remote`: two requests on vault for a cold file, one after that; one on cavern."""
        known = self._byte_urls.get(path)
        if known is not None:
            try:
                return self._get_bytes(known, start, end, expected, anonymous=True)
            except (NodeError, VersionChanged, RemoteError) as exc:
                self._byte_urls.drop(path)
                if isinstance(exc, RemoteUnavailable):
                    raise
                # Its permission ended, or it leads to bytes that were replaced: ask again.
                log.debug("byte URL of %s is stale: %s", path, exc)
        if self._service.files is None:
            url = self._negotiation.pull_url(path)
            return self._remember(path, url, start, end, expected)
        response = self._transport.request("GET", self._files_url(path), headers=_RAW)
        if response.status_code < 300:
            return proved(response, start, end, expected)
        return self._remember(path, location_of(response), start, end, expected)

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """See `Remote`: two requests on vault, one on cavern; one more without Digest."""
        sized = SizedBody(body, size)
        self._byte_urls.drop(path)
        try:
            if self._service.files is None or self._dialect.database:
                url, anonymous = self._negotiation.push_url(path), True
            else:
                url, anonymous = self._files_url(path), False
            receipt = self._put(url, sized, size, anonymous=anonymous)
        except NodeNotFound as exc:  # the node itself would be created
            raise ContainerNotFound(str(exc)) from exc
        self._types.drop(path)
        return receipt

    def close(self) -> None:
        """See `Remote`."""
        self._transport.close()

    def _capabilities(self, credential: Credential) -> Capabilities:
        database = self._dialect.database
        account = credential.account
        return Capabilities(
            identity=f"{self._service.registry_host}|{self._uri.resource_id}|{account}",
            ranges=database,
            atomic_put=database,
            pages=database,
            empty_put=not database,
            listing_lags=database,
            writable=not isinstance(credential, Anonymous),
            tells_rights=self._dialect.tells_rights,
        )

    def _node_url(self, path: str) -> str:
        return self._service.nodes + url_path(path)

    def _files_url(self, path: str) -> str:
        return f"{self._service.files}{url_path(path)}"

    def _get(self, path: str) -> TypedNode:
        response = self._transport.request(
            "GET", self._node_url(path), params={"limit": "0", "detail": "max"}
        )
        return self._parsed(path, self._transport.read(response))

    def _parsed(self, path: str, document: bytes) -> TypedNode:
        typed = parse_node(document, path=path, md5_proves=self._dialect.database)
        self._types.put(path, typed.type_name)
        return typed

    def _update(
        self, path: str, type_name: str, changes: Mapping[str, str | None], target: str | None
    ) -> NodeInfo:
        document = _bounded(build_update(self._uri, path, type_name, changes, target))
        response = self._transport.request(
            "POST", self._node_url(path), data=document, headers=_XML
        )
        return self._parsed(path, self._transport.read(response, sent=True)).node

    def _refuse_full(self, path: str) -> None:
        if self._get(path).node.kind is not NodeKind.CONTAINER:
            return
        for child in self._listing.children(path):
            raise ContainerNotEmpty(f"{path} holds {child.node.name!r}")

    def _remember(
        self, path: str, url: str, start: int, end: int, expected: VersionToken
    ) -> ByteSource:
        source = self._get_bytes(url, start, end, expected, anonymous=True)
        self._byte_urls.put(path, url)
        return source

    def _get_bytes(
        self, url: str, start: int, end: int, expected: VersionToken, *, anonymous: bool
    ) -> ByteSource:
        headers = dict(_RAW)
        if self._dialect.database and (start > 0 or end < expected.length):
            headers["Range"] = f"bytes={start}-{end - 1}"
        response = self._transport.request("GET", url, headers=headers, anonymous=anonymous)
        return proved(response, start, end, expected)

    def _put(self, url: str, body: SizedBody, size: int, *, anonymous: bool) -> PutReceipt:
        response = self._transport.put(url, body, headers=None, anonymous=anonymous)
        release(response)
        if response.status_code >= 300:
            raise ProtocolViolation(f"status {response.status_code} in answer to a PUT of bytes")
        md5 = digest_md5(response)
        return PutReceipt(md5, size) if md5 else self._look(url, anonymous=anonymous)

    def _look(self, url: str, *, anonymous: bool) -> PutReceipt:
        """Ask for the proof that the reply lacked; the bytes are there, whatever comes of it."""
        try:
            response = self._transport.request("HEAD", url, headers=_RAW, anonymous=anonymous)
        except (NodeError, RemoteError) as exc:
            log.debug("no proof of an upload by HEAD: %s", exc)
            return PutReceipt(None, None)
        release(response)
        return PutReceipt(digest_md5(response), content_length(response))


def _bounded(document: bytes) -> bytes:
    if len(document) > _LARGEST_DOCUMENT:
        raise InvalidRequest(f"a document of {len(document)} bytes; the services take 32 KiB")
    return document
