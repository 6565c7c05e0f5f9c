"""What the actions of a fault plan do to a request and to its answer.

`Effects.before` may wait, break the connection, arm the body, or answer instead of the service;
`Effects.after` changes the answer.  No endpoint knows of any of it, but the bytes of a node, which
see that a Range is to be ignored.

Lock rule: `State.lock` is taken only around looks at the tree, never while waiting.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request

from fakevospace.access import CHALLENGES, Caller
from fakevospace.bodies import FaultyInput
from fakevospace.describe import Detail, describe
from fakevospace.documents import write_node
from fakevospace.exchange import Dropped, Exchange, Reply, http_date, text_reply, xml_reply
from fakevospace.faultactions import (
    NEED_CONNECTION,
    CappedListing,
    Cut,
    Delay,
    ExpiredCredential,
    FalseFailure,
    FalseSuccess,
    Hang,
    LaggingListing,
    LateCleanup,
    MalformedXml,
    MissingDigest,
    RangeIgnored,
    RedirectLoop,
    Reset,
    StaleListing,
    Status,
    StuckJob,
    TornPut,
    WrongDigest,
    WrongLength,
    name_of,
)
from fakevospace.faultboard import FaultNotPossible, Verdict
from fakevospace.jobs import Phase
from fakevospace.listingfaults import Before, ListingHistory, capped, lagging
from fakevospace.names import own_path, split_path
from fakevospace.refusals import Refusal
from fakevospace.routes import Route
from fakevospace.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

logger = logging.getLogger(__name__)
HAND = Caller("", admin=True, authenticated=True)
BLOCK_BYTES = 1 << 18
DIGEST_OF_OTHERS = base64.b64encode(hashlib.md5(b"other bytes").digest()).decode()
PHASE = b"PHASE=RUN"
CONNECTED = "fakevospace.connected"  # environ: False where there is no connection to break
WHY_NOT = "needs a connection, which responses does not have: use FakeVOSpace.serve()"


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


class Effects:
    """Carries out the faults of one service.

    `_lock` protects the remembered answers; they are forgotten when the faults are lifted.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._history = ListingHistory()
        self._lock = threading.Lock()
        self._stale: dict[tuple[int, str], Reply] = {}
        self._stale_gate: threading.Event | None = None

    def before(self, verdict: Verdict, call: Call) -> Reply | None:
        """Do what comes before the service; return an answer to give instead of its own.

        Raises:
            Dropped: the connection ends here.
            FaultNotPossible: there is no connection for such a fault.
        """
        if isinstance(verdict.action, NEED_CONNECTION) and not call.environ.get(CONNECTED, True):
            raise FaultNotPossible(f"fault {name_of(verdict.action)!r} {WHY_NOT}")
        match verdict.action:
            case Status() as action:
                return self._status(action)
            case Delay() | Hang() | Reset() | Cut() as action:
                self._strike(verdict, call, action.after_bytes)
            case LateCleanup():
                self._arm_late_cleanup(verdict, verdict.action, call)
            case ExpiredCredential():
                return _expired(call)
            case RedirectLoop(code):
                return Reply(code, (("Location", call.request.url),))
            case TornPut(code):
                return self._tear(call, code)
            case FalseSuccess():
                return self._pretend(call)
            case StuckJob(phase):
                return self._stick(verdict, call, phase)
            case StaleListing():
                return self._remembered(verdict, call)
            case RangeIgnored():
                call.environ.pop("HTTP_RANGE", None)
            case _:
                pass
        return None

    def after(self, verdict: Verdict, call: Call, reply: Reply) -> Reply:
        """Return the answer as the fault has it."""
        match verdict.action:
            case WrongLength(by):
                stated = max(0, _length(reply) + by)
                return replace(
                    reply, headers=(*reply.headers, ("Connection", "close")), length=stated
                )
            case WrongDigest():
                return _with_digest(reply, f"md5={DIGEST_OF_OTHERS}")
            case MissingDigest():
                return _with_digest(reply, None)
            case FalseFailure(code) if reply.status < 400:
                _close(reply)
                return text_reply(code, "unexpected exception: fault injected")
            case FalseSuccess() if reply.status >= 400:
                return text_reply(200, "")
            case StaleListing():
                self._remember(verdict, call, reply)
            case MalformedXml() if _is_xml(reply) and isinstance(reply.body, bytes):
                return replace(reply, body=reply.body[: max(1, len(reply.body) - 10)])
            case CappedListing() | LaggingListing() as action if _is_listing(call, reply):
                return self._edited(action, reply)
            case _:
                pass
        return reply

    def _edited(self, action: CappedListing | LaggingListing, reply: Reply) -> Reply:
        document = reply.body if isinstance(reply.body, bytes) else b""
        if isinstance(action, CappedListing):
            return replace(reply, body=capped(document, action.count))
        old = self._history.since(self._state.clock() - action.seconds)
        return replace(reply, body=lagging(document, old)) if old else reply

    def _status(self, action: Status) -> Reply:
        if action.retry_after is None:
            return text_reply(action.code, action.body)
        value = str(action.retry_after)
        if action.retry_date:
            value = http_date(int((self._state.clock() + action.retry_after) * 1000))
        return text_reply(action.code, action.body, (("Retry-After", value),))

    def _strike(self, verdict: Verdict, call: Call, after_bytes: int | None) -> None:
        """Wait or break off: now, or when so many bytes of the body have passed."""

        def fire() -> None:
            match verdict.action:
                case Hang():
                    if not self._state.faults.hold(verdict.gate, call.gone):
                        raise Dropped()
                case Delay(seconds):
                    if not self._wait(seconds, verdict, call.gone):
                        raise Dropped()
                case action:
                    raise Dropped(reset=isinstance(action, Reset))

        if after_bytes is None:
            fire()
        else:
            call.input.arm(after_bytes, fire, in_request=_has_body(call.request))

    def _wait(self, seconds: float, verdict: Verdict, gone: Callable[[], bool]) -> bool:
        """Wait until the time has passed or the faults are lifted; False: the client is gone."""
        waited = self._state.clock.wait(seconds, lambda: verdict.gate.is_set() or gone())
        return waited or verdict.gate.is_set()

    def _arm_late_cleanup(self, verdict: Verdict, action: LateCleanup, call: Call) -> None:
        def notice_late() -> None:
            if action.seconds is None:
                self._state.faults.hold(verdict.gate, lambda: False)
            else:
                self._wait(action.seconds, verdict, lambda: False)
            raise Dropped()

        def break_off() -> None:
            call.reset()
            notice_late()

        if action.after_bytes is None:
            call.input.arm_break(call.request.content_length, notice_late)
        else:
            call.input.arm(action.after_bytes, break_off, in_request=True)

    def _tear(self, call: Call, code: int) -> Reply:
        state = self._state
        with state.lock:
            node = state.tree.at(call.route.node.lstrip("/"))
            if node is not None and node.kind.holds_bytes:
                if node.content is not None:
                    state.store.writer(node.content).close()
                node.length = 0
                state.tree.touch(node)
        return text_reply(code, "unexpected exception: fault injected after truncation")

    def _pretend(self, call: Call) -> Reply | None:
        """Answer as if a change had been made; None for what changes nothing."""
        match call.request.method, call.route.endpoint:
            case "PUT", ("bytes" | "files"):
                return text_reply(201, "", (("Digest", f"md5={_digest_of(call)}"),))
            case ("PUT" | "POST") as method, "nodes":
                document = Exchange(call.request, call.caller).document()
                return xml_reply(document, 201 if method == "PUT" else 200)
            case "DELETE", _:
                return text_reply(200, "")
            case "POST", _ if (number := _job_of(call)) is not None and _says_run(call):
                now_ms = int(self._state.clock() * 1000)
                self._state.jobs.leave(
                    number, Phase.PENDING, phase=Phase.COMPLETED, started_ms=now_ms, ended_ms=now_ms
                )
                return Reply(303, (("Location", call.request.base_url.removesuffix("/phase")),))
            case _:
                return None

    def _stick(self, verdict: Verdict, call: Call, phase: str) -> Reply | None:
        """Keep a job that is told to run from running until the faults are lifted."""
        number = _job_of(call)
        if number is None or not _says_run(call):
            return None
        jobs, stuck = self._state.jobs, Phase[phase]
        now_ms = int(self._state.clock() * 1000)
        if jobs.leave(number, Phase.PENDING, phase=stuck, started_ms=now_ms) is None:
            return None

        def run() -> None:
            if jobs.leave(number, stuck, phase=Phase.PENDING, started_ms=None) is None:
                return  # aborted or destroyed meanwhile
            environ = {**call.environ, "wsgi.input": BytesIO(PHASE)}
            environ["CONTENT_LENGTH"] = str(len(PHASE))
            try:
                call.route.handle(self._state, Exchange(Request(environ), call.caller))
            except Refusal as refusal:
                logger.error("job %s cannot go on: %s", number, refusal.text)

        self._state.faults.put_off(run, verdict.gate)
        return Reply(303, (("Location", call.request.base_url.removesuffix("/phase")),))

    def _remembered(self, verdict: Verdict, call: Call) -> Reply | None:
        with self._lock:
            if self._stale_gate is not verdict.gate:
                self._stale, self._stale_gate = {}, verdict.gate
            return self._stale.get((verdict.rule, call.url_key))

    def _remember(self, verdict: Verdict, call: Call, reply: Reply) -> None:
        if call.request.method == "GET" and isinstance(reply.body, bytes):
            with self._lock:
                self._stale.setdefault((verdict.rule, call.url_key), reply)

    def note_change(self, call: Call) -> None:
        """Keep how nodes look before a request that may change them, if a rule looks back."""
        lags = [
            rule.action.seconds
            for rule in self._state.faults.plan.rules
            if isinstance(rule.action, LaggingListing)
        ]
        if not lags or call.request.method in ("GET", "HEAD"):
            return
        for path in _changed_paths(self._state, call):
            self._note(path)

    def _note(self, path: str) -> None:
        state = self._state
        parent, _ = split_path(path)
        with state.lock:
            node = state.tree.at(path)
            document = None
            if node is not None:
                document = write_node(describe(state.space, node, HAND, Detail.PROPERTIES))
            uri, container = state.space.uri(path), state.space.uri(parent)
        self._history.note(Before(uri, container, state.clock(), document))


