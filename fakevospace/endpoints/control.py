"""`/_fake/`: the journal, the faults and the environment of a running fake.

Not part of the service: never recorded, never faulted, never asking who is there.
"""

from __future__ import annotations

import json
from typing import Any

from fakevospace.exchange import Exchange, Reply
from fakevospace.faultplans import BadPlan, parse_plan, plan_as_json
from fakevospace.refusals import Refusal, method_not_allowed, no_such_resource
from fakevospace.state import State

PLAN_LIMIT_BYTES = 1 << 20


def control(state: State, exchange: Exchange, rest: tuple[str, ...]) -> Reply:
    """Answer a request below `/_fake`.

    Args:
        rest: path elements after `_fake`.
    Raises:
        Refusal: 400 a plan that is none, 404, 405.
    """
    match exchange.request.method, rest:
        case (("GET" | "HEAD"), ("journal",)):
            return _json([entry.as_json() for entry in state.journal])
        case "DELETE", ("journal",):
            state.journal.clear()
            return _json([])
        case (("GET" | "HEAD"), ("faults",)):
            return _faults(state)
        case "POST", ("faults",):
            return _add_faults(state, exchange)
        case "DELETE", ("faults",):
            state.faults.clear()
            return _faults(state)
        case (("GET" | "HEAD"), ("environment",)):
            return _environment(state)
        case method, ("journal" | "faults" | "environment",):
            raise method_not_allowed(method)
        case _:
            raise no_such_resource("/".join(("_fake", *rest)))


def _json(value: Any, status: int = 200) -> Reply:
    text = json.dumps(value, indent=1) + "\n"
    return Reply(status, (("Content-Type", "application/json"),), text.encode())


def _faults(state: State, status: int = 200) -> Reply:
    rules = plan_as_json(state.faults.plan)
    for number, one in enumerate(rules):
        one["why_not"] = state.faults.why_not(number)
    return _json({"rule": rules, "hanging": state.faults.hanging}, status)


def _add_faults(state: State, exchange: Exchange) -> Reply:
    data = exchange.request.stream.read(PLAN_LIMIT_BYTES)
    try:
        rules = parse_plan(data.decode("utf-8"))
    except (UnicodeDecodeError, BadPlan) as error:
        raise Refusal(400, str(error)) from None
    state.faults.add(*rules)
    return _faults(state, 201)


def _environment(state: State) -> Reply:
    """Say what a client needs to know: `fakevospace env` is made from this."""
    service = state.personality
    return _json(
        {
            "personality": service.name,
            "service": service.service,
            "resource_id": service.resource_id,
            "vospace": service.short_name,
            "token": state.users.first_token,
        }
    )
