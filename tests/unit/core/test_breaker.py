"""The breaker and the memory of timeouts (R20), as values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vofs.core.breaker import FAILURES_TO_OPEN, Breaker
from vofs.core.patience import REFUSED_FOR_S, TimedOutSpans


def test_r20_two_failures_in_a_row_open_it_and_an_answer_closes_it() -> None:
    breaker = Breaker()
    for _ in range(3):
        breaker.failed()
        assert not breaker.is_open
        breaker.answered()
    breaker.failed()
    breaker.failed()
    assert breaker.is_open
    breaker.answered()
    assert not breaker.is_open


def test_r20_one_probe_at_a_time_and_only_while_it_is_open() -> None:
    breaker = Breaker()
    assert not breaker.take_probe()
    breaker.failed()
    breaker.failed()
    assert breaker.take_probe()
    assert not breaker.take_probe()
    breaker.failed()
    breaker.probe_ended()
    assert breaker.take_probe()
    breaker.answered()
    breaker.probe_ended()
    assert not breaker.take_probe()


@given(st.lists(st.booleans()))
def test_r20_it_is_open_exactly_after_two_failures_without_an_answer(answers: list[bool]) -> None:
    breaker = Breaker()
    for answered in answers:
        (breaker.answered if answered else breaker.failed)()
    last = answers[-FAILURES_TO_OPEN:]
    assert breaker.is_open == (len(last) == FAILURES_TO_OPEN and not any(last))


def test_r20_a_span_that_timed_out_is_refused_for_two_seconds() -> None:
    spans = TimedOutSpans()
    spans.add([(100, 200)], 10.0)
    assert spans.refuse(150, 160, 11.9)
    assert spans.refuse(0, 101, 11.9)
    assert not spans.refuse(0, 100, 11.9)
    assert not spans.refuse(200, 300, 11.9)
    assert not spans.refuse(150, 160, 10.0 + REFUSED_FOR_S)


def test_r20_unless_bytes_came() -> None:
    spans = TimedOutSpans()
    spans.add([(100, 200), (500, 600)], 10.0)
    spans.moved(0, 300)
    assert not spans.refuse(150, 160, 10.1)
    assert spans.refuse(500, 501, 10.1)
