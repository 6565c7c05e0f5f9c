"""UploadQueue against a model that is nothing but one line for each key.

The pause is not modelled but bounded: what it must never do, and that its end holds nobody up.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vofs.core.uploadqueue import (
    FIRST_DELAY_S,
    LONGEST_DELAY_S,
    REST,
    UploadQueue,
    backoff_s,
    too_early_s,
)

keys = st.integers(1, 4)
delays = st.integers(0, 20).map(float)


@dataclass
class Line:
    """What is known of one key: the latest moment at which it must be due, when it waits."""

    due_at: float
    not_before: float = 0.0
    running: bool = False
    urgent: bool = False
    again_at: float | None = None
    again_urgent: bool = False
    attempts: int = 0

    @property
    def ready_at(self) -> float:
        return self.due_at if self.urgent else max(self.due_at, self.not_before)


class UploadQueueMachine(RuleBasedStateMachine):
    """The queue while the service answers: it never pauses."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = UploadQueue()
        self.lines: dict[int, Line] = {}
        self.rests: dict[int, float] = {}
        self.now = 0.0

    @rule(seconds=delays)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys, delay=delays, urgent=st.booleans())
    def schedule(self, key: int, delay: float, urgent: bool) -> None:
        due_at = self.now + delay
        self.queue.schedule(key, due_at, urgent=urgent)
        self.scheduled(key, due_at, urgent)

    def scheduled(self, key: int, due_at: float, urgent: bool) -> None:
        fresh = key not in self.lines
        line = self.lines.setdefault(key, Line(due_at, self.rests.get(key, 0.0), urgent=urgent))
        if fresh:
            return
        if line.running:
            line.again_at = due_at if line.again_at is None else min(due_at, line.again_at)
            line.again_urgent |= urgent
        else:
            line.due_at = min(line.due_at, due_at)
            line.urgent |= urgent

    @rule()
    def take(self) -> None:
        due = [
            (not line.urgent, line.ready_at, key)
            for key, line in self.lines.items()
            if not line.running and line.ready_at <= self.now
        ]
        next_due = self.queue.next_due()
        assert (next_due is not None and next_due <= self.now) == bool(due)
        assert self.queue.take(self.now) == (min(due)[2] if due else None)
        if due:
            self.lines[min(due)[2]].running = True

    def one_that_runs(self, choice: int) -> int:
        running = sorted(key for key, line in self.lines.items() if line.running)
        return running[choice % len(running)]

    @precondition(lambda self: any(line.running for line in self.lines.values()))
    @rule(choice=st.integers(0, 3), took_s=delays)
    def finish(self, choice: int, took_s: float) -> None:
        key = self.one_that_runs(choice)
        self.queue.finish(key, self.now, took_s=took_s)
        if took_s:
            self.rests[key] = self.now + REST * took_s
        line = self.lines.pop(key)
        if line.again_at is not None:
            self.scheduled(key, line.again_at, line.again_urgent)

    @precondition(lambda self: any(line.running for line in self.lines.values()))
    @rule(choice=st.integers(0, 3), retry_after_s=st.none() | st.integers(0, 90).map(float))
    def retry(self, choice: int, retry_after_s: float | None) -> None:
        key = self.one_that_runs(choice)
        due_at = self.queue.retry(key, self.now, retry_after_s=retry_after_s)
        line = self.lines[key]
        line.attempts += 1
        line.due_at = self.now + backoff_s(line.attempts, retry_after_s)
        if line.again_at is not None:
            line.due_at = min(line.due_at, line.again_at)
        line.not_before = max(line.not_before, self.now + (retry_after_s or 0.0))
        line.running, line.urgent = False, line.again_urgent
        line.again_at, line.again_urgent = None, False
        assert due_at == line.ready_at
        assert line.urgent or due_at >= self.now + (retry_after_s or 0.0)

    @rule()
    def hasten(self) -> None:
        self.queue.hasten(self.now)
        for line in self.lines.values():
            line.due_at, line.not_before = min(line.due_at, self.now), 0.0

    @rule(key=keys)
    def discard(self, key: int) -> None:
        self.queue.discard(key)
        if key in self.lines and not self.lines[key].running:
            del self.lines[key]

    @invariant()
    def they_agree(self) -> None:
        waiting = {key: line.ready_at for key, line in self.lines.items() if not line.running}
        assert not self.queue.is_paused
        assert {key for key in range(1, 5) if key in self.queue} == set(self.lines)
        assert len(self.queue) == len(self.lines)
        assert self.queue.next_due() == min(waiting.values(), default=None)
        for key in range(1, 5):
            assert self.queue.due_at(key) == waiting.get(key)
            assert self.queue.attempts(key) == (
                self.lines[key].attempts if key in self.lines else 0
            )


TestUploadQueue = UploadQueueMachine.TestCase


