"""Faults as data: which request goes wrong, and how.

The pure part is `FaultPlan`, a frozen value of rules and of how often each has matched; `decide`
returns the next plan and the action, if any.  `FaultBoard` is the thread-safe shell around one
plan, with the gate at which hung requests wait.  Reading plans is in `faultplans`.

Invariants: a rule counts every request that it matches, whether it acts or not; the first rule
that is due acts; lifting the faults lets everything that hangs go on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

POLL_S = 0.05  # how soon a hang notices that its client is gone


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with a status code, before the request's body is read.

    Attributes:
        code: HTTP status.
        retry_after: seconds for the Retry-After header, None for no header.
        body: text of the answer.
    """

    code: int
    retry_after: int | None = None
    body: str = "fault injected"


@dataclass(frozen=True, slots=True)
class Hang:
    """Wait until the faults are lifted or the client is gone, then go on.

    Attributes:
        after_bytes: None: before the body of the request is read; else after so many bytes of
            the request's body, or of the answer's when the request has none.
    """

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (SO_LINGER 0); `after_bytes` as in `Hang`."""

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection in an orderly way after so many bytes of the body (as in `Hang`)."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RangeIgnored:
    """Answer a Range with 200 and the whole body."""


Action = Status | Hang | Reset | Cut | RangeIgnored


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule can see of a request.

    Attributes:
        path: decoded path of the node it is about, with a leading slash; empty when not known.
    """

    method: str
    endpoint: str
    path: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Which requests, which of them, and what then.

    Attributes:
        action: what happens.
        method, endpoint: equal to the request's; None for any.
        path: the node's path, exact or a glob (`*` matches slashes too); None for any.
        nth: the first matching request that is hit, from 1.
        times: how many matching requests are hit from there on; None for all.
    """

    action: Action
    method: str | None = None
    endpoint: str | None = None
    path: str | None = None
    nth: int = 1
    times: int | None = None

    def matches(self, facts: Facts) -> bool:
        """Tell whether the request is one of those the rule is about."""
        return (
            (self.method is None or self.method.upper() == facts.method)
            and (self.endpoint is None or self.endpoint == facts.endpoint)
            and (self.path is None or self.path == facts.path or fnmatchcase(facts.path, self.path))
        )

    def is_due(self, occurrence: int) -> bool:
        """Tell whether the rule acts on its n-th match, counted from 1."""
        return occurrence >= self.nth and (self.times is None or occurrence < self.nth + self.times)


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Rules in order, and how many requests each has matched so far."""

    rules: tuple[Rule, ...] = ()
    matched: tuple[int, ...] = ()

    def extended(self, rules: tuple[Rule, ...]) -> FaultPlan:
        """Return the plan with rules appended."""
        return FaultPlan(self.rules + rules, self.matched + (0,) * len(rules))

    def decide(self, facts: Facts) -> tuple[FaultPlan, Action | None]:
        """Count a request and say what happens to it.

        Returns:
            The plan that holds from now on, and the action of the first rule that is due.
        """
        hits = [rule.matches(facts) for rule in self.rules]
        if not any(hits):
            return self, None
        matched = tuple(n + hit for n, hit in zip(self.matched, hits, strict=True))
        due = (
            rule.action
            for rule, hit, n in zip(self.rules, hits, matched, strict=True)
            if hit and rule.is_due(n)
        )
        return replace(self, matched=matched), next(due, None)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request, and the gate at which it waits if it is to hang.

    The gate is that of the moment of the decision: a hang that begins only after the faults were
    lifted (in the middle of a body) finds it open.
    """

    action: Action
    gate: threading.Event


class FaultBoard:
    """The plan of a running service, and those who hang because of it.

    `_changed` protects all fields; nothing is called with it held.
    """

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self._changed = threading.Condition()
        self._plan = FaultPlan().extended(rules)
        self._gate = threading.Event()  # set when what hangs now may go on
        self._hanging = 0

    @property
    def plan(self) -> FaultPlan:
        """The plan as it stands."""
        return self._plan

    @property
    def hanging(self) -> int:
        """How many requests hang at this moment."""
        return self._hanging

    def add(self, *rules: Rule) -> None:
        """Append rules; they count from now."""
        with self._changed:
            self._plan = self._plan.extended(rules)

    def clear(self) -> None:
        """Lift all rules and let everything that hangs go on."""
        with self._changed:
            self._plan = FaultPlan()
            gate, self._gate = self._gate, threading.Event()
        gate.set()

    def decide(self, facts: Facts) -> Verdict | None:
        """Count a request against the plan and return what happens to it."""
        if not self._plan.rules:  # the common case costs no lock
            return None
        with self._changed:
            self._plan, action = self._plan.decide(facts)
            return None if action is None else Verdict(action, self._gate)

    def wait_until_hanging(self, count: int = 1, timeout_s: float = 10.0) -> None:
        """Wait until at least `count` requests hang.

        Raises:
            TimeoutError: they do not.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._hanging >= count, timeout_s):
                raise TimeoutError(f"{self._hanging} of {count} requests hang")

    def hold(self, gate: threading.Event, client_gone: Callable[[], bool]) -> bool:
        """Wait until the faults are lifted.

        Args:
            gate: that of the verdict.
        Returns:
            False when the client went away first.
        """
        with self._changed:
            self._hanging += 1
            self._changed.notify_all()
        try:
            while not gate.wait(POLL_S):
                if client_gone():
                    return False
            return True
        finally:
            with self._changed:
                self._hanging -= 1
