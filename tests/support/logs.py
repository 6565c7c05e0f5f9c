"""A test fails on a log record of WARNING or above that it did not announce.

A warning is a message to a user: one that appears unannounced in a test is either a defect or a
promise nobody wrote down. A test announces what it expects with the fixture `expect_log`, at any
point of its body; what was announced must also happen, as often as was said.

Records of subprocesses (a mounted daemon, the vos commands) are not seen here.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

# (logger, pattern of the message, reason): the only records that need no announcement.
TOLERATED: tuple[tuple[str, str, str], ...] = (
    ("root", r"Using custom host: ", "vos says so whenever VOSPACE_WEBSERVICE is set"),
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One announced message; `count` None means at least once."""

    pattern: str
    level: int
    count: int | None

    def matches(self, record: logging.LogRecord) -> bool:
        """True when the record has the announced level and its message contains the pattern."""
        return record.levelno == self.level and bool(re.search(self.pattern, record.getMessage()))


class LogWatch(logging.Handler):
    """Collects the records of one test and judges them at its end."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._records: list[logging.LogRecord] = []
        self._expected: list[Expectation] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the record; logging calls this under the handler's lock, from any thread."""
        self._records.append(record)

    def expect(self, pattern: str, level: int = logging.WARNING, count: int | None = 1) -> None:
        """Announce `count` messages (None: one or more) of `level` that match `pattern`."""
        self._expected.append(Expectation(pattern, level, count))

    def complaints(self) -> list[str]:
        """What is wrong with the records seen so far, one sentence each."""
        found = []
        for record in self._records:
            if not any(e.matches(record) for e in self._expected) and not _is_tolerated(record):
                found.append(f"unexpected {record.levelname} from {record.name}: {_text(record)}")
        for expectation in self._expected:
            seen = sum(map(expectation.matches, self._records))
            if seen == 0 if expectation.count is None else seen != expectation.count:
                wanted = "at least 1" if expectation.count is None else expectation.count
                found.append(f"expected {wanted} record(s) {expectation.pattern!r}, saw {seen}")
        return found


ExpectLog = Callable[..., None]


def _text(record: logging.LogRecord) -> str:
    return logging.Formatter("%(message)s").format(record)


def _is_tolerated(record: logging.LogRecord) -> bool:
    return any(
        record.name == logger and re.search(pattern, record.getMessage())
        for logger, pattern, _ in TOLERATED
    )
