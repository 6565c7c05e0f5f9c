"""What decides when something goes on: a clock that tests move, gates, and threads that end.

No test sleeps: it waits for an event, and for so long that only a hang takes longer.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 10.0  # a gate that nobody opens for so long is a hang


class ManualClock:
    """A clock that a test moves; `sleep` moves it, too."""

    def __init__(self, now: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._now = now

    def monotonic(self) -> float:
        with self._lock:
            return self._now

    def time_ns(self) -> int:
        return int(self.monotonic() * 1_000_000_000)

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


class HeldAt:
    """A call that waits: `reached` when it is there, goes on when `open` is called."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def arrive(self) -> None:
        self._reached.set()
        assert self._open.wait(PATIENCE_S), "nobody opened the gate"

    def wait_until_reached(self) -> None:
        assert self._reached.wait(PATIENCE_S), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that no event announces; the suite's only polling."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        pause.wait(0.01)


@contextmanager
def allowing(*patterns: str, when: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Let records of vofs pass that may come, but need not: a kill decides."""

    def unexpected(record: logging.LogRecord) -> bool:
        allowed = any(re.search(pattern, record.getMessage()) for pattern in patterns)
        return not (allowed and when())

    names = [name for name in logging.root.manager.loggerDict if name.startswith("vofs")]
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(unexpected)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(unexpected)


def together(*jobs: Callable[[], object]) -> list[BaseException | None]:
    """Run jobs at the same time, let go at one barrier; their errors, None where there is none."""
    barrier = threading.Barrier(len(jobs))
    errors: list[BaseException | None] = [None] * len(jobs)

    def run(number: int) -> None:
        try:
            barrier.wait(PATIENCE_S)
            jobs[number]()
        except BaseException as exc:
            errors[number] = exc

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(6 * PATIENCE_S)
        assert not thread.is_alive(), "a dead-lock"
    return errors


class Background:
    """One call in a thread of its own; `result` waits for it and raises what it raised."""

    def __init__(self, job: Callable[[], object]) -> None:
        self._value: object = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._value = job()
            except BaseException as exc:
                self._error = exc

        self._thread = threading.Thread(target=run)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def is_inside(self, function: str) -> bool:
        """Whether it is in a function of that name just now: where it waits for a lock."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None and frame.f_code.co_name != function:
            frame = frame.f_back
        return frame is not None

    def result(self) -> object:
        self._thread.join(3 * PATIENCE_S)
        assert not self._thread.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._value
