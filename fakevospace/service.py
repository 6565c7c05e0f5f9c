"""The WSGI application: which resource a request is for, and everything around the answer.

For each request: find out who sent it, record it, ask the fault plan, let one endpoint answer,
and turn whatever it raises into an answer.  A client never sees a traceback.  Sockets belong to
`server`; the connection is known here only as something that can be gone, or be reset.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from werkzeug.datastructures import Headers as WsgiHeaders
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Request

from fakevospace.access import CHALLENGES, Caller
from fakevospace.bodies import FaultyInput, JournaledBody
from fakevospace.exchange import Body, BodyTimeout, Dropped, Exchange, Reply, http_date, text_reply
from fakevospace.faultboard import FaultNotPossible, Verdict
from fakevospace.faultcalls import Call
from fakevospace.faulteffects import Effects
from fakevospace.faults import Facts, Span
from fakevospace.journal import Headers
from fakevospace.refusals import Refusal, request_timeout
from fakevospace.routes import Route, route_of
from fakevospace.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)
CERTIFICATE_USER = "fakevospace.certificate_user"  # environ: who the client's certificate is for
FAULT = re.compile(r"\A([A-Z][A-Za-z]+): ")
GONE = "fakevospace.client_gone"  # environ: a function that tells whether the client went away
RESET = "fakevospace.reset"  # environ: a function that resets the connection
CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
CREDENTIALS = frozenset(
    {CERTIFICATE_USER, "HTTP_AUTHORIZATION", "HTTP_X_CADC_DELEGATIONTOKEN", "HTTP_COOKIE"}
)
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
HEADERS = "fakevospace.headers"  # environ: the headers as sent, where the server knows them
NOBODY = Caller(None, admin=False, authenticated=False)
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})\Z")
EXCERPT_CHARS = 300  # of a text answer, for the journal


@dataclass(slots=True)
class _Visit:
    """One request while it is being answered."""

    environ: WSGIEnvironment
    request: Request
    route: Route
    facts: Facts
    caller: Caller | Refusal
    number: int | None
    started_s: float
    input: FaultyInput
    expected: int | None = None  # bytes of the answer, when the journal holds them as sent


class Service:
    """The service as a WSGI application."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._effects = Effects(state)
        self._dated = (-1, "")
        self._stranger = state.users.identify(WsgiHeaders())  # whoever brings no credential

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request.

        Raises:
            Dropped: the connection is to be broken, without an answer.
            FaultNotPossible: in process, a fault that needs a connection.
        """
        try:
            visit = self._arrive(environ)
        except Exception as error:  # a defect of ours, before there is anything to record
            reply = _defect(environ, error)
            headers = [("Content-Length", str(_stated_length(reply))), *reply.headers]
            start_response("500 Internal Server Error", headers)
            return JournaledBody(reply.body, None, lambda _: None)
        try:
            reply = self._answer(visit)
        except (Dropped, FaultNotPossible):
            self._leave(visit, 0, 0)
            raise
        if reply.status == 303:
            reply = replace(reply, status=self._state.personality.redirect_status)
        headers = [
            ("Date", self._date()),
            ("Content-Length", str(_stated_length(reply))),
            *((name, _one_line(name, value)) for name, value in reply.headers),
            ("Server", self._state.personality.server_header),
        ]
        body = reply.body
        if visit.request.method == "HEAD" or reply.status == 204:
            if not isinstance(body, bytes):
                body.close()
            body = b""
        self._record_answer(visit, reply, body, tuple(headers))
        start_response(f"{reply.status} {HTTP_STATUS_CODES.get(reply.status, 'Unknown')}", headers)
        return JournaledBody(
            body, visit.input.on_answer(), lambda sent: self._leave(visit, reply.status, sent)
        )

    def _record_answer(
        self, visit: _Visit, reply: Reply, body: bytes | Body, headers: Headers
    ) -> None:
        """Tell the journal what is going to be sent, before the client can have it.

        A body in memory leaves at once: it is recorded as sent, and put right if it is not.
        """
        if visit.number is None:
            return
        known: dict[str, Any] = {
            "status": reply.status,
            "bytes_in": visit.input.count,
            "answer_headers": headers,
            "answer_text": _excerpt(reply),
        }
        if isinstance(body, bytes) and visit.input.on_answer() is None:
            visit.expected = len(body)
            known["bytes_out"] = len(body)
            known["duration_s"] = time.monotonic() - visit.started_s
        self._state.journal.amend(visit.number, **known)

    def _date(self) -> str:
        """Return the time for the Date header; made once a second."""
        second = int(self._state.clock())
        if self._dated[0] != second:
            self._dated = second, http_date(second * 1000)
        return self._dated[1]

    def _arrive(self, environ: WSGIEnvironment) -> _Visit:
        request = Request(environ, populate_request=False)
        raw_path, _, query = environ["RAW_URI"].partition("?")
        route = route_of(self._state, request.method, raw_path, query)
        stream = FaultyInput(environ["wsgi.input"])
        environ["wsgi.input"] = stream
        started_s = time.monotonic()
        if route.is_control:
            facts = Facts(request.method, route.endpoint, route.node)
            return _Visit(environ, request, route, facts, NOBODY, None, started_s, stream)
        caller = self._identify(environ, request)
        user = None if isinstance(caller, Refusal) else caller.name or "anonymous"
        facts = Facts(request.method, route.endpoint, route.node, user, _span(route, request))
        number = self._state.journal.begin(
            facts,
            raw_path,
            query,
            test=request.headers.get("X-Conformance-Test"),
            request_headers=environ.get(HEADERS) or tuple(request.headers.items()),
        )
        return _Visit(environ, request, route, facts, caller, number, started_s, stream)

    def _identify(self, environ: WSGIEnvironment, request: Request) -> Caller | Refusal:
        if CREDENTIALS.isdisjoint(environ):
            return self._stranger
        try:
            return self._state.users.identify(request.headers, environ.get(CERTIFICATE_USER))
        except Refusal as refusal:
            return refusal

    def _amend(self, visit: _Visit, **values: Any) -> None:
        if visit.number is not None:
            self._state.journal.amend(visit.number, **values)

    def _leave(self, visit: _Visit, status: int, sent: int) -> None:
        if sent == visit.expected:
            return
        self._amend(
            visit,
            status=status,
            bytes_in=visit.input.count,
            bytes_out=sent,
            duration_s=time.monotonic() - visit.started_s,
        )

    def _answer(self, visit: _Visit) -> Reply:
        call: Call | None = None
        verdict = None if visit.route.is_control else self._state.faults.decide(visit.facts)
        try:
            if verdict is not None:
                call = self._call(visit)
                instead = self._effects.before(verdict, call)
                if instead is not None:
                    return instead
            reply = self._endpoint_answer(visit, verdict)
        except Refusal as refusal:
            reply = self._refused(visit, refusal)
        except BodyTimeout:
            reply = self._refused(visit, request_timeout())
        except (Dropped, FaultNotPossible):
            raise
        except Exception as error:
            reply = _defect(visit.environ, error)
        if verdict is None or call is None:
            return reply
        return self._effects.after(verdict, call, reply)

    def _endpoint_answer(self, visit: _Visit, verdict: Verdict | None) -> Reply:
        """Let the endpoint answer.

        Raises:
            Refusal: it says no, or nobody is there to ask.
        """
        if isinstance(visit.caller, Refusal):
            raise visit.caller
        if not visit.route.is_control:
            self._state.mode.check(visit.request.method, visit.route.endpoint)
            if self._state.faults.plan.rules:
                self._effects.note_change(self._call(visit))
        fault = None if verdict is None else verdict.action
        reply = visit.route.handle(self._state, Exchange(visit.request, visit.caller, fault))
        return self._with_identity(reply, visit.caller)

    def _call(self, visit: _Visit) -> Call:
        gone: Callable[[], bool] = visit.environ.get(GONE, lambda: False)
        reset: Callable[[], None] = visit.environ.get(RESET, lambda: None)

        def break_off() -> None:
            reset()
            self._amend(visit, status=0, bytes_in=visit.input.count)

        caller = NOBODY if isinstance(visit.caller, Refusal) else visit.caller
        return Call(visit.environ, visit.request, visit.route, caller, visit.input, gone, break_off)

    def _refused(self, visit: _Visit, refusal: Refusal) -> Reply:
        caller = NOBODY if isinstance(visit.caller, Refusal) else visit.caller
        text = refusal.text
        if not self._state.personality.fault_colon:
            text = FAULT.sub(r"\1 ", text)
        reply = text_reply(refusal.status, text, refusal.headers)
        return reply if visit.route.is_control else self._with_identity(reply, caller)

    def _with_identity(self, reply: Reply, caller: Caller) -> Reply:
        """Say who the caller is taken for, or how to become somebody (1.3)."""
        if caller.authenticated:
            identity: tuple[tuple[str, str], ...] = (("X-VO-Authenticated", caller.name or ""),)
        elif self._state.users.strict:
            identity = CHALLENGES
        else:
            return reply
        return replace(reply, headers=(*reply.headers, *identity))


def _defect(environ: WSGIEnvironment, error: Exception) -> Reply:
    """Log a defect of the fake and answer as the real services do, in one line."""
    logger.exception("%s %s", environ["REQUEST_METHOD"], environ["RAW_URI"], exc_info=error)
    return text_reply(500, f"unexpected exception: {type(error).__name__}: {error}")


def _stated_length(reply: Reply) -> int:
    if reply.length is not None:
        return reply.length
    return len(reply.body) if isinstance(reply.body, bytes) else reply.body.length


def _span(route: Route, request: Request) -> Span | None:
    """Return the range of bytes of the file that a request carries or asks for."""
    if route.endpoint not in ("bytes", "files"):
        return None
    if request.method == "PUT":
        return 0, request.content_length
    match = RANGE.match(request.headers.get("Range", "").strip())
    if match is None:
        return 0, None
    return int(match[1]), int(match[2]) + 1 if match[2] else None


def _one_line(name: str, value: str) -> str:
    """Return a header value that cannot end the header: names of nodes may hold anything."""
    if value.isascii() and value.isprintable():
        return value
    if name == "Location":
        return quote(value, safe=PRINTABLE)
    return CONTROLS.sub(lambda match: f"%{ord(match[0]):02X}", value)


def _excerpt(reply: Reply) -> str:
    """Return the beginning of what a short text answer says, for the journal."""
    if not isinstance(reply.body, bytes) or reply.status < 400:
        return ""
    return reply.body[:EXCERPT_CHARS].decode("utf-8", "replace")
