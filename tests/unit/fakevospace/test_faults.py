"""Fault plans as values: what they match, when they act, how they are written."""

from __future__ import annotations

import json
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakevospace.faultactions import ACTIONS, name_of
from fakevospace.faultboard import FaultBoard, FaultNotPossible, Verdict
from fakevospace.faultplans import BadPlan, parse_plan, plan_as_json, rule_as_json
from fakevospace.faults import (
    Action,
    CappedListing,
    Cut,
    DamagedBody,
    Delay,
    ExpiredCredential,
    Facts,
    FalseFailure,
    FalseSuccess,
    FaultPlan,
    Hang,
    LaggingListing,
    LateCleanup,
    MalformedXml,
    MissingDigest,
    RangeIgnored,
    RedirectLoop,
    Reset,
    Rule,
    StaleListing,
    Status,
    StuckJob,
    TornPut,
    WrongDigest,
    WrongLength,
)

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
    text = '{"rule": [{"method": "PUT", "action": "cut", "after_bytes": 9, "times": 1}]}'
    assert parse_plan(toml) == parse_plan(text) == (Rule(Cut(9), method="PUT", times=1),)
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


@pytest.mark.parametrize(
    ("rule", "facts", "reason"),
    [
        (Rule(Hang(), user="ann"), Facts("GET", "nodes", "/f", "bob"), "user is bob, not ann"),
        (Rule(Hang(), user="ann"), GET, "user is None, not ann"),
        (Rule(Hang(), offset=9), Facts("GET", "bytes", "/f", None, (0, 9)), "0-8, without 9"),
        (Rule(Hang(), offset=9), Facts("GET", "bytes", "/f", None, (10, None)), "10-, without"),
        (Rule(Hang(), offset=0), GET, "bytes are none"),
        (Rule(Hang(), method="PUT", path="/x"), GET, "method is GET, not PUT"),
    ],
)
def test_mismatches_say_why(rule: Rule, facts: Facts, reason: str) -> None:
    assert reason in "; ".join(rule.mismatches(facts))


@pytest.mark.parametrize("span", [(0, None), (9, 10), (0, 10), (5, None)])
def test_offset_is_matched_by_the_bytes_that_include_it(span: tuple[int, int | None]) -> None:
    assert Rule(Hang(), offset=9).matches(Facts("GET", "bytes", "/f", None, span))


def test_probability_is_drawn_from_the_seed() -> None:
    runs = [hits(Rule(Hang(), probability=0.3, seed=seed), GET, 200) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]
    assert 30 < len(runs[0]) < 90
    assert hits(Rule(Hang(), probability=0.0), GET, 50) == []
    assert len(hits(Rule(Hang(), probability=0.3, seed=1, times=4, nth=10), GET, 200)) == 4


@given(st.permutations([f"/{n}" for n in range(8)] * 3))
def test_the_same_seed_gives_the_same_run_in_any_order(paths: list[str]) -> None:
    """Threads that ask for different files change the order, and not who is hit."""

    def hit(order: list[str]) -> set[tuple[str, int]]:
        plan = FaultPlan().extended((Rule(Hang(), probability=0.5),))
        count, found = dict[str, int](), set[tuple[str, int]]()
        for path in order:
            count[path] = count.get(path, 0) + 1
            plan, action = plan.decide(Facts("GET", "bytes", path))
            if action is not None:
                found.add((path, count[path]))
        return found

    assert hit(paths) == hit(sorted(paths))


def test_a_silent_rule_explains_itself_with_the_nearest_requests() -> None:
    board = FaultBoard((Rule(Status(503), method="PUT", endpoint="bytes", path="/d/*"),))
    assert board.explain() == [
        "rule 1 (status method=PUT endpoint=bytes path=/d/*) has not acted: "
        "no request came since the rule was made"
    ]
    board.decide(Facts("GET", "nodes", "/x"))
    board.decide(Facts("PUT", "bytes", "/x"))
    nearest, other = board.explain()
    assert nearest.endswith("PUT /x: path is /x, not /d/*")
    assert "method is GET" in other and "endpoint is nodes" in other
    with pytest.raises(AssertionError, match=r"path is /x, not /d/\*"):
        board.assert_all_acted()
    board.decide(Facts("PUT", "bytes", "/d/f"))
    board.assert_all_acted()


def test_a_rule_that_matched_and_waits_for_more_says_so() -> None:
    board = FaultBoard((Rule(Status(503), nth=3),))
    board.decide(GET)
    assert board.explain()[0].endswith("matched 1 request(s), acts from match 3 on")


def test_what_a_front_cannot_do_is_refused_at_once() -> None:
    board = FaultBoard()
    board.restrict({Hang: "needs a connection"})
    with pytest.raises(FaultNotPossible, match="'hang' needs a connection"):
        board.add(Rule(Hang()))
    board.add(Rule(Status(500)))
    board.restrict({})
    board.add(Rule(Hang()))
    with pytest.raises(FaultNotPossible):
        board.restrict({Hang: "needs a connection"})


EXAMPLES: list[Action] = [
    Status(503, 7, "x", True), Delay(1.5), Hang(3), Reset(), Cut(9), WrongLength(-1), WrongDigest(),
    MissingDigest(), DamagedBody(3, -1), RangeIgnored(), StaleListing(), CappedListing(5),
    LaggingListing(2.0), MalformedXml(), StuckJob("PENDING"), TornPut(502), LateCleanup(None, 1.0),
    FalseFailure(), FalseSuccess(), ExpiredCredential(), RedirectLoop(301),
]  # fmt: skip


@pytest.mark.parametrize("action", EXAMPLES, ids=name_of)
def test_every_action_can_be_written_and_read(action: Action) -> None:
    rule = Rule(action, "PUT", "bytes", "/f", 2, 3, "ann", 4, 0.5, 6)
    assert parse_plan(json.dumps({"rule": [rule_as_json(rule)]})) == (rule,)


def test_no_action_is_left_out_of_the_examples() -> None:
    assert {type(one) for one in EXAMPLES} == set(ACTIONS.values())


@pytest.mark.parametrize(
    "given",
    [{"action": "delay", "seconds": "1"}, {"action": "delay", "seconds": -1}, {"action": "delay"},
     {"action": "hang", "probability": 1.5}, {"action": "hang", "probability": True},
     {"action": "stuck_job", "phase": "COMPLETED"}, {"action": "status", "code": 100},
     {"action": "hang", "user": 3}, {"action": ["hang"]}, "hang"],
)  # fmt: skip
def test_values_that_cannot_be(given: object) -> None:
    with pytest.raises(BadPlan, match="rule 1"):
        parse_plan(json.dumps([given]))
