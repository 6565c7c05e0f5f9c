"""Crashes at every change of the disk and at every request of a scenario, one after the other.

For each point the scenario is run afresh and the process is killed there: right before a change of
the disk, in the middle of a write, right after a change; right before a request, in the middle of
the body of a PUT, or when the service has done it and nobody has heard of it.  What the cache
directory held at that moment is mounted again, and judged:

* it shows what was acknowledged, or that and the call under way; nothing that was never written;
* when everything is sent, the service holds exactly what was shown;
* nothing is left over: no intent, no tombstone, no aside, no unsent byte, no stray data file.

A `Tally` counts the points and keeps what went wrong.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from tests.support.faultydisk import WRITE, DiskFault
from tests.support.sessions import Fault, Killed, Mounted, Stage, allowing, until
from tests.support.witness import State, Witness, brief, content, shown
from vofs.core.errors import VofsError

Open = Callable[..., Stage]
BY_RECOVERY = (  # what the next mount may log
    r"was interrupted: looking",
    r"of an earlier mount are sent now",
    r"stay in .* for the next mount",
    r"is not sent yet",
    r"its node is made again",
    r"stays on the service for now",
)
AFTER_A_CRASH = (*BY_RECOVERY, r"changed here and on the service; ours is kept as")
KINDS = ("before a change", "in a write", "after a change", "before a request", "after a request")
MOST_POINTS = 1000  # a scenario that never gets through is a hang
MOST_LOSSES = 5  # of one scenario: more teach nothing


class Run:
    """One run of a scenario.

    Args:
        stage: where.
        witness: who does the system calls.
    """

    def __init__(self, stage: Stage, witness: Witness) -> None:
        self.stage, self.witness = stage, witness
        self.killed = False

    def mount(self, *, threads: bool = True, **settings: Any) -> Mounted:
        """Mount, and let the witness use it."""
        mount = self.stage.mount(threads=threads, **settings)
        self.witness.use(mount)
        return mount

    def kill(self) -> NoReturn:
        """Kill the process, here and now.  Of several kills only the first counts."""
        if not self.killed:
            self.killed = True
            self.witness.die()
            self.stage.kill()
        raise Killed("killed")

    def bury(self) -> None:
        """The killed process is gone for good, for the service, too; another may be killed."""
        self.stage.bury()
        journal = self.stage.service.fake.journal
        until(lambda: all(one.duration_s is not None for one in journal), "requests end")
        self.witness.live()
        self.killed = False

    def arm(self, kind: str, number: int) -> None:
        """Plan the kill at the `number`-th point of that kind from now."""
        changes, remote = self.stage.changes, self.stage.remote
        match kind:
            case "before a change":
                changes.plan(DiskFault(number, before=self.kill))
            case "in a write":
                changes.plan(DiskFault(number, WRITE, midway=self.kill))
            case "after a change":
                changes.plan(DiskFault(number, after=self.kill))
            case "before a request":
                remote.plan(Fault("*", number, before=self.kill))
            case "after a request":
                remote.plan(Fault("*", number, after=self.kill))
            case _:
                raise AssertionError(kind)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that a kill makes impossible."""
        until(lambda: self.killed or condition(), what)
        if self.killed:
            raise Killed("killed")

    def send_and_stop(self) -> None:
        """Everything is sent; then the mount is unmounted."""
        mount = self.witness.mount.start()
        self.until(lambda: not mount.uploads(), "uploads end")
        mount.stop()
        if self.killed:
            raise Killed("killed")


