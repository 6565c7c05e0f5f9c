"""A request as the faults see it, and what can be told from requests and answers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request

from fakevospace.access import CHALLENGES, Caller
from fakevospace.bodies import FaultyInput
from fakevospace.exchange import Body, Exchange, Reply, text_reply
from fakevospace.names import own_path, split_path
from fakevospace.refusals import Refusal
from fakevospace.routes import Route
from fakevospace.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BLOCK_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the faults see it.

    Attributes:
        gone: tells whether the client has gone away.
        reset: resets the connection at once, while the request is still being worked on.
    """

    environ: WSGIEnvironment
    request: Request
    route: Route
    caller: Caller
    input: FaultyInput
    gone: Callable[[], bool]
    reset: Callable[[], None]

    @property
    def url_key(self) -> str:
        """What an answer depends on: URL and caller."""
        return f"{self.caller.name} {self.environ['RAW_URI']}"


def changed_paths(state: State, call: Call) -> list[str]:
    """Return the paths that a request may change; that of a job's destination among them."""
    paths = [call.route.node.lstrip("/")] if call.route.node else []
    number = job_of(call)
    job = None if number is None else state.jobs.get(number)
    if job is not None and job.transfer is not None:
        try:
            destination = own_path(job.transfer.direction, state.personality.authority)
        except Refusal:
            return paths
        with state.lock:
            into = state.tree.at(destination)
        name = split_path(job.node_path)[1]
        paths.append(destination if into is None else f"{destination}/{name}".lstrip("/"))
    return paths


def says_run(call: Call) -> bool:
    """Tell whether the form of a request says PHASE=RUN; it can be read again after that."""
    exchange = Exchange(call.request, call.caller)
    call.request.stream = BytesIO(exchange.document())
    wanted = [value for name, value in exchange.parameters() if name.upper() == "PHASE"]
    call.request.stream.seek(0)
    return [value.upper() for value in wanted] == ["RUN"]


def job_of(call: Call) -> str | None:
    """Return the number of the job whose phase a request changes, None when it changes none."""
    elements = call.request.path.strip("/").split("/")
    if call.request.method != "POST" or elements[-1] != "phase" or len(elements) < 2:
        return None
    return elements[-2]


def has_body(request: Request) -> bool:
    return bool(request.content_length or request.headers.get("Transfer-Encoding"))


def expired(call: Call) -> Reply | None:
    headers = call.request.headers
    if "Authorization" in headers or "X-CADC-DelegationToken" in headers:
        return text_reply(401, "NotAuthenticated: credential expired", CHALLENGES)
    if call.route.endpoint == "bytes":
        return text_reply(403, "PermissionDenied: pre-authorised URL expired")
    return None


def digest_of(call: Call) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    while block := call.request.stream.read(BLOCK_BYTES):
        md5.update(block)
    return base64.b64encode(md5.digest()).decode()


def length_of(reply: Reply) -> int:
    if reply.length is not None:
        return reply.length
    return len(reply.body) if isinstance(reply.body, bytes) else reply.body.length


def with_digest(reply: Reply, value: str | None) -> Reply:
    kept = tuple(one for one in reply.headers if one[0] != "Digest")
    had = len(kept) < len(reply.headers)
    return replace(reply, headers=(*kept, ("Digest", value)) if had and value else kept)


class DamagedStream:
    """A stream of which one byte arrives as another; the kernel may not send it."""

    def __init__(self, inner: Body, at: int, by: int) -> None:
        self.length = inner.length
        self._inner, self._at, self._by = inner, at, by

    def __iter__(self) -> Iterator[bytes]:
        offset = 0
        for block in self._inner:
            yield changed_byte(block, self._at - offset, self._by)
            offset += len(block)

    def sendable(self) -> None:
        """Return nothing."""

    def close(self) -> None:
        """Close the true stream."""
        self._inner.close()


def changed_byte(block: bytes, at: int, by: int) -> bytes:
    if not 0 <= at < len(block):
        return block
    return block[:at] + bytes([(block[at] + by) % 256]) + block[at + 1 :]


def damaged(reply: Reply, at: int, by: int) -> Reply:
    if isinstance(reply.body, bytes):
        return replace(reply, body=changed_byte(reply.body, at, by))
    return replace(reply, body=DamagedStream(reply.body, at, by))


def is_xml(reply: Reply) -> bool:
    return any(name == "Content-Type" and "xml" in value for name, value in reply.headers)


def is_listing(call: Call, reply: Reply) -> bool:
    return (
        call.route.endpoint == "nodes"
        and call.request.method == "GET"
        and reply.status == 200
        and is_xml(reply)
    )


def close_body(reply: Reply) -> None:
    if not isinstance(reply.body, bytes):
        reply.body.close()
