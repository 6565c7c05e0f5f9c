"""The model machine under hypothesis, and every list of steps that once failed.

`pytest --hypothesis-profile=models-long` (tox -e models-long) looks for new interleavings; the
usual profiles repeat the same ones.  A failure ends with the list of steps; put it into
`machine-regressions.txt`, one setting and list a line.
"""

from __future__ import annotations

import ast
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.machine import Setting, Step, numbers_of, play

SETTINGS = [
    Setting("vault", 1),
    Setting("cavern", 1),
    Setting("vault", 48 * 1024 + 5),
    Setting("cavern", 48 * 1024 + 5),
]
WEIGHTS = {
    "run": 30, "pass": 4, "write": 6, "open": 4, "read": 5, "close": 4, "create": 3, "truncate": 2,
    "damage": 1, "cut": 1, "stat": 1, "unlink": 2, "rename": 2, "drop": 1, "fsync": 1, "fault": 2,
    "disk": 1, "lag": 1, "notice": 1, "foreign": 1, "crash": 1, "remount": 1, "settle": 1,
}  # fmt: skip
LONG_RUN = 200_000  # steps that `tox -e models-long` takes at least
LARGEST = 39  # numbers of a step; a third of them lets an actor run only a few locks far
REGRESSIONS = Path(__file__).with_name("machine-regressions.txt")


ARITY = {word: numbers_of(word) for word in WEIGHTS}
words = st.sampled_from([word for word, weight in WEIGHTS.items() for _ in range(weight)])
numbers = st.lists(st.integers(0, LARGEST), min_size=4, max_size=4)
steps = st.builds(lambda word, drawn: (word, *drawn[: ARITY[word]]), words, numbers)
# Hypothesis' lists are short on the average; several of them are not, and shrink as well.
parts = st.lists(st.lists(steps, min_size=1, max_size=40), max_size=12)
plays = st.tuples(parts, parts, parts).map(
    lambda drawn: [step for lists in drawn for part in lists for step in part]
)
EXAMPLES = settings().max_examples // 3  # of the profile; each is a hundred steps


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Where caches are made and thrown away; in memory, because thousands are."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def count(request: pytest.FixtureRequest) -> Iterator[list[int]]:
    """Steps taken by each play, summed up at the end."""
    taken: list[int] = []
    yield taken
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"\nmodel machine: {sum(taken)} steps in {len(taken)} runs")
    if request.config.getoption("hypothesis_profile") == "models-long":
        assert sum(taken) >= LONG_RUN, f"{sum(taken)} steps are too few for a long run"


def played(setting: Setting, listed: list[Step], folder: Path) -> int:
    with tempfile.TemporaryDirectory(dir=folder) as made:
        return play(setting, listed, Path(made))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: f"{s.personality}-{s.unit}")
@settings(max_examples=EXAMPLES)
@given(listed=plays)
def test_any_interleaving(
    setting: Setting, listed: list[Step], folder: Path, count: list[int]
) -> None:
    """Whatever comes between what: nothing is lost, nothing is wrong, nothing is served twice."""
    count.append(played(setting, listed, folder))


def regressions() -> list[tuple[str, int, list[Step]]]:
    lines = [line for line in REGRESSIONS.read_text().splitlines() if line and line[0] != "#"]
    return [ast.literal_eval(line) for line in lines]


@pytest.mark.parametrize(("personality", "unit", "listed"), regressions())
def test_regression(personality: str, unit: int, listed: list[Step], folder: Path) -> None:
    """What once failed, step by step."""
    played(Setting(personality, unit), listed, folder)
