"""What an upload needs of a changed file: its holes filled, and the base version proved (R6).

The MD5 that the service tells is that of the whole base version.  Of that, some bytes are here,
some are yet to come, and some were overwritten or cut off by the changes: those are needed for the
proof alone, and are not kept.  `Filling` reads all of it once, in order; here is what it asks for.
"""

from __future__ import annotations

from vofs.cache.filecore import BLOCK
from vofs.cache.receiving import WHOLE, Receiving
from vofs.core.contentcheck import Verdict
from vofs.core.fetchstate import Claim
from vofs.core.lifecycle import Life
from vofs.core.nodes import VersionToken
from vofs.core.spans import Span, SpanSet


class Proving(Receiving):
    """See the module's docstring; the arguments are those of `FileCore`."""

    @property
    def lacks_proof(self) -> bool:
        """Whether it must be filled, or what filled it be proved, before it is sent."""
        with self.lock:
            state = self.state
            wanted = state.is_dirty and state.life is Life.ATTACHED
            return wanted and state.expected is not None and not state.is_sound

    def being_brought(self) -> Span | None:
        """The first part of what is missing that others download: they are to go on to its end."""
        with self.lock:
            self._want(0, WHOLE)
            coming = SpanSet(self.state.gaps(0, self.state.size))
            for span in self.state.unclaimed(0, self.state.size):
                coming.remove(*span)
            return next(iter(coming), None)

    def claim_holes(self) -> tuple[list[Claim], VersionToken, int] | None:
        """Claim all that is missing.

        Returns:
            The claims, the version that they want, and the epoch that all of this is true in;
            None: others have just begun to bring a part of it.

        Raises:
            DownloadsDiffer: what comes is another thing each time (R13).
        """
        with self.lock:
            self._require_good()
            state = self.state
            assert state.base is not None
            if state.unclaimed(0, state.size) != state.gaps(0, state.size):
                return None
            claims = state.claim(0, state.size)
            self._claimed(claims)
            self._want(0, WHOLE)
            return claims, state.base, state.epoch

    def base_from(self, position: int, epoch: int) -> tuple[bytes, list[Span]] | None:
        """The base version's bytes from `position` on, as far as they are here, a block at most.

        Returns:
            The bytes, none when those at `position` are missing, and all spans behind it that are;
            None: the base is another one by now, or was taken back.
        """
        with self.lock:
            state = self.state
            if state.epoch != epoch or state.base is None:
                return None
            missing = state.base_missing(position)
            end = min(missing[0][0] if missing else state.base.length, position + BLOCK)
            self.progress_at = self._clock.monotonic()
            return self._data.read(position, end - position), missing

    def as_kept(self, offset: int, chunk: bytes) -> bytes:
        """What the base version is here: downloaded bytes, but where others are kept, those.

        Args:
            offset: where the bytes are from.
            chunk: the bytes, already offered to `accept`.
        """
        end = offset + len(chunk)
        with self.lock:
            self.progress_at = self._clock.monotonic()
            parts, position = [], offset
            for start, stop in self.state.clean_within(offset, end):
                parts += [chunk[position - offset : start - offset]]
                parts += [self._data.read(start, stop - start)]
                position = stop
        return b"".join([*parts, chunk[position - offset :]]) if parts else chunk

    def judge(self, found: str | None, epoch: int) -> Verdict | None:
        """Compare the base version, as it is here, with the MD5 that the service tells.

        Args:
            found: hex MD5 of it; None: it changed while it was read.
            epoch: when it was read.

        Returns:
            None when there is nothing to compare.
        """
        with self.lock:
            base, expected = self.state.base, self.state.expected
            if found is None or base is None or expected is None or self.state.epoch != epoch:
                return None
            if self.state.life is not Life.ATTACHED:  # its name, and the row, are another file's
                return None
            return self._judged(found, base, expected)
