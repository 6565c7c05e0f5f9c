"""Reading from a connection with limits: a deadline for heads, a least pace for bodies.

A body may pause only so long, and all its pauses together only so long plus what its bytes take at
the least rate: a client that drips a byte now and then does not hold its thread without end.  Only
time spent waiting for the client counts, not what the service does between two reads.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

DRAIN_BYTES = 64 * 1024  # unread body that is read away to keep the connection


class Pace:
    """How long one body may keep its reader waiting."""

    def __init__(self, pause_s: float, rate: float, received: int = 0) -> None:
        """Begin to count.

        Args:
            pause_s: longest pause in seconds, and what all of them may take above the rate.
            rate: bytes per second that are enough.
            received: bytes that are there already.
        """
        self._pause_s = pause_s
        self._rate = rate
        self._received = received
        self._waited_s = 0.0

    def left_s(self) -> float:
        """Return for how long the next bytes may be waited for."""
        allowed_s = self._pause_s + self._received / self._rate
        return min(self._pause_s, allowed_s - self._waited_s)

    def note(self, waited_s: float, count: int) -> None:
        """Count bytes that came, and how long that took."""
        self._waited_s += waited_s
        self._received += count


class TimedReader(io.RawIOBase):
    """The bytes of a connection, as they come; until `deadline`, when there is one."""

    def __init__(self, connection: socket.socket) -> None:
        self.deadline: float | None = None
        self._pace: Pace | None = None
        self._resting = False
        self._connection = connection

    def readable(self) -> bool:
        """Always."""
        return True

    def ahead(self, buffer: io.BufferedReader[Any]) -> int:
        """Return how many bytes a buffer over this holds; nothing is waited for."""
        self._resting = True
        try:
            return len(buffer.peek(1))
        finally:
            self._resting = False

    @contextmanager
    def kept_to(self, pace: Pace) -> Iterator[None]:
        """Let what is read meanwhile keep to a pace."""
        self._pace = pace
        try:
            yield
        finally:
            self._pace = None

    def readinto(self, buffer: Any) -> int | None:
        """Wait for bytes.

        Raises:
            TimeoutError: none came in time.
        """
        if self._resting:
            return None
        began = time.monotonic()
        left = None if self.deadline is None else self.deadline - began
        if self._pace is not None:
            left = self._pace.left_s()
        if left is not None:
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        if self._pace is not None:
            self._pace.note(time.monotonic() - began, count)
        return count


def discard(connection: socket.socket, seconds: float) -> None:
    """Throw away what still comes, for at most so many seconds; the connection ends then."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        if not connection.recv(DRAIN_BYTES):
            return
