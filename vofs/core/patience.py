"""Spans of a file that nobody got in time, and that are not waited for again at once (R20).

Pure.  The kernel repeats a buffered read that failed, and the application often does, too: without
this memory each repetition would wait for the whole timeout again.
"""

from __future__ import annotations

from collections.abc import Iterable

from vofs.core.spans import Span

REFUSED_FOR_S = 2.0


class TimedOutSpans:
    """See the module's docstring.  Times are monotonic seconds."""

    def __init__(self) -> None:
        self._spans: list[tuple[Span, float]] = []

    def add(self, spans: Iterable[Span], now: float) -> None:
        """Nothing moved in any of `spans` for the timeout."""
        self._forget_old(now)
        self._spans += [(span, now) for span in spans]

    def moved(self, start: int, end: int) -> None:
        """The download of [start, end) moves: waiting for it is worth while again."""
        if self._spans:
            self._spans = [
                (span, at) for span, at in self._spans if not (span[0] < end and start < span[1])
            ]

    def refuse(self, start: int, end: int, now: float) -> bool:
        """Whether a read of [start, end) is to fail without waiting."""
        if self._spans:
            self._forget_old(now)
        return any(first < end and start < last for (first, last), _ in self._spans)

    def _forget_old(self, now: float) -> None:
        self._spans = [(span, at) for span, at in self._spans if now - at < REFUSED_FOR_S]
