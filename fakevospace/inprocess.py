"""The service in process, on `responses`: for clients that use `requests`, without any socket.

The only module that knows `responses`.  A request that a client would send is handed to the same
WSGI application that the server runs, over the same state: one state, two fronts.  Unmodified
`vos.Client` works (protocol.md 2.5, recipe D): the registry is found by VOSPACE_WEBSERVICE, the
version check by its path, and any other host is refused, as if it did not answer.

What `responses` cannot do, because there is no connection: it takes in a request's body as a whole
before the service sees it and gives the answer's as a whole, and it knows no time-outs.  The
faults that live in a connection are refused with `FaultNotPossible`: use `FakeVOSpace.serve`.

Inside, HOME and the variables of the vos tools are those of a new, empty home; a `vos` that is
imported already is led there too, because it keeps the paths of its caches from its import.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest import mock
from urllib.parse import unquote_to_bytes, urlsplit

import responses
from requests import PreparedRequest
from requests.adapters import HTTPAdapter

from fakevospace.bodies import JournaledBody
from fakevospace.environment import REMOVED, Contact, seed_home
from fakevospace.faultactions import NEED_CONNECTION, Action
from fakevospace.faultboard import FaultBoard
from fakevospace.faulteffects import CONNECTED, WHY_NOT
from fakevospace.service import Service

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HOST = "fake.test"  # of a reserved top-level domain (RFC 2606): nobody answers there
BLOCK_BYTES = 1 << 20
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH")
VERSION_CHECK = re.compile(r"https?://[^/]+/pypi/[^/]+/json")
IMPOSSIBLE: dict[type[Action], str] = dict.fromkeys(NEED_CONNECTION, WHY_NOT)
# Where vos and cadcutils keep what they computed from HOME when they were imported.
CACHE_PATHS = (
    ("cadcutils.net.ws", "CACHE_LOCATION", ".config/cadc-registry"),
    ("cadcutils.util.utils", "CADC_CACHE_DIR", ".config"),
    ("vos.vosconfig", "_CONFIG_PATH", ".config/vos/vos-config"),
)
Answer = tuple[int, list[tuple[str, str]], bytes]


def answer_of(service: Service, request: PreparedRequest) -> Answer:
    """Answer a request to the service's own host, or a version check.

    Returns:
        Status, headers and body.
    Raises:
        FaultNotPossible: a fault that needs a connection is due.
    """
    if VERSION_CHECK.match(request.url or ""):
        return 200, [("Content-Type", "application/json")], b'{"releases": {}}'
    began: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _: Any = None) -> Any:
        began.append((status, headers))

    body = cast(JournaledBody, service(environment_of(request), start_response))
    try:
        data = b"".join(body)
    finally:
        body.close()
    status, headers = began[0]
    return int(status[:3]), headers, data


def environment_of(request: PreparedRequest) -> WSGIEnvironment:
    """Make the WSGI environment of a request that was never sent."""
    parts = urlsplit(request.url or "")
    raw = parts.path or "/"
    body = body_of(request)
    environ: dict[str, Any] = {
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "REQUEST_METHOD": request.method or "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(raw).decode("latin-1"),
        "QUERY_STRING": parts.query,
        "RAW_URI": f"{raw}?{parts.query}" if parts.query else raw,
        "SERVER_NAME": parts.hostname or HOST,
        "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc.rpartition("@")[2],
        CONNECTED: False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        given: object = value  # typed as str, but requests takes bytes too
        text = given.decode("latin-1") if isinstance(given, bytes) else str(given)
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = text
    if environ.pop("HTTP_TRANSFER_ENCODING", None) or body:  # the length is known by now
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
    return environ


def body_of(request: PreparedRequest) -> bytes:
    """Read the whole body of a request: bytes, text, blocks, or what has a `read(size)`."""
    body: Any = request.body
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode("utf-8")
    if hasattr(body, "read"):
        blocks = []
        while block := body.read(BLOCK_BYTES):
            blocks.append(block)
        return b"".join(blocks)
    return body if isinstance(body, bytes) else b"".join(body)


@contextmanager
def _bodies_taken_in() -> Iterator[None]:
    """Read bodies before `responses` does: it calls `read()`, and that of vos wants a size.

    Enter it when `responses` has put itself in the place of `HTTPAdapter.send`.
    """
    send = HTTPAdapter.send

    def taking_in(adapter: HTTPAdapter, request: PreparedRequest, **options: Any) -> Any:
        request.body = body_of(request) or None
        return send(adapter, request, **options)

    with mock.patch.object(HTTPAdapter, "send", taking_in):
        yield


@contextmanager
def answering(
    service: Service, board: FaultBoard, contact: Contact, *, restrict: bool
) -> Iterator[Path]:
    """Answer the requests of this process while the context lasts.

    Args:
        contact: what clients must know of the service.
        restrict: refuse faults that need a connection when they are made; else when they strike.
    Yields:
        The HOME that the vos tools have meanwhile.
    Raises:
        FaultNotPossible: a fault stands that needs a connection.
    """
    board.restrict(IMPOSSIBLE if restrict else {})
    home = Path(tempfile.mkdtemp(prefix="fakevospace-"))
    root = re.compile(r"https?://" + re.escape(urlsplit(contact.url).netloc) + r"([/?].*)?\Z")
    try:
        with ExitStack() as stack:
            stack.enter_context(_environment_for(home, contact))
            faked = stack.enter_context(responses.RequestsMock(assert_all_requests_are_fired=False))

            def answer(request: PreparedRequest) -> Any:  # typed without lists of headers
                faked.calls.reset()  # it would keep all bodies; the journal is the record
                return answer_of(service, request)

            for method in METHODS:
                for pattern in (root, VERSION_CHECK):
                    faked.add_callback(method, pattern, answer, content_type=None)
            stack.enter_context(_bodies_taken_in())
            yield home
    finally:
        board.restrict({})
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _environment_for(home: Path, contact: Contact) -> Iterator[None]:
    """Lead the vos tools of this process to the service, and put everything back at the end."""
    variables = seed_home(home, contact)
    patched = set()
    with ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, variables))
        for name in REMOVED:
            os.environ.pop(name, None)
        for module, attribute, below in CACHE_PATHS:
            if (found := sys.modules.get(module)) is not None and hasattr(found, attribute):
                stack.enter_context(mock.patch.object(found, attribute, str(home / below)))
                patched.add(module)
        yield
    for module, attribute, below in CACHE_PATHS:  # what was imported meanwhile saw our HOME
        if module not in patched and (found := sys.modules.get(module)) is not None:
            setattr(found, attribute, str(Path.home() / below))
