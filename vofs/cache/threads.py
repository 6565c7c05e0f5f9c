"""Threads, as a constructor argument: nothing in vofs' cache starts one in another way.

The model machine gives threads that run only when it says so (tests/support/actors.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Protocol


class Thread(Protocol):
    """What is needed of a thread: see `threading.Thread`."""

    def start(self) -> None: ...
    def is_alive(self) -> bool: ...
    def join(self) -> None: ...


class Threads(Protocol):
    """Where threads come from."""

    def thread(self, target: Callable[[], None], name: str) -> Thread:
        """A thread that will run `target` once it is started."""
        ...

    def pool(self, workers: int, name: str) -> Executor:
        """A pool of at most `workers` threads, whose names begin with `name`."""
        ...


class SystemThreads:
    """The operating system's threads."""

    def thread(self, target: Callable[[], None], name: str) -> Thread:
        """See `Threads`."""
        return threading.Thread(target=target, name=name)

    def pool(self, workers: int, name: str) -> Executor:
        """See `Threads`."""
        return ThreadPoolExecutor(workers, thread_name_prefix=name)
