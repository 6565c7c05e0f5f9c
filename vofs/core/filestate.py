"""The state of one cached file: what is present, what is dirty, what is being moved where.

Pure: no I/O, no lock, no clock.  `CachedFile` owns exactly one and calls it with its lock held; the
model test drives the same object against a bytearray.  Two things live here:

* the life of the file (`Life`) and of its upload (`Upload`), changed only by the table of
  `lifecycle`; an event that the table does not hold raises `IllegalTransition`;
* the byte sets (`FetchState`), as writes, truncations and uploads change them.

A file is clean when `generation == stored_generation`: every change counts one generation up, and
an upload clears dirtiness only for the generation that its ticket was cut from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vofs.core.errors import IllegalTransition
from vofs.core.fetchstate import FetchState
from vofs.core.lifecycle import TRANSITIONS, Event, Life, Upload
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span, SpanSet, clip


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


class FileState(FetchState):
    """See the module's docstring.  Call everything with the file's lock held.

    Args:
        base: the version on the service, or None for a file that it never had.
        size: current size in bytes.
    """

    def __init__(self, base: VersionToken | None, size: int) -> None:
        super().__init__(base, size)
        self.ticket: Ticket | None = None
        self._sent = 0
        self._aside = SpanSet()
        self._frozen = False
        self._dirty_since_cut = SpanSet()
        self._lowest_since_cut = size

    def apply(self, event: Event) -> None:
        """Move the upload on by `event`.

        Raises:
            IllegalTransition: the table does not allow it in this state.
        """
        target = TRANSITIONS.get((self.upload, event))
        if target is None:
            raise IllegalTransition(f"{event} while {self.upload}")
        self.upload = target

    # -- changing -------------------------------------------------------------------------------

    def copy_aside_for_write(self, start: int, end: int) -> list[Span]:
        """What an upload still needs of the old bytes of [start, end), before they are changed.

        The caller copies these spans to the ticket's aside file and then calls `copied_aside`.
        """
        if self.ticket is None or self._frozen:
            return []
        start, end = clip((start, end), (self._sent, self.ticket.size))
        return self._aside.gaps(start, end)

    @property
    def aside_bytes(self) -> int:
        """What is kept for the ticket alone, in its aside file and in the data file it froze."""
        frozen = self.ticket.size if self.ticket is not None and self._frozen else 0
        return self._aside.total + frozen

    def copied_aside(self, spans: Iterable[Span]) -> None:
        """Note that the ticket finds `spans` in its aside file."""
        self._aside.update(spans)

    def froze(self) -> None:
        """Note that the ticket has the data file for itself: the file goes on in another."""
        self._frozen = True

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
            for spans in (self.present, self.dirty, self.unproven, self._dirty_since_cut):
                spans.remove(size, self.size)
            self.backing_end = min(self.backing_end, size)
            self._lowest_since_cut = min(self._lowest_since_cut, size)
        self.size = size
        self.generation += 1

    def _mark_dirty(self, start: int, end: int) -> None:
        self.present.add(start, end)
        self.dirty.add(start, end)
        self.unproven.remove(start, end)
        if self.ticket is not None:
            self._dirty_since_cut.add(start, end)

    # -- uploading ------------------------------------------------------------------------------

    def cut_ticket(self) -> Ticket:
        """Freeze the content for an upload.

        Raises:
            IllegalTransition: the file is not queued, has lost its name, or is not whole and
                proved (R6).
        """
        if self.life is not Life.ATTACHED or not self.is_sound:
            raise IllegalTransition(f"ticket for a {self.life} file, sound: {self.is_sound}")
        self.apply(Event.CUT)
        self.ticket = Ticket(self.generation, self.size, self.base)
        self._sent = 0
        self._aside = SpanSet()
        self._frozen = False
        self._dirty_since_cut = SpanSet()
        self._lowest_since_cut = self.size
        return self.ticket

    def ticket_sources(self, start: int, end: int) -> list[tuple[Span, bool]]:
        """Where the ticket's bytes [start, end) are: in order, with True for the aside file.

        The others are in the data file that the ticket was cut from.
        """
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
        self._has_new_base()

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
        self._frozen = False
        return ticket

    def stored_after_all(self, token: VersionToken, generation: int) -> None:
        """The doubt about an earlier PUT is settled: generation `generation` did arrive."""
        self.apply(Event.STORED)
        self.base = token
        if generation == self.generation:
            self.dirty = SpanSet()
            self.backing_end = self.size
        self.stored_generation = generation
        self._has_new_base()

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
        self._has_new_base()

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
            self._has_new_base()
            self.generation += 1

    def check_invariants(self) -> None:
        """Assert what must hold between any two calls; used by tests."""
        super().check_invariants()
        assert (self.ticket is not None) == (self.upload is Upload.UPLOADING)
