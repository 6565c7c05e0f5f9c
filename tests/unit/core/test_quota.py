"""What a quota leaves, as a pure decision."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vofs.core.nodes import AVAILABLE_SPACE, LENGTH, QUOTA
from vofs.core.quota import TRUSTED_S, Allowance, Verdict, available_in, space_of

sizes = st.integers(0, 100)


@given(available=sizes, accepted=sizes, growth=st.integers(-10, 100), age_s=st.floats(0, 100))
def test_r24_nothing_is_refused_on_an_old_figure(
    available: int, accepted: int, growth: int, age_s: float
) -> None:
    """R24: and nothing at all that fits, or does not grow; what is accepted never exceeds it."""
    verdict = Allowance(available, 0.0, accepted).judge(growth, age_s)
    if verdict is Verdict.REFUSE:
        assert age_s == 0
        assert growth > 0
        assert accepted + growth > available
    elif verdict is Verdict.ACCEPT and growth > 0:
        assert accepted + growth <= available
    if age_s == 0:
        assert verdict is not Verdict.ASK


def test_a_figure_that_is_half_used_up_is_asked_for_in_time() -> None:
    allowance = Allowance(100, 0.0).accept(40)
    assert allowance.judge(10, TRUSTED_S + 1) is Verdict.ACCEPT
    assert allowance.judge(11, TRUSTED_S + 1) is Verdict.ASK
    assert allowance.judge(60, 0.5) is Verdict.ACCEPT
    assert allowance.judge(61, 0.5) is Verdict.ASK
    assert allowance.judge(61, 0.0) is Verdict.REFUSE


@pytest.mark.parametrize(
    ("properties", "space", "available"),
    [
        ({}, (None, 0), None),
        ({LENGTH: "30"}, (None, 30), None),
        ({QUOTA: "100", LENGTH: "30"}, (100, 30), 70),
        ({QUOTA: "100", LENGTH: "130"}, (100, 130), 0),
        ({QUOTA: "100"}, (100, 0), 100),
        ({AVAILABLE_SPACE: "5", LENGTH: "30"}, (35, 30), 5),
        ({QUOTA: "100", LENGTH: "30", AVAILABLE_SPACE: "50"}, (100, 30), 50),
        ({QUOTA: "much"}, (None, 0), None),
    ],
)
def test_what_a_node_tells(
    properties: dict[str, str], space: tuple[int | None, int], available: int | None
) -> None:
    """Behaviours 23."""
    assert space_of(properties) == space
    assert available_in(properties) == available
