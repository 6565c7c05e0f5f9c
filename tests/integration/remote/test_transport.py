"""Where the credential goes and where never; needs two small servers on the loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from vofs import locks
from vofs.core.errors import NodeLocked, NodeNotFound, PermissionDenied, RemoteUnavailable
from vofs.core.uris import parse_vospace
from vofs.remote.credentials import Token
from vofs.remote.discovery import Access, Dialect, Service
from vofs.remote.transport import Transport, release


class Recorder:
    """A server that notes the headers of each request and answers as told."""

    def __init__(self, status: int = 200, headers: dict[str, str] | None = None) -> None:
        seen: list[Message] = []
        answers = headers or {}

        connections: list[object] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                connections.append(self.client_address)

            def do_GET(self) -> None:
                seen.append(self.headers)
                self.send_response(status)
                for name, value in answers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_DELETE = do_GET

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.seen = seen
        self.connections = connections
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ExitStack]:
    monkeypatch.setenv("VOSPACE_WEBSERVICE", "never-asked.invalid")
    monkeypatch.setattr("cadcutils.net.ws.CACHE_LOCATION", str(tmp_path))
    with ExitStack() as opened:
        yield opened


def transport_to(stack: ExitStack, url: str, timeout_s: float = 5.0) -> Transport:
    access = Access(parse_vospace("vault:"), Token("secret"), timeout_s=timeout_s)
    service = Service(
        nodes=f"{url}/vault/nodes",
        files=f"{url}/vault/files",
        synctrans=f"{url}/vault/synctrans",
        transfers=f"{url}/vault/transfers",
        registry_host="x",
        dialect=Dialect(True, True, True, True),
    )
    transport = Transport(access, service)
    stack.callback(transport.close)
    return transport


def carries_credential(headers: Message) -> bool:
    return any("secret" in value for value in headers.values())


def test_the_credential_goes_to_the_service_only(stack: ExitStack) -> None:
    home, foreign = stack.enter_context(Recorder()), stack.enter_context(Recorder())
    transport = transport_to(stack, home.url)
    transport.request("GET", f"{home.url}/vault/nodes/x").close()
    transport.request("GET", f"{home.url}/bytes", anonymous=True).close()
    transport.request("GET", f"{foreign.url}/vault/nodes/x").close()
    assert [carries_credential(headers) for headers in home.seen] == [True, False]
    assert [carries_credential(headers) for headers in foreign.seen] == [False]


def test_redirects_are_not_followed(stack: ExitStack) -> None:
    foreign = stack.enter_context(Recorder())
    home = stack.enter_context(Recorder(303, {"Location": f"{foreign.url}/x"}))
    response = transport_to(stack, home.url).request("GET", f"{home.url}/vault/files/x")
    assert response.status_code == 303
    response.close()
    assert foreign.seen == []


def test_nothing_is_tried_again_below_the_retry_loop(stack: ExitStack) -> None:
    """vos itself would sleep 30 s and send it again (protocol.md section 7)."""
    home = stack.enter_context(Recorder(503, {"Retry-After": "11"}))
    with pytest.raises(RemoteUnavailable) as caught:
        transport_to(stack, home.url).request("GET", f"{home.url}/vault/nodes/x")
    assert (len(home.seen), caught.value.retry_after_s) == (1, 11)


def test_an_answer_without_a_body_is_told_by_its_status(stack: ExitStack) -> None:
    home = stack.enter_context(Recorder(423))
    with pytest.raises(NodeLocked):
        transport_to(stack, home.url).request("DELETE", f"{home.url}/vault/nodes/x")


@pytest.mark.parametrize("status", [200, 204, 303])
def test_one_connection_serves_many_requests(stack: ExitStack, status: int) -> None:
    """A TLS handshake for each answer without a body would double the time of every open."""
    home = stack.enter_context(Recorder(status, {"Location": "/elsewhere"}))
    transport = transport_to(stack, home.url)
    for _ in range(3):
        release(transport.request("DELETE", f"{home.url}/vault/nodes/x"))
    assert (len(home.seen), len(home.connections)) == (3, 1)


def test_errors_keep_their_connection_too(stack: ExitStack) -> None:
    home = stack.enter_context(Recorder(404))
    transport = transport_to(stack, home.url)
    for _ in range(3):
        with pytest.raises(NodeNotFound):
            transport.request("GET", f"{home.url}/vault/nodes/x")
    assert (len(home.seen), len(home.connections)) == (3, 1)


def test_a_pre_authorised_url_is_not_shown(
    stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", logger="vofs")
    home = stack.enter_context(Recorder(403))
    with pytest.raises(PermissionDenied) as caught:
        transport_to(stack, home.url).request("GET", f"{home.url}/x/PERMIT/y", anonymous=True)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("vofs")]
    assert "PERMIT" not in str(caught.value) + " ".join(ours)


def test_no_request_under_a_lock(stack: ExitStack) -> None:
    locks.checking(True)
    transport = transport_to(stack, "http://127.0.0.1:1")
    with locks.OrderedLock(locks.Level.TREE), pytest.raises(locks.LockOrderViolation):
        transport.request("GET", "http://127.0.0.1:1/vault/nodes/x")
