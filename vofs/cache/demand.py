"""What of a file somebody has asked for, and what came without being asked (R24).

A download that runs ahead of its readers stops at the end of the budget and goes on when somebody
asks for more, or reads what is here.  `_wanted` says how far into each claim somebody has asked;
`_ahead` holds the bytes that came before anybody did.
"""

from __future__ import annotations

from collections.abc import Callable

from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.filecore import FileCore
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.cache.space import AHEAD_SHARE, Space
from vofs.core.fetchplan import BLOCK
from vofs.core.fetchstate import Claim
from vofs.core.spans import Span, SpanSet


class Demand(FileCore):
    """See the module's docstring; the arguments are those of `FileCore`."""

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self._wanted: dict[Claim, int] = {}
        self._ahead = SpanSet()
        self._unasked = 0
        self._pausing = 0
        self._reads = 0  # of what had come before it was asked for

    def _want(self, start: int, end: int) -> None:
        """Somebody asks for [start, end): downloads that are to bring it go on.  Lock held."""
        upto = -(-end // BLOCK) * BLOCK  # whole blocks, so that no download stops within one
        for claim, wanted in self._wanted.items():
            if start < claim.end and claim.start < end:
                self._wanted[claim] = max(wanted, min(upto, claim.end))
        if self._pausing:
            self.lock.notify_all()

    def _came_for(self, claim: Claim, spans: list[Span]) -> None:
        """Bytes arrived: note those that nobody has asked for.  Lock held."""
        for start, end in spans:
            start = max(start, self._wanted.get(claim, 0))
            if start < end:
                self._ahead.add(start, end)
                self._unasked += end - start

    def take_unasked(self) -> int:
        """How many bytes have come since the last call that nobody had asked for."""
        with self.lock:
            unasked, self._unasked = self._unasked, 0
            return unasked

    def was_read(self, start: int, end: int) -> int:
        """[start, end) was read; returns how many of the bytes had come before they were asked."""
        if not self._ahead:
            return 0
        with self.lock:
            found = sum(stop - begin for begin, stop in self._ahead.within(start, end))
            self._ahead.remove(start, end)
            self._reads += bool(found)
            if found and self._pausing:
                self.lock.notify_all()
            return found

    def crowds_out(self) -> bool:
        """Whether so much is here unread that what follows would push it out of the cache."""
        with self.lock:
            return self._crowds_out()

    def _crowds_out(self) -> bool:
        for start, end in self.state.present.gaps(0, self._ahead.end):  # what was evicted since
            self._ahead.remove(start, end)
        return self._ahead.total >= self._space.limit_bytes // AHEAD_SHARE

    def is_wanted_at(self, claims: list[Claim], position: int) -> bool:
        """Whether somebody has asked for bytes of these claims that lie behind `position`."""
        with self.lock:
            return self._reaches(claims, position)

    def _reaches(self, claims: list[Claim], position: int) -> bool:
        return any(self._wanted.get(claim, 0) > position for claim in claims)

    @property
    def pauses(self) -> int:
        """How many downloads of it wait for somebody who wants more."""
        with self.lock:
            return self._pausing

    def pause(
        self,
        claims: list[Claim],
        position: int,
        until: float,
        *,
        ended: Callable[[], bool],
        may_run_ahead: Callable[[], bool],
    ) -> bool:
        """Wait until a download is wanted again: more is asked for, or what it brought is read.

        Args:
            claims: what it is to bring.
            position: how far it has come.
            until: when to stop waiting (monotonic seconds).
            ended: whether it must not wait any longer; takes only leaf locks.
            may_run_ahead: whether the budget allows it to go on, once something was read; the
                same.

        Returns:
            Whether to go on.
        """
        with self.lock:
            self._pausing += 1
            reads = self._reads
            try:
                while not self._reaches(claims, position):
                    remaining = until - self._clock.monotonic()
                    live = any(self.state.is_live(claim) for claim in claims)
                    if remaining <= 0 or not live or ended():
                        return False
                    if self._reads != reads and not self._crowds_out() and may_run_ahead():
                        return True
                    self.lock.wait(remaining)
                return True
            finally:
                self._pausing -= 1
