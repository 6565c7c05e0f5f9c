"""The pytest plugin of a conformance run: gives clauses their target and collects their results.

Every test must carry `@pytest.mark.clause(ID, source=...)`, and may carry `@pytest.mark.needs(...)`
with the flags of `conformance.capabilities` without which it means nothing. A deviation that the
profile expects becomes a strict xfail, so that pytest tells an expected failure from an
unexpected pass.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from conformance.capabilities import FLAGS, Capabilities
from conformance.profile import Profile
from conformance.report import ClauseResult, Result

NO_CAPABILITIES = Capabilities({}, {})


@dataclass(slots=True)
class Clauses:
    """Checks the clauses that were collected, and keeps their results in the order they ran."""

    profile: Profile
    capabilities: Capabilities = NO_CAPABILITIES
    only: tuple[str, ...] = ()
    results: dict[str, ClauseResult] = field(default_factory=dict)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the markers."""
        config.addinivalue_line("markers", "clause(id, source): the identity of a clause")
        config.addinivalue_line("markers", "needs(flag, ...): what the target must be able to do")

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Mark what is not run and what is expected to fail; refuse what makes no sense."""
        clauses = set()
        for item in items:
            clause, source = identity(item)
            if clause in clauses:
                raise pytest.UsageError(f"two clauses have the id {clause}")
            clauses.add(clause)
            item.user_properties += [("clause", clause), ("source", source)]
            self._mark(item, clause)
        for deviation in self.profile.deviations:
            if deviation.clause not in clauses:
                raise pytest.UsageError(
                    f"profile {self.profile.name}: no clause {deviation.clause}"
                )
        self._select(config, items)

    def _mark(self, item: pytest.Item, clause: str) -> None:
        lacking = self.capabilities.missing(needs(item))
        if lacking:
            item.add_marker(pytest.mark.skip(reason=lacking))
            return
        known = self.profile.deviation(clause)
        if known:
            reason = f"{known.reason} [{known.reference}]"
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))

    def _select(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if not self.only:
            return
        wanted = [
            item
            for item in items
            if any(fnmatch.fnmatchcase(identity(item)[0], pattern) for pattern in self.only)
        ]
        if not wanted:
            raise pytest.UsageError(f"no clause matches {', '.join(self.only)}")
        config.hook.pytest_deselected(items=[item for item in items if item not in wanted])
        items[:] = wanted

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the clause's result: that of its call, or of a set-up or clean-up gone wrong."""
        if report.when != "call" and report.passed:
            return
        about = dict(report.user_properties)
        result, message = _judge(report)
        clause = str(about["clause"])
        known = self.results.get(clause)
        if known is not None and not known.result.is_expected:
            return  # the clean-up failed too: the first cause is the one to read
        self.results[clause] = ClauseResult(
            clause, str(about["source"]), result, report.duration, message
        )


def identity(item: pytest.Item) -> tuple[str, str]:
    """The id and the source of a clause."""
    marker = item.get_closest_marker("clause")
    if marker is None or len(marker.args) != 1 or "source" not in marker.kwargs:
        raise pytest.UsageError(f"{item.nodeid}: no @pytest.mark.clause(ID, source=...)")
    return str(marker.args[0]), str(marker.kwargs["source"])


def needs(item: pytest.Item) -> tuple[str, ...]:
    """The flags that a clause needs, of the function and of its module."""
    flags = tuple(_flags(item))
    for flag in flags:
        if flag not in FLAGS:
            raise pytest.UsageError(f"{item.nodeid}: there is no capability {flag}")
    return flags


def _flags(item: pytest.Item) -> Iterator[str]:
    for marker in item.iter_markers("needs"):
        yield from map(str, marker.args)


def _judge(report: pytest.TestReport) -> tuple[Result, str]:
    if hasattr(report, "wasxfail"):
        return Result.EXPECTED_FAILURE, report.wasxfail
    if report.passed:
        return Result.PASSES, ""
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        return Result.NOT_RUN, str(reason).removeprefix("Skipped: ")
    text = str(report.longrepr or "")
    # pytest has no attribute for a strict xfail that passed, only this text.
    if text.startswith("[XPASS(strict)]"):
        return Result.UNEXPECTED_PASS, f"passes, but the profile expects: {text[16:]}"
    phase = "" if report.when == "call" else f"{report.when}: "
    return Result.FAILS, f"{phase}{_cause(report)}\n{text}"


def _cause(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", "failed")).partition("\n")[0]
