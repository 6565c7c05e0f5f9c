"""The jobs of the service (UWS): their phases, results and errors.

A `Job` is a frozen value; `JobStore` holds the newest value of each and lets a request wait for a
phase to pass (`WAIT`).  Work is done by whoever runs a job, at once: nothing here runs anything.
Jobs live in memory and end with the service.
"""

from __future__ import annotations

import enum
import threading
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

from fakevospace.documents import TransferDocument

WAIT_CAP_S = 60.0
KEPT_JOBS = 10_000


class Phase(enum.Enum):
    """The phases that a job of this service can be in."""

    PENDING = "PENDING"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"


@dataclass(frozen=True, slots=True)
class Job:
    """One job.

    Attributes:
        node_path: decoded path of the node it is about.
        transfer: what was asked for.
        error: text of the error, None without.
        results: (name, href).
        created_ms, started_ms, ended_ms: milliseconds since 1970 UTC, None for not yet.
    """

    number: str
    owner: str | None
    node_path: str
    transfer: TransferDocument
    phase: Phase
    created_ms: int
    started_ms: int | None = None
    ended_ms: int | None = None
    error: str | None = None
    results: tuple[tuple[str, str], ...] = ()


class JobStore:
    """All jobs; safe to use from any thread.

    `_changed` protects the dictionary; nothing else is called with it held.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: dict[str, Job] = {}

    def add(self, job: Job) -> None:
        """Take a new job in; the oldest go when there are very many, as destruction would."""
        with self._changed:
            self._jobs[job.number] = job
            while len(self._jobs) > KEPT_JOBS:
                del self._jobs[next(iter(self._jobs))]

    def get(self, number: str) -> Job | None:
        """Return a job, None when there is none of that number."""
        with self._changed:
            return self._jobs.get(number)

    def all(self) -> list[Job]:
        """Return all jobs in the order of their making."""
        with self._changed:
            return list(self._jobs.values())

    def leave(self, number: str, left: Phase, /, **values: Any) -> Job | None:
        """Change a job, provided it is (still) in the phase that it leaves.

        Returns:
            The new value, or None when it was in another phase: somebody else was first.
        """
        with self._changed:
            job = self._jobs.get(number)
            if job is None or job.phase is not left:
                return None
            self._jobs[number] = replace(job, **values)
            self._changed.notify_all()
            return self._jobs[number]

    def remove(self, number: str) -> None:
        """Forget a job."""
        with self._changed:
            self._jobs.pop(number, None)
            self._changed.notify_all()

    def wait_until_done(self, number: str, wait_s: float) -> Job | None:
        """Wait while the job is pending or executing.

        Args:
            wait_s: seconds, at most 60; negative for 60.
        Returns:
            The job as it is then; None when it was removed.
        """
        wait_s = WAIT_CAP_S if wait_s < 0 else min(wait_s, WAIT_CAP_S)
        deadline = time.monotonic() + wait_s
        with self._changed:
            while True:
                job = self._jobs.get(number)
                if job is None or job.phase not in (Phase.PENDING, Phase.EXECUTING):
                    return job
                if not self._changed.wait(deadline - time.monotonic()):
                    return job


def new_number() -> str:
    """Return a job number that nobody can guess.

    Letters and digits only: clients edit job URLs by replacing text (section 5.2).
    """
    return uuid.uuid4().hex
