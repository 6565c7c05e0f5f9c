"""`/transfers`, `/async-delete`, `/async-setprops` and what is below: UWS (protocol.md 5.4).

A job waits as PENDING for `PHASE=RUN`, and its work is done when that request is answered
(`endpoints/work.py`); where the service moves at once, already when its POST is.
"""

from __future__ import annotations

import math
import re

from fakevospace.documents import parse_node
from fakevospace.endpoints.negotiation import PULL, PUSH, new_job
from fakevospace.endpoints.transfers import details_of, read_transfer
from fakevospace.endpoints.work import perform
from fakevospace.exchange import Exchange, Reply, see_other, text_reply, xml_reply
from fakevospace.faultactions import StuckJob
from fakevospace.jobdocuments import (
    parse_uws_date,
    uws_date,
    write_job,
    write_job_list,
    write_part,
)
from fakevospace.jobs import Job, JobKind, Phase
from fakevospace.names import own_path
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    method_not_allowed,
    no_such_resource,
    permission_denied,
)
from fakevospace.state import State

NUMBER = re.compile(r"[0-9]{1,18}\Z")
PLAIN = (("Content-Type", "text/plain"),)


def jobs(state: State, exchange: Exchange, kind: JobKind, rest: tuple[str, ...]) -> Reply:
    """Answer a request below one of the job resources.

    Args:
        rest: path elements after its name.
    Raises:
        Refusal: 400, 403, 404, 405.
    """
    root = f"{exchange.root(state.personality.service)}/{kind.value}"
    if not rest:
        return _all_jobs(state, exchange, kind, root)
    job = state.jobs.get(rest[0])
    if job is None or job.kind is not kind:
        raise no_such_resource(f"{kind.value}/{rest[0]}")
    if job.owner != exchange.caller.name and not exchange.caller.admin:
        raise permission_denied(f"{kind.value}/{job.number}")
    url = f"{root}/{job.number}"
    match exchange.request.method, rest[1:]:
        case (("GET" | "HEAD"), ()):
            return _show(state, exchange, job)
        case (("GET" | "HEAD"), ("results", name)):
            return _result(state, exchange, job, name)
        case (("GET" | "HEAD"), (part,)):
            return _part(job, part)
        case "POST", ("phase",):
            _change_phase(state, exchange, job)
            return see_other(url)
        case "POST", (("destruction" | "executionduration") as part,):
            _change_term(state, exchange, job, part)
            return see_other(url)
        case ("DELETE", ()) | ("POST", ()):
            return _destroy(state, exchange, job, root)
        case method, _:
            raise method_not_allowed(method)


def _all_jobs(state: State, exchange: Exchange, kind: JobKind, root: str) -> Reply:
    match exchange.request.method:
        case "POST":
            return _create(state, exchange, kind, root)
        case "GET" | "HEAD" if exchange.caller.name is None:
            raise permission_denied("job list")
        case "GET" | "HEAD":
            chosen = _chosen(exchange, [one for one in state.jobs.all() if one.kind is kind])
            return xml_reply(write_job_list((job, f"{root}/{job.number}") for job in chosen))
        case other:
            raise method_not_allowed(other)


def _chosen(exchange: Exchange, jobs: list[Job]) -> list[Job]:
    """Choose the caller's jobs, by the filters of UWS 1.1: PHASE, AFTER and LAST."""
    given: dict[str, list[str]] = {}
    for name, value in exchange.request.args.items(multi=True):
        given.setdefault(name.upper(), []).append(value)
    chosen = [job for job in jobs if job.owner == exchange.caller.name]
    if phases := given.get("PHASE"):
        chosen = [job for job in chosen if job.phase.value in [word.upper() for word in phases]]
    for text in given.get("AFTER", []):
        after_ms = parse_uws_date(text)
        if after_ms is None:
            raise invalid_argument(f"AFTER: {text}")
        chosen = [job for job in chosen if job.created_ms > after_ms]
    for text in given.get("LAST", []):
        if NUMBER.match(text) is None or not int(text):
            raise invalid_argument(f"LAST: {text}")
        chosen = chosen[-int(text) :]
    return chosen


def _create(state: State, exchange: Exchange, kind: JobKind, root: str) -> Reply:
    match kind:
        case JobKind.TRANSFER:
            transfer = read_transfer(state, exchange)
            path = _path_of(state, transfer.target)
            job = new_job(state, exchange, path, Phase.PENDING, transfer=transfer)
        case JobKind.DELETE:
            given = (value for name, value in exchange.parameters() if name.lower() == "target")
            target = next(given, None)
            path = _path_of(state, target)
            job = new_job(state, exchange, path, Phase.PENDING, kind=kind, target=target)
        case JobKind.SET_PROPERTIES:
            draft = parse_node(exchange.document())
            path = _path_of(state, draft.uri)
            job = new_job(
                state, exchange, path, Phase.PENDING, kind=kind, target=draft.uri, draft=draft
            )
    if runs_at_post(state, exchange) and not isinstance(exchange.fault, StuckJob):
        _run(state, exchange, job)
    return see_other(f"{root}/{job.number}")


