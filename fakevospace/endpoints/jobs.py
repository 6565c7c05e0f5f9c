"""`/transfers` and what is below: jobs that move nodes (protocol.md 5.4).

A job waits as PENDING for `PHASE=RUN`, and is done when that request is answered.  The details of
a negotiated transfer hang below the same URLs.
"""

from __future__ import annotations

from fakevospace.documents import parse_transfer
from fakevospace.endpoints.transfers import NOT_IMPLEMENTED, PULL, PUSH, error_text, new_job
from fakevospace.exchange import Exchange, Reply, see_other, text_reply, xml_reply
from fakevospace.jobdocuments import (
    EXECUTION_S,
    KEPT_MS,
    uws_date,
    write_job,
    write_job_list,
    write_part,
)
from fakevospace.jobs import Job, Phase
from fakevospace.names import own_path
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    method_not_allowed,
    no_such_resource,
    permission_denied,
)
from fakevospace.state import State


def jobs(state: State, exchange: Exchange, rest: tuple[str, ...]) -> Reply:
    """Answer a request below `/transfers`.

    Args:
        rest: path elements after `transfers`.
    Raises:
        Refusal: 400, 403, 404, 405.
    """
    root = f"{exchange.base}/{state.personality.service}/transfers"
    method = exchange.request.method
    if not rest:
        return _all_jobs(state, exchange, root)
    job = state.jobs.get(rest[0])
    if job is None:
        raise no_such_resource(f"transfers/{rest[0]}")
    url = f"{root}/{job.number}"
    match method, rest[1:]:
        case (("GET" | "HEAD"), ()):
            return _show(state, exchange, job)
        case (("GET" | "HEAD"), ("results", name)):
            return _result(state, exchange, job, name)
        case (("GET" | "HEAD"), (part,)):
            return _part(job, part)
        case "POST", ("phase",):
            _change_phase(state, exchange, job)
            return see_other(url)
        case ("DELETE", ()) | ("POST", ()):
            return _destroy(state, exchange, job, root)
        case _:
            raise method_not_allowed(method)


def _all_jobs(state: State, exchange: Exchange, root: str) -> Reply:
    match exchange.request.method:
        case "POST":
            return _create(state, exchange, root)
        case "GET" | "HEAD" if exchange.caller.name is None:
            raise permission_denied("job list")
        case "GET" | "HEAD":
            mine = [job for job in state.jobs.all() if job.owner == exchange.caller.name]
            return xml_reply(write_job_list((job, f"{root}/{job.number}") for job in mine))
        case other:
            raise method_not_allowed(other)


def _create(state: State, exchange: Exchange, root: str) -> Reply:
    transfer = parse_transfer(exchange.document())
    try:
        path = own_path(transfer.target, state.personality.authority)
    except Refusal:
        path = ""  # the job itself will say what is wrong
    job = new_job(state, exchange, transfer, path, Phase.PENDING)
    return see_other(f"{root}/{job.number}")


def _show(state: State, exchange: Exchange, job: Job) -> Reply:
    wait = next((v for name, v in exchange.request.args.items() if name.upper() == "WAIT"), None)
    if wait is None:
        return xml_reply(write_job(job))
    try:
        seconds = float(wait)
    except ValueError:
        raise invalid_argument(f"WAIT: {wait}") from None
    waited = state.jobs.wait_until_done(job.number, seconds)
    if waited is None:
        raise no_such_resource(f"transfers/{job.number}")
    return xml_reply(write_job(waited))


def _part(job: Job, part: str) -> Reply:
    match part:
        case "phase":
            return Reply(200, (("Content-Type", "text/plain"),), job.phase.value.encode())
        case "error" if job.error is not None:
            return Reply(200, (("Content-Type", "text/plain"),), job.error.encode())
        case "owner":
            return text_reply(200, job.owner or "")
        case "quote":
            return text_reply(200, "")
        case "executionduration":
            return text_reply(200, str(EXECUTION_S))
        case "destruction":
            return text_reply(200, uws_date(job.created_ms + KEPT_MS))
        case "parameters" | "results":
            return xml_reply(write_part(job, part))
        case _:
            raise no_such_resource(f"transfers/{job.number}/{part}")


def _result(state: State, exchange: Exchange, job: Job, name: str) -> Reply:
    if name == "transferDetails" and job.transfer.direction.lower() in (PUSH, PULL):
        # Also when negotiation failed: the client learns that from the phase.
        return see_other(f"{exchange.base}/{state.personality.service}/xfer/{job.number}")
    for result, href in job.results:
        if result == name:
            return see_other(href)
    raise no_such_resource(f"transfers/{job.number}/results/{name}")


def _change_phase(state: State, exchange: Exchange, job: Job) -> None:
    wanted = [v.upper() for name, v in exchange.parameters() if name.upper() == "PHASE"]
    match wanted:
        case ["RUN"]:
            _run(state, exchange, job)
        case ["ABORT"]:
            for phase in (Phase.PENDING, Phase.EXECUTING):
                state.jobs.leave(job.number, phase, phase=Phase.ABORTED, ended_ms=_now_ms(state))
        case _:
            raise invalid_argument("PHASE must be RUN or ABORT")


def _now_ms(state: State) -> int:
    with state.lock:
        return state.tree.next_date_ms()


def _run(state: State, exchange: Exchange, job: Job) -> None:
    """Do the job's work, unless another request has started it already."""
    started_ms = _now_ms(state)
    running = state.jobs.leave(
        job.number, Phase.PENDING, phase=Phase.EXECUTING, started_ms=started_ms
    )
    if running is None:
        return
    outcome: dict[str, object]
    try:
        uri = _move(state, exchange, job)
        outcome = {"phase": Phase.COMPLETED, "results": (("destination", uri),)}
    except Refusal as refusal:
        outcome = {"phase": Phase.ERROR, "error": error_text(refusal)}
    state.jobs.leave(job.number, Phase.EXECUTING, ended_ms=_now_ms(state), **outcome)


def _move(state: State, exchange: Exchange, job: Job) -> str:
    """Move the node of a job and return the URI where it is now.

    Raises:
        Refusal: it cannot be moved, or the job asks for something else than a move.
    """
    transfer, authority = job.transfer, state.personality.authority
    if transfer.direction.lower() in NOT_IMPLEMENTED | {PUSH, PULL}:
        raise Refusal(405, f"OperationNotSupported: {transfer.direction} as an asynchronous job")
    source = own_path(transfer.target, authority)
    destination = own_path(transfer.direction, authority)
    if transfer.keep_bytes is not False:
        raise Refusal(405, "copyNode is not implemented")
    with state.lock:
        node = state.space.move(source, destination, exchange.caller)
        return state.space.uri(node.path)


def _destroy(state: State, exchange: Exchange, job: Job, root: str) -> Reply:
    if exchange.request.method == "POST":
        actions = [v.upper() for name, v in exchange.parameters() if name.upper() == "ACTION"]
        if actions != ["DELETE"]:
            raise invalid_argument("ACTION must be DELETE")
    state.jobs.remove(job.number)
    return see_other(root)
