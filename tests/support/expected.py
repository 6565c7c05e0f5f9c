"""What a reader must see: the plain model that the model machine compares the product with.

An `Expected` is one file as its user knows it: the `State`s that it may be in.  Nearly always that
is one, of one content.  There are several while a change is under way, and after somebody else
changed the file on the service, until a read has shown which of them it is.  A write that failed,
or was killed, may have left any of its bytes: then one state has several parts, and each byte is
that of one of them.  Where they agree, outside what was written, nothing is left open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

Change = Callable[[bytes], bytes]
DAMAGE = 0xFF  # a byte that nobody writes: one that was damaged on its way
DIFFERENT = bytes([0]) + bytes([1]) * 255  # of two bytes, by their exclusive or


def overwritten(state: bytes, offset: int, data: bytes) -> bytes:
    """`state` after a write; a hole before it reads as zeros."""
    padded = state.ljust(offset, b"\0")
    return padded[:offset] + data + padded[offset + len(data) :]


def resized(state: bytes, size: int) -> bytes:
    """`state` after truncate(2)."""
    return state[:size].ljust(size, b"\0")


def is_mixture(data: bytes, parts: Iterable[bytes]) -> bool:
    """Whether each byte of `data` is that of one of `parts`, which are as long as it is."""
    wrong = -1
    for part in parts:
        unlike = int.from_bytes(data, "little") ^ int.from_bytes(part, "little")
        marks = unlike.to_bytes(len(data), "little").translate(DIFFERENT)
        wrong &= int.from_bytes(marks, "little")
    return wrong == 0 or not data


@dataclass(frozen=True)
class State:
    """What a file may hold.

    Attributes:
        parts: each byte is that of one of them, or zero beyond its end; the length is that of one.
        killed: what was going on was killed: the length may be any between.
    """

    parts: tuple[bytes, ...]
    killed: bool = False

    @property
    def sizes(self) -> set[int]:
        """How long it may be."""
        return {len(part) for part in self.parts}

    def after(self, change: Change) -> list[State]:
        """The states that it may be in after a change that was done."""
        return [
            State(tuple(dict.fromkeys(change(resized(part, size)) for part in self.parts)))
            for size in sorted(self.sizes)
        ]

    def after_some_of(self, change: Change) -> State:
        """The state after a write that failed: any of its bytes may be there, or none."""
        done = [part for state in self.after(change) for part in state.parts]
        return State(tuple(dict.fromkeys([*self.parts, *done])))

    def has_size(self, size: int) -> bool:
        """Whether it may be that long."""
        if self.killed:
            return min(self.sizes) <= size <= max(self.sizes)
        return size in self.sizes

    def may_be(self, data: bytes) -> bool:
        """Whether it may be `data`."""
        if data in self.parts:
            return True
        return self.has_size(len(data)) and self.may_read(0, len(data), data)

    def may_read(self, offset: int, size: int, data: bytes) -> bool:
        """Whether a read of it may give `data`."""
        if any(part[offset : offset + size] == data for part in self.parts):
            return True
        ends = {max(0, min(size, end - offset)) for end in self.sizes}
        if len(self.parts) == 1 or not (self.killed or len(data) in ends):
            return False
        end = offset + len(data)
        return is_mixture(data, (resized(part, end)[offset:end] for part in self.parts))


def mended(data: bytes, offset: int, states: Iterable[State]) -> Iterator[bytes]:
    """`data`, and what it was before it was damaged if it is of one of these states.

    Args:
        data: what was read at `offset`.
        offset: where.
        states: what the file may have held.
    """
    yield data
    if DAMAGE in data:
        for part in [part for state in states for part in state.parts]:
            true = resized(part, offset + len(data))[offset:]
            pairs = zip(data, true, strict=True)
            yield bytes(one if byte == DAMAGE else byte for byte, one in pairs)


class Expected:
    """See the module's docstring.

    Args:
        states: what it may hold now.

    Attributes:
        rival: somebody else changed it on the service while it had unsent changes.
        challenged: what somebody else made of it when service and mount agreed, perhaps unnoticed.
        before: the states from before the change that is under way; None: there is none.
        may_replace: versions of others that its upload may replace, because its user did.
        handles: how many handles are open on it.
        hidden: the name that libfuse gave it when it was unlinked while open.
    """

    def __init__(self, *states: bytes) -> None:
        self._timeline = [State((state,)) for state in states]  # in the order in which they came
        self._oldest = 0  # what is before it is past
        self.rival = False
        self.challenged: Expected | None = None
        self.before: list[State] | None = None
        self.may_replace: set[bytes] = set()
        self.handles = 0
        self.hidden = ""

    @property
    def changing(self) -> bool:
        """Whether a change is under way; there is one at a time."""
        return self.before is not None

    @property
    def now(self) -> list[State]:
        """The states that it may be in, oldest first."""
        return self._timeline[self._oldest :]

    def since(self, mark: int) -> list[State]:
        """The states that it was in, or may have been in, since `mark` was taken."""
        return self._timeline[mark:]

    @property
    def ever(self) -> set[bytes]:
        """All that it held, or may have held, but for mixtures."""
        return {part for state in self._timeline for part in state.parts}

    def may_be(self, data: bytes) -> bool:
        """Whether it may hold `data` now; in a conflict what came cannot be proved any more."""
        conflict = self.rival or self.challenged is not None
        perhaps = mended(data, 0, self.now) if conflict else [data]
        return any(state.may_be(one) for one in perhaps for state in self.now)

    def was(self, data: bytes) -> bool:
        """Whether it held `data` at some time, or may have."""
        return any(state.may_be(data) for state in self._timeline)

    def was_but_damaged(self, data: bytes) -> bool:
        """Whether it held `data` at some time, but for bytes that were damaged on their way."""
        return any(map(self.was, mended(data, 0, self._timeline)))

    def killed(self) -> None:
        """The process was killed: of what was not acknowledged any part may be there."""
        self.before = None
        now = [replace(state, killed=len(state.parts) > 1) for state in self.now]
        self.settle(*dict.fromkeys(now))

    def mark(self) -> int:
        """A place in time, for `since` and `read_since`."""
        return self._oldest

    def add(self, *states: State) -> None:
        """It may be in these states, too, from now on."""
        self._timeline += states

    def settle(self, *states: State) -> None:
        """It is in one of these states now."""
        self._oldest = len(self._timeline)
        self._timeline += states

    def read_since(self, mark: int, offset: int, size: int, data: bytes) -> bool:
        """Whether a read that began at `mark` may have got `data`; what it shows is learnt."""
        for place in range(mark, len(self._timeline)):
            if self._timeline[place].may_read(offset, size, data):
                self._oldest = max(self._oldest, min(place, len(self._timeline) - 1))
                return True
        return False
