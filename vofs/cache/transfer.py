"""One download: the bytes of some claims of one file, in one reply or, when it breaks, in several.

A procedure without threads: `Fetcher` calls it in its pool.  It runs inside the gate at the file's
path, but for its pauses: whoever changes a name does not wait for a download that nobody wants.
What a reply still brings after its name was changed is right all the same, because it was proved
to be of the version that the claims are for, and only live claims are served.

A download that has brought all that somebody asked for goes on as far as the prefetch budget
allows (R24); a body without ranges also to its end when that is not far.  Else it pauses with its
connection open, for 30 s at most, and ends.  It pauses, too, before it pushes out of a small cache
what it brought and nobody has read: else who reads slowly would ask for it all again and again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.firstsight import dated
from vofs.cache.gate import PathGate
from vofs.cache.prefetch import Prefetch
from vofs.cache.waiting import WaitingPlaces
from vofs.core.contentcheck import Verdict
from vofs.core.errors import (
    ContentLost,
    NodeNotFound,
    RemoteUnavailable,
    VersionChanged,
    VofsError,
)
from vofs.core.fetchstate import Claim
from vofs.core.nodes import VersionToken
from vofs.core.prefetch import PAUSE_S, keeps_whole_body
from vofs.core.spans import Span
from vofs.remote.api import ByteSource, Remote

log = logging.getLogger(__name__)

BREAKS_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Means:
    """What downloads work with.

    Attributes:
        remote: the service.
        gate: keeps downloads out of names that are being changed.
        clock: for pauses.
        places: told that something moves.
        prefetch: how far a download may run ahead of its readers.
        stopping: whether the mount goes away.
        crowded: whether another download waits for a thread.
        on_stale: told the path of a node that turned out to have another version.
        on_proved: told a path, the version that a reply proved the node there to have, and when
            that was asked for (monotonic).
    """

    remote: Remote
    gate: PathGate
    clock: Clock
    places: WaitingPlaces
    prefetch: Prefetch
    stopping: Callable[[], bool]
    crowded: Callable[[], bool]
    on_proved: Callable[[str, VersionToken, float], None]
    on_stale: Callable[[str], None]


def brought(
    means: Means, file: CachedFile, claims: list[Claim], bring: Callable[[], None]
) -> VofsError | None:
    """Run a download and give its claims up.

    Args:
        means: what it works with.
        file: the file.
        claims: what it is to bring.
        bring: does it.

    Returns:
        What went wrong.
    """
    failure: VofsError | None = None
    try:
        bring()
    except VersionChanged as exc:
        means.on_stale(file.path)
        failure = exc
    except NodeNotFound as exc:
        means.on_stale(file.path)
        failure = ContentLost(f"{file.path}: the node is gone: {exc}")
    except VofsError as exc:
        failure = exc
    except Exception as exc:
        log.exception("download of %s", file.path)
        failure = RemoteUnavailable(f"{file.path}: {exc}")
    finally:
        for claim in claims:
            file.release_claim(claim, failure)
    return failure


def tell(file: CachedFile, verdict: Verdict | None) -> None:
    """Log what came of a comparison with the service's MD5 (R13)."""
    match verdict:
        case Verdict.REPEAT:
            log.warning("%s arrived with another MD5; it is downloaded once more", file.path)
        case Verdict.DISPUTED:
            log.warning("%s is served although %s", file.path, file.error)
        case Verdict.WRONG:
            log.error("%s cannot be read: each download is another one", file.path)


def with_date(means: Means, file: CachedFile, path: str, base: VersionToken) -> VersionToken:
    """The version to ask for: undated, nothing in a reply would prove that it is ours (R12)."""
    if base.is_undated:
        base = dated(means.remote, path, base)
        file.sighted(base)
    return base


@contextmanager
def reply(
    means: Means, file: CachedFile, path: str, span: Span, base: VersionToken
) -> Iterator[ByteSource]:
    """One reply with bytes of `base`, and what its head tells of the version.

    The digest of the whole file confirms the version as a look would (R11), but only where the MD5
    is that of the bytes, not a hint that may be stale (R13).

    Args:
        means: what downloads work with.
        file: the file.
        path: its name.
        span: what is asked for; without ranges the whole body comes.
        base: the version that is wanted.
    """
    asked_at = means.clock.monotonic()
    with means.remote.open_bytes(path, *span, base) as source:
        file.note_digest(source.md5)
        if base.md5_proves and base.md5 is not None and base.md5 == source.md5:
            file.confirm(asked_at, base)
            means.on_proved(path, base, asked_at)
        yield source


