"""Brings missing bytes from the service into cached files.

A reader claims what is missing (`core.fetchplan` says how much), the pool downloads claims, and
everybody waits on the file until the bytes are there, the download failed, or nothing moved for
the timeout; then the reader gets ETIMEDOUT, the download goes on, and the repeated read finds its
bytes (behaviours.md row 13).  No lock is held while the network is used.

Every reply proved its version before its first byte (R12, in the remote); here only bytes still
absent and of a live claim are accepted.  A reply that starts at 0 although a range was asked for is
the whole body: what comes before the claim is skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.content import Reader
from vofs.cache.filetable import FileTable
from vofs.cache.filling import Filling
from vofs.cache.gate import PathGate
from vofs.cache.prefetch import Prefetch
from vofs.cache.threads import Threads
from vofs.cache.transfer import Means, Transfer, brought, tell
from vofs.cache.waiting import Patience, WaitingPlaces, never
from vofs.core.contentcheck import Verdict
from vofs.core.errors import (
    ContentLost,
    DownloadsDiffer,
    RemoteUnavailable,
    VofsError,
)
from vofs.core.fetchstate import Claim
from vofs.core.nodes import VersionToken
from vofs.locks import Level, OrderedLock, assert_none_held
from vofs.remote.api import Remote

log = logging.getLogger(__name__)


class Fetcher:
    """See the module's docstring.

    Args:
        remote: the service.
        table: keeps files in memory while they are downloaded.
        gate: keeps downloads out of names that are being changed.
        clock: for timeouts.
        threads: where the pool's threads come from.
        workers: downloads at a time.
        places: how many readers may wait.
        prefetch: how much may be downloaded that nobody has asked for.
        timeout_s: seconds without progress after which a reader gives up.
        strict: a read as a whole may take no longer than that (--strict-timeout).
        given_up: whether the process that reads is being killed (R19).
        on_stale: told the path of a node that turned out to have another version.
        on_proved: told what a reply proved; see `Means`.
    """

    def __init__(
        self,
        remote: Remote,
        table: FileTable,
        gate: PathGate,
        clock: Clock,
        threads: Threads,
        *,
        workers: int,
        places: WaitingPlaces,
        prefetch: Prefetch,
        timeout_s: float,
        strict: bool = False,
        given_up: Callable[[], bool] = never,
        on_stale: Callable[[str], None],
        on_proved: Callable[[str, VersionToken, float], None] = lambda path, version, at: None,
    ) -> None:
        self._remote, self._table, self._gate, self._clock = remote, table, gate, clock
        self._places, self._prefetch, self._timeout_s = places, prefetch, timeout_s
        self._strict, self._given_up = strict, given_up
        self._stopping = Event()
        self._lock = OrderedLock(Level.LEAF)
        self._running, self._workers = 0, workers
        self._means = Means(
            remote, gate, clock, places, prefetch,
            stopping=self._stopping.is_set, crowded=self._is_crowded, on_stale=on_stale,
            on_proved=on_proved,
        )  # fmt: skip
        self._pool = threads.pool(workers, "vofs-fetch")

    def read(self, file: CachedFile, offset: int, size: int, reader: Reader | None = None) -> bytes:
        """Exactly the bytes of [offset, offset + size) below the end of the file (R14).

        Args:
            file: the file.
            offset: the first byte.
            size: how many.
            reader: the handle that reads; it never gets bytes of two contents.

        Raises:
            RemoteTimeout: nothing moved for the timeout; the download goes on.
            VofsError: the bytes cannot be had.
        """
        data = file.read(offset, size, reader)
        if data is None:
            data = self._missing(file, offset, size, reader)
        self._prefetch.earn(len(data), file.was_read(offset, offset + len(data)))
        return data

    def _missing(self, file: CachedFile, offset: int, size: int, reader: Reader | None) -> bytes:
        """Bring what is missing for a read, and read."""
        until = self._clock.monotonic() + self._timeout_s if self._strict else None
        patience = Patience(self._timeout_s, until, self._given_up)
        with self._places.place(file.path), file.awaiting(offset, offset + size):
            while True:
                self._fetch(file, offset, offset + size, patience, inside=False)
                data = file.read(offset, size, reader)
                if data is not None:
                    return data

    def fill(
        self, file: CachedFile, *, inside: bool, look: Callable[[], None] = lambda: None
    ) -> None:
        """Download everything that is missing in `file`, one request for each gap; wait for it.

        Of a changed file the version that it comes from is proved as well, if it can be (R6): see
        `Filling`, which is run in this thread.

        Args:
            file: the file.
            inside: the caller is inside the gate at the file's path, or holds it: its downloads
                must not wait there for somebody who waits for the caller.
            look: called when the proof failed, before all is downloaded once more: may raise, when
                it finds the version gone that is to be downloaded.

        Raises:
            DownloadsDiffer: each download of it is another one.
            VofsError: as for `read`.
        """
        patience = Patience(self._timeout_s)
        with file.filling():
            while True:
                if file.lacks_proof:
                    self._fill_and_prove(file, patience, look)
                elif file.gaps:
                    self._fetch(file, 0, file.size, patience, inside=inside, ahead=False)
                else:
                    return

    def _fill_and_prove(
        self, file: CachedFile, patience: Patience, look: Callable[[], None]
    ) -> None:
        """One pass over the base version, or a wait for others who are bringing a part of it."""
        failures_before = file.failure_count
        coming = file.being_brought()
        if coming is not None:
            file.wait_for(*coming, failures_before, patience)
            return
        claimed = file.claim_holes()
        if claimed is None:
            return
        claims, base, epoch = claimed
        filling = Filling(self._means, file, claims, base, epoch)

        def fill() -> None:
            verdict = file.judge(filling.run(), epoch)
            if verdict is Verdict.REPEAT:
                look()
            tell(file, verdict)
            if verdict is Verdict.WRONG:
                raise DownloadsDiffer(f"{file.path}: what it is based on arrives differently twice")

        failure = brought(self._means, file, claims, fill)
        if failure is not None:
            raise failure

    def _fetch(
        self, file: CachedFile, start: int, end: int, patience: Patience, *, inside: bool,
        ahead: bool = True,
    ) -> None:  # fmt: skip
        """Claim, start what nobody downloads yet, and wait until something came of it."""
        assert_none_held("waiting for a download")
        if not inside:
            self._gate.wait_while_held(lambda: file.path, self._timeout_s)
        failures_before = file.failure_count
        claims, base = file.claim_missing(
            start, end, ranges=self._remote.capabilities.ranges,
            ahead=ahead and self._prefetch.allows_window(),
        )  # fmt: skip
        if claims and base is None:
            for claim in claims:
                file.release_claim(claim, None)
            raise ContentLost(f"{file.path}: bytes are missing and the service never had them")
        if claims and base is not None:
            self._submit(file, claims, base, inside)
        file.wait_for(start, end, failures_before, patience)

    def _submit(
        self, file: CachedFile, claims: list[Claim], base: VersionToken, inside: bool
    ) -> None:
        """One request for each claim, or one whole body for all when there are no ranges."""
        ranges = self._remote.capabilities.ranges
        for batch in [[claim] for claim in claims] if ranges else [claims]:
            self._table.share(file)
            self._submitted(+1)
            try:
                self._pool.submit(self._download, file, batch, base, inside)
            except RuntimeError:  # the pool is shut down: the mount is going away
                self._submitted(-1)
                self._table.release(file)
                for claim in batch:
                    file.release_claim(claim, RemoteUnavailable("the mount is shutting down"))

    def _submitted(self, change: int) -> None:
        """Count downloads; when one has to wait for a thread, those that pause make room."""
        with self._lock:
            self._running += change
            crowds = change > 0 and self._is_crowded()
        if crowds:
            self._wake_all()

    def _is_crowded(self) -> bool:
        return self._running > self._workers

    def _wake_all(self) -> None:
        for file in self._table.files():
            file.wake()

    # -- in the pool ----------------------------------------------------------------------------

    def _download(
        self, file: CachedFile, claims: list[Claim], base: VersionToken, inside: bool
    ) -> None:
        try:
            self._bring(file, claims, base, inside)
        finally:
            self._submitted(-1)
            self._table.release(file)

    def bring_ahead(self, file: CachedFile) -> bool:
        """Download all that is missing in `file`, in this thread, which is inside the gate there.

        Nobody waits for it; readers that come meanwhile share it.

        Args:
            file: in use by the caller.

        Returns:
            Whether it is here now; False also when others download it.

        Raises:
            VofsError: it cannot be had.
        """
        ranges = self._remote.capabilities.ranges
        claims, base = file.claim_missing(0, file.size, ranges=ranges, ahead=False)
        if not claims or base is None:
            for claim in claims:
                file.release_claim(claim, None)
            return False
        with file.in_spare_room():
            failure = self._bring(file, claims, base, inside=True)
        if failure is not None:
            raise failure
        return not file.gaps

    def _bring(
        self, file: CachedFile, claims: list[Claim], base: VersionToken, inside: bool
    ) -> VofsError | None:
        """Download `claims` in one request and give them up; returns what went wrong."""

        def bring() -> None:
            Transfer(self._means, file, claims, base, inside).run()
            self._check(file, claims)

        return brought(self._means, file, claims, bring)

    def _check(self, file: CachedFile, downloaded: list[Claim]) -> None:
        """R13: a file that is complete now is what the service tells, or is downloaded again."""
        verdict = file.check(downloaded)
        tell(file, verdict)
        if verdict is Verdict.REPEAT:
            ranges = self._remote.capabilities.ranges
            claims, base = file.claim_missing(0, file.size, ranges=ranges)
            if claims and base is not None:
                self._submit(file, claims, base, inside=False)

    def stop(self) -> None:
        """Stop downloading; what runs ends at its next chunk, or with its socket's timeout."""
        self._stopping.set()
        self._wake_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
