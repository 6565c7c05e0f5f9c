"""`python -m conformance service|mount --target T [--profile FILE] [--report DIR]`.

Exit codes: 0 when every clause did what the target's profile expects, 1 when one did not, 2 when
nothing could be run (usage, an unknown target, a target that does not come up). `probe` and the
HTML scorecard are not there yet.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from conformance.plugin import Clauses, MountFixtures, ServiceFixtures
from conformance.profile import SHIPPED, Profile, ProfileError, load_profile
from conformance.report import Run, write_reports
from conformance.targets import TargetError, default_profile, open_mount, open_service


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one suite against one target; returns the exit code."""
    options = _parse(arguments)
    if options.suite == "probe":
        print("conformance: probe is not available in this version", file=sys.stderr)
        return 2
    try:
        profile = _profile(options.profile, options.target)
        with _fixtures(options) as fixtures:
            clauses = Clauses(profile)
            code = _run_pytest(options.suite, [clauses, fixtures])
    except (TargetError, ProfileError) as exc:
        print(f"conformance: {exc}", file=sys.stderr)
        return 2
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return 2
    run = Run(options.suite, options.target, profile.name, tuple(clauses.results.values()))
    if options.report:
        write_reports(run, options.report)
    print(run.summary())
    return run.exit_code


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    suites = parser.add_subparsers(dest="suite", required=True)
    targets = {
        "service": "fake:vault, fake:cavern, the URL or the URI of a service",
        "mount": "a directory, vofs+fake:vault or vofs+fake:cavern",
    }
    for name, target_help in targets.items():
        suite = suites.add_parser(name, help=f"run the clauses of a {name}")
        suite.add_argument("--target", required=True, help=target_help)
        suite.add_argument("--profile", type=Path, metavar="FILE", help="expected deviations")
        suite.add_argument("--report", type=Path, metavar="DIR", help="for junit.xml, results.json")
        if name == "mount":
            suite.add_argument("--binding", choices=["auto", "fusepy", "mfusepy"], default="auto")
    probe = suites.add_parser("probe", help="not available in this version")
    probe.add_argument("uri", metavar="URI")
    return parser.parse_args(arguments)


def _profile(file: Path | None, target: str) -> Profile:
    shipped = default_profile(target)
    if file is None and shipped is None:
        return Profile()
    return load_profile(file or SHIPPED / f"{shipped}.toml")


@contextmanager
def _fixtures(options: argparse.Namespace) -> Iterator[object]:
    if options.suite == "service":
        with open_service(options.target) as (service, base):
            yield ServiceFixtures(service, base)
    else:
        with open_mount(options.target, options.binding) as directory:
            yield MountFixtures(directory)


def _run_pytest(suite: str, plugins: list[object]) -> int:
    """Run the clauses without any settings of the directory we happen to be called in."""
    directory = Path(__file__).parent / suite
    return pytest.main(
        [
            str(directory),
            f"--rootdir={directory}",
            f"--config-file={os.devnull}",
            "--noconftest",
            "--import-mode=importlib",
            "--strict-markers",
            "--tb=short",
            "--no-header",
            *("-p", "no:cacheprovider"),
        ],
        plugins=plugins,
    )


if __name__ == "__main__":
    sys.exit(main())
