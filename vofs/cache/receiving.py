"""The downloading side of a cached file: claims, the bytes that arrive, and who waits for them.

A claim is the right to download a span of one version.  What arrives is written only where it is
still absent and only while the claim lives, so a download never overwrites a local change and never
mixes two versions (R12).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from vofs.cache.clock import Clock
from vofs.cache.content import Content
from vofs.cache.demand import Demand
from vofs.cache.disk import Disk
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.cache.space import Need, Space
from vofs.cache.waiting import POLL_S, Patience, never
from vofs.core import fetchplan
from vofs.core.errors import ContentLost, RemoteTimeout, StrictTimeout, VersionChanged, VofsError
from vofs.core.fetchstate import Claim
from vofs.core.lifecycle import Life, Upload
from vofs.core.nodes import VersionToken
from vofs.core.patience import TimedOutSpans
from vofs.core.spans import Span, SpanSet

FAILURES_KEPT = 16
WHOLE = 1 << 63  # behind the end of any file


class Receiving(Content, Demand):
    """See the module's docstring; the arguments are those of `FileCore`."""

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self._failures: deque[tuple[int, Claim, VofsError]] = deque(maxlen=FAILURES_KEPT)
        self._failure_count = 0
        self._pattern = fetchplan.ReadPattern()
        self._filling = self._spare = 0
        self._moved_at: dict[Claim, float] = {}  # when bytes last came for a live claim
        self._timed_out = TimedOutSpans()

    def claim_missing(
        self, start: int, end: int, *, ranges: bool, ahead: bool = True
    ) -> tuple[list[Claim], VersionToken | None]:
        """Claim what is missing for a read of [start, end), and what is wise to fetch with it.

        Args:
            start: first byte.
            end: one past the last.
            ranges: whether the service serves ranges.
            ahead: whether more may be fetched than is missing (R24).

        Returns:
            The new claims, empty when others download it all, and the version they want.

        Raises:
            DownloadsDiffer: what comes is another thing each time (R13).
            ContentLost: the service was seen to hold another version than the one it lacks (R6).
        """
        with self.lock:
            self._require_good()
            if self.state.upload is Upload.CONFLICT:
                raise ContentLost(
                    f"{self.path}: the version that the rest was to come from is gone"
                )
            claims: list[Claim] = []
            free = self.state.unclaimed(start, end)
            if free:
                spans, self._pattern = fetchplan.plan(
                    self._pattern, free[0][0], end, self.state.size, ranges=ranges,
                    most=self._space.ahead_bytes() if ahead else 0,
                )  # fmt: skip
                claims = [claim for span in spans for claim in self.state.claim(*span)]
                self._claimed(claims)
            self._want(start, end)
            return claims, self.state.base

    def _claimed(self, claims: list[Claim]) -> None:
        """Somebody is about to download `claims`.  Lock held."""
        self._moved_at.update(dict.fromkeys(claims, self._clock.monotonic()))
        self._wanted.update(dict.fromkeys(claims, 0))
        self._space.downloading(self.number, self.state.claimed)

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Keep all that is here, and all that comes, until the block ends: an upload needs it."""
        with self.lock:
            self._filling += 1
            pin = self.state.pin(0, WHOLE)
        try:
            yield
        finally:
            with self.lock:
                self._filling -= 1
                self.state.unpin(pin)

    @contextmanager
    def in_spare_room(self) -> Iterator[None]:
        """What comes until the block ends, and no reader waits for, nobody has asked for (R24)."""
        with self.lock:
            self._spare += 1
        try:
            yield
        finally:
            with self.lock:
                self._spare -= 1

    def accept(self, claim: Claim, offset: int, chunk: bytes) -> bool:
        """Store downloaded bytes where they are still wanted, and wake who waits for them.

        Returns:
            False when the claim is dead and the download of no more use, or when there is no room
            and nobody waits for these bytes, or for what follows them.

        Raises:
            CacheFull: there is no room for what an upload needs.
        """
        return self.with_room(len(chunk), lambda: self._accept(claim, offset, chunk))

    def _accept(self, claim: Claim, offset: int, chunk: bytes) -> bool:
        need = self._need_of(offset, offset + len(chunk))
        with self._space.reserved(len(chunk), need) as granted, self.lock:
            if not granted:  # what somebody waits for may be further on in the same reply
                come = offset + len(chunk)
                self.state.pass_over(claim, come)
                self.lock.notify_all()
                return self.state.is_pinned(come, claim.end) and self.state.is_live(claim)
            spans = self.state.acceptable(claim, offset, offset + len(chunk))
            view = memoryview(chunk)
            for start, end in spans:
                self._data.write(start, view[start - offset : end - offset])
            self._arrived(claim, spans)
            self._came_for(claim, spans)
            self._note_progress(claim)
            self.lock.notify_all()
            return self.state.is_live(claim)

    def _need_of(self, start: int, end: int) -> Need:
        """Who needs [start, end)."""
        with self.lock:
            if self._filling:
                return Need.KEPT
            if self.state.is_pinned(start, end):
                return Need.AWAITED
            return Need.SPARE if self._spare else Need.AHEAD

    def _note_progress(self, claim: Claim) -> None:
        """Bytes came for `claim`, wanted or not.  Lock held."""
        self.progress_at = self._clock.monotonic()
        self._moved_at[claim] = self.progress_at
        self._timed_out.moved(claim.start, claim.end)

    def _begin_content(self) -> None:
        super()._begin_content()
        self._ahead = SpanSet()

    def first_gap(self, claims: list[Claim]) -> int:
        """The first byte of the claims that has not come yet, or their end."""
        with self.lock:
            for claim in claims:
                for start, _ in self.state.gaps(claim.start, claim.end):
                    return start
            return claims[-1].end

    def release_claim(self, claim: Claim, failure: VofsError | None) -> None:
        """Give a claim up; with a failure, every waiter for its bytes gets that.

        What befell the download of a version that is gone is nobody's failure any more.
        Bytes that are still held back go with a failure; without one, who brought them vouches.
        """
        with self.lock:
            if self._held and self._held[0][0] is claim:
                if failure is None:
                    self._release_held()
                self._held = []
            if not self.state.is_live(claim):
                failure = None
            self.state.release(claim)
            self._space.downloading(self.number, self.state.claimed)
            self._moved_at.pop(claim, None)
            self._wanted.pop(claim, None)
            if failure is not None:
                self._failure_count += 1
                self._failures.append((self._failure_count, claim, failure))
            self.lock.notify_all()

    @property
    def failure_count(self) -> int:
        """How many downloads failed so far; a waiter notes it before it waits."""
        with self.lock:
            return self._failure_count

    def wait_for(self, start: int, end: int, failures_before: int, patience: Patience) -> None:
        """Wait until it is worth looking for [start, end) again.

        That is when it is present, or nobody downloads a part that is missing.  The timeout counts
        from the last byte of the transfer that is waited for (behaviours.md row 13): a slow
        download that moves is no failure.

        Raises:
            RemoteTimeout: nothing moved for the timeout, or not for a reader of the same bytes a
                moment ago; the transfer goes on.
            StrictTimeout: the time for the whole operation is over.
            VofsError: a download of these bytes failed after `failures_before`.
        """
        entered_at = self._clock.monotonic()
        with self.lock:
            for gap in self.state.gaps(start, end):
                if self._timed_out.refuse(*gap, entered_at):
                    raise RemoteTimeout(f"{self.path}: still no byte")
            while gaps := self.state.gaps(start, end):
                self._raise_failure(gaps, failures_before)
                if self.state.unclaimed(start, end):
                    return
                now = self._clock.monotonic()
                quiet_until = self._quiet_since(gaps, entered_at) + patience.timeout_s
                until = min(quiet_until, patience.until or quiet_until)
                if now >= until or patience.given_up():
                    self._give_up(gaps, now, patience)
                polled = patience.given_up is not never
                self.lock.wait(min(until - now, POLL_S) if polled else until - now)

    def _raise_failure(self, gaps: list[Span], failures_before: int) -> None:
        for count, claim, failure in self._failures:
            wanted = any(claim.start < last and first < claim.end for first, last in gaps)
            if count > failures_before and wanted:
                raise failure

    def _quiet_since(self, gaps: list[Span], entered_at: float) -> float:
        """Since when nothing has come from any transfer that is to bring a part of `gaps`."""
        return max(
            [entered_at]
            + [
                moved_at
                for claim, moved_at in self._moved_at.items()
                if any(claim.start < last and first < claim.end for first, last in gaps)
            ]
        )

    def _give_up(self, gaps: list[Span], now: float, patience: Patience) -> None:
        """End a wait without the bytes."""
        if patience.given_up():
            raise RemoteTimeout(f"{self.path}: the process that reads it is being killed")
        if patience.until is not None and now >= patience.until:
            raise StrictTimeout(f"{self.path}: not read in time; the download goes on")
        self._timed_out.add(gaps, now)
        raise RemoteTimeout(
            f"{self.path}: no byte for {patience.timeout_s:g} s; the download goes on"
        )

    def sighted(self, token: VersionToken) -> None:
        """What our upload stored has been seen: its date is known from now on (R13).

        Args:
            token: the base version, dated.
        """
        with self.lock:
            if self.state.base == replace(token, date_ms=None):
                self.state.base = token
                self._save()

    def revalidate(self, token: VersionToken, mtime_ns: int, asked: int | None = None) -> bool:
        """Compare with the version the service has now; drop clean bytes of another one.

        Args:
            token: the version.
            mtime_ns: its modification time.
            asked: `BaseChanges.mark` from before the question; None: nothing came in between.

        Returns:
            True when the cached bytes stay, False when they went or nothing may be said: because
            the file is dirty, then the upload settles it, or because the answer is older than
            what is known here (R13).
        """
        with self.lock:
            if self.state.is_dirty or self.state.ticket is not None:
                return False
            if self._index.base_changes.since(self.path, asked):
                return False
            if self.state.life is not Life.ATTACHED:  # its name is another file's by now
                raise VersionChanged(f"{self.path} was unlinked or replaced while it was opened")
            base = self.state.base
            if base is not None and base.same_version(token):
                if base != token:
                    self.state.base = token
                    self._save()
                return True
            self._take_new_version(token)
            self._index.base_changes.noted(self.path)
            self.mtime_ns = mtime_ns
            return False
