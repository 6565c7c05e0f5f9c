"""`python -m conformance service|mount|probe ...`: judge a VOSpace, or a mount of one.

Exit codes: 0 when every clause did what the target's profile expects, 1 when one did not, 2 when
nothing could be run, or not to the end (usage, a target that does not come up, an interrupt).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import pytest
import requests

from conformance.capabilities import Capabilities
from conformance.fixtures import MountFixtures, ServiceFixtures
from conformance.junit import write_junit
from conformance.mounts import open_mount
from conformance.plugin import Clauses
from conformance.probe import probe, read_only
from conformance.profile import SHIPPED, Profile, ProfileError, find_profile, load_profile
from conformance.report import Run, write_results
from conformance.scorecard import write_scorecard
from conformance.targets import TargetError, Users, default_profile, open_service
from conformance.wire import Credentials, WireError
from conformance.workspace import workspace


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; returns the exit code."""
    options = _parse(arguments)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.suite == "probe":
            return _probe(options)
        return _judge(options)
    except (TargetError, ProfileError, WireError, requests.RequestException) as exc:
        print(f"conformance: {exc}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("conformance: interrupted", file=sys.stderr)
        return 2
    finally:
        signal.signal(signal.SIGTERM, previous)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End by SIGTERM as by Ctrl-C: what was made is removed first."""
    raise KeyboardInterrupt


def _probe(options: argparse.Namespace) -> int:
    with open_service(options.uri, _users(options)) as target:
        print(read_only(target.service, target.base))
    return 0


def _judge(options: argparse.Namespace) -> int:
    profile = _profile(options.profile, options.target)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    with _suite(options, profile) as (fixtures, clauses):
        code = _run_pytest(options.suite, [clauses, fixtures])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return 2
    capabilities = clauses.capabilities
    flags = {flag: capabilities.has(flag) for flag in capabilities.found}
    results = tuple(clauses.results.values())
    run = Run(options.suite, options.target, profile.name, results, started, flags)
    if options.report:
        options.report.mkdir(parents=True, exist_ok=True)
        write_results(run, options.report / "results.json")
        write_junit(run, options.report / "junit.xml")
        write_scorecard([run], options.report / "scorecard.html")
    print(run.summary())
    return run.exit_code


@contextmanager
def _suite(options: argparse.Namespace, profile: Profile) -> Iterator[tuple[object, Clauses]]:
    """Bring up the target; gives the fixtures of its suite, and what collects the results."""
    if options.suite == "mount":
        with open_mount(options.target, options.binding) as directory:
            yield MountFixtures(directory), Clauses(profile, only=tuple(options.only))
        return
    with open_service(options.target, _users(options), profile.dialect) as target:
        found = {**probe(target.service, target.base), **target.facts}
        capabilities = Capabilities(profile.capabilities, found)
        with workspace(target.service, target.base) as root:
            users = target.users
            fixtures = ServiceFixtures(
                target.service, root, capabilities, users.second, users.group, users.another_group
            )
            yield fixtures, Clauses(profile, capabilities, tuple(options.only))


def _profile(spec: str | None, target: str) -> Profile:
    shipped = default_profile(target)
    if spec is not None:
        return load_profile(find_profile(spec), target)
    return load_profile(SHIPPED / f"{shipped}.toml", target) if shipped else Profile()


def _users(options: argparse.Namespace) -> Users:
    """Credentials from the options, those of the first user else from the environment."""
    first = Credentials(
        _token(options.token_file) or os.environ.get("VOSPACE_TOKEN") or None,
        options.certfile or os.environ.get("VOSPACE_CERTFILE") or None,
    )
    second = Credentials(_token(options.other_token_file), options.other_certfile)
    return Users(
        first,
        None if second == Credentials() else second,
        options.group,
        options.another_group,
        options.ca_file,
    )


def _token(path: Path | None) -> str | None:
    try:
        return path.read_text().strip() if path else None
    except OSError as exc:
        raise TargetError(f"{path}: {exc.strerror}") from exc


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m conformance", description=__doc__)
    suites = parser.add_subparsers(dest="suite", required=True)
    service = suites.add_parser("service", help="run the clauses of a service")
    mount = suites.add_parser("mount", help="run the clauses of a mount")
    targets = {
        service: "fake:vault, fake:cavern, fake:datalab, fake:spec, or a service's URL or URI",
        mount: "a directory, vofs+fake:vault, vofs+fake:cavern or vofs+fake:datalab",
    }
    for suite, target_help in targets.items():
        suite.add_argument("--target", required=True, help=target_help)
        suite.add_argument("--profile", metavar="FILE", help="expected deviations, or vault, ...")
        suite.add_argument("--report", type=Path, metavar="DIR", help="where the reports go")
        suite.add_argument(
            "--only", action="append", default=[], metavar="GLOB", help="clauses of these ids"
        )
    mount.add_argument("--binding", choices=["auto", "fusepy", "mfusepy"], default="auto")
    probing = suites.add_parser("probe", help="print what a service can do; changes nothing")
    probing.add_argument("uri", metavar="URI")
    for suite in (service, probing):
        _add_users(suite)
    return parser.parse_args(arguments)


def _add_users(parser: argparse.ArgumentParser) -> None:
    users = parser.add_argument_group("users (no tokens on the command line: ps shows it)")
    users.add_argument("--token-file", type=Path, metavar="FILE", help="else VOSPACE_TOKEN")
    users.add_argument("--certfile", metavar="FILE", help="else VOSPACE_CERTFILE")
    users.add_argument("--other-token-file", type=Path, metavar="FILE", help="of a second user")
    users.add_argument("--other-certfile", metavar="FILE", help="of a second user")
    users.add_argument("--group", default="", metavar="URI", help="of which the second is a member")
    users.add_argument("--another-group", default="", metavar="URI", help="any other, if checked")
    users.add_argument("--ca-file", metavar="FILE", help="certificates to trust")


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
            "-q",
            "--disable-plugin-autoload",
            *("-p", "no:cacheprovider"),
        ],
        plugins=plugins,
    )


if __name__ == "__main__":
    sys.exit(main())
