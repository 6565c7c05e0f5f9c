"""What a run found, clause by clause, as JUnit XML and as JSON.

An expected failure is a `skipped` test case in JUnit, which has no word of its own for it; the
JSON keeps the four results apart.
"""

from __future__ import annotations

import enum
import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from lxml import etree


class Result(enum.StrEnum):
    """What came of one clause, seen with the target's profile."""

    PASSES = "passes"
    FAILS = "fails"
    EXPECTED_FAILURE = "expected-failure"
    UNEXPECTED_PASS = "unexpected-pass"

    @property
    def is_expected(self) -> bool:
        """True when the profile said so."""
        return self in (Result.PASSES, Result.EXPECTED_FAILURE)


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
    """All results of one target."""

    suite: str
    target: str
    profile: str
    results: tuple[ClauseResult, ...]

    @property
    def exit_code(self) -> int:
        """0 when there were clauses and each did what the profile expects."""
        expected = all(clause.result.is_expected for clause in self.results)
        return 0 if self.results and expected else 1

    def summary(self) -> str:
        """One line: the target, and how many clauses had which result."""
        counts = Counter(clause.result for clause in self.results)
        told = ", ".join(f"{counts[result]} {result}" for result in Result if counts[result])
        return f"{self.suite} {self.target} (profile {self.profile}): {told or 'no clause ran'}"


def write_reports(run: Run, directory: Path) -> None:
    """Write junit.xml and results.json into the directory, which is made."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(asdict(run), indent=2) + "\n")
    etree.ElementTree(_junit(run)).write(
        str(directory / "junit.xml"), xml_declaration=True, encoding="UTF-8", pretty_print=True
    )


def _junit(run: Run) -> etree._Element:
    counts = Counter(clause.result for clause in run.results)
    suite = etree.Element(
        "testsuite",
        name=f"{run.suite} {run.target}",
        tests=str(len(run.results)),
        failures=str(counts[Result.FAILS] + counts[Result.UNEXPECTED_PASS]),
        errors="0",
        skipped=str(counts[Result.EXPECTED_FAILURE]),
        time=f"{sum(clause.duration_s for clause in run.results):.3f}",
    )
    for clause in run.results:
        case = etree.SubElement(
            suite,
            "testcase",
            classname=f"conformance.{run.suite}",
            name=clause.clause,
            time=f"{clause.duration_s:.3f}",
        )
        if clause.result is Result.EXPECTED_FAILURE:
            etree.SubElement(case, "skipped", message=clause.message)
        elif clause.result is not Result.PASSES:
            # The first line tells; the whole text follows for whoever opens the report.
            failure = etree.SubElement(case, "failure", message=clause.message.splitlines()[0])
            failure.text = clause.message
        etree.SubElement(case, "system-out").text = clause.source
    return suite
