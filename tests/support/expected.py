"""What a reader must see: the plain model that the model machine compares the product with.

An `Expected` is one file as its user knows it: the states that it may be in.  Nearly always that is
one.  There are several while a write is under way, after a write that failed half-way, and after
somebody else changed the file on the service, until a read has shown which of them it is.
"""

from __future__ import annotations


def overwritten(state: bytes, offset: int, data: bytes) -> bytes:
    """`state` after a write; a hole before it reads as zeros."""
    padded = state.ljust(offset, b"\0")
    return padded[:offset] + data + padded[offset + len(data) :]


def resized(state: bytes, size: int) -> bytes:
    """`state` after truncate(2)."""
    return state[:size].ljust(size, b"\0")


def is_mixture(data: bytes, old: bytes, new: bytes) -> bool:
    """Whether every byte of `data` is that of `old` or of `new`: a change that was killed."""
    if not min(len(old), len(new)) <= len(data) <= max(len(old), len(new)):
        return False
    sources = zip(data, old.ljust(len(data), b"\0"), new.ljust(len(data), b"\0"), strict=False)
    return all(byte in (one, other) for byte, one, other in sources)


class Expected:
    """See the module's docstring.

    Args:
        states: what it may hold now.

    Attributes:
        rival: somebody else changed it on the service while it had unsent changes.
        challenged: what somebody else made of it when service and mount agreed, perhaps unnoticed.
        changing: a change is under way; there is one at a time.
        may_replace: versions of others that its upload may replace, because its user did.
        handles: how many handles are open on it.
        hidden: the name that libfuse gave it when it was unlinked while open.
    """

    def __init__(self, *states: bytes) -> None:
        self._timeline = list(states)  # in the order in which they came to be
        self._oldest = 0  # what is before it is past
        self._torn: list[tuple[bytes, bytes]] = []
        self.rival = False
        self.challenged: Expected | None = None
        self.changing = False
        self.may_replace: set[bytes] = set()
        self.handles = 0
        self.hidden = ""

    @property
    def now(self) -> list[bytes]:
        """The states that it may be in, oldest first."""
        return self._timeline[self._oldest :]

    @property
    def ever(self) -> list[bytes]:
        """All states that it was in, or may have been in."""
        return self._timeline

    def may_be(self, data: bytes) -> bool:
        """Whether it may hold `data` now."""
        return data in self.now or any(is_mixture(data, *pair) for pair in self._torn)

    def was(self, data: bytes) -> bool:
        """Whether it held `data` at some time, or may have."""
        return data in self._timeline or self.may_be(data)

    def tear(self, old: list[bytes], new: list[bytes]) -> None:
        """A change was killed before it was acknowledged: any part of it may be there."""
        self._torn += [(one, other) for one in old for other in new]

    def mark(self) -> int:
        """A place in time, for `read_since`."""
        return self._oldest

    def add(self, state: bytes) -> None:
        """It may be in this state, too, from now on."""
        self._timeline.append(state)

    def settle(self, *states: bytes) -> None:
        """It is in one of these states now."""
        self._oldest = len(self._timeline)
        self._timeline += states

    def read_since(self, mark: int, offset: int, size: int, data: bytes) -> bool:
        """Whether a read that began at `mark` may have got `data`; what it shows is learnt."""
        for place in range(mark, len(self._timeline)):
            if self._timeline[place][offset : offset + size] == data:
                self._oldest = max(self._oldest, min(place, len(self._timeline) - 1))
                return True
        return False
