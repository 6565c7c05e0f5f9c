"""Bodies on their way: counted for the journal, and broken where a fault says so.

The two ends of a request meet here: `FaultyInput` wraps what the client sends, `JournaledBody`
what it gets.  A fault with a byte count strikes in the request's body when there is one, else in
the answer's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import FileIO
from typing import Protocol

from fakevospace.exchange import Body


class Input(Protocol):
    """The body of a request: `read` returns fewer bytes than asked for only at its end."""

    def read(self, count: int = -1, /) -> bytes:
        """Read up to `count` bytes."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens after so many bytes of a body."""

    after_bytes: int
    fire: Callable[[], None]


class FaultyInput:
    """The body of a request, counted, with at most one strike armed."""

    def __init__(self, raw: Input) -> None:
        self.count = 0
        self._raw = raw
        self._in_request: Strike | None = None
        self._in_answer: Strike | None = None
        self._at_break: Strike | None = None

    def arm_break(self, length: int | None, fire: Callable[[], None]) -> None:
        """Let `fire` be called when this body ends before its announced length, or fails."""
        self._at_break = Strike(-1 if length is None else length, fire)

    def _broken(self) -> None:
        strike, self._at_break = self._at_break, None
        if strike is not None:
            strike.fire()

    def arm(self, after_bytes: int, fire: Callable[[], None], *, in_request: bool) -> None:
        """Let `fire` be called after so many bytes of this body, or of the answer's."""
        strike = Strike(after_bytes, fire)
        if in_request:
            self._in_request = strike
        else:
            self._in_answer = strike

    def on_answer(self) -> Strike | None:
        """Return the strike that the answer is in for."""
        return self._in_answer

    def read(self, count: int = -1, /) -> bytes:
        """Read like a file."""
        strike = self._in_request
        if strike is not None:
            left = strike.after_bytes - self.count
            if left <= 0:
                self._in_request = None
                strike.fire()
            elif count < 0 or count > left:
                count = left
        try:
            data = self._raw.read(count)
        except Exception:
            self._broken()
            raise
        self.count += len(data)
        if not data and count and self._at_break and self.count < self._at_break.after_bytes:
            self._broken()
        return data


class JournaledBody:
    """The body of an answer, counted, with at most one strike; tells the end to the journal."""

    def __init__(
        self, body: bytes | Body, strike: Strike | None, done: Callable[[int], None]
    ) -> None:
        self.sent = 0
        self._body = body
        self._strike = strike
        self._done = done

    def __iter__(self) -> Iterator[bytes]:
        blocks = [self._body] if isinstance(self._body, bytes) else self._body
        for block in blocks:
            if self._strike is not None and self.sent + len(block) >= self._strike.after_bytes:
                cut = self._strike.after_bytes - self.sent
                fire, self._strike = self._strike.fire, None
                yield block[:cut]
                self.sent += cut
                fire()
                block = block[cut:]
            yield block
            self.sent += len(block)

    @property
    def length(self) -> int:
        """How many bytes the body should have."""
        return len(self._body) if isinstance(self._body, bytes) else self._body.length

    @property
    def complete(self) -> bool:
        """True when all of it was sent."""
        return self.sent == self.length

    def sendable(self) -> tuple[FileIO, int, int] | None:
        """Return (file, offset, length) when the kernel may send the body itself."""
        if self._strike is not None or isinstance(self._body, bytes):
            return None
        found = self._body.sendable()
        return None if found is None else (*found, self._body.length)

    def close(self) -> None:
        """Let go of the body and tell the journal."""
        if not isinstance(self._body, bytes):
            self._body.close()
        self._done(self.sent)
