"""What of one file is here, what of it may be fetched, and what may be forgotten.

The part of `FileState` that downloads, readers and eviction work with.  Pure: no I/O, no lock, no
clock.  `dirty <= present <= [0, size)`; claims are disjoint; bytes at or beyond `backing_end`, the
lowest size since the base version was attached, are never fetched, because a truncate followed by
an extension must read zeros and not what the service still holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from vofs.core.basebytes import BaseBytes
from vofs.core.errors import IllegalTransition
from vofs.core.lifecycle import Life, Upload
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span, SpanSet, clip


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to download [start, end) of one version of the file.

    Attributes:
        number: unique within the file.
        start: first byte.
        end: one past the last byte.
        epoch: the version of the file's backing that the claim is for.
    """

    number: int
    start: int
    end: int
    epoch: int


class FetchState(BaseBytes):
    """See the module's docstring.  Call everything with the file's lock held.

    Args:
        base: the version on the service, or None for a file that it never had.
        size: current size in bytes.
    """

    def __init__(self, base: VersionToken | None, size: int) -> None:
        super().__init__(base, size)
        self.life = Life.ATTACHED
        self.upload = Upload.IDLE
        self.generation = 0
        self.stored_generation = 0
        self.epoch = 0
        self._claims: dict[int, Claim] = {}
        self._next_claim = 0
        self._pins: dict[int, Span] = {}
        self._next_pin = 0

    @property
    def is_dirty(self) -> bool:
        """Whether something of this file is not on the service."""
        return self.generation != self.stored_generation

    # -- downloads ------------------------------------------------------------------------------

    def gaps(self, start: int, end: int) -> list[Span]:
        """The parts of [start, end), clipped to the size, that are not here."""
        start, end = clip((start, end), (0, self.size))
        return self.present.gaps(start, end)

    def unclaimed(self, start: int, end: int) -> list[Span]:
        """The parts of [start, end) that are missing and that nobody downloads."""
        free = SpanSet(self.gaps(start, end))
        for claim in self._claims.values():
            free.remove(claim.start, claim.end)
        return list(free)

    def claim(self, start: int, end: int) -> list[Claim]:
        """Claim what is missing in [start, end) and claimed by nobody yet.

        Returns:
            The new claims, disjoint from all others; the caller downloads or releases each.
            Bytes that are missing and not in them are somebody else's: wait for those.
        """
        claims = []
        for gap_start, gap_end in self.unclaimed(start, end):
            claim = Claim(self._next_claim, gap_start, gap_end, self.epoch)
            self._next_claim += 1
            self._claims[claim.number] = claim
            claims.append(claim)
        return claims

    def release(self, claim: Claim) -> None:
        """Give a claim up, downloaded or not.  Releasing a dead claim is harmless."""
        self._claims.pop(claim.number, None)

    def is_live(self, claim: Claim) -> bool:
        """Whether the claim is held and still for the current version."""
        return claim.epoch == self.epoch and claim.number in self._claims

    @property
    def claimed(self) -> bool:
        """Whether anybody is downloading."""
        return bool(self._claims)

    def acceptable(self, claim: Claim, start: int, end: int) -> list[Span]:
        """Which of the downloaded bytes [start, end) may be written: absent, claimed, backed.

        Present bytes may be newer local writes, so a download never overwrites them.
        """
        if not self.is_live(claim):
            return []
        first = self._claims[claim.number].start
        start, end = clip((start, end), (first, min(claim.end, self.backing_end)))
        return self.present.gaps(start, end)

    def pass_over(self, claim: Claim, end: int) -> None:
        """The download of `claim` has come to `end` and stored nothing of the last bytes.

        They will not come with it any more, so whoever wants them may claim them again.
        """
        live = self._claims.get(claim.number)
        if live is not None and live.start < end:
            self._claims[claim.number] = replace(live, start=min(live.end, end))

    def accepted(self, spans: Iterable[Span]) -> None:
        """Note that the downloaded bytes of `spans` are now in the data file."""
        spans = list(spans)
        self.present.update(spans)
        self.unproven.update(spans)

    def rebase(self, base: VersionToken) -> None:
        """Take over a new version from the service; every cached byte of the old one goes.

        Raises:
            IllegalTransition: the file is dirty: its bytes must never be dropped.
        """
        if self.is_dirty or self.upload is Upload.UPLOADING:
            raise IllegalTransition("rebase of a dirty file")
        self.base = base
        self.size = self.backing_end = base.length
        self.present = SpanSet()
        self._has_new_base()

    def _has_new_base(self) -> None:
        """What is here of the base version is proved, and what was claimed of another is not."""
        self.unproven, self.digest_told = SpanSet(), None
        self._drop_claims()

    # -- eviction -------------------------------------------------------------------------------

    def pin(self, start: int, end: int) -> int:
        """Keep [start, end) here until `unpin`: somebody waits for it and has not read it yet.

        Returns:
            What `unpin` wants to know.
        """
        self._next_pin += 1
        self._pins[self._next_pin] = start, end
        return self._next_pin

    def unpin(self, pin: int) -> None:
        """Whoever waited has read it, or has given up."""
        del self._pins[pin]

    def is_pinned(self, start: int, end: int) -> bool:
        """Whether somebody waits for a part of [start, end)."""
        return any(first < end and start < last for first, last in self._pins.values())

    @property
    def may_forget(self) -> bool:
        """Whether what is clean here could be had again from the service.

        Not while an upload runs or is in doubt (R2), has failed, or met another version; and not
        without a name.
        """
        idle = self.upload in (Upload.IDLE, Upload.QUEUED)
        return self.life is Life.ATTACHED and idle and self.base is not None

    def evictable(self, start: int, end: int) -> bool:
        """Whether [start, end) may be forgotten as a whole: clean, backed, and nobody's."""
        return (
            self.may_forget
            and not self.dirty.overlaps(start, end)
            and not self.is_pinned(start, end)
            and not self.present.overlaps(max(start, self.backing_end), end)
        )

    def forget(self, start: int, end: int) -> list[Span]:
        """Evict [start, end), if it may go as a whole; it stops being present.

        What a live claim has brought there is claimed no longer, so that it can be fetched again.

        Returns:
            The spans that went; nothing at all when something of it must stay.
        """
        if not self.evictable(start, end):
            return []
        gone = self.present.within(start, end)
        self.present.remove(start, end)
        self.unproven.remove(start, end)
        if gone:
            for number, claim in self._claims.items():
                if claim.start < gone[-1][1] and gone[0][0] < claim.end:
                    first = min(claim.end, gone[-1][1])
                    self._claims[number] = replace(claim, start=first)
        return gone

    def take_back(self, spans: Iterable[Span]) -> None:
        """Downloaded bytes of `spans` are not of the base version after all; dirty ones stay.

        Downloads that run end: they may have been what brought them, and do not come back to them.

        Raises:
            IllegalTransition: an upload is being made of them.
        """
        if self.upload is Upload.UPLOADING:
            raise IllegalTransition("taking back what is being sent")
        for start, end in spans:
            self.present.remove(start, end)
            self.unproven.remove(start, end)
        self.present.update(self.dirty)
        self._drop_claims()

    def _drop_claims(self) -> None:
        self._claims.clear()
        self.epoch += 1

    def check_invariants(self) -> None:
        """Assert what must hold between any two calls; used by tests."""
        super().check_invariants()
        assert self.backing_end >= 0
        assert self.present.covers(self.backing_end, self.size)
        live = [claim for claim in self._claims.values() if claim.start < claim.end]
        claims = sorted((claim.start, claim.end) for claim in live)
        assert all(a[1] <= b[0] for a, b in pairwise(claims))
        if not self.is_dirty:
            assert not self.dirty
            assert self.base is not None
            assert self.base.length == self.size == self.backing_end
