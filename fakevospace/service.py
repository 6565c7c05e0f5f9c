"""The WSGI application: which resource a request is for, and everything around the answer.

For each request: record it, ask the fault plan, find out who sent it, let one endpoint answer,
and turn whatever it raises into an answer.  A client never sees a traceback.  Sockets belong to
`server`; the connection is known here only as something that can be gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Request

from fakevospace.access import CHALLENGES, Caller
from fakevospace.bodies import FaultyInput, JournaledBody, interrupt
from fakevospace.exchange import BodyTimeout, Dropped, Exchange, Reply, text_reply
from fakevospace.faults import Action, Cut, Facts, Hang, Reset, Status
from fakevospace.refusals import Refusal, request_timeout
from fakevospace.routes import Route, route_of
from fakevospace.state import State

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

logger = logging.getLogger(__name__)
GONE = "fakevospace.client_gone"
CERTIFICATE_USER = "fakevospace.certificate_user"
NOBODY = Caller(None, admin=False, authenticated=False)


@dataclass(slots=True)
class _Visit:
    """One request while it is being answered."""

    environ: WSGIEnvironment
    request: Request
    route: Route
    number: int | None
    started_s: float
    input: FaultyInput


class Service:
    """The service as a WSGI application."""

    def __init__(self, state: State) -> None:
        self._state = state

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request.

        Raises:
            Dropped: the connection is to be broken, without an answer.
        """
        visit = self._arrive(environ)
        try:
            reply = self._answer(visit)
        except Dropped:
            self._leave(visit, 0, 0)
            raise
        reply = self._with_common_headers(reply)
        self._amend(visit, status=reply.status, bytes_in=visit.input.count)
        length = reply.length
        if length is None:
            length = len(reply.body) if isinstance(reply.body, bytes) else reply.body.length
        headers = [("Content-Length", str(length)), *reply.headers]
        start_response(f"{reply.status} {HTTP_STATUS_CODES.get(reply.status, 'Unknown')}", headers)
        silent = visit.request.method == "HEAD" or reply.status == 204
        return JournaledBody(
            b"" if silent else reply.body,
            visit.input.on_answer(),
            lambda sent: self._leave(visit, reply.status, sent),
        )

    def _arrive(self, environ: WSGIEnvironment) -> _Visit:
        request = Request(environ, populate_request=False)
        raw_path, _, query = environ["RAW_URI"].partition("?")
        route = route_of(self._state, request.method, raw_path, query)
        number = None
        if not route.is_control:
            facts = Facts(request.method, route.endpoint, route.node)
            test = request.headers.get("X-Conformance-Test")
            number = self._state.journal.begin(facts, raw_path, query, test)
        stream = FaultyInput(environ["wsgi.input"])
        environ["wsgi.input"] = stream
        return _Visit(environ, request, route, number, time.monotonic(), stream)

    def _amend(self, visit: _Visit, **values: Any) -> None:
        if visit.number is not None:
            self._state.journal.amend(visit.number, **values)

    def _leave(self, visit: _Visit, status: int, sent: int) -> None:
        self._amend(
            visit,
            status=status,
            bytes_in=visit.input.count,
            bytes_out=sent,
            duration_s=time.monotonic() - visit.started_s,
        )

    def _answer(self, visit: _Visit) -> Reply:
        caller = NOBODY
        try:
            fault = self._fault(visit)
            if isinstance(fault, Status):
                retry = fault.retry_after
                headers = () if retry is None else (("Retry-After", str(retry)),)
                return text_reply(fault.code, fault.body, headers)
            if not visit.route.is_control:
                certificate_user = visit.environ.get(CERTIFICATE_USER)
                caller = self._state.users.identify(visit.request.headers, certificate_user)
                self._amend(visit, user=caller.name or "anonymous")
                self._state.mode.check(visit.request.method, visit.route.endpoint)
            reply = visit.route.handle(self._state, Exchange(visit.request, caller, fault))
            return self._with_identity(reply, caller)
        except Refusal as refusal:
            return self._with_identity(_refused(refusal), caller)
        except BodyTimeout:
            return self._with_identity(_refused(request_timeout()), caller)
        except Dropped:
            raise
        except Exception as error:
            logger.exception("%s %s", visit.request.method, visit.environ["RAW_URI"])
            return text_reply(500, f"unexpected exception: {type(error).__name__}: {error}")

    def _fault(self, visit: _Visit) -> Action | None:
        """Ask the plan about a request and carry out what happens before it is answered."""
        if visit.route.is_control:
            return None
        facts = Facts(visit.request.method, visit.route.endpoint, visit.route.node)
        verdict = self._state.faults.decide(facts)
        if verdict is None:
            return None
        fault = verdict.action
        gone: Callable[[], bool] = visit.environ.get(GONE, lambda: False)
        if isinstance(fault, Hang | Reset | Cut):

            def fire() -> None:
                interrupt(verdict, self._state.faults, gone)

            if fault.after_bytes is None:
                fire()
            else:
                has_body = visit.request.content_length or visit.request.headers.get(
                    "Transfer-Encoding"
                )
                visit.input.arm(fault.after_bytes, fire, in_request=bool(has_body))
        return fault

    def _with_common_headers(self, reply: Reply) -> Reply:
        common = (("Server", self._state.personality.server_header),)
        status = self._state.personality.redirect_status if reply.status == 303 else reply.status
        return Reply(status, (*reply.headers, *common), reply.body, reply.length)

    def _with_identity(self, reply: Reply, caller: Caller) -> Reply:
        """Say who the caller is taken for, or how to become somebody (1.3)."""
        if caller.authenticated:
            identity: tuple[tuple[str, str], ...] = (("X-VO-Authenticated", caller.name or ""),)
        elif self._state.users.strict:
            identity = CHALLENGES
        else:
            return reply
        return Reply(reply.status, (*reply.headers, *identity), reply.body, reply.length)


def _refused(refusal: Refusal) -> Reply:
    return text_reply(refusal.status, refusal.text, refusal.headers)
