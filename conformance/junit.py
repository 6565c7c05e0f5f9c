"""A run as JUnit XML, for CI systems.

An expected failure and a clause that was not run are `skipped` test cases with their reason:
JUnit has no words of its own for them.
"""

from __future__ import annotations

import re
from pathlib import Path

from lxml import etree

from conformance.report import ClauseResult, Result, Run

SKIPPED = (Result.EXPECTED_FAILURE, Result.NOT_RUN)
# What XML 1.0 cannot carry: a message may quote any byte that a service sent.
UNSPEAKABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(run: Run, path: Path) -> None:
    """Write junit.xml."""
    suite = etree.Element(
        "testsuite",
        name=f"{run.suite} {run.target}",
        tests=str(len(run.results)),
        failures=str(run.counts[Result.FAILS] + run.counts[Result.UNEXPECTED_PASS]),
        errors="0",
        skipped=str(sum(run.counts[result] for result in SKIPPED)),
        time=f"{sum(clause.duration_s for clause in run.results):.3f}",
    )
    for clause in run.results:
        suite.append(_case(run.suite, clause))
    etree.ElementTree(suite).write(
        str(path), xml_declaration=True, encoding="UTF-8", pretty_print=True
    )


def _case(suite: str, clause: ClauseResult) -> etree._Element:
    case = etree.Element(
        "testcase",
        classname=f"conformance.{suite}",
        name=clause.clause,
        time=f"{clause.duration_s:.3f}",
    )
    message = UNSPEAKABLE.sub("?", clause.message)
    if clause.result in SKIPPED:
        etree.SubElement(case, "skipped", message=message)
    elif clause.result is not Result.PASSES:
        # The first line tells; the whole text follows for whoever opens the report.
        failure = etree.SubElement(case, "failure", message=message.splitlines()[0])
        failure.text = message
    etree.SubElement(case, "system-out").text = clause.source
    return case
