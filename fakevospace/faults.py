"""Faults as data: which request goes wrong, and how.

Pure: `FaultPlan` is a frozen value of rules and of what each has seen; `decide` returns the next
plan and the action, if any.  The shell around it is `faultboard`, what actions do is in
`faulteffects`, plans as text are read in `faultplans`.

Invariants: a rule counts every request that it matches, whether it acts or not; the first rule
that is due acts.  The draw of a rule with a probability depends on its seed and on the how-manieth
request of that method and path it is: the same seed gives the same run, also when several
threads ask for different things in another order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from fakevospace.faultactions import (
    Action,
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

__all__ = [
    "Action", "CappedListing", "Cut", "DamagedBody", "Delay", "ExpiredCredential", "Facts",
    "FalseFailure", "FalseSuccess", "FaultPlan", "Hang", "LaggingListing", "LateCleanup",
    "MalformedXml", "MissingDigest", "RangeIgnored", "RedirectLoop", "Reset", "Rule",
    "StaleListing", "Status", "StuckJob", "Tally", "TornPut", "WrongDigest", "WrongLength",
]  # fmt: skip

Span = tuple[int, int | None]
NOTHING_SEEN: Mapping[tuple[str, str, str], int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule can see of a request.

    Attributes:
        path: decoded path of the node it is about, with a leading slash; empty when not known.
        user: name, `anonymous`, None when the credential is no good.
        span: half-open range of the bytes of the file that it carries or asks for (None as end:
            to wherever the end is); None when it carries none.
    """

    method: str
    endpoint: str
    path: str
    user: str | None = None
    span: Span | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests, which of them, and what then.

    Attributes:
        action: what happens.
        method, endpoint, user: equal to the request's; None for any.
        path: the node's path, exact or a glob (`*` matches slashes too); None for any.
        nth: the first matching request that is hit, from 1.
        times: how many matching requests are hit from there on; None for all.
        offset: only requests that carry this byte of the file; None for any.
        probability: the chance of a request to be hit, drawn from `seed`.
    """

    action: Action
    method: str | None = None
    endpoint: str | None = None
    path: str | None = None
    nth: int = 1
    times: int | None = None
    user: str | None = None
    offset: int | None = None
    probability: float = 1.0
    seed: int = 0

    def mismatches(self, facts: Facts) -> list[str]:
        """Say why the request is none of those the rule is about; empty when it is one."""
        reasons = []
        if self.method is not None and self.method.upper() != facts.method:
            reasons.append(f"method is {facts.method}, not {self.method.upper()}")
        if self.endpoint is not None and self.endpoint != facts.endpoint:
            reasons.append(f"endpoint is {facts.endpoint or 'none'}, not {self.endpoint}")
        if self.path is not None and not _same_path(self.path, facts.path):
            reasons.append(f"path is {facts.path or 'not known'}, not {self.path}")
        if self.user is not None and self.user != facts.user:
            reasons.append(f"user is {facts.user}, not {self.user}")
        if self.offset is not None and not _covers(facts.span, self.offset):
            reasons.append(f"bytes are {_span_text(facts.span)}, without {self.offset}")
        return reasons

    def matches(self, facts: Facts) -> bool:
        """Tell whether the request is one of those the rule is about."""
        return not self.mismatches(facts)

    def draws(self, facts: Facts, occurrence: int) -> bool:
        """Tell whether chance wants the n-th request of its kind to be hit."""
        if self.probability >= 1:
            return True
        text = f"{self.seed}\n{facts.method}\n{facts.endpoint}\n{facts.path}\n{occurrence}"
        drawn = hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8]
        return int.from_bytes(drawn, "big") < self.probability * 2**64


def _same_path(wanted: str, path: str) -> bool:
    return wanted == path or fnmatchcase(path, wanted)


def _covers(span: Span | None, offset: int) -> bool:
    return span is not None and span[0] <= offset and (span[1] is None or offset < span[1])


def _span_text(span: Span | None) -> str:
    return "none" if span is None else f"{span[0]}-{'' if span[1] is None else span[1] - 1}"


@dataclass(frozen=True, slots=True)
class Tally:
    """What one rule has seen.

    Attributes:
        matched: requests that it is about.
        acted: those among them that it was due for, even when a rule before it was faster.
        seen: how many of each method, endpoint and path; counted only for a probability.
    """

    matched: int = 0
    acted: int = 0
    seen: Mapping[tuple[str, str, str], int] = field(default_factory=lambda: NOTHING_SEEN)

    def after(self, rule: Rule, facts: Facts) -> tuple[Tally, bool]:
        """Count a matching request.

        Returns:
            The next value, and whether the rule is due.
        """
        matched, seen, occurrence = self.matched + 1, self.seen, 0
        if rule.probability < 1:
            key = (facts.method, facts.endpoint, facts.path)
            occurrence = seen.get(key, 0) + 1
            seen = MappingProxyType({**seen, key: occurrence})
        due = (
            matched >= rule.nth
            and (rule.times is None or self.acted < rule.times)
            and rule.draws(facts, occurrence)
        )
        return Tally(matched, self.acted + due, seen), due


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Rules in order, and what each has seen so far."""

    rules: tuple[Rule, ...] = ()
    tallies: tuple[Tally, ...] = ()

    @property
    def matched(self) -> tuple[int, ...]:
        """How many requests each rule has matched."""
        return tuple(tally.matched for tally in self.tallies)

    def extended(self, rules: tuple[Rule, ...]) -> FaultPlan:
        """Return the plan with rules appended."""
        return FaultPlan(self.rules + rules, self.tallies + (Tally(),) * len(rules))

    def choose(self, facts: Facts) -> tuple[FaultPlan, int | None]:
        """Count a request and say which rule it falls to.

        Returns:
            The plan that holds from now on, and the index of the first rule that is due.
        """
        tallies, chosen = list(self.tallies), None
        for index, rule in enumerate(self.rules):
            if rule.matches(facts):
                tallies[index], due = tallies[index].after(rule, facts)
                if due and chosen is None:
                    chosen = index
        return replace(self, tallies=tuple(tallies)), chosen

    def decide(self, facts: Facts) -> tuple[FaultPlan, Action | None]:
        """Count a request and say what happens to it: as `choose`, with the action."""
        plan, index = self.choose(facts)
        return plan, None if index is None else self.rules[index].action

    def explain(self, index: int, candidates: tuple[tuple[str, Facts], ...]) -> list[str]:
        """Say why a rule has not acted, one line per request that came nearest.

        Args:
            candidates: requests that were seen, each with a name for the line.
        Returns:
            Nothing for a rule that has acted.
        """
        rule, tally = self.rules[index], self.tallies[index]
        if tally.acted:
            return []
        if tally.matched:
            chance = "" if rule.probability >= 1 else f" with probability {rule.probability}"
            return [f"matched {tally.matched} request(s), acts from match {rule.nth} on{chance}"]
        if not candidates:
            return ["no request came since the rule was made"]
        reasons = [(rule.mismatches(facts), name) for name, facts in candidates]
        reasons.sort(key=lambda one: len(one[0]))
        return [f"{name}: {'; '.join(why)}" for why, name in reasons[:NEAREST]]


NEAREST = 5  # candidates that an explanation names


def describe_rule(rule: Rule) -> str:
    """Write a rule as one line, for messages."""
    wanted = [
        f"{key}={value}"
        for key in ("method", "endpoint", "path", "user", "offset", "nth", "times", "probability")
        if (value := getattr(rule, key)) not in (None, 1)
    ]
    return " ".join([name_of(rule.action), *wanted])
