"""`/synctrans` and `/xfer/{job}`: negotiating where bytes go (protocol.md 5.1 to 5.3, 5.6).

The document form always leads to the job's transfer details, also when negotiation failed; the
parameter form leads straight to the bytes, answers a document, or does not exist.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

from fakevospace.documents import (
    TransferDocument,
    TransferProtocol,
    parse_transfer,
    write_transfer,
)
from fakevospace.endpoints.files import endpoints
from fakevospace.endpoints.negotiation import PULL, error_text, grant_of, negotiate, new_job
from fakevospace.exchange import Exchange, Reply, see_other, xml_reply
from fakevospace.jobs import Job, JobKind, Phase
from fakevospace.names import own_path
from fakevospace.personality import PACKAGE_VIEW, ParameterForm
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    method_not_allowed,
    no_such_resource,
    not_authenticated,
    unsupported_media_type,
)
from fakevospace.state import State

FORM = "application/x-www-form-urlencoded"
OWN_PARAMETERS = frozenset({"TARGET", "DIRECTION", "PROTOCOL", "VIEW", "REQUEST", "RUNID"})


def synctrans(state: State, exchange: Exchange) -> Reply:
    """Answer `/synctrans` in either form.

    Raises:
        Refusal: parameter form: what went wrong; document form: a document that is none.
    """
    rules = state.personality
    given = {name.upper() for name in exchange.request.args}
    form = exchange.request.mimetype == FORM and not rules.form_documents
    match exchange.request.method:
        case "GET" | "HEAD" if rules.parameter_form is not ParameterForm.NONE:
            return _by_parameters(state, exchange)
        case "POST" if ("TARGET" in given or form) and (
            rules.parameter_form is not ParameterForm.NONE
        ):
            return _by_parameters(state, exchange)
        case "POST":
            return _by_document(state, exchange)
        case other:
            raise method_not_allowed(other)


def read_transfer(state: State, exchange: Exchange) -> TransferDocument:
    """Read the transfer document that a request brings.

    Raises:
        Refusal: 400, 413; 415 where the service insists on a Content-Type.
    """
    if state.personality.form_documents and exchange.request.mimetype != FORM:
        raise unsupported_media_type(exchange.request.mimetype)
    return parse_transfer(exchange.document())


def _by_document(state: State, exchange: Exchange) -> Reply:
    transfer = read_transfer(state, exchange)
    root = exchange.root(state.personality.service)
    if transfer.view == PACKAGE_VIEW and state.personality.packages:
        return _package(state, exchange, transfer, root)
    path, error = "", None
    try:
        path = own_path(transfer.target, state.personality.authority)
        with state.lock:
            negotiate(state, exchange, transfer, path)
    except Refusal as refusal:
        if refusal.status == 503:
            raise
        error = error_text(refusal)
    phase = Phase.EXECUTING if error is None else Phase.ERROR
    job = new_job(state, exchange, path, phase, transfer=transfer, error=error)
    if error is None:
        state.jobs.amend(job.number, results=negotiated_results(state, exchange, job))
    return see_other(f"{root}/transfers/{job.number}/results/transferDetails")


def negotiated_results(state: State, exchange: Exchange, job: Job) -> tuple[tuple[str, str], ...]:
    """Return the results of a job whose negotiation succeeded: the details, and the node."""
    details = f"{exchange.root(state.personality.service)}/xfer/{job.number}"
    return ("transferDetails", details), ("dataNode", state.space.uri(job.node_path))


def _package(state: State, exchange: Exchange, transfer: TransferDocument, root: str) -> Reply:
    """Suspend the job and lead to `/pkg`, which goes on with it."""
    if transfer.direction.lower() != PULL:
        raise invalid_argument(f"direction of a package: {transfer.direction}")
    job = new_job(state, exchange, "", Phase.SUSPENDED, transfer=transfer)
    return see_other(f"{root}/pkg/{job.number}/run")


def _by_parameters(state: State, exchange: Exchange) -> Reply:
    given: dict[str, list[str]] = {}
    others = []
    for name, value in exchange.parameters():
        given.setdefault(name.upper(), []).append(value)
        if name.upper() not in OWN_PARAMETERS:
            others.append((name, value))
    if missing := [name for name in ("TARGET", "DIRECTION", "PROTOCOL") if name not in given]:
        raise invalid_argument(f"missing parameter {missing[0]}")
    protocols = tuple(TransferProtocol(uri) for uri in given["PROTOCOL"])
    view = given.get("VIEW", [None])[0]
    transfer = TransferDocument(given["TARGET"][0], given["DIRECTION"][0], view, protocols)
    path = own_path(transfer.target, state.personality.authority)
    with state.lock:
        node = negotiate(state, exchange, transfer, path)
        answered = endpoints(state, exchange, node, grant_of(transfer), protocols)
    redirect = "REDIRECT" in [word.upper() for word in given.get("REQUEST", [])]
    if state.personality.parameter_form is ParameterForm.DOCUMENT and not redirect:
        new_job(state, exchange, path, Phase.EXECUTING, transfer=transfer)
        return xml_reply(write_transfer(replace(transfer, protocols=answered)))
    if not answered or answered[0].endpoint is None:
        raise invalid_argument("no endpoint for the protocols asked for")
    query = f"?{urlencode(others)}" if others else ""
    return see_other(f"{answered[0].endpoint}{query}")


def transfer_details(state: State, exchange: Exchange, number: str) -> Reply:
    """Answer `/xfer/{job}`: the transfer document with endpoints (5.2).

    A failed job shows no protocols while its node exists, and a 500 when it does not.

    Raises:
        Refusal: 404 no such job; 401 another user's; 500 as above.
    """
    if exchange.request.method not in ("GET", "HEAD"):
        raise method_not_allowed(exchange.request.method)
    job = state.jobs.get(number)
    if job is None or job.kind is not JobKind.TRANSFER or job.transfer is None:
        raise no_such_resource(f"xfer/{number}")
    if job.owner != exchange.caller.name and not exchange.caller.admin:
        raise not_authenticated(f"xfer/{number}")
    return details_of(state, exchange, job, job.transfer)


def details_of(state: State, exchange: Exchange, job: Job, transfer: TransferDocument) -> Reply:
    """Answer with the transfer document of a job."""
    answered: tuple[TransferProtocol, ...] = ()
    with state.lock:
        try:
            node = state.space.resolve(job.node_path, exchange.caller, follow_leaf=True)
        except Refusal as refusal:
            raise Refusal(500, f"Internal Error: {refusal.text}") from None
        if job.phase is Phase.EXECUTING and node.kind.holds_bytes:
            grant = grant_of(transfer)
            answered = endpoints(state, exchange, node, grant, transfer.protocols)
    return xml_reply(write_transfer(replace(transfer, protocols=answered)))
