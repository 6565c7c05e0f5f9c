"""The clock of a service: shifted, standing still, and those who wait on it."""

from __future__ import annotations

import threading

from fakevospace.clock import ServiceClock


def test_it_follows_its_base_until_it_is_moved() -> None:
    now = [100.0]
    clock = ServiceClock(lambda: now[0])
    now[0] = 101.0
    assert clock() == 101.0
    clock.advance(50)
    assert clock() == 151.0
    clock.freeze()
    now[0] = 102.0
    clock.advance(1)
    assert (clock(), clock.is_frozen) == (152.0, True)
    clock.resume()
    assert (clock(), clock.is_frozen) == (102.0, False)


def test_who_waits_is_woken_when_the_clock_is_moved() -> None:
    clock, results = ServiceClock(lambda: 0.0), list[bool]()
    waiter = threading.Thread(target=lambda: results.append(clock.wait(3600, lambda: False)))
    waiter.start()
    clock.advance(3599)
    clock.advance(1)
    waiter.join(10)
    assert results == [True]


def test_a_wait_can_be_stopped() -> None:
    assert ServiceClock(lambda: 0.0).wait(3600, lambda: True) is False
    assert ServiceClock(lambda: 0.0).wait(0, lambda: True) is True
