"""The fault plan of a running service, thread-safe, and those who hang because of it.

Decisions are `FaultPlan`'s; here are the gate at which hung requests wait, the requests that a
silent rule is explained with, and what happens when the faults are lifted: whatever hangs goes
on, and whatever was put off is done.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fakevospace.clock import POLL_S
from fakevospace.faultactions import Action, name_of
from fakevospace.faults import Facts, FaultPlan, Rule, describe_rule

REMEMBERED = 200  # requests that a silent rule can be explained with


class FaultNotPossible(ValueError):
    """The fault cannot be had on this front; the message says which front can."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to one request, and the gate at which it waits if it is to hang.

    The gate is that of the moment of the decision: a hang that begins only after the faults were
    lifted (in the middle of a body) finds it open.

    Attributes:
        rule: index of the rule in the plan.
    """

    action: Action
    gate: threading.Event
    rule: int = 0


class FaultBoard:
    """The plan of a running service, and those who hang because of it.

    `_changed` protects all fields; nothing is called with it held.
    """

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self._changed = threading.Condition()
        self._plan = FaultPlan().extended(rules)
        self._gate = threading.Event()  # set when what hangs now may go on
        self._hanging = 0
        self._seen: deque[tuple[str, Facts]] = deque(maxlen=REMEMBERED)
        self._put_off: list[Callable[[], None]] = []
        self._impossible: dict[type[Action], str] = {}

    @property
    def plan(self) -> FaultPlan:
        """The plan as it stands."""
        return self._plan

    @property
    def hanging(self) -> int:
        """How many requests hang at this moment."""
        return self._hanging

    def restrict(self, impossible: dict[type[Action], str]) -> None:
        """Refuse some actions from now on.

        Args:
            impossible: action -> why; empty to allow all.
        Raises:
            FaultNotPossible: a rule that stands has one of them; nothing has changed.
        """
        with self._changed:
            _check(self._plan.rules, impossible)
            self._impossible = dict(impossible)

    def add(self, *rules: Rule) -> None:
        """Append rules; they count from now.

        Raises:
            FaultNotPossible: no front that is open can do it.
        """
        with self._changed:
            _check(rules, self._impossible)
            self._plan = self._plan.extended(rules)
            self._seen.clear()

    def clear(self) -> None:
        """Lift all rules, let everything that hangs go on, and do what was put off."""
        with self._changed:
            self._plan = FaultPlan()
            gate, self._gate = self._gate, threading.Event()
            put_off, self._put_off = self._put_off, []
            self._seen.clear()
        gate.set()
        for one in put_off:
            one()

    def put_off(self, work: Callable[[], None], gate: threading.Event) -> None:
        """Do some work when the faults are lifted; at once when `gate` says that they are."""
        with self._changed:
            if not gate.is_set():
                self._put_off.append(work)
                return
        work()

    def decide(self, facts: Facts) -> Verdict | None:
        """Count a request against the plan and return what happens to it."""
        if not self._plan.rules:  # the common case costs no lock
            return None
        with self._changed:
            self._seen.append((f"{facts.method} {facts.path or facts.endpoint}", facts))
            self._plan, index = self._plan.choose(facts)
            if index is None:
                return None
            return Verdict(self._plan.rules[index].action, self._gate, index)

    def why_not(self, rule: int) -> list[str]:
        """Say of one rule, by its index, why it has not acted; empty when it has."""
        with self._changed:
            plan, seen = self._plan, tuple(self._seen)
        return plan.explain(rule, seen) if rule < len(plan.rules) else []

    def explain(self) -> list[str]:
        """Say of each rule that has not acted why, with the requests that came nearest."""
        with self._changed:
            plan, seen = self._plan, tuple(self._seen)
        lines = []
        for index, rule in enumerate(plan.rules):
            for why in plan.explain(index, seen):
                lines.append(f"rule {index + 1} ({describe_rule(rule)}) has not acted: {why}")
        return lines

    def assert_all_acted(self) -> None:
        """Raise an AssertionError that explains each rule that has not acted yet."""
        if lines := self.explain():
            raise AssertionError("\n".join(lines))

    def wait_until_hanging(self, count: int = 1, timeout_s: float = 10.0) -> None:
        """Wait until at least `count` requests hang.

        Raises:
            TimeoutError: they do not; the message explains the rules that have not acted.
        """
        with self._changed:
            if self._changed.wait_for(lambda: self._hanging >= count, timeout_s):
                return
        raise TimeoutError("\n".join([f"{self._hanging} of {count} hang", *self.explain()]))

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


def _check(rules: tuple[Rule, ...], impossible: dict[type[Action], str]) -> None:
    for rule in rules:
        if why := impossible.get(type(rule.action)):
            raise FaultNotPossible(f"fault {name_of(rule.action)!r} {why}")
