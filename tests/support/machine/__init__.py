"""The model machine: a session over a simulated service, one step at a time, against a plain model.

A step is a word and some numbers, every number taken modulo what there is to choose from, so that
any list of steps can be run and the same list always gives the same run.  Programs' calls, uploads,
downloads and the scheduler are actors (tests/support/actors.py); a step starts a call, or lets one
actor go on to where others could come between, or does something to the world: time, faults, other
clients, kill -9.

After each step what has ended is compared with the model (tests/support/expected.py), and the
invariants of every file in memory are checked.  `settle` heals everything, lets everybody finish,
and then service, mount and model must agree.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.machine.core import ModelError, Setting
from tests.support.machine.judge import Judge
from vofs import locks

__all__ = ["Machine", "ModelError", "Setting", "Step", "numbers_of", "play"]

Step = tuple[str | int, ...]

WORLD = frozenset({
    "run", "pass", "fault", "damage", "disk", "lag", "notice", "foreign", "crash", "remount",
    "settle",
})  # fmt: skip
MOST_CALLS = 4


class Machine(Judge):
    """See the module's docstring.

    Args:
        setting: what the run is about.
        folder: an empty directory.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        super().__init__(setting, folder)
        self.service.on_stored = self.arrived
        self.steps = 0

    def do(self, step: Step) -> None:
        """Take one step, or none when there is nothing that it could do now."""
        word, numbers = str(step[0]), [int(number) for number in step[1:]]
        if word not in WORLD and (self.session is None or len(self.calls) >= MOST_CALLS):
            return
        if getattr(self, f"do_{word}")(*numbers) is not False:
            self.steps += 1
            self.check_invariants()


def numbers_of(word: str) -> int:
    """How many numbers a step of that word takes."""
    return len(inspect.signature(getattr(Machine, f"do_{word}")).parameters) - 1


class _Witness(logging.Handler):
    """Keeps records of defects: exceptions that nobody foresaw."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(logging.WARNING)
        self._machine = machine

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and not self._machine.stage.killing:
            self._machine.records.append(record)


@contextmanager
def running(setting: Setting, folder: Path) -> Iterator[Machine]:
    """A machine, mounted; its log records are judged by it and nobody else."""
    machine = Machine(setting, folder)
    log = logging.getLogger("vofs")
    log.propagate, before = False, log.propagate
    witness = _Witness(machine)
    log.addHandler(witness)
    try:
        with locks.taking_turns(machine.stage):
            try:
                machine.mount()
                yield machine
            finally:
                machine.bury()
    finally:
        log.removeHandler(witness)
        log.propagate = before


def play(setting: Setting, steps: list[Step], folder: Path) -> int:
    """Run a list of steps, and settle; returns how many steps were taken.

    Raises:
        AssertionError: the product and the model disagree; says after which step.
    """
    with running(setting, folder) as machine:
        for number, step in enumerate([*steps, ("settle",)]):
            try:
                machine.do(step)
            except AssertionError as exc:
                exc.add_note(f"at step {number}, {step}, of {setting}: {[*steps[:number], step]}")
                raise
        return machine.steps