class Transfer:
    """See the module's docstring.

    Args:
        means: what it works with.
        file: the file.
        claims: what is to be brought, in order: for services without ranges all of one body.
        base: the version that is wanted.
        inside: whoever wants it is inside the gate, or holds it: the gate is not asked.
    """

    def __init__(
        self, means: Means, file: CachedFile, claims: list[Claim], base: VersionToken, inside: bool
    ) -> None:
        self._means, self._file, self._claims, self._base = means, file, claims, base
        self._inside = inside
        self._entered: str | None = None
        self._position, self._end = claims[0].start, claims[-1].end

    def run(self) -> None:
        """Bring it all, resuming where a connection broke.

        Ends early, without a failure, when nobody wants it any more or the name is being changed:
        whoever still wants it claims it again.

        Raises:
            VersionChanged: the service has another version.
            RemoteUnavailable: it broke too often without a byte.
            VofsError: the service refuses, or the disk fails.
        """
        breaks = 0
        while self._position < self._end and not self._means.stopping():
            before = self._position
            if not self._enter():
                return
            try:
                if not self._stream():
                    return
                if self._position == before:
                    raise RemoteUnavailable(f"{self._file.path}: the body ended at {before}")
            except RemoteUnavailable as exc:
                self._position = max(self._position, self._file.first_gap(self._claims))
                log.info(
                    "download of %s broke at %d: %s", self._file.path, self._position, exc
                )  # fmt: skip
                breaks = breaks + 1 if self._position == before else 0
                if breaks == BREAKS_IN_A_ROW:
                    raise
            finally:
                self._leave()

    def _enter(self) -> bool:
        """Enter the gate at the file's path; False: the name is being changed."""
        while not self._inside:
            path = self._file.path
            if not self._means.gate.try_enter(path):
                return False
            self._entered = path
            if self._file.path == path:
                break
            self._leave()  # renamed between the two lines above
        return True

    def _leave(self) -> None:
        if self._entered is not None:
            self._means.gate.leave(self._entered)
            self._entered = None

    def _stream(self) -> bool:
        """One reply, into the file; returns whether anybody still wants more."""
        file, path = self._file, self._entered or self._file.path
        self._base = with_date(self._means, file, path, self._base)
        with reply(self._means, file, path, (self._position, self._end), self._base) as source:
            for offset, chunk in positions(source):
                come = offset + len(chunk)
                alive = [file.accept(claim, offset, chunk) for claim in self._claims]
                self._means.places.moved()
                self._means.prefetch.spend(file.take_unasked())
                self._position = max(self._position, come)
                if not any(alive) or self._means.stopping():
                    return False
                if self._position >= self._end:
                    break
                if not self._goes_on(come):
                    return False
        return True

    def _goes_on(self, come: int) -> bool:
        """Whether to read on, after a pause if need be.

        Args:
            come: how far the reply has come; a whole body may not have reached the claims yet.
        """
        if self._file.is_wanted_at(self._claims, come):
            return True
        near = self._file.is_wanted_at(self._claims, 0)
        if not self._file.crowds_out() and self._may_run_ahead(come, near=near):
            return True
        self._leave()
        log.debug("download of %s pauses at %d", self._file.path, come)
        until = self._means.clock.monotonic() + PAUSE_S
        wanted = self._file.pause(
            self._claims, come, until,
            ended=lambda: self._means.stopping() or self._means.crowded(),
            may_run_ahead=lambda: self._may_run_ahead(come, near=near),
        )  # fmt: skip
        return wanted and self._enter()

    def _may_run_ahead(self, come: int, *, near: bool) -> bool:
        """Whether it goes on although nobody waits for it."""
        if not self._means.remote.capabilities.ranges and keeps_whole_body(self._base.length, come):
            return True
        return self._means.prefetch.allows_more(near=near)


def positions(source: ByteSource) -> Iterator[tuple[int, bytes]]:
    """The chunks of a reply, each with its offset in the file."""
    offset = source.start
    for chunk in source.chunks():
        yield offset, chunk
        offset += len(chunk)
