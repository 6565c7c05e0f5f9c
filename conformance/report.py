"""What a run found, clause by clause, as a value, as JSON, and as a line for the terminal.

Five results: the JSON keeps them apart, and a clause that was not run is a result too.
"""

from __future__ import annotations

import enum
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class Result(enum.StrEnum):
    """What came of one clause, seen with the target's profile."""

    PASSES = "passes"
    FAILS = "fails"
    EXPECTED_FAILURE = "expected-failure"
    UNEXPECTED_PASS = "unexpected-pass"
    NOT_RUN = "not-run"

    @property
    def is_expected(self) -> bool:
        """True when the profile said so, or the clause does not apply."""
        return self in (Result.PASSES, Result.EXPECTED_FAILURE, Result.NOT_RUN)


@dataclass(frozen=True, slots=True)
class ClauseResult:
    """One clause of one run; `message` says why when it is not a plain pass."""

    clause: str
    source: str
    result: Result
    duration_s: float
    message: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """All results of one target; `capabilities` are the flags that decided what was run."""

    suite: str
    target: str
    profile: str
    results: tuple[ClauseResult, ...]
    started: str = ""
    capabilities: Mapping[str, bool] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 when clauses ran and each did what the profile expects."""
        ran = any(clause.result is not Result.NOT_RUN for clause in self.results)
        expected = all(clause.result.is_expected for clause in self.results)
        return 0 if ran and expected else 1

    @property
    def counts(self) -> Counter[Result]:
        """How many clauses had which result."""
        return Counter(clause.result for clause in self.results)

    def summary(self) -> str:
        """The unexpected results, then one line: the target, and the count of each result."""
        lines = [
            f"{clause.result}: {clause.clause}: {clause.message.splitlines()[0]}"
            for clause in self.results
            if not clause.result.is_expected
        ]
        told = ", ".join(f"{self.counts[one]} {one}" for one in Result if self.counts[one])
        line = f"{self.suite} {self.target} (profile {self.profile}): {told or 'no clause ran'}"
        return "\n".join([*lines, line])


def write_results(run: Run, path: Path) -> None:
    """Write results.json."""
    path.write_text(json.dumps(asdict(run), indent=2) + "\n")


def read_results(path: Path) -> Run:
    """Read a results.json; raises ValueError when it is none."""
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        results = tuple(
            ClauseResult(**(one | {"result": Result(one["result"])}))
            for one in content.pop("results")
        )
        return Run(results=results, **content)
    except (KeyError, TypeError, json.JSONDecodeError) as exc:
        raise ValueError(f"{path} is no results.json of this version: {exc}") from exc
