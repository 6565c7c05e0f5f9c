"""UploadQueue against a model that is nothing but one line for each key."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vofs.core.uploadqueue import FIRST_DELAY_S, LONGEST_DELAY_S, UploadQueue, backoff_s

keys = st.integers(1, 4)
delays = st.integers(0, 20).map(float)


@dataclass
class Line:
    """What is known of one key: the latest moment at which it must be due, when it waits."""

    due_at: float
    running: bool = False
    again_at: float | None = None
    attempts: int = 0


class UploadQueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue = UploadQueue()
        self.lines: dict[int, Line] = {}
        self.now = 0.0

    @rule(seconds=delays)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(key=keys, delay=delays)
    def schedule(self, key: int, delay: float) -> None:
        due_at = self.now + delay
        self.queue.schedule(key, due_at)
        line = self.lines.setdefault(key, Line(due_at))
        if line.running:
            line.again_at = due_at if line.again_at is None else min(due_at, line.again_at)
        else:
            line.due_at = min(line.due_at, due_at)

    @rule()
    def take(self) -> None:
        waiting = [
            (line.due_at, key) for key, line in self.lines.items() if not line.running
        ]  # fmt: skip
        due = [entry for entry in waiting if entry[0] <= self.now]
        assert self.queue.take(self.now) == (min(due)[1] if due else None)
        if due:
            self.lines[min(due)[1]].running = True

    def one_that_runs(self, choice: int) -> int:
        running = sorted(key for key, line in self.lines.items() if line.running)
        return running[choice % len(running)]

    @precondition(lambda self: any(line.running for line in self.lines.values()))
    @rule(choice=st.integers(0, 3))
    def finish(self, choice: int) -> None:
        key = self.one_that_runs(choice)
        self.queue.finish(key)
        line = self.lines.pop(key)
        if line.again_at is not None:
            self.lines[key] = Line(line.again_at)

    @precondition(lambda self: any(line.running for line in self.lines.values()))
    @rule(choice=st.integers(0, 3), retry_after_s=st.none() | st.integers(0, 90).map(float))
    def retry(self, choice: int, retry_after_s: float | None) -> None:
        key = self.one_that_runs(choice)
        due_at = self.queue.retry(key, self.now, retry_after_s=retry_after_s)
        line = self.lines[key]
        line.attempts += 1
        backoff = self.now + backoff_s(line.attempts, retry_after_s)
        assert self.now + (retry_after_s or 0.0) <= due_at <= backoff
        if line.again_at is None:
            assert due_at == backoff
        self.lines[key] = Line(due_at, attempts=line.attempts)

    @rule()
    def hasten(self) -> None:
        self.queue.hasten(self.now)
        for line in self.lines.values():
            if not line.running:
                line.due_at = min(line.due_at, self.now)

    @rule(key=keys)
    def discard(self, key: int) -> None:
        self.queue.discard(key)
        if key in self.lines and not self.lines[key].running:
            del self.lines[key]

    @invariant()
    def they_agree(self) -> None:
        waiting = {key: line.due_at for key, line in self.lines.items() if not line.running}
        assert {key for key in range(1, 5) if key in self.queue} == set(self.lines)
        assert len(self.queue) == len(self.lines)
        assert self.queue.next_due() == min(waiting.values(), default=None)
        for key in range(1, 5):
            assert self.queue.due_at(key) == waiting.get(key)
            assert self.queue.attempts(key) == (
                self.lines[key].attempts if key in self.lines else 0
            )


TestUploadQueue = UploadQueueMachine.TestCase


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
