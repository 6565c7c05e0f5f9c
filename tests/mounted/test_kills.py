"""kill -9 of a real mount under load: what was acknowledged is there, nothing else is.

`make test` does a few rounds; `tox -e sweep-long` two hundred.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakevospace import FakeVOSpace
from tests.mounted.conftest import MakeMount
from tests.support.killing import OPTIONS, TABLE, WRITERS, Rounds

BATCH = 4  # kills of one test: the watchdog of these tests gives each 100 s, on any machine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """So many batches that there are as many kills as are asked for."""
    kills = metafunc.config.getoption("--kills")
    batches = [(seed, min(BATCH, kills - seed * BATCH)) for seed in range(-(-kills // BATCH))]
    metafunc.parametrize(("seed", "kills"), batches, ids=[f"seed{seed}" for seed, _ in batches])


def prepare(fake: FakeVOSpace) -> None:
    for number in range(WRITERS):
        fake.mkdir(f"w{number}")
        fake.mkdir(f"w{number}/d0")


def test_r18_killed_under_load(
    make_mount: MakeMount,
    personality: str,
    tmp_path: Path,
    seed: int,
    kills: int,
    record_property: Callable[[str, object], None],
) -> None:
    """R1, R2, R8, R9, R10, R18: close, write and rename survive kill -9."""
    mount = make_mount(personality, *OPTIONS, prepare=prepare)
    rounds = Rounds(mount, tmp_path, seed)
    losses = 1
    try:
        for _ in range(kills):
            rounds.kill()
        rounds.end()
        losses = 0
    finally:
        done = rounds.result
        row = (personality, seed, done.kills, done.calls, done.size, losses)
        record_property(TABLE, [str(cell) for cell in row])
