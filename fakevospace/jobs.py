"""The jobs of the service (UWS): their phases, results and errors.

A `Job` is a frozen value; `JobStore` holds the newest value of each, lets a request wait for a
phase to pass (`WAIT`) and forgets jobs whose time has come.  Work is done by whoever runs a job:
nothing here runs anything.  Every change is told to a log before the call returns.
"""

from __future__ import annotations

import enum
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from fakevospace.documents import TransferDocument
from fakevospace.nodes import NodeDraft

WAIT_CAP_S = 60.0
WAIT_STEP_S = 0.1  # how soon a waiting request notices that the injected clock has moved
KEPT_JOBS = 10_000
EXECUTION_S = 3600
KEPT_MS = 7 * 24 * 3600 * 1000


class Phase(enum.Enum):
    """The phases of UWS; SUSPENDED is a package that waits to be fetched."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    SUSPENDED = "SUSPENDED"
    HELD = "HELD"
    UNKNOWN = "UNKNOWN"

    @property
    def is_active(self) -> bool:
        """True for the phases in which WAIT waits."""
        return self in (Phase.PENDING, Phase.QUEUED, Phase.EXECUTING)

    @property
    def is_final(self) -> bool:
        """True for the phases that no job leaves."""
        return self in (Phase.COMPLETED, Phase.ERROR, Phase.ABORTED)


class JobKind(enum.Enum):
    """What a job does, by the resource that it is made at."""

    TRANSFER = "transfers"
    DELETE = "async-delete"
    SET_PROPERTIES = "async-setprops"


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Attributes:
        node_path: decoded path of the node it is about.
        target: what it is about as the client wrote it; None when it did not say.
        transfer: what was asked for, of a transfer.
        draft: what was asked for, of a change of properties.
        error: text of the error, None without.
        results: (name, href).
        created_ms, started_ms, ended_ms: milliseconds since 1970 UTC, None for not yet.
        destruction_ms: when the service forgets it.
        execution_s: seconds that it may run, 0 for as long as it likes.
        at_work: its work is being done, and ends with the process.
    """

    number: str
    owner: str | None
    node_path: str
    phase: Phase
    created_ms: int
    destruction_ms: int
    kind: JobKind = JobKind.TRANSFER
    target: str | None = None
    transfer: TransferDocument | None = None
    draft: NodeDraft | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    error: str | None = None
    results: tuple[tuple[str, str], ...] = ()
    execution_s: int = EXECUTION_S
    run_id: str | None = None
    at_work: bool = False

    @property
    def overdue_ms(self) -> int | None:
        """When its time to run is over; None while nothing runs.

        A transfer by the client stays EXECUTING without anything that runs here.
        """
        by_client = self.transfer is not None and ":" not in self.transfer.direction
        if self.phase is not Phase.EXECUTING or by_client or not self.execution_s:
            return None
        return None if self.started_ms is None else self.started_ms + self.execution_s * 1000


class JobLog(Protocol):
    """Where changes are told, in order; persistence is behind it."""

    def saved(self, job: Job) -> None:
        """`job` is new or has changed."""

    def removed(self, number: str) -> None:
        """The job is gone."""


class NoJobLog:
    """The log of jobs that live in memory only."""

    def saved(self, job: Job) -> None:
        """Nothing to keep."""

    def removed(self, number: str) -> None:
        """Nothing to keep."""


class JobStore:
    """All jobs; safe to use from any thread.

    `_changed` protects the dictionary; nothing else is called with it held but clock and log.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        log: JobLog | None = None,
        jobs: Iterable[Job] = (),
    ) -> None:
        """Start with the jobs given, in the order of their making.

        Args:
            clock: seconds since 1970; destruction, WAIT and the time to run follow it.
            log: told of every change; None: nobody is.
        """
        self._clock = clock
        self._changed = threading.Condition()
        self._log: JobLog = log or NoJobLog()
        self._jobs = {job.number: job for job in jobs}

    def add(self, job: Job) -> None:
        """Take a new job in; the oldest go when there are very many, as destruction would."""
        with self._changed:
            self._set(job)
            while len(self._jobs) > KEPT_JOBS:
                self._drop(next(iter(self._jobs)))

    def _set(self, job: Job) -> None:
        self._jobs[job.number] = job
        self._log.saved(job)

    def _drop(self, number: str) -> None:
        if self._jobs.pop(number, None) is not None:
            self._log.removed(number)

    def get(self, number: str) -> Job | None:
        """Return a job, None when there is none of that number (any more)."""
        with self._changed:
            return self._living(number)

    def _living(self, number: str) -> Job | None:
        """Return a job as the clock has it: forgotten, or aborted for taking too long."""
        job = self._jobs.get(number)
        if job is not None and job.destruction_ms <= self._clock() * 1000:
            self._drop(number)
            return None
        overdue_ms = None if job is None else job.overdue_ms
        if job is not None and overdue_ms is not None and overdue_ms <= self._clock() * 1000:
            job = replace(job, phase=Phase.ABORTED, ended_ms=overdue_ms, at_work=False)
            self._set(job)
            self._changed.notify_all()
        return job

    def all(self) -> list[Job]:
        """Return all jobs in the order of their making."""
        with self._changed:
            found = [self._living(number) for number in list(self._jobs)]
            return [job for job in found if job is not None]

    def amend(self, number: str, **values: Any) -> None:
        """Change a job whatever its phase is."""
        with self._changed:
            if (job := self._jobs.get(number)) is not None:
                self._set(replace(job, **values))
                self._changed.notify_all()

    def leave(self, number: str, left: Phase, /, **values: Any) -> Job | None:
        """Change a job, provided it is (still) in the phase that it leaves.

        Returns:
            The new value, or None when it was in another phase: somebody else was first.
        """
        with self._changed:
            job = self._living(number)
            if job is None or job.phase is not left:
                return None
            self._set(replace(job, **values))
            self._changed.notify_all()
            return self._jobs[number]

    def remove(self, number: str) -> None:
        """Forget a job."""
        with self._changed:
            self._drop(number)
            self._changed.notify_all()

    def wait_until_done(
        self, number: str, wait_s: float, while_in: Phase | None = None
    ) -> Job | None:
        """Wait while the job is active, until the time is up by the clock or in truth.

        Args:
            wait_s: seconds, at most 60; negative for 60.
            while_in: wait only as long as it is in this phase; None: in any active one.
        Returns:
            The job as it is then; None when it was removed.
        """
        wait_s = WAIT_CAP_S if wait_s < 0 else min(wait_s, WAIT_CAP_S)
        deadline, real_deadline = self._clock() + wait_s, time.monotonic() + wait_s
        with self._changed:
            while True:
                job = self._living(number)
                left_s = min(real_deadline - time.monotonic(), deadline - self._clock())
                if job is None or not job.phase.is_active or left_s <= 0:
                    return job
                if while_in is not None and job.phase is not while_in:
                    return job
                self._changed.wait(min(left_s, WAIT_STEP_S))


def new_number() -> str:
    """Return a job number that nobody can guess.

    Letters and digits only: clients edit job URLs by replacing text (section 5.2).
    """
    return uuid.uuid4().hex
