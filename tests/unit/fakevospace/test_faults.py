"""Fault plans as values: what they match, when they act, how they are written."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakevospace.faultplans import BadPlan, parse_plan, plan_as_json
from fakevospace.faultboard import FaultBoard, Verdict
from fakevospace.faults import Cut, Facts, FaultPlan, Hang, Rule, Status

GET = Facts("GET", "nodes", "/d/f")


def hits(rule: Rule, facts: Facts, count: int) -> list[int]:
    """Numbers of the requests that a rule acts on, among `count` equal ones."""
    plan, acted = FaultPlan().extended((rule,)), []
    for number in range(1, count + 1):
        plan, action = plan.decide(facts)
        if action is not None:
            acted.append(number)
    return acted


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(Hang()), True),
        (Rule(Hang(), method="get"), True),
        (Rule(Hang(), method="PUT"), False),
        (Rule(Hang(), endpoint="bytes"), False),
        (Rule(Hang(), path="/d/f"), True),
        (Rule(Hang(), path="/d/*"), True),
        (Rule(Hang(), path="*"), True),
        (Rule(Hang(), path="/d"), False),
        (Rule(Hang(), path="/D/F"), False),
    ],
)
def test_matching(rule: Rule, matches: bool) -> None:
    assert rule.matches(GET) is matches


def test_path_is_compared_as_it_is_before_it_is_a_glob() -> None:
    assert Rule(Hang(), path="/[1]").matches(Facts("GET", "nodes", "/[1]"))


@given(st.integers(1, 5), st.none() | st.integers(1, 5))
def test_nth_and_times(nth: int, times: int | None) -> None:
    last = 10 if times is None else min(10, nth + times - 1)
    assert hits(Rule(Hang(), nth=nth, times=times), GET, 10) == list(range(nth, last + 1))


def test_first_rule_that_is_due_acts_and_all_count() -> None:
    plan = FaultPlan().extended((Rule(Status(503), nth=2), Rule(Status(404))))
    plan, first = plan.decide(GET)
    plan, second = plan.decide(GET)
    assert (first, second) == (Status(404), Status(503))
    assert plan.matched == (2, 2)
    assert plan.decide(Facts("PUT", "bytes", ""))[1] is not None


def test_deciding_leaves_the_plan_alone() -> None:
    plan = FaultPlan().extended((Rule(Hang()),))
    plan.decide(GET)
    assert plan.matched == (0,)


def test_toml_and_json_say_the_same() -> None:
    toml = '[[rule]]\nmethod="PUT"\naction="cut"\nafter_bytes=9\ntimes=1\n'
    json = '{"rule": [{"method": "PUT", "action": "cut", "after_bytes": 9, "times": 1}]}'
    assert parse_plan(toml) == parse_plan(json) == (Rule(Cut(9), method="PUT", times=1),)
    shown = plan_as_json(FaultPlan().extended(parse_plan(toml)))
    assert shown[0]["action"] == "cut" and shown[0]["after_bytes"] == 9


@pytest.mark.parametrize(
    ("text", "word"),
    [("rule = 3", "list"), ('[[rule]]\naction="hang"\ncode=3', "code"), ("[[rule]]", "action"),
     ('[[rule]]\naction="status"\ncode="503"', "code"), ('[[rule]]\naction="hang"\nnth=0', "nth"),
     ('[[rule]]\naction="hang"\nendpoint="node"', "node"), ("{", "plan")],
)  # fmt: skip
def test_bad_plans_name_what_is_wrong(text: str, word: str) -> None:
    with pytest.raises(BadPlan, match=word):
        parse_plan(text)


def test_lifting_lets_go_also_of_those_who_only_then_begin_to_wait() -> None:
    board = FaultBoard((Rule(Hang()),))
    verdict = board.decide(GET)
    assert isinstance(verdict, Verdict)
    board.clear()
    assert board.hold(verdict.gate, lambda: False)
    assert board.decide(GET) is None


def test_hang_notices_that_its_client_is_gone() -> None:
    board = FaultBoard((Rule(Hang()),))
    verdict = board.decide(GET)
    assert verdict is not None
    gone, results = threading.Event(), list[bool]()
    waiter = threading.Thread(target=lambda: results.append(board.hold(verdict.gate, gone.is_set)))
    waiter.start()
    gone.set()
    waiter.join(10)
    assert results == [False] and board.hanging == 0
