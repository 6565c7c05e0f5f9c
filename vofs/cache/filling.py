"""One pass over the base version of a changed file: fills its holes, and takes the MD5 of it all.

A procedure without threads: an upload runs it in its worker, inside the gate.  It goes through the
version in order: what is here is read from the data file, what is not comes from the service.  That
fills the holes; of bytes that a change has overwritten nothing is kept.  All are hashed as they
pass, outside the lock, and a file that was only appended to costs one request, as without a proof.

Hashed is what is kept: where another download was faster, its bytes count and not ours.
"""

from __future__ import annotations

import hashlib
import logging

from vofs.cache.cachedfile import CachedFile
from vofs.cache.transfer import BREAKS_IN_A_ROW, Means, positions, reply, with_date
from vofs.core.errors import RemoteUnavailable
from vofs.core.fetchplan import stretch
from vofs.core.fetchstate import Claim
from vofs.core.nodes import VersionToken

log = logging.getLogger(__name__)

APART = 1 << 20  # bytes that cost less than one more request


class Filling:
    """See the module's docstring.

    Args:
        means: what downloads work with.
        file: a changed file, kept from eviction by the caller.
        claims: all of its holes.
        base: the version that fills them.
        epoch: in which they were claimed.
    """

    def __init__(
        self, means: Means, file: CachedFile, claims: list[Claim], base: VersionToken, epoch: int
    ) -> None:
        self._means, self._file, self._claims = means, file, claims
        self._base, self._epoch = base, epoch
        self._position = 0
        self._digest = hashlib.md5(usedforsecurity=False)
        # Without ranges there is one body, and all of it comes.
        self._apart = APART if means.remote.capabilities.ranges else base.length

    def run(self) -> str | None:
        """Fill the holes.

        Returns:
            Hex MD5 of the base version as it is here; None: that has changed meanwhile.

        Raises:
            VersionChanged: the service has another version.
            RemoteUnavailable: it broke too often without a byte, or the mount goes away.
            VofsError: the service refuses, or the disk fails.
        """
        breaks = 0
        while self._position < self._base.length:
            found = self._file.base_from(self._position, self._epoch)
            if found is None:
                return None
            here, missing = found
            if here:
                self._pass(here)
                continue
            before = self._position
            try:
                self._stream(stretch(missing, self._apart)[1])
                if self._position == before:
                    raise RemoteUnavailable(f"{self._file.path}: the body ended at {before}")
            except RemoteUnavailable as exc:
                log.info(
                    "download of %s broke at %d: %s", self._file.path, self._position, exc
                )  # fmt: skip
                breaks = breaks + 1 if self._position == before else 0
                if breaks == BREAKS_IN_A_ROW or self._means.stopping():
                    raise
        return self._digest.hexdigest()

    def _stream(self, end: int) -> None:
        """One reply, from where we are to `end` at least."""
        file, means = self._file, self._means
        self._base = with_date(means, file, file.path, self._base)
        with reply(means, file, file.path, (self._position, end), self._base) as source:
            for offset, chunk in positions(source):
                if means.stopping():
                    raise RemoteUnavailable(f"{file.path}: the mount is shutting down")
                come = offset + len(chunk)
                for claim in self._claims:
                    if claim.start < come and offset < claim.end:
                        file.accept(claim, offset, chunk)
                means.places.moved()
                if come > self._position:
                    self._pass(file.as_kept(offset, chunk)[self._position - offset :])
                if self._position >= end:
                    break

    def _pass(self, data: bytes) -> None:
        self._digest.update(data)
        self._position += len(data)
