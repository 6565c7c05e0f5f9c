"""The wire of VOSpace 2.1 as the clauses use it: requests sent and documents read, no judgement.

Written from the specification and independent of vofs and fakevospace on purpose: an error that
both shared would otherwise be invisible. Methods that a clause judges return the plain response;
only what a clause merely needs on its way raises WireError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

import requests
from lxml import etree

VOS = "http://www.ivoa.net/xml/VOSpace/v2.0"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CORE = "ivo://ivoa.net/vospace/core#"
NODES = "ivo://ivoa.net/std/VOSpace/v2.0#nodes"
SYNCTRANS = "ivo://ivoa.net/std/VOSpace#sync-2.1"
FILES = "ivo://ivoa.net/std/VOSpace#files-proto"
TOKEN = "ivo://ivoa.net/sso#token"
CERTIFICATE = "ivo://ivoa.net/sso#tls-with-certificate"

TIMEOUT_S = 60.0

_PARSER = etree.XMLParser(resolve_entities=False, no_network=True)


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


@dataclass(frozen=True, slots=True)
class Node:
    """What a node document says: type without prefix, properties, names of the children."""

    uri: str
    kind: str
    properties: Mapping[str, str]
    children: tuple[str, ...]


@dataclass(slots=True)
class Service:
    """One VOSpace service; `clause` is sent along with each request, for the service's log."""

    endpoints: Mapping[str, str]
    session: requests.Session
    authority: str = ""
    clause: str = field(default="", kw_only=True)

    @classmethod
    def at(
        cls, capabilities_url: str, credentials: Credentials, session: requests.Session
    ) -> Service:
        """The service that describes itself at this URL; its URIs are read from its root."""
        session.cert = credentials.certificate
        if credentials.token:
            session.headers["Authorization"] = f"Bearer {credentials.token}"
        answer = _succeed(session.get(capabilities_url, timeout=TIMEOUT_S))
        service = cls(_read_capabilities(answer.content, credentials.method), session)
        root = read_node(_succeed(service.get_node("", limit=0)).content)
        service.authority = root.uri.removeprefix("vos://").partition("/")[0]
        return service

    def uri(self, path: str) -> str:
        """The VOSpace URI of a path."""
        return f"vos://{self.authority}/{quote(path)}"

    def get_node(self, path: str, **query: int | str) -> requests.Response:
        """GET of the node document."""
        return self._send("GET", self._node_url(path), params=query)

    def put_container(self, path: str) -> requests.Response:
        """PUT of a ContainerNode."""
        return self._send(
            "PUT",
            self._node_url(path),
            data=_node_document(self.uri(path), "ContainerNode"),
            headers={"Content-Type": "text/xml"},
        )

    def delete_node(self, path: str) -> requests.Response:
        """DELETE of the node."""
        return self._send("DELETE", self._node_url(path))

    def negotiate(self, path: str, direction: str, protocols: tuple[str, ...]) -> list[str]:
        """The byte URLs that the service offers for a transfer (`pushToVoSpace`, ...).

        Raises WireError when it offers none.
        """
        document = _transfer_document(self.uri(path), direction, protocols)
        answer = self._send(
            "POST",
            self._endpoint(SYNCTRANS),
            data=document,
            headers={"Content-Type": "text/xml"},
        )
        found = etree.fromstring(_succeed(answer).content, _PARSER).iter(f"{{{VOS}}}endpoint")
        urls = [(element.text or "").strip() for element in found]
        if not urls:
            raise WireError(f"{direction} of {path}: the transfer document names no endpoint")
        return urls

    def push(self, path: str, content: bytes) -> requests.Response:
        """Negotiate a push, then PUT the bytes to the first URL offered."""
        protocols = (CORE + "httpsput", CORE + "httpput")
        url = self.negotiate(path, "pushToVoSpace", protocols)[0]
        return self._send("PUT", url, data=content)

    def pull(self, path: str) -> requests.Response:
        """GET of the bytes: the files endpoint where there is one, else negotiated."""
        if FILES in self.endpoints:
            return self._send("GET", f"{self.endpoints[FILES]}/{quote(path)}")
        protocols = (CORE + "httpsget", CORE + "httpget")
        return self._send("GET", self.negotiate(path, "pullFromVoSpace", protocols)[0])

    def remove_tree(self, path: str) -> None:
        """Delete a container and all below it, one DELETE per node; a missing one is fine."""
        answer = self.get_node(path)
        if answer.status_code == requests.codes.not_found:
            return
        for name in read_node(_succeed(answer).content).children:
            self.remove_tree(f"{path}/{name}")
        _succeed(self.delete_node(path))

    def _endpoint(self, standard: str) -> str:
        if standard not in self.endpoints:
            raise WireError(f"the service has no capability {standard}")
        return self.endpoints[standard]

    def _node_url(self, path: str) -> str:
        return f"{self._endpoint(NODES)}/{quote(path)}".rstrip("/")

    def _send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, int | str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        tagged = dict(headers or {})
        if self.clause:
            tagged["X-Conformance-Test"] = self.clause
        return self.session.request(
            method, url, params=params, data=data, headers=tagged, timeout=TIMEOUT_S
        )


def read_node(document: bytes) -> Node:
    """Read a node document; namespaces decide, prefixes do not matter."""
    root = etree.fromstring(document, _PARSER)
    properties = {
        str(element.get("uri")): element.text or "" for element in root.iterfind("{*}properties/*")
    }
    children = tuple(
        str(element.get("uri")).rpartition("/")[2] for element in root.iterfind("{*}nodes/*")
    )
    kind = str(root.get(f"{{{XSI}}}type")).rpartition(":")[2]
    return Node(str(root.get("uri")), kind, properties, children)


def _succeed(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        request = answer.request
        raise WireError(f"{request.method} {request.url}: {answer.status_code} {answer.text[:200]}")
    return answer


def _node_document(uri: str, kind: str) -> bytes:
    root = etree.Element(f"{{{VOS}}}node", nsmap={"vos": VOS, "xsi": XSI}, uri=uri)
    root.set(f"{{{XSI}}}type", f"vos:{kind}")
    etree.SubElement(root, f"{{{VOS}}}properties")
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _transfer_document(uri: str, direction: str, protocols: tuple[str, ...]) -> bytes:
    root = etree.Element(f"{{{VOS}}}transfer", nsmap={"vos": VOS}, version="2.1")
    etree.SubElement(root, f"{{{VOS}}}target").text = uri
    etree.SubElement(root, f"{{{VOS}}}direction").text = direction
    for protocol in protocols:
        etree.SubElement(root, f"{{{VOS}}}protocol", uri=protocol)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _read_capabilities(document: bytes, method: str | None) -> dict[str, str]:
    """The URL of each capability: for our security method, else anonymous, else any."""
    endpoints = {}
    for capability in etree.fromstring(document, _PARSER).iter("{*}capability", "capability"):
        offers = dict(_read_offers(capability))
        for wanted in (method, None, *offers):
            if wanted in offers:
                endpoints[str(capability.get("standardID"))] = offers[wanted].rstrip("/")
                break
    return endpoints


def _read_offers(capability: etree._Element) -> Iterator[tuple[str | None, str]]:
    for interface in capability.iter("{*}interface", "interface"):
        url = interface.findtext("{*}accessURL", "").strip()
        methods = [e.get("standardID") for e in interface.iterfind("{*}securityMethod")]
        for method in methods or [None]:
            yield method, url
