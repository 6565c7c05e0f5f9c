"""The pytest plugin of a conformance run: gives clauses their target and collects their results.

Every test must carry `@pytest.mark.clause(ID, source=...)`. A deviation that the profile expects
becomes a strict xfail, so that pytest tells an expected failure from an unexpected pass.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from conformance.profile import Profile
from conformance.report import ClauseResult, Result
from conformance.wire import Service


@dataclass(slots=True)
class Clauses:
    """Checks the clauses that were collected, and keeps their results in the order they ran."""

    profile: Profile
    results: dict[str, ClauseResult] = field(default_factory=dict)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the marker."""
        config.addinivalue_line("markers", "clause(id, source): the identity of a clause")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark what the profile expects to fail; refuse a profile that names no clause of ours."""
        clauses = set()
        for item in items:
            clause, source = _identity(item)
            if clause in clauses:
                raise pytest.UsageError(f"two clauses have the id {clause}")
            clauses.add(clause)
            item.user_properties += [("clause", clause), ("source", source)]
            known = self.profile.deviation(clause)
            if known:
                reason = f"{known.reason} [{known.reference}]"
                item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
        for deviation in self.profile.deviations:
            if deviation.clause not in clauses:
                raise pytest.UsageError(
                    f"profile {self.profile.name}: no clause {deviation.clause}"
                )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the clause's result: that of its call, or of a set-up or clean-up gone wrong."""
        if report.when != "call" and report.passed:
            return
        identity = dict(report.user_properties)
        result, message = _judge(report)
        clause = str(identity["clause"])
        self.results[clause] = ClauseResult(
            clause, str(identity["source"]), result, report.duration, message
        )


@dataclass(slots=True)
class ServiceFixtures:
    """What the clauses of a service ask for."""

    target: Service
    base: str

    @pytest.fixture
    def service(self, request: pytest.FixtureRequest) -> Service:
        """The service, its requests marked with the clause's id."""
        self.target.clause = _identity(request.node)[0]
        return self.target

    @pytest.fixture
    def container(self, service: Service) -> Iterator[str]:
        """The path of an empty container of this clause's own, removed with all below it."""
        path = f"{self.base}/{_fresh_name()}".lstrip("/")
        service.put_container(path).raise_for_status()
        yield path
        service.remove_tree(path)


@dataclass(slots=True)
class MountFixtures:
    """What the clauses of a mount ask for."""

    mount: Path

    @pytest.fixture
    def directory(self) -> Iterator[Path]:
        """An empty directory of this clause's own, removed with all below it."""
        path = self.mount / _fresh_name()
        path.mkdir()
        yield path
        shutil.rmtree(path)


def _identity(item: pytest.Item) -> tuple[str, str]:
    marker = item.get_closest_marker("clause")
    if marker is None or len(marker.args) != 1 or "source" not in marker.kwargs:
        raise pytest.UsageError(f"{item.nodeid}: no @pytest.mark.clause(ID, source=...)")
    return str(marker.args[0]), str(marker.kwargs["source"])


def _judge(report: pytest.TestReport) -> tuple[Result, str]:
    if hasattr(report, "wasxfail"):
        return Result.EXPECTED_FAILURE, report.wasxfail
    text = str(report.longrepr or "")
    if report.passed:
        return Result.PASSES, ""
    # pytest has no attribute for a strict xfail that passed, only this text.
    if text.startswith("[XPASS(strict)]"):
        return Result.UNEXPECTED_PASS, f"passes, but the profile expects: {text[16:]}"
    phase = "" if report.when == "call" else f"{report.when}: "
    return Result.FAILS, f"{phase}{_cause(report)}\n{text}"


def _cause(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(getattr(crash, "message", "failed")).splitlines()[0]


def _fresh_name() -> str:
    return f"conformance-{secrets.token_hex(4)}"
