"""When a request is tried again (core/retrypolicy.py); needs nothing."""

from __future__ import annotations

import pytest

from vofs.core.errors import RemoteTimeout, RemoteUnavailable
from vofs.core.retrypolicy import RetryPolicy

POLICY = RetryPolicy(max_attempts=4, base_delay_s=1.0, max_delay_s=3.0, budget_s=100.0)


def delays(policy: RetryPolicy, error: RemoteUnavailable, jitter: float) -> list[float]:
    waits: list[float] = []
    with pytest.raises(RemoteUnavailable) as caught:
        for _ in range(100):
            policy, delay_s = policy.next(error, sum(waits), jitter)
            waits.append(delay_s)
    assert caught.value is error
    return waits


def test_waits_double_up_to_the_longest_and_then_the_error_is_raised() -> None:
    assert delays(POLICY, RemoteUnavailable(), jitter=1.0) == [1.0, 2.0, 3.0]


def test_jitter_takes_at_most_half() -> None:
    assert delays(POLICY, RemoteTimeout(), jitter=0.0) == [0.5, 1.0, 1.5]


def test_what_the_service_asks_for_is_honoured() -> None:
    assert delays(POLICY, RemoteUnavailable(retry_after_s=10), jitter=0.0) == [10, 10, 10]


def test_a_wait_beyond_the_budget_is_not_begun() -> None:
    assert delays(POLICY, RemoteUnavailable(retry_after_s=180), jitter=0.0) == []
    short = RetryPolicy(max_attempts=100, base_delay_s=1, max_delay_s=1, budget_s=2.5)
    assert delays(short, RemoteUnavailable(), jitter=1.0) == [1, 1]


def test_the_policy_itself_never_changes() -> None:
    later, _ = POLICY.next(RemoteUnavailable(), 0.0, 0.0)
    assert (POLICY.attempts, later.attempts) == (0, 1)
