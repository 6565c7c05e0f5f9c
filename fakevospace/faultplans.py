"""Fault plans as text: TOML or JSON to rules, and rules to JSON.

`[[rule]]` (TOML) or `{"rule": [...]}` (JSON) with the fields of `Rule`, `action` and the action's
own arguments (docs/fakevospace.md).  Every key that is not known is an error that names it: a
misspelt rule must not be one that silently never matches.
"""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import asdict, fields
from typing import Any

from fakevospace.faultactions import ACTIONS, Action, StuckJob, name_of
from fakevospace.faults import FaultPlan, Rule
from fakevospace.jobs import Phase

BYTES_AND_NODES = ("nodes", "files", "bytes", "synctrans", "transfers", "xfer")
OTHERS = ("async-delete", "async-setprops", "pkg", "catalogues")
ENDPOINTS = frozenset({*BYTES_AND_NODES, *OTHERS, "capabilities", "availability", "registry"})
MATCHER_TYPES = {one.name: str(one.type) for one in fields(Rule) if one.name != "action"}
LEAST = {"nth": 1, "times": 1, "code": 200, "by": -(1 << 62)}
MOST = {"code": 599, "probability": 1}
CALM_PHASES = frozenset(one.value for one in Phase if not one.is_final)


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
    except (ValueError, RecursionError) as error:
        raise BadPlan(f"not a fault plan: {error}") from None
    rules = plan.get("rule") if isinstance(plan, dict) else plan
    if not isinstance(rules, list) or (isinstance(plan, dict) and set(plan) != {"rule"}):
        raise BadPlan('a plan is a list of rules: [[rule]] in TOML, {"rule": [...]} in JSON')
    return tuple(_rule(number, given) for number, given in enumerate(rules, 1))


def _rule(number: int, given: object) -> Rule:
    if not isinstance(given, dict):
        raise BadPlan(f"rule {number}: not a table")
    values: dict[str, Any] = {key: one for key, one in given.items() if one is not None}
    name = values.pop("action", None)
    if not isinstance(name, str) or name not in ACTIONS:
        raise BadPlan(f"rule {number}: action {name!r} is not one of {', '.join(ACTIONS)}")
    matcher = {key: values.pop(key) for key in MATCHER_TYPES if key in values}
    known = {one.name: str(one.type) for one in fields(ACTIONS[name])}
    if unknown := sorted(set(values) - set(known)):
        raise BadPlan(f"rule {number}: unknown key {unknown[0]!r} (action {name})")
    for key, value in (matcher | values).items():
        _check_value(number, key, value, (MATCHER_TYPES | known)[key])
    if matcher.get("endpoint", "nodes") not in ENDPOINTS:
        raise BadPlan(f"rule {number}: unknown endpoint {matcher['endpoint']!r}")
    try:
        action = ACTIONS[name](**values)
    except TypeError:
        raise BadPlan(f"rule {number}: action {name} needs {', '.join(sorted(known))}") from None
    if isinstance(action, StuckJob) and action.phase not in CALM_PHASES:
        raise BadPlan(f"rule {number}: phase must be one of {', '.join(sorted(CALM_PHASES))}")
    return Rule(action, **matcher)


def _check_value(number: int, key: str, value: object, declared: str) -> None:
    """Compare a value with the type that the field is declared with, and with its limits."""
    kinds = {"str": (str,), "bool": (bool,), "float": (int, float), "int": (int,)}
    name = next(one for one in kinds if declared.startswith(one))
    if not isinstance(value, kinds[name]) or isinstance(value, bool) is not (name == "bool"):
        raise BadPlan(f"rule {number}: {key} must be {name}, not {value!r}")
    if isinstance(value, int | float) and name != "bool":
        least, most = LEAST.get(key, 0), MOST.get(key, 1 << 62)
        if not math.isfinite(value) or not least <= value <= most:
            raise BadPlan(f"rule {number}: {key} must be at least {least} and at most {most}")


def rule_as_json(rule: Rule) -> dict[str, Any]:
    """Write a rule down, so that `parse_plan` reads the same one; None is for a key not given."""
    action: Action = rule.action
    values = {key: getattr(rule, key) for key in sorted(MATCHER_TYPES)} | asdict(action)
    return {"action": name_of(action)} | values


def plan_as_json(plan: FaultPlan) -> list[dict[str, Any]]:
    """Write the rules down as the control endpoint shows them, with what each has seen."""
    return [
        {"matched": tally.matched, "acted": tally.acted} | rule_as_json(rule)
        for rule, tally in zip(plan.rules, plan.tallies, strict=True)
    ]
