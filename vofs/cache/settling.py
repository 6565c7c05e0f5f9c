"""The side of a cached file that a PUT in doubt needs: what arrived is compared with what is here.

`Doubts` looks at the service; here it is told which generation of the file a version is, and the
state and the row follow what was found out (R1, R2).
"""

from __future__ import annotations

from dataclasses import replace

from vofs.cache.putrecord import PutFate, PutRecord
from vofs.cache.sending import Sending
from vofs.core.lifecycle import Event
from vofs.core.nodes import VersionToken


class Settling(Sending):
    """See the module's docstring; the arguments are those of `Sending`."""

    def generation_of(self, token: VersionToken) -> int | None:
        """A PUT is in doubt: which generation of this file the version `token` is.

        Returns:
            None when it is neither what the PUT sent nor what this file holds now.
        """
        with self.lock:
            put, generation = self.put, self.state.generation
        known = put is not None and put.md5 is not None
        ours = known and put is not None and (put.size, put.md5) == (token.length, token.md5)
        unchanged_since = ours and put is not None and put.generation == generation
        if unchanged_since or self._digest_at(generation, token) == token.md5:
            return generation
        return put.generation if ours and put is not None else None  # changed here afterwards

    @property
    def holds_what_was_sent(self) -> bool:
        """Whether the bytes that the PUT on record sent are all here, and no others were sent."""
        with self.lock:
            return self._holds_what_was_sent()

    def _holds_what_was_sent(self) -> bool:
        alone = self.put is not None and not self.put.mixed
        return alone and self._sent_at == self.state.generation and self.state.is_whole

    def holds(self, offset: int, data: bytes) -> bool:
        """Whether `data` is at `offset` here; False also when the file has changed meanwhile."""
        with self.lock:
            if not self._holds_what_was_sent() or offset + len(data) > self.state.size:
                return False
            return self._data.read(offset, len(data)) == data

    def settle_as_stored(self, token: VersionToken, generation: int) -> None:
        """The PUT in doubt did arrive, and stays: the service has `generation` as `token`."""
        with self.lock:
            self.confirmed_at = self._clock.monotonic()
            self.state.stored_after_all(token, generation)
            self._index.base_changes.noted(self.path)
            self._upload_ended(None, keep_put=False)

    def settle_as_arrived(self, token: VersionToken, generation: int) -> None:
        """The PUT in doubt did arrive, but one that broke before it may still spoil it (R1)."""
        with self.lock:
            put = self.put
            assert put is not None
            self.put = PutRecord(
                generation, token.length, token.md5, PutFate.ARRIVED, after_broken=True,
                mixed=put.mixed or put.md5 != token.md5, longest_before=put.longest,
                whole_before=put.whole,
            )  # fmt: skip
            self.arrived_at = self._clock.monotonic()
            self._upload_ended(None, keep_put=True)

    def _digest_at(self, generation: int, token: VersionToken) -> str:
        """Hex MD5 of the content; "" when it changed or has another size."""
        if token.md5 is None:
            return ""

        def same() -> bool:
            state = self.state
            changed = state.generation != generation or state.size != token.length
            return not changed and state.is_whole

        return self.digest_while(token.length, same) or ""

    def settle_as_lost(self) -> None:
        """An earlier PUT is in doubt no longer: it did not arrive, and is sent again.

        It stays on record: a node that is shorter than it is our torn PUT (R2).
        """
        with self.lock:
            self.state.apply(Event.RESEND)
            if self.put is not None:
                self.put = replace(self.put, fate=PutFate.OVER)
            self._upload_ended(None, keep_put=True)
