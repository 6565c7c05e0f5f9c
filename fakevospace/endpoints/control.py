"""`/_fake/`: the fake itself, to those who test with it; the page for people is in `page`.

Not part of the service: never recorded, never faulted, never asking who is there.  A browser that
shows somebody else's page is refused: nothing but the page here may change a fake.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from fakevospace import snapshots
from fakevospace.endpoints.page import jobs_shown, page, tree_shown
from fakevospace.exchange import Exchange, Reply
from fakevospace.faultboard import FaultNotPossible
from fakevospace.faultplans import BadPlan, parse_plan, plan_as_json
from fakevospace.generation import generate
from fakevospace.refusals import Refusal, method_not_allowed, no_such_resource
from fakevospace.state import State

LIMIT_BYTES = 1 << 20
KEPT_SNAPSHOTS = 10
JOURNAL_LIMIT = 1 << 62
Action = Callable[[State, Exchange], Reply]


def control(state: State, exchange: Exchange, rest: tuple[str, ...]) -> Reply:
    """Answer a request below `/_fake`.

    Args:
        rest: path elements after `_fake`.
    Raises:
        Refusal: 400 a document that is none, 403 from a foreign page, 404, 405.
    """
    _check_origin(exchange)
    method = "GET" if exchange.request.method == "HEAD" else exchange.request.method
    resource = "/".join(rest)
    actions = RESOURCES.get(resource)
    if actions is None:
        raise no_such_resource(f"_fake/{resource}")
    if method not in actions:
        raise method_not_allowed(method)
    return actions[method](state, exchange)


def _check_origin(exchange: Exchange) -> None:
    origin = exchange.request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc != exchange.request.headers.get("Host"):
        raise Refusal(403, f"not for pages of {origin}")


def _json(value: Any, status: int = 200) -> Reply:
    text = json.dumps(value, indent=1) + "\n"
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Reply(status, headers, text.encode())


def _given(exchange: Exchange) -> dict[str, Any]:
    """Read the JSON object that a request carries; none at all is an empty one."""
    data = exchange.request.stream.read(LIMIT_BYTES)
    try:
        value = json.loads(data) if data.strip() else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, "not a JSON object")
    return value


def _number(exchange: Exchange, name: str, default: int) -> int:
    text = exchange.parameter(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise Refusal(400, f"{name}: {text[:40]!r} is no number")
    return int(text)


def _journal(state: State, exchange: Exchange) -> Reply:
    since, limit = _number(exchange, "since", 0), _number(exchange, "limit", JOURNAL_LIMIT)
    return _json([entry.as_json() for entry in state.journal.since(since, limit)])


def _clear_journal(state: State, exchange: Exchange) -> Reply:
    state.journal.clear()
    return _json([])


def _faults(state: State, exchange: Exchange, status: int = 200) -> Reply:
    rules = plan_as_json(state.faults.plan)
    for number, one in enumerate(rules):
        one["why_not"] = state.faults.why_not(number)
    return _json({"rule": rules, "hanging": state.faults.hanging}, status)


def _add_faults(state: State, exchange: Exchange) -> Reply:
    data = exchange.request.stream.read(LIMIT_BYTES)
    try:
        state.faults.add(*parse_plan(data.decode("utf-8")))
    except (UnicodeDecodeError, BadPlan, FaultNotPossible) as error:
        raise Refusal(400, str(error)) from None
    return _faults(state, exchange, 201)


def _lift_faults(state: State, exchange: Exchange) -> Reply:
    state.faults.clear()
    return _faults(state, exchange)


def _clock(state: State, exchange: Exchange) -> Reply:
    return _json({"now": state.clock(), "frozen": state.clock.is_frozen})


def _set_clock(state: State, exchange: Exchange) -> Reply:
    given = _given(exchange)
    match list(given.items()):
        case [("advance", int() | float() as seconds)] if abs(seconds) < 1e10:
            state.clock.advance(seconds)
        case [("freeze", bool())]:
            state.clock.freeze()
        case [("freeze", int() | float() as moment)] if 0 <= moment < 1e11:
            state.clock.freeze(moment)
        case [("resume", _)]:
            state.clock.resume()
        case _:
            raise Refusal(400, 'one of {"advance": SECONDS}, {"freeze": TIME}, {"resume": true}')
    return _clock(state, exchange)


def _reset_clock(state: State, exchange: Exchange) -> Reply:
    state.clock.resume()
    return _clock(state, exchange)


def _reset(state: State, exchange: Exchange) -> Reply:
    snapshots.start_over(state)
    return _json({"reset": True})


def _snapshot(state: State, exchange: Exchange) -> Reply:
    name = _given(exchange).get("name", "latest")
    if not isinstance(name, str):
        raise Refusal(400, "name: not a text")
    taken = snapshots.take(state)
    with state.lock:
        replaced = [state.snapshots.pop(name)] if name in state.snapshots else []
        state.snapshots[name] = taken
        while len(state.snapshots) > KEPT_SNAPSHOTS:
            replaced.append(state.snapshots.pop(next(iter(state.snapshots))))
    for one in replaced:
        snapshots.discard(state, one)
    return _json({"name": name, "nodes": len(taken.nodes)}, 201)


def _restore(state: State, exchange: Exchange) -> Reply:
    name = _given(exchange).get("name", "latest")
    found = state.snapshots.get(name) if isinstance(name, str) else None
    if found is None:
        raise Refusal(404, f"no snapshot {name!r}")
    snapshots.put_back(state, found)
    return _json({"name": name, "nodes": len(found.nodes)})


def _generate(state: State, exchange: Exchange) -> Reply:
    given = _given(exchange)
    path, count = given.get("path"), given.get("count")
    if not isinstance(path, str) or not isinstance(count, int):
        raise Refusal(400, '{"path": CONTAINER, "count": NUMBER}')
    try:
        generate(state, path.strip("/"), count)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return _json({"path": path, "count": count}, 201)


def _environment(state: State, exchange: Exchange) -> Reply:
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


def _tree(state: State, exchange: Exchange) -> Reply:
    path, start = exchange.parameter("path") or "", exchange.parameter("start")
    return _json(tree_shown(state, path, start, _number(exchange, "limit", 200)))


def _jobs(state: State, exchange: Exchange) -> Reply:
    return _json(jobs_shown(state, _number(exchange, "limit", 100)))


RESOURCES: dict[str, dict[str, Action]] = {
    "": {"GET": page},
    "journal": {"GET": _journal, "DELETE": _clear_journal},
    "faults": {"GET": _faults, "POST": _add_faults, "DELETE": _lift_faults},
    "clock": {"GET": _clock, "POST": _set_clock, "DELETE": _reset_clock},
    "environment": {"GET": _environment},
    "reset": {"POST": _reset},
    "snapshot": {"POST": _snapshot},
    "restore": {"POST": _restore},
    "generate": {"POST": _generate},
    "tree": {"GET": _tree},
    "jobs": {"GET": _jobs},
}