def _changed_paths(state: State, call: Call) -> list[str]:
    """Return the paths that a request may change; that of a job's destination among them."""
    paths = [call.route.node.lstrip("/")] if call.route.node else []
    number = _job_of(call)
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


def _says_run(call: Call) -> bool:
    """Tell whether the form of a request says PHASE=RUN; it can be read again after that."""
    exchange = Exchange(call.request, call.caller)
    call.request.stream = BytesIO(exchange.document())
    wanted = [value for name, value in exchange.parameters() if name.upper() == "PHASE"]
    call.request.stream.seek(0)
    return [value.upper() for value in wanted] == ["RUN"]


def _job_of(call: Call) -> str | None:
    """Return the number of the job whose phase a request changes, None when it changes none."""
    elements = call.request.path.strip("/").split("/")
    if call.request.method != "POST" or elements[-1] != "phase" or len(elements) < 2:
        return None
    return elements[-2]


def _has_body(request: Request) -> bool:
    return bool(request.content_length or request.headers.get("Transfer-Encoding"))


def _expired(call: Call) -> Reply | None:
    headers = call.request.headers
    if "Authorization" in headers or "X-CADC-DelegationToken" in headers:
        return text_reply(401, "NotAuthenticated: credential expired", CHALLENGES)
    if call.route.endpoint == "bytes":
        return text_reply(403, "PermissionDenied: pre-authorised URL expired")
    return None


def _digest_of(call: Call) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    while block := call.request.stream.read(BLOCK_BYTES):
        md5.update(block)
    return base64.b64encode(md5.digest()).decode()


def _length(reply: Reply) -> int:
    if reply.length is not None:
        return reply.length
    return len(reply.body) if isinstance(reply.body, bytes) else reply.body.length


def _with_digest(reply: Reply, value: str | None) -> Reply:
    kept = tuple(one for one in reply.headers if one[0] != "Digest")
    had = len(kept) < len(reply.headers)
    return replace(reply, headers=(*kept, ("Digest", value)) if had and value else kept)


def _is_xml(reply: Reply) -> bool:
    return any(name == "Content-Type" and "xml" in value for name, value in reply.headers)


def _is_listing(call: Call, reply: Reply) -> bool:
    return (
        call.route.endpoint == "nodes"
        and call.request.method == "GET"
        and reply.status == 200
        and _is_xml(reply)
    )


def _close(reply: Reply) -> None:
    if not isinstance(reply.body, bytes):
        reply.body.close()