@dataclass(frozen=True)
class Scenario:
    """What a program does, and when it is killed.

    Attributes:
        under_fire: what may be killed; it ends with the mount stopped.
        store: files on the service before, by path below the mount; None makes a container.
        before: what the program has done before, in safety; by default it mounts.
        judge: judges what is there after a crash, or without one, in place of `judge`.
        settings: of the mount.
    """

    under_fire: Callable[[Run], None]
    store: State = field(default_factory=dict)
    before: Callable[[Run], object] = lambda run: run.mount(threads=False)
    judge: Callable[[Run, Mounted, str], None] = lambda run, mount, where: judge(run, mount, where)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Tally:
    """What a sweep found.

    Attributes:
        scenario, personality: which.
        points: where it was killed, by kind.
        losses: what went wrong.
    """

    scenario: str
    personality: str
    points: dict[str, int] = field(default_factory=dict)
    losses: list[str] = field(default_factory=list)

    @property
    def row(self) -> tuple[str, ...]:
        """One line of the table."""
        counts = [str(self.points.get(kind, 0)) for kind in KINDS]
        total = sum(self.points.values())
        return (self.scenario, self.personality, *counts, str(total), str(len(self.losses)))


TABLE = "crash sweep"
HEADINGS = ("scenario", "personality", *KINDS, "points", "losses")


def sweep(
    open_stage: Open, personality: str, name: str, scenario: Scenario, every: int = 1
) -> Tally:
    """Kill at one point after the other until the scenario gets through.

    Args:
        open_stage: makes a stage for each point.
        personality: of the service.
        name: of the scenario, for the table.
        scenario: what is done.
        every: try every so many-th point only; which ones is decided by the name.
    """
    tally = Tally(name, personality)
    for place, kind in enumerate(KINDS):
        first = 1 + (sum(name.encode()) + 3 * place) % every
        for number in range(first, first + MOST_POINTS * every, every):
            stage = open_stage(personality, close_wait_s=0.0, **scenario.settings)
            where = f"{name} on {personality}, killed {kind}, number {number}"
            try:
                was_killed = try_point(stage, scenario, kind, number, where)
            except (AssertionError, OSError, VofsError) as exc:
                tally.losses.append(f"{where}: {exc!r}")
                was_killed = True
            discard(stage)
            if not was_killed or len(tally.losses) >= MOST_LOSSES:
                break
            tally.points[kind] = tally.points.get(kind, 0) + 1
        else:
            raise AssertionError(f"{name}: no end of points {kind}")
    return tally


def try_point(stage: Stage, scenario: Scenario, kind: str, number: int, where: str) -> bool:
    """Run the scenario with a kill at that point and judge it; returns whether it was reached."""
    for path, data in scenario.store.items():
        if data is None:
            stage.mkdir(path)
        else:
            stage.store(path, data)
    run = Run(stage, Witness(content(stage)))
    with allowing(*AFTER_A_CRASH), allowing("", when=lambda: run.killed):
        scenario.before(run)
        run.arm(kind, number)
        try:
            scenario.under_fire(run)
        except (OSError, VofsError):
            if not run.killed:
                raise
        was_killed = run.killed
        if was_killed:
            run.bury()
    with allowing(*AFTER_A_CRASH):
        scenario.judge(run, stage.reopen(), where)
    return was_killed


def judge(run: Run, mount: Mounted, where: str) -> None:
    """What the mount shows was acknowledged, and the service ends with just that."""
    before = shown(mount)
    run.witness.require(before, where)
    mount.wait_sent()
    mount.stop()
    found = content(run.stage)
    assert found == before, f"{where}: shown {brief(before)}, the service holds {brief(found)}"
    require_nothing_left(run.stage, where)


def require_nothing_left(stage: Stage, where: str) -> None:
    """The cache of a session that has ended holds nothing that is still to be settled."""
    assert stage.left() == ([], [], []), f"{where}: left over: {stage.left()}"
    assert not stage.stray_data(), f"{where}: data files without a row: {stage.stray_data()}"


def discard(stage: Stage) -> None:
    """A sweep makes hundreds of stages: nothing of this one is kept."""
    with suppress(VofsError, OSError):
        stage.close()
    shutil.rmtree(stage.folder)
    stage.service.fake.reset()
    stage.service.fake.journal.clear()


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows under `HEADINGS`, and their sums."""
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(2, len(HEADINGS))]
    lines: list[Sequence[str]] = [HEADINGS, *sorted(rows, key=tuple), ("all", "", *sums)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