class OutageMachine(RuleBasedStateMachine):
    """The service comes and goes while uploads are taken and end."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = UploadQueue()
        self.now = 0.0
        self.running: set[int] = set()
        self.urgent: set[int] = set()
        self.urgent_again: set[int] = set()  # asked for while it ran: for the next try
        self.asked: dict[int, float] = {}  # until when the service wants no try

    @rule(seconds=delays)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys, delay=delays, urgent=st.booleans())
    def schedule(self, key: int, delay: float, urgent: bool) -> None:
        self.queue.schedule(key, self.now + delay, urgent=urgent)
        if urgent:
            (self.urgent_again if key in self.running else self.urgent).add(key)

    @rule()
    def take(self) -> None:
        next_due, paused = self.queue.next_due(), self.queue.is_paused
        key = self.queue.take(self.now)
        assert (key is not None) == (next_due is not None and next_due <= self.now)
        if key is None:
            return
        assert key not in self.running
        if key not in self.urgent:
            assert self.asked.get(key, 0.0) <= self.now
            if paused:  # it is the probe: no second one beside it
                following = self.queue.take(self.now)
                assert following is None or following in self.urgent
                self.running |= {following} if following is not None else set()
        self.running.add(key)

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0, 3), retry_after_s=st.none() | st.integers(0, 90).map(float))
    def out_of_reach(self, choice: int, retry_after_s: float | None) -> None:
        key = self.ended(choice)
        self.queue.retry(key, self.now, retry_after_s=retry_after_s, reached=False)
        if retry_after_s:
            self.asked[key] = max(self.asked.get(key, 0.0), self.now + retry_after_s)

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0, 3))
    def sent(self, choice: int) -> None:
        key = self.ended(choice)
        self.queue.reached(self.now)
        self.queue.finish(key, self.now)
        self.asked.pop(key, None)
        assert not self.queue.is_paused

    @precondition(lambda self: self.running)
    @rule(choice=st.integers(0, 3), delay=delays)
    def too_early(self, choice: int, delay: float) -> None:
        self.queue.postpone(self.ended(choice), self.now + delay)

    def ended(self, choice: int) -> int:
        key = sorted(self.running)[choice % len(self.running)]
        self.running.discard(key)
        self.urgent.discard(key)
        if key in self.urgent_again:
            self.urgent_again.discard(key)
            self.urgent.add(key)
        return key

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Whatever waits is due at some time, unless a probe is out."""
        waiting = [key for key in range(1, 5) if key in self.queue and key not in self.running]
        if waiting and not self.running:
            next_due = self.queue.next_due()
            assert next_due is not None
            asked = max(self.asked.values(), default=0.0)
            assert next_due <= max(self.now, asked) + 2 * LONGEST_DELAY_S


TestOutage = OutageMachine.TestCase


@given(attempts=st.integers(1, 10_000), retry_after_s=st.none() | st.floats(0, 1e6))
def test_backoff_grows_to_a_bound_and_a_service_may_ask_for_more(
    attempts: int, retry_after_s: float | None
) -> None:
    delay = backoff_s(attempts, retry_after_s)
    assert delay >= FIRST_DELAY_S
    assert delay >= (retry_after_s or 0.0)
    assert delay <= max(LONGEST_DELAY_S, retry_after_s or 0.0)
    assert backoff_s(attempts, None) <= backoff_s(attempts + 1, None)


def test_what_becomes_due_while_it_waits_its_turn_is_not_postponed() -> None:
    """A flush that comes while a worker finds the file too early must not be forgotten."""
    queue = UploadQueue()
    queue.schedule(1, 0.0)
    assert queue.take(0.0) == 1
    queue.schedule(1, 5.0)
    queue.postpone(1, 60.0)
    assert queue.due_at(1) == 5.0


def test_r03_an_upload_rests_twice_its_duration_unless_it_is_urgent() -> None:
    queue = UploadQueue()
    queue.schedule(1, 0.0)
    assert queue.take(0.0) == 1
    queue.finish(1, 10.0, took_s=10.0)
    queue.schedule(1, 11.0)
    queue.schedule(2, 12.0)
    assert queue.take(29.9) == 2
    assert queue.take(29.9) is None
    assert queue.due_at(1) == 30.0
    queue.schedule(1, 29.9, urgent=True)
    assert queue.take(29.9) == 1


def test_an_outage_costs_one_probe_at_a_time_and_ends_at_once() -> None:
    """50 files, a service that is away for ten minutes, and 10 workers that try."""
    queue = UploadQueue()
    for key in range(50):
        queue.schedule(key, 0.0)
    now, tries = 0.0, 0
    while now < 600.0:
        taken = [queue.take(now) for _ in range(10)]
        running = [key for key in taken if key is not None]
        for key in running:
            queue.retry(key, now, reached=False)
        tries += len(running)
        next_due = queue.next_due()
        assert next_due is not None and next_due > now
        now = next_due
    assert (
        tries <= 10 + 10
    )  # those that ran when it went away, and one for each step of the backoff
    probe = queue.take(now)
    assert probe is not None
    assert queue.take(now) is None
    queue.reached(now)
    queue.finish(probe, now)
    assert len([key for key in range(50) if queue.take(now) is not None]) == 49


def test_a_file_that_always_fails_keeps_nobody_waiting() -> None:
    """Its failures are its own: the others are sent, and it is not tried with each of them."""
    queue = UploadQueue()
    queue.schedule(0, 0.0)
    tries, now = 0, 0.0
    for number in range(1, 100):
        queue.schedule(number, now)
        while (key := queue.take(now)) is not None:
            if key == 0:
                tries += 1
                queue.retry(0, now, reached=False)
            else:
                queue.reached(now)
                queue.finish(key, now)
        now += 1.0
        assert number not in queue or queue.is_paused
    assert len(queue) <= 2
    assert tries <= 10


@pytest.mark.parametrize(
    ("writers", "quiet_s", "dirty_s", "has_bytes", "early_s"),
    [
        (0, 0.0, 0.0, True, 0.0),  # closed
        (1, 0.0, 0.0, True, 60.0),
        (1, 59.0, 59.0, True, 1.0),
        (1, 60.0, 60.0, True, 0.0),
        (1, 1.0, 599.0, True, 59.0),
        (1, 1.0, 600.0, True, 0.0),  # written all the time
        (1, 1.0, 1.0, False, 4.0),  # R4: created or truncated
    ],
)
def test_r03_r04_when_a_file_that_is_still_open_is_sent(
    writers: int, quiet_s: float, dirty_s: float, has_bytes: bool, early_s: float
) -> None:
    assert too_early_s(writers, quiet_s, dirty_s, has_bytes) == early_s
