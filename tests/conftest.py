"""The habits every test lives by (docs/development.md): isolation, no stray logs, no leaks.

Each habit is a module of tests/support; this file only hangs them into pytest.
"""

from __future__ import annotations

import itertools
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import leaks
from tests.support.isolation import isolate
from tests.support.logs import ExpectLog, LogWatch
from tests.support.tables import pytest_terminal_summary as pytest_terminal_summary
from vofs import locks

# Deterministic in `make test`: the same examples on every machine; a run that looks for new ones
# is a separate, longer matter (`pytest --hypothesis-profile=long`).
_base = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("quick", _base, max_examples=25, derandomize=True)
settings.register_profile("default", _base, max_examples=100, derandomize=True)
settings.register_profile("long", _base, max_examples=5000)
settings.register_profile("models-long", _base, max_examples=4000, print_blob=True)
settings.load_profile("default")

locks.checking(True)  # the order of vofs' locks, in every test

_MOUNTED = Path(__file__).parent / "mounted"
_homes = Path(tempfile.mkdtemp(prefix="vofs-tests-"))
_numbers = itertools.count()
isolate(_homes)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How thoroughly crashes are tried, and how long tests/stress works."""
    parser.addoption(
        "--sweep-every", type=int, default=8, metavar="N",
        help="crash at every N-th step of a scenario only; 1 is all of them",
    )  # fmt: skip
    parser.addoption(
        "--kills", type=int, default=2, metavar="N",
        help="how often a real mount of each kind of service is killed under load",
    )  # fmt: skip
    parser.addoption("--stress-seconds", type=float, default=5.0, help="of tests/stress")


def pytest_unconfigure() -> None:
    """Remove the homes of all tests of this process."""
    shutil.rmtree(_homes, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Make `-n auto` the default (in addopts it would forbid `-p no:xdist`)."""
    if getattr(config.option, "numprocesses", 0) is None and not hasattr(config, "workerinput"):
        config.option.numprocesses = "auto"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in tests/mounted is marked so."""
    for item in items:
        if item.path.is_relative_to(_MOUNTED):
            item.add_marker("mounted")


@pytest.fixture(autouse=True)
def _habits(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LogWatch]:
    """Set up before and torn down after all other fixtures of the test: see tests/support."""
    environment = os.environ.copy()
    isolate(_homes / str(next(_numbers)))
    roots = (tmp_path_factory.getbasetemp(), _homes)
    before = leaks.Snapshot.take(roots)
    watch = LogWatch()
    logging.getLogger().addHandler(watch)
    try:
        yield watch
    finally:
        logging.getLogger().removeHandler(watch)
        os.environ.clear()
        os.environ.update(environment)
    complaints = watch.complaints() + leaks.complaints(before, roots)
    if complaints:
        pytest.fail("\n".join([f"{request.node.name} left its habits:", *complaints]), False)


@pytest.fixture
def expect_log(_habits: LogWatch) -> ExpectLog:
    """Announce log records: `expect_log(pattern, level=logging.WARNING, count=1)`."""
    return _habits.expect
