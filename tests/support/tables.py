"""Tables that a run of the tests prints at its end and keeps under report/.

A test adds a row with `record_property(NAME, row)`; pytest brings the rows of all workers together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support import crashsweep, killing

TABLES: dict[str, Callable[[Sequence[Sequence[str]]], str]] = {
    crashsweep.TABLE: crashsweep.table,
    killing.TABLE: killing.table,
}


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print each table that has rows, and write it to report/NAME.txt."""
    for name, table in TABLES.items():
        rows = [
            tuple(map(str, value))
            for reports in terminalreporter.stats.values()
            for report in reports
            if isinstance(report, pytest.TestReport) and report.when == "call"
            for key, value in report.user_properties
            if key == name and isinstance(value, Sequence)
        ]
        if rows:
            text = table(rows)
            terminalreporter.section(name)
            terminalreporter.write_line(text)
            report_dir = Path(config.rootpath) / "report"
            report_dir.mkdir(exist_ok=True)
            (report_dir / f"{name.replace(' ', '-')}.txt").write_text(text + "\n")