def runs_at_post(state: State, exchange: Exchange) -> bool:
    """Tell whether a job that a request makes is run by that request too."""
    asked = {name.upper(): value.upper() for name, value in exchange.request.args.items()}
    at_once = asked.get("PHASE") == "RUN" and state.personality.phase_at_post
    return state.personality.moves_at_post or at_once


def _path_of(state: State, target: str | None) -> str:
    """Return the node path of a job's target; empty when the job itself will say what is wrong."""
    try:
        return own_path(target or "", state.personality.authority)
    except Refusal:
        return ""


def _show(state: State, exchange: Exchange, job: Job) -> Reply:
    given = {name.upper(): value for name, value in exchange.request.args.items()}
    if (wait := given.get("WAIT")) is None:
        return xml_reply(write_job(job))
    while_in = next((one for one in Phase if one.value == given.get("PHASE", "").upper()), None)
    try:
        seconds = float(wait)
        if math.isnan(seconds):
            raise ValueError
    except ValueError:
        raise invalid_argument(f"WAIT: {wait}") from None
    waited = state.jobs.wait_until_done(job.number, seconds, while_in)
    if waited is None:
        raise no_such_resource(f"{job.kind.value}/{job.number}")
    return xml_reply(write_job(waited))


def _part(job: Job, part: str) -> Reply:
    match part:
        case "phase":
            return Reply(200, PLAIN, job.phase.value.encode())
        case "error" if job.error is not None:
            return Reply(200, PLAIN, job.error.encode())
        case "owner":
            return text_reply(200, job.owner or "")
        case "quote":
            return text_reply(200, "")
        case "executionduration":
            return text_reply(200, str(job.execution_s))
        case "destruction":
            return text_reply(200, uws_date(job.destruction_ms))
        case "parameters" | "results":
            return xml_reply(write_part(job, part))
        case _:
            raise no_such_resource(f"{job.kind.value}/{job.number}/{part}")


def _result(state: State, exchange: Exchange, job: Job, name: str) -> Reply:
    transfer = job.transfer
    if name == "transferDetails" and transfer and transfer.direction.lower() in (PUSH, PULL):
        # Also when negotiation failed: the client learns that from the phase.
        if not state.personality.xfer_redirect:
            return details_of(state, exchange, job, transfer)
        return see_other(f"{exchange.root(state.personality.service)}/xfer/{job.number}")
    for result, href in job.results:
        if result == name:
            return see_other(href)
    raise no_such_resource(f"{job.kind.value}/{job.number}/results/{name}")


def _change_phase(state: State, exchange: Exchange, job: Job) -> None:
    wanted = [v.upper() for name, v in exchange.parameters() if name.upper() == "PHASE"]
    match wanted:
        case ["RUN"]:
            _run(state, exchange, job)
        case ["ABORT"]:
            for phase in Phase:
                if not phase.is_final:
                    ended_ms = _now_ms(state)
                    state.jobs.leave(job.number, phase, phase=Phase.ABORTED, ended_ms=ended_ms)
        case _:
            raise invalid_argument("PHASE must be RUN or ABORT")


def _change_term(state: State, exchange: Exchange, job: Job, part: str) -> None:
    """Set when the job is forgotten, or how long it may run."""
    values = [value for name, value in exchange.parameters() if name.lower() == part]
    text = values[0] if len(values) == 1 else ""
    if part == "destruction":
        moment = parse_uws_date(text)
        if moment is None:
            raise invalid_argument(f"DESTRUCTION: {text}")
        state.jobs.amend(job.number, destruction_ms=moment)
        return
    if NUMBER.match(text) is None:
        raise invalid_argument(f"EXECUTIONDURATION: {text}")
    state.jobs.amend(job.number, execution_s=int(text))


def _now_ms(state: State) -> int:
    with state.lock:
        return state.tree.next_date_ms()


def _run(state: State, exchange: Exchange, job: Job) -> None:
    """Do the job's work, unless another request has started it already."""
    started_ms = _now_ms(state)
    running = state.jobs.leave(
        job.number, Phase.PENDING, phase=Phase.EXECUTING, started_ms=started_ms, at_work=True
    )
    if running is None:
        return
    outcome = perform(state, exchange, running)
    ended_ms = None if outcome.phase is Phase.EXECUTING else _now_ms(state)
    state.jobs.leave(
        job.number,
        Phase.EXECUTING,
        phase=outcome.phase,
        results=outcome.results,
        error=outcome.error,
        ended_ms=ended_ms,
        at_work=False,
    )


def _destroy(state: State, exchange: Exchange, job: Job, root: str) -> Reply:
    if exchange.request.method == "POST":
        actions = [v.upper() for name, v in exchange.parameters() if name.upper() == "ACTION"]
        if actions != ["DELETE"]:
            raise invalid_argument("ACTION must be DELETE")
    state.jobs.remove(job.number)
    return see_other(root)
