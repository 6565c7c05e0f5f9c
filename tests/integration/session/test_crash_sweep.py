"""Twelve scenarios, killed at every change of the disk and at every request: nothing is lost.

`make test` tries a part of the points, the same ones every time; `tox -e sweep-long` all of them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.session.conftest import Open
from tests.support.crashscenarios import SCENARIOS
from tests.support.crashsweep import TABLE, sweep


@pytest.mark.parametrize("personality", ["vault", "cavern"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_killed_at_every_step(
    open_stage: Open,
    personality: str,
    name: str,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    """R1 to R5, R8 to R11: every acknowledged byte is on the service or pending."""
    every = request.config.getoption("--sweep-every")
    tally = sweep(open_stage, personality, name, SCENARIOS[name], every)
    record_property(TABLE, tally.row)
    assert not tally.losses, "\n".join(tally.losses)
    assert sum(tally.points.values()) > 0
