"""Fault plans as text: TOML or JSON to rules, and rules to JSON.

`[[rule]]` (TOML) or `{"rule": [...]}` (JSON) with `method`, `endpoint`, `path`, `nth`, `times`,
`action` and the action's own arguments (docs/fakevospace.md).  Every key that is not known is an
error that names it: a misspelt rule must not be one that silently never matches.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, fields
from typing import Any

from fakevospace.faults import Action, Cut, FaultPlan, Hang, RangeIgnored, Reset, Rule, Status

ACTIONS: dict[str, type[Action]] = {
    "status": Status,
    "hang": Hang,
    "reset": Reset,
    "cut": Cut,
    "range_ignored": RangeIgnored,
}
BYTES_AND_NODES = ("nodes", "files", "bytes", "synctrans", "transfers", "xfer")
OTHERS = ("async-delete", "async-setprops", "pkg", "catalogues")
ENDPOINTS = frozenset({*BYTES_AND_NODES, *OTHERS, "capabilities", "availability", "registry"})
MATCHER_KEYS = frozenset({"method", "endpoint", "path", "nth", "times"})
TEXT_KEYS = frozenset({"method", "endpoint", "path", "body"})


class BadPlan(ValueError):
    """The text is no fault plan; the message says which rule and key."""


def parse_plan(text: str) -> tuple[Rule, ...]:
    """Read a plan.

    Args:
        text: JSON when it begins with a brace or bracket, else TOML.
    Returns:
        The rules in order.
    Raises:
        BadPlan: it is neither, or a rule has an unknown key or a value that cannot be.
    """
    try:
        is_json = text.lstrip()[:1] in ("{", "[") and not text.lstrip().startswith("[[")
        plan = json.loads(text) if is_json else tomllib.loads(text)
    except ValueError as error:
        raise BadPlan(f"not a fault plan: {error}") from None
    rules = plan.get("rule") if isinstance(plan, dict) else plan
    if not isinstance(rules, list) or (isinstance(plan, dict) and set(plan) != {"rule"}):
        raise BadPlan('a plan is a list of rules: [[rule]] in TOML, {"rule": [...]} in JSON')
    return tuple(_rule(number, given) for number, given in enumerate(rules, 1))


def _rule(number: int, given: object) -> Rule:
    if not isinstance(given, dict):
        raise BadPlan(f"rule {number}: not a table")
    values: dict[str, Any] = dict(given)
    name = values.pop("action", None)
    if name not in ACTIONS:
        raise BadPlan(f"rule {number}: action {name!r} is not one of {', '.join(ACTIONS)}")
    matcher = {key: values.pop(key) for key in MATCHER_KEYS & set(values)}
    known = {one.name for one in fields(ACTIONS[name])}
    if unknown := sorted(set(values) - known):
        raise BadPlan(f"rule {number}: unknown key {unknown[0]!r} (action {name})")
    for key, value in (matcher | values).items():
        _check_value(number, key, value)
    if matcher.get("endpoint", "nodes") not in ENDPOINTS:
        raise BadPlan(f"rule {number}: unknown endpoint {matcher['endpoint']!r}")
    try:
        return Rule(ACTIONS[name](**values), **matcher)
    except TypeError:
        raise BadPlan(f"rule {number}: action {name} needs {', '.join(sorted(known))}") from None


def _check_value(number: int, key: str, value: object) -> None:
    wanted = str if key in TEXT_KEYS else int
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise BadPlan(f"rule {number}: {key} must be {wanted.__name__}, not {value!r}")
    least = {"nth": 1, "times": 1, "code": 100}.get(key, 0)
    if isinstance(value, int) and value < least:
        raise BadPlan(f"rule {number}: {key} must be at least {least}")


def plan_as_json(plan: FaultPlan) -> list[dict[str, Any]]:
    """Write the rules down as the control endpoint shows them, with their match counts."""
    names = {kind: name for name, kind in ACTIONS.items()}
    shown = []
    for rule, matched in zip(plan.rules, plan.matched, strict=True):
        matcher = {key: getattr(rule, key) for key in sorted(MATCHER_KEYS)}
        arguments = asdict(rule.action)
        shown.append({"action": names[type(rule.action)], "matched": matched} | matcher | arguments)
    return shown
