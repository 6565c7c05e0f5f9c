"""What of a file's base version is here, and whether it is proved to be that.

The bytes of a file that are here and not dirty are its base version's, and as good as the downloads
that brought them.  `unproven` are those that were not yet part of a content that had the service's
MD5 (R13): of what is sent over the base version, or is called whole in the index, none is (R6).
Pure: no I/O, no lock, no clock.
"""

from __future__ import annotations

from vofs.core.nodes import VersionToken
from vofs.core.spans import Span, SpanSet


class BaseBytes:
    """See the module's docstring.

    Args:
        base: the version on the service, or None for a file that it never had.
        size: current size in bytes.
    """

    def __init__(self, base: VersionToken | None, size: int) -> None:
        self.base = base
        self.size = size
        self.backing_end = size if base is not None else 0
        self.present = SpanSet()
        self.dirty = SpanSet()
        self.unproven = SpanSet()
        self.digest_told: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every byte of the file is here."""
        return self.present.covers(0, self.size)

    @property
    def expected(self) -> str | None:
        """The MD5 of the base version; None: it has no bytes, or nobody tells.

        What a reply told of the whole file counts where the node tells none.
        """
        if self.base is None or self.base.length == 0:
            return None
        return self.base.md5 or self.digest_told

    @property
    def awaits_proof(self) -> bool:
        """Whether bytes are here that were not compared with the service's MD5, and can be."""
        return bool(self.unproven) and self.expected is not None

    @property
    def is_sound(self) -> bool:
        """Whether every byte is here, and proved as far as that is possible."""
        return self.is_whole and not self.awaits_proof

    @property
    def keeps_base(self) -> bool:
        """Whether no byte of the base version was overwritten or cut off."""
        base = self.base
        return (
            base is not None
            and self.backing_end >= base.length
            and not self.dirty.overlaps(0, base.length)
        )

    def clean_within(self, start: int, end: int) -> list[Span]:
        """The parts of [start, end) where the base version's bytes are here, in order."""
        clean = SpanSet(self.present.within(start, end))
        for span in self.dirty.within(start, end):
            clean.remove(*span)
        return list(clean)

    def base_missing(self, start: int) -> list[Span]:
        """Which of the base version's bytes from `start` on are not here: to prove the others.

        Those that are yet to come, and those that a change has overwritten or cut off.
        """
        assert self.base is not None
        return SpanSet(self.clean_within(start, self.base.length)).gaps(start, self.base.length)

    def proved(self) -> None:
        """Note that what is here of the base version is what the service tells."""
        self.unproven = SpanSet()

    def check_invariants(self) -> None:
        """Assert what must hold between any two calls; used by tests."""
        assert 0 <= self.present.end <= self.size
        assert all(self.present.covers(start, end) for start, end in self.dirty)
        assert all(self.present.covers(start, end) for start, end in self.unproven)
        assert not any(self.dirty.overlaps(start, end) for start, end in self.unproven)
