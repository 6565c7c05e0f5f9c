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
from dataclasses import replace
from io import BytesIO

from werkzeug.wrappers import Request

from fakevospace.endpoints.jobs import jobs as job_endpoint
from fakevospace.endpoints.jobs import runs_at_post
from fakevospace.exchange import Dropped, Exchange, Reply, http_date, text_reply, xml_reply
from fakevospace.faultactions import (
    NEED_CONNECTION,
    CappedListing,
    Cut,
    DamagedBody,
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
from fakevospace.faultcalls import (
    Call,
    changed_paths,
    close_body,
    damaged,
    digest_of,
    expired,
    has_body,
    is_listing,
    is_xml,
    job_of,
    length_of,
    says_run,
    with_digest,
)
from fakevospace.jobs import JobKind, Phase
from fakevospace.listingfaults import ListingHistory, capped, how_it_looks, lagging
from fakevospace.refusals import Refusal
from fakevospace.state import State

logger = logging.getLogger(__name__)
DIGEST_OF_OTHERS = base64.b64encode(hashlib.md5(b"other bytes").digest()).decode()
PHASE = b"PHASE=RUN"
CONNECTED = "fakevospace.connected"  # environ: False where there is no connection to break
WHY_NOT = "needs a connection, which responses does not have: use FakeVOSpace.serve()"


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
                return expired(call)
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
                stated = max(0, length_of(reply) + by)
                return replace(
                    reply, headers=(*reply.headers, ("Connection", "close")), length=stated
                )
            case WrongDigest():
                return with_digest(reply, f"md5={DIGEST_OF_OTHERS}")
            case MissingDigest():
                return with_digest(reply, None)
            case DamagedBody(at, by) if reply.status < 300:
                return damaged(reply, at, by)
            case FalseFailure(code) if reply.status < 400:
                close_body(reply)
                return text_reply(code, "unexpected exception: fault injected")
            case FalseSuccess() if reply.status >= 400:
                return text_reply(200, "")
            case StaleListing():
                self._remember(verdict, call, reply)
            case StuckJob(phase) if reply.status == 303 and self._runs_at_post(call):
                location = dict(reply.headers).get("Location", "")
                self._hold_job(verdict, call, location.rpartition("/")[2], phase)
            case MalformedXml() if is_xml(reply) and isinstance(reply.body, bytes):
                return replace(reply, body=reply.body[: max(1, len(reply.body) - 10)])
            case CappedListing() | LaggingListing() as action if is_listing(call, reply):
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
            call.input.arm(after_bytes, fire, in_request=has_body(call.request))

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
                return text_reply(201, "", (("Digest", f"md5={digest_of(call)}"),))
            case ("PUT" | "POST") as method, "nodes":
                document = Exchange(call.request, call.caller).document()
                return xml_reply(document, 201 if method == "PUT" else 200)
            case "DELETE", _:
                return text_reply(200, "")
            case "POST", _ if (number := job_of(call)) is not None and says_run(call):
                now_ms = int(self._state.clock() * 1000)
                self._state.jobs.leave(
                    number, Phase.PENDING, phase=Phase.COMPLETED, started_ms=now_ms, ended_ms=now_ms
                )
                return Reply(303, (("Location", call.request.base_url.removesuffix("/phase")),))
            case _:
                return None

    def _stick(self, verdict: Verdict, call: Call, phase: str) -> Reply | None:
        """Keep a job that is told to run from running until the faults are lifted."""
        number = job_of(call)
        if number is None or not says_run(call):
            return None
        if not self._hold_job(verdict, call, number, phase):
            return None
        return Reply(303, (("Location", call.request.base_url.removesuffix("/phase")),))

    def _runs_at_post(self, call: Call) -> bool:
        making = call.request.method == "POST" and job_of(call) is None
        return making and runs_at_post(self._state, Exchange(call.request, call.caller))

    def _hold_job(self, verdict: Verdict, call: Call, number: str, phase: str) -> bool:
        """Put a pending job into a phase, and run it when the faults are lifted."""
        jobs, stuck = self._state.jobs, Phase[phase]
        now_ms = int(self._state.clock() * 1000)
        if not jobs.leave(number, Phase.PENDING, phase=stuck, started_ms=now_ms, at_work=True):
            return False

        def run() -> None:
            back = {"phase": Phase.PENDING, "started_ms": None, "at_work": False}
            if jobs.leave(number, stuck, **back) is None:
                return  # aborted or destroyed meanwhile
            environ = {**call.environ, "wsgi.input": BytesIO(PHASE), "REQUEST_METHOD": "POST"}
            environ["CONTENT_LENGTH"] = str(len(PHASE))
            environ["CONTENT_TYPE"] = "application/x-www-form-urlencoded"
            exchange = Exchange(Request(environ), call.caller)
            try:
                job_endpoint(self._state, exchange, JobKind(call.route.endpoint), (number, "phase"))
            except Refusal as refusal:
                logger.error("job %s cannot go on: %s", number, refusal.text)

        self._state.faults.put_off(run, verdict.gate)
        return True

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
        rules = self._state.faults.plan.rules
        looks_back = any(isinstance(rule.action, LaggingListing) for rule in rules)
        if looks_back and call.request.method not in ("GET", "HEAD"):
            for path in changed_paths(self._state, call):
                self._history.note(how_it_looks(self._state, path))
