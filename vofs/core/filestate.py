"""The state of one cached file: what is present, what is dirty, what is being moved where.

Pure: no I/O, no lock, no clock.  `CachedFile` owns exactly one and calls it with its lock held; the
model test drives the same object against a bytearray.  Two things live here:

* the life of the file (`Life`) and of its upload (`Upload`), changed only by the table of
  `lifecycle`; an event that the table does not hold raises `IllegalTransition`;
* the byte sets.  `dirty <= present <= [0, size)`; claims are disjoint; bytes at or beyond
  `backing_end`, the lowest size since the base version was attached, are never fetched, because a
  truncate followed by an extension must read zeros and not what the service still holds.

A file is clean when `generation == stored_generation`: every change counts one generation up, and
an upload clears dirtiness only for the generation that its ticket was cut from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

from vofs.core.errors import IllegalTransition
from vofs.core.lifecycle import TRANSITIONS, Event, Life, Upload
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


@dataclass(frozen=True, slots=True)
class Ticket:
    """One upload: the bytes [0, size) as they were when it was cut (R3).

    Attributes:
        generation: what the file's generation was.
        size: bytes to send.
        base: the version that the service held then, or None: it never had the file.
    """

    generation: int
    size: int
    base: VersionToken | None


class FileState:
    """See the module's docstring.  Call everything with the file's lock held.

    Args:
        base: the version on the service, or None for a file that it never had.
        size: current size in bytes.
    """

    def __init__(self, base: VersionToken | None, size: int) -> None:
        self.life = Life.ATTACHED
        self.upload = Upload.IDLE
        self.base = base
        self.size = size
        self.backing_end = size if base is not None else 0
        self.present = SpanSet()
        self.dirty = SpanSet()
        self.generation = 0
        self.stored_generation = 0
        self.ticket: Ticket | None = None
        self.epoch = 0
        self._claims: dict[int, Claim] = {}
        self._next_claim = 0
        self._pins: dict[int, Span] = {}
        self._next_pin = 0
        self._sent = 0
        self._aside = SpanSet()
        self._dirty_since_cut = SpanSet()
        self._lowest_since_cut = size

    @property
    def is_dirty(self) -> bool:
        """Whether something of this file is not on the service."""
        return self.generation != self.stored_generation

    @property
    def is_whole(self) -> bool:
        """Whether every byte of the file is here."""
        return self.present.covers(0, self.size)

    def apply(self, event: Event) -> None:
        """Move the upload on by `event`.

        Raises:
            IllegalTransition: the table does not allow it in this state.
        """
        target = TRANSITIONS.get((self.upload, event))
        if target is None:
            raise IllegalTransition(f"{event} while {self.upload}")
        self.upload = target

    # -- reading and fetching -------------------------------------------------------------------

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

    def accepted(self, spans: Iterable[Span]) -> None:
        """Note that the downloaded bytes of `spans` are now in the data file."""
        self.present.update(spans)

    def rebase(self, base: VersionToken) -> None:
        """Take over a new version from the service; every cached byte of the old one goes.

        Raises:
            IllegalTransition: the file is dirty: its bytes must never be dropped.
        """
        if self.is_dirty or self.ticket is not None:
            raise IllegalTransition("rebase of a dirty file")
        self.base = base
        self.size = self.backing_end = base.length
        self.present = SpanSet()
        self._drop_claims()

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
        return self.life is Life.ATTACHED and self.ticket is None and idle and self.base is not None

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
        if gone:
            for number, claim in self._claims.items():
                if claim.start < gone[-1][1] and gone[0][0] < claim.end:
                    first = min(claim.end, gone[-1][1])
                    self._claims[number] = replace(claim, start=first)
        return gone

    def take_back(self, spans: Iterable[Span]) -> None:
        """Downloaded bytes of `spans` are not of the base version after all; dirty ones stay.

        Raises:
            IllegalTransition: an upload is being made of them.
        """
        if self.ticket is not None:
            raise IllegalTransition("taking back what is being sent")
        for start, end in spans:
            self.present.remove(start, end)
        self.present.update(self.dirty)

    def _drop_claims(self) -> None:
        self._claims.clear()
        self.epoch += 1

    # -- changing -------------------------------------------------------------------------------

    def copy_aside_for_write(self, start: int, end: int) -> list[Span]:
        """What an upload still needs of the old bytes of [start, end), before they are changed.

        The caller copies these spans to the ticket's aside file and then calls `copied_aside`.
        """
        if self.ticket is None:
            return []
        start, end = clip((start, end), (self._sent, self.ticket.size))
        return self._aside.gaps(start, end)

    @property
    def aside_bytes(self) -> int:
        """How much the ticket finds in its aside file."""
        return self._aside.total

    def copied_aside(self, spans: Iterable[Span]) -> None:
        """Note that the ticket finds `spans` in its aside file."""
        self._aside.update(spans)

    def wrote(self, start: int, end: int) -> None:
        """Note a write of [start, end); a hole before it reads as zeros."""
        first = min(start, self.size)
        self._mark_dirty(first, end)
        self.size = max(self.size, end)
        self.generation += 1

    def truncated(self, size: int) -> None:
        """Note that the file now ends at `size`; what is added reads as zeros."""
        if size == self.size:
            return
        if size > self.size:
            self._mark_dirty(self.size, size)
        else:
            for spans in (self.present, self.dirty, self._dirty_since_cut):
                spans.remove(size, self.size)
            self.backing_end = min(self.backing_end, size)
            self._lowest_since_cut = min(self._lowest_since_cut, size)
        self.size = size
        self.generation += 1

    def _mark_dirty(self, start: int, end: int) -> None:
        self.present.add(start, end)
        self.dirty.add(start, end)
        if self.ticket is not None:
            self._dirty_since_cut.add(start, end)

    # -- uploading ------------------------------------------------------------------------------

    def cut_ticket(self) -> Ticket:
        """Freeze the content for an upload.

        Raises:
            IllegalTransition: the file is not queued, not whole, or has lost its name.
        """
        if self.life is not Life.ATTACHED or not self.is_whole:
            raise IllegalTransition(f"ticket for a {self.life} file, whole: {self.is_whole}")
        self.apply(Event.CUT)
        self.ticket = Ticket(self.generation, self.size, self.base)
        self._sent = 0
        self._aside = SpanSet()
        self._dirty_since_cut = SpanSet()
        self._lowest_since_cut = self.size
        return self.ticket

    def ticket_sources(self, start: int, end: int) -> list[tuple[Span, bool]]:
        """Where the ticket's bytes [start, end) are: in order, with True for the aside file."""
        aside = [(span, True) for span in self._aside.within(start, end)]
        data = [(span, False) for span in self._aside.gaps(start, end)]
        return sorted(aside + data)

    def sent(self, upto: int) -> None:
        """Note that the ticket's bytes below `upto` were read: changing them costs nothing now."""
        self._sent = max(self._sent, upto)

    def stored(self, token: VersionToken) -> None:
        """The ticket's content is proved to be on the service, as version `token`.

        Dirtiness is cleared only when nothing changed since the ticket was cut.
        """
        ticket = self._end_ticket(Event.STORED)
        self.base = token
        self.dirty = self._dirty_since_cut
        self.backing_end = min(self._lowest_since_cut, self.size)
        self.stored_generation = ticket.generation
        self._drop_claims()

    def not_stored(self, event: Event) -> None:
        """The upload ended otherwise: RETRY, DOUBT or FAIL; everything stays dirty."""
        self._end_ticket(event)

    def _end_ticket(self, event: Event) -> Ticket:
        ticket = self.ticket
        if ticket is None:
            raise IllegalTransition(f"{event} without a ticket")
        self.apply(event)
        self.ticket = None
        self._aside = SpanSet()
        return ticket

    def stored_after_all(self, token: VersionToken, generation: int) -> None:
        """The doubt about an earlier PUT is settled: generation `generation` did arrive."""
        self.apply(Event.STORED)
        self.base = token
        if generation == self.generation:
            self.dirty = SpanSet()
            self.backing_end = self.size
        self.stored_generation = generation
        self._drop_claims()

    def resolved(self, base: VersionToken | None) -> None:
        """A conflict is over: all of the file is sent, and nothing is fetched any more (R6, R11).

        Args:
            base: the version that it is to replace; None: it is a new file.

        Raises:
            IllegalTransition: there is no conflict, or bytes are missing: their version is gone.
        """
        if not self.is_whole:
            raise IllegalTransition("resolving the conflict of a file with holes")
        self.apply(Event.RESOLVE)
        self.base = base
        self.backing_end = 0
        self.dirty.add(0, self.size)
        self._drop_claims()

    def detach(self) -> None:
        """The name is gone: never upload, but go on serving open handles.

        Raises:
            IllegalTransition: an upload is running; the caller waits for it first (R8).
        """
        if self.ticket is not None:
            raise IllegalTransition("detach during an upload")
        self.apply(Event.DETACH)
        self.life = Life.DETACHED

    def reattach(self, *, node_is_there: bool) -> None:
        """The name comes back (R9): a rename over this file failed after it was hidden.

        Args:
            node_is_there: its node was not deleted meanwhile; otherwise, its bytes being all
                here, the whole file is dirty.

        Raises:
            IllegalTransition: it has its name, or bytes of it are neither here nor there.
        """
        if self.life is not Life.DETACHED or not (node_is_there or self.is_whole):
            raise IllegalTransition(f"reattach of a {self.life} file, whole: {self.is_whole}")
        self.life = Life.ATTACHED
        if not node_is_there:
            self.base = None
            self.backing_end = 0
            self.dirty.add(0, self.size)
            self.generation += 1

    def check_invariants(self) -> None:
        """Assert what must hold between any two calls; used by tests."""
        assert 0 <= self.present.end <= self.size
        assert all(self.present.covers(start, end) for start, end in self.dirty)
        assert self.backing_end >= 0
        assert self.present.covers(self.backing_end, self.size)
        claims = sorted((claim.start, claim.end) for claim in self._claims.values())
        assert all(a[1] <= b[0] for a, b in pairwise(claims))
        assert (self.ticket is not None) == (self.upload is Upload.UPLOADING)
        if not self.is_dirty:
            assert not self.dirty
            assert self.base is not None
            assert self.base.length == self.size == self.backing_end
