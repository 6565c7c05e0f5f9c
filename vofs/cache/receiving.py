"""The downloading side of a cached file: claims, the bytes that arrive, and who waits for them.

A claim is the right to download a span of one version.  What arrives is written only where it is
still absent and only while the claim lives, so a download never overwrites a local change and never
mixes two versions (R12).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace

from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.evictable import Evictable
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.cache.space import Need, Space
from vofs.core import fetchplan
from vofs.core.errors import VofsError
from vofs.core.filestate import Claim, FileState
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span

FAILURES_KEPT = 16
WHOLE = 1 << 63  # behind the end of any file


class Receiving(Evictable):
    """See the module's docstring; the arguments are those of `FileCore`."""

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self._failures: deque[tuple[int, Claim, VofsError]] = deque(maxlen=FAILURES_KEPT)
        self._failure_count = 0
        self._pattern = fetchplan.ReadPattern()
        self._filling = 0

    def claim_missing(
        self, start: int, end: int, *, ranges: bool
    ) -> tuple[list[Claim], VersionToken | None]:
        """Claim what is missing for a read of [start, end), and what is wise to fetch with it.

        Returns:
            The new claims, empty when others download it all, and the version they want.
        """
        with self.lock:
            free = self.state.unclaimed(start, end)
            if not free:
                return [], self.state.base
            size, wanted = self.state.size, free[0][0]
            span, self._pattern = fetchplan.plan(
                self._pattern, wanted, end, size, ranges=ranges, most=self._space.ahead_bytes()
            )
            claims = self.state.claim(*span)
            self._space.downloading(self.number, True)
            return claims, self.state.base

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

    def accept(self, claim: Claim, offset: int, chunk: bytes) -> bool:
        """Store downloaded bytes where they are still wanted, and wake who waits for them.

        Returns:
            False when the claim is dead and the download of no more use, or when nobody waits for
            these bytes yet and there is no room for more.

        Raises:
            CacheFull: there is no room for what an upload needs.
        """
        need = self._need_of(offset, offset + len(chunk))
        with self._space.reserved(len(chunk), need) as granted, self.lock:
            if not granted:
                return False
            spans = self.state.acceptable(claim, offset, offset + len(chunk))
            view = memoryview(chunk)
            for start, end in spans:
                self._data.write(start, view[start - offset : end - offset])
            self.state.accepted(spans)
            self._came(spans)
            self.progress_at = self._clock.monotonic()
            self.lock.notify_all()
            return self.state.is_live(claim)

    def _need_of(self, start: int, end: int) -> Need:
        """Who needs [start, end)."""
        with self.lock:
            if self._filling:
                return Need.KEPT
            return Need.AWAITED if self.state.is_pinned(start, end) else Need.AHEAD

    def _came(self, spans: list[Span]) -> None:
        """Bytes of the base version have come: it is still there.  Lock held."""
        self._proven_at = self._clock.monotonic()
        self._account()
        for span in spans:
            self.used_at = self._space.used(self, *span)
        self._offer_again()

    def first_gap(self, claims: list[Claim]) -> int:
        """The first byte of the claims that has not come yet, or their end."""
        with self.lock:
            for claim in claims:
                for start, _ in self.state.gaps(claim.start, claim.end):
                    return start
            return claims[-1].end

    def release_claim(self, claim: Claim, failure: VofsError | None) -> None:
        """Give a claim up; with a failure, every waiter for its bytes gets that."""
        with self.lock:
            self.state.release(claim)
            self._space.downloading(self.number, self.state.claimed)
            if failure is not None:
                self._failure_count += 1
                self._failures.append((self._failure_count, claim, failure))
            self.lock.notify_all()

    @property
    def failure_count(self) -> int:
        """How many downloads failed so far; a waiter notes it before it waits."""
        with self.lock:
            return self._failure_count

    def wait_for(self, start: int, end: int, failures_before: int, timeout_s: float) -> bool:
        """Wait until [start, end) is present, or nobody is downloading any more.

        The timeout counts from the last byte of progress (behaviours.md row 13): a slow download
        that moves is no failure.

        Returns:
            True when it is worth looking again, False when nothing moved for `timeout_s`.

        Raises:
            VofsError: a download of these bytes failed after `failures_before`.
        """
        entered_at = self._clock.monotonic()
        with self.lock:
            while gaps := self.state.gaps(start, end):
                for count, claim, failure in self._failures:
                    wanted = any(claim.start < last and first < claim.end for first, last in gaps)
                    if count > failures_before and wanted:
                        raise failure
                if not self.state.claimed:
                    break
                quiet_since = max(entered_at, self.progress_at)
                remaining = quiet_since + timeout_s - self._clock.monotonic()
                if remaining <= 0:
                    return False
                self.lock.wait(remaining)
            return True

    def revalidate(self, token: VersionToken, mtime_ns: int) -> bool:
        """Compare with the version the service has now; drop clean bytes of another one.

        Returns:
            True when the cached bytes stay, False when they went or nothing may be said
            because the file is dirty: then the upload settles it.
        """
        with self.lock:
            if self.state.is_dirty or self.state.ticket is not None:
                return False
            base = self.state.base
            if base is not None and base.same_version(token):
                if base != token:
                    self.state.base = token
                    self._save()
                return True
            fresh = deepcopy(self.state)
            fresh.rebase(token)
            self._take_new_data_file(fresh)
            self.mtime_ns = mtime_ns
            self.lock.notify_all()
            return False

    def _take_new_data_file(self, state: FileState) -> None:
        """R12: a new version is a new data file, whose number was never used.

        The row is replaced first; when that fails, the file stays as it was.  Lock held.
        """
        row = replace(self._row(state), whole=state.is_whole, present_bytes=0)
        stored = self._index.replace(row, self._disk.create_data)
        old_number, old_data = self.number, self._data
        self.number, self.state, self._row_whole = stored.number, state, row.whole
        self._data = self._disk.open_data(stored.number, create=False)
        self._data.truncate(state.size)
        self._row_promises, self._row_bytes, self._charged = row.whole, 0, 0
        old_data.close()
        self._disk.remove_data(old_number)
        self._space.renumbered(self, old_number)
        self._account()
