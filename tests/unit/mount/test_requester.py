"""Who waits for a request, and whether a signal is about to end him (R19)."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from vofs.mount.requester import Requester


def requester(*, interrupted: bool, thread: int | None = None) -> Requester:
    number = threading.get_native_id() if thread is None else thread
    return Requester(lambda: (0, 0, number), lambda: interrupted)


@pytest.mark.parametrize(
    ("number", "ends"),
    [
        (signal.SIGTERM, True),
        (signal.SIGINT, True),
        (signal.SIGQUIT, True),
        (signal.SIGHUP, True),
        (signal.SIGALRM, False),
        (signal.SIGUSR1, False),
    ],
)
def test_r19_only_signals_that_end_a_program_count(number: signal.Signals, ends: bool) -> None:
    """While they are pending.  (Never for the process: other threads would get them here.)"""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        assert not requester(interrupted=True).given_up()
        signal.pthread_kill(threading.get_ident(), number)
        assert requester(interrupted=True).given_up() == ends
        assert not requester(interrupted=False).given_up()
        assert signal.sigwait({number}) == number
        assert not requester(interrupted=True).given_up()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_the_process_of_a_thread() -> None:
    found: list[int] = []
    thread = threading.Thread(
        target=lambda: found.append(requester(interrupted=False).thread_group())
    )
    thread.start()
    thread.join()
    assert found == [os.getpid()]


def test_a_thread_that_is_gone_is_its_own_process() -> None:
    gone = 2**22 + 5  # above the largest pid_max
    assert requester(interrupted=True, thread=gone).thread_group() == gone
    assert not requester(interrupted=True, thread=gone).given_up()
