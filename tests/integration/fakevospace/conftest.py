"""A served fake per personality, and a small client that speaks plain HTTP to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
import requests
from lxml import etree

from fakevospace import FakeVOSpace
from fakevospace.personalities import PERSONALITIES

VOS = "http://www.ivoa.net/xml/VOSpace/v2.0"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
CORE = "ivo://ivoa.net/vospace/core#"
LOCKED = "ivo://cadc.nrc.ca/vospace/core#islocked"
TIMEOUT_S = 20


@dataclass
class Client:
    """Requests to one served fake; redirects are never followed."""

    fake: FakeVOSpace
    url: str
    session: requests.Session = field(default_factory=requests.Session)

    @property
    def service(self) -> str:
        """First element of the service's paths."""
        return self.fake.personality.service

    def uri(self, path: str) -> str:
        """The URI of a node, as the service writes it."""
        return f"vos://{self.fake.personality.authority}/{quote(path)}"

    def call(self, method: str, path: str, **options: object) -> requests.Response:
        """Send a request; `path` below the service, or an absolute URL."""
        url = path if path.startswith("http") else f"{self.url}/{self.service}/{path}"
        options.setdefault("timeout", TIMEOUT_S)
        return self.session.request(method, url, allow_redirects=False, **options)  # type: ignore[arg-type]

    def node(
        self,
        path: str,
        kind: str = "DataNode",
        properties: dict[str, str | None] | None = None,
        target: str | None = None,
    ) -> bytes:
        """A node document as clients write it."""
        root = etree.Element(f"{{{VOS}}}node", nsmap={"vos": VOS, "xsi": XSI})
        root.set("uri", self.uri(path))
        root.set(f"{{{XSI}}}type", f"vos:{kind}")
        holder = etree.SubElement(root, f"{{{VOS}}}properties")
        for key, value in (properties or {}).items():
            one = etree.SubElement(holder, f"{{{VOS}}}property", uri=key)
            one.text = value
            if value is None:
                one.set(f"{{{XSI}}}nil", "true")
        if target is not None:
            etree.SubElement(root, f"{{{VOS}}}target").text = target
        document: bytes = etree.tostring(root)
        return document

    def transfer(
        self, path: str, direction: str, keep: bool | None = None, method: str = ""
    ) -> bytes:
        """A transfer document."""
        word = "put" if direction == "pushToVoSpace" else "get"
        security = f'<securityMethod uri="{method}"/>' if method else ""
        protocol = f'<protocol uri="{CORE}https{word}">{security}</protocol>'
        last = protocol if keep is None else f"<keepBytes>{str(keep).lower()}</keepBytes>"
        return (
            f'<transfer xmlns="{VOS}" version="2.1"><target>{self.uri(path)}</target>'
            f"<direction>{direction}</direction>{last}</transfer>"
        ).encode()

    def negotiate(self, document: bytes, resource: str = "synctrans") -> requests.Response:
        """POST a transfer document as the service wants it."""
        form = self.fake.personality.form_documents
        headers = {"Content-Type": "application/x-www-form-urlencoded" if form else "text/xml"}
        return self.call("POST", resource, data=document, headers=headers)

    def endpoints(self, path: str, direction: str) -> list[str]:
        """Negotiate and return the byte URLs."""
        answer = self.negotiate(self.transfer(path, direction))
        while answer.is_redirect:
            answer = self.call("GET", answer.headers["Location"])
        assert answer.status_code == 200, answer.text
        found = etree.fromstring(answer.content).iter(f"{{{VOS}}}endpoint")
        return [one.text or "" for one in found]

    def upload(self, path: str, data: bytes, **headers: str) -> requests.Response:
        """Negotiate and PUT."""
        url = self.endpoints(path, "pushToVoSpace")[0]
        return self.call("PUT", url, data=data, headers=headers)

    def move(self, source: str, destination: str) -> str:
        """Run a move job and return its URL."""
        document = self.transfer(source, self.uri(destination), keep=False)
        job = self.negotiate(document, "transfers").headers["Location"]
        answer = self.call("POST", f"{job}/phase", data={"PHASE": "RUN"})
        assert answer.status_code in (302, 303)
        return job

    def properties(self, path: str, **query: str) -> dict[str, str]:
        """GET a node and return its own properties."""
        answer = self.call("GET", f"nodes/{quote(path)}", params=query)
        assert answer.status_code == 200, answer.text
        found = etree.fromstring(answer.content).iterfind(f"{{{VOS}}}properties/{{{VOS}}}property")
        return {one.get("uri", ""): one.text or "" for one in found}

    def children(self, path: str, **query: str) -> list[str]:
        """GET a container and return the last elements of its children's URIs."""
        answer = self.call("GET", f"nodes/{quote(path)}", params=query)
        assert answer.status_code == 200, answer.text
        found = etree.fromstring(answer.content).iterfind(f"{{{VOS}}}nodes/{{{VOS}}}node")
        return [one.get("uri", "").rpartition("/")[2] for one in found]


MakeClient = Callable[..., Client]


@pytest.fixture
def make() -> Iterator[MakeClient]:
    """Make served fakes that end with the test: `make("cavern", page_cap=3)`."""
    opened = []

    def one(personality: str = "vault", body_timeout_s: float = 5.0, **options: object) -> Client:
        fake = FakeVOSpace(personality, **options)  # type: ignore[arg-type]
        context = fake.serve(body_timeout_s=body_timeout_s)
        client = Client(fake, context.__enter__().url)
        opened.append((client, context))
        return client

    yield one
    for client, context in opened:
        client.session.close()
        context.__exit__(None, None, None)
        client.fake.close()


@pytest.fixture
def vault(make: MakeClient) -> Client:
    """A vault."""
    return make("vault")


@pytest.fixture
def cavern(make: MakeClient) -> Client:
    """A cavern."""
    return make("cavern")


@pytest.fixture(params=list(PERSONALITIES))
def each(request: pytest.FixtureRequest, make: MakeClient) -> Client:
    """One of every personality in turn."""
    return make(request.param)


@pytest.fixture(params=["vault", "cavern"])
def both(request: pytest.FixtureRequest, make: MakeClient) -> Client:
    """One of each in turn."""
    return make(request.param)
