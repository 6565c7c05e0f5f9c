"""Jobs on disk: one SQLite row per job, in the order of their making.

A job whose work was under way when the process ended is an error from then on: nobody does it any
more, and doing it again might do it twice.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

from fakevospace.datafile import DataFile
from fakevospace.documents import TransferDocument, TransferProtocol
from fakevospace.jobs import Job, JobKind, Phase
from fakevospace.nodes import Kind, NodeDraft

INTERRUPTED = "InternalFault: the service ended while it executed the job; what was done stays done"
SAVE = (
    "insert into jobs (number, record) values (?, ?) "
    "on conflict (number) do update set record = excluded.record"
)


class JobTable:
    """The log of changes of a `JobStore`, kept in a file."""

    def __init__(self, file: DataFile) -> None:
        self._file = file

    def saved(self, job: Job) -> None:
        """Write the row of a job."""
        self._file.run(SAVE, job.number, json.dumps(_record(job)))

    def removed(self, number: str) -> None:
        """Delete the row of a job."""
        self._file.run("delete from jobs where number = ?", number)

    def load(self, now_ms: int) -> list[Job]:
        """Read all jobs; those whose work was interrupted are errors now, and saved as such."""
        found = []
        for (text,) in self._file.rows("select record from jobs order by place"):
            job = _job(json.loads(text))
            if job.at_work:
                ended = not job.phase.is_final
                job = replace(job, at_work=False)
                if ended:
                    job = replace(job, phase=Phase.ERROR, error=INTERRUPTED, ended_ms=now_ms)
                self.saved(job)
            found.append(job)
        return found


def _record(job: Job) -> dict[str, Any]:
    """Write a job as JSON has it."""
    record = asdict(job) | {"phase": job.phase.value, "kind": job.kind.value}
    if job.draft is not None:
        record["draft"] |= {"kind": job.draft.kind.value}
    return record


def _job(record: dict[str, Any]) -> Job:
    """Read what `_record` wrote."""
    record["phase"], record["kind"] = Phase(record["phase"]), JobKind(record["kind"])
    record["results"] = _pairs(record["results"])
    if (draft := record["draft"]) is not None:
        record["draft"] = NodeDraft(**draft | {"kind": Kind(draft["kind"])})
    if (transfer := record["transfer"]) is not None:
        transfer["protocols"] = tuple(TransferProtocol(**one) for one in transfer["protocols"])
        transfer["more_targets"] = tuple(transfer["more_targets"])
        transfer["parameters"] = _pairs(transfer["parameters"])
        record["transfer"] = TransferDocument(**transfer)
    return Job(**record)


def _pairs(found: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in found)
