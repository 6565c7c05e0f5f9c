"""One mount, put together, started and stopped: the only module that wires the objects.

`Session(...)` takes the cache, recovers what the last mount left, and settles what was interrupted,
all before the mount answers (R8).  `start` runs the threads once the kernel has accepted the mount;
`stop`, called by libfuse when it is gone, treats every open file as closed, sends what it can as
long as that progresses, and leaves the rest as rows for the next mount (R22).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vofs import locks
from vofs.cache import filesystem
from vofs.cache.breaking import BreakingRemote
from vofs.cache.brokenputs import BrokenPuts
from vofs.cache.cachedfile import CachedFile
from vofs.cache.caughtup import CaughtUpRemote
from vofs.cache.clock import Clock
from vofs.cache.conflicts import Conflicts
from vofs.cache.disk import Disk
from vofs.cache.doubt import Doubts
from vofs.cache.emptyfile import RECREATE, EmptyFiles
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.gate import PathGate
from vofs.cache.journal import Journal
from vofs.cache.opening import open_cache
from vofs.cache.ownversions import OwnVersions
from vofs.cache.prefetch import Prefetch
from vofs.cache.segments import Segments
from vofs.cache.siblings import Siblings
from vofs.cache.storing import Storing
from vofs.cache.threads import SystemThreads, Threads
from vofs.cache.tombstones import Tombstones
from vofs.cache.upload import Uploader
from vofs.cache.waiting import WaitingPlaces, never
from vofs.cache.writeback import WriteBack
from vofs.core import uris
from vofs.core.conflicts import OnConflict
from vofs.core.errors import CacheError, NodeBusy, VofsError
from vofs.core.nodes import VersionToken
from vofs.mount.boundary import Boundary
from vofs.mount.control import Control
from vofs.mount.followed import Followed, Parts
from vofs.mount.inodes import Inodes
from vofs.mount.machinery import Machinery
from vofs.mount.namespace import Namespace
from vofs.mount.operations import VOFS
from vofs.mount.options import MountOptions
from vofs.mount.properties import Properties
from vofs.mount.quota import Quota
from vofs.mount.renaming import Renaming
from vofs.mount.rights import Rights
from vofs.mount.status import Status
from vofs.mount.toldsizes import ToldSizes
from vofs.mount.tree import Tree
from vofs.remote.api import Remote

log = logging.getLogger(__name__)


class Session:
    """See the module's docstring.

    Args:
        options: the settings.
        remote: the service.
        clock: where time comes from.
        thread_group: the process that the calling FUSE request comes from.
        given_up: whether that process is being killed (R19).
        credential: what `vofs status` says of the credential.
        open_disk: opens the cache directory, with so many bytes to be left free around it.
        threads: where the threads of downloads and uploads come from.

    Raises:
        MountUnusable: the cache cannot be used.
    """

    def __init__(
        self,
        options: MountOptions,
        remote: Remote,
        clock: Clock,
        *,
        thread_group: Callable[[], int],
        credential: str,
        given_up: Callable[[], bool] = never,
        open_disk: Callable[[Path, int], Disk] = Disk,
        threads: Threads | None = None,
    ) -> None:
        if options.debug:
            locks.checking(True)
        threads = threads or SystemThreads()
        self._options, self._clock = options, clock
        self._remote = BreakingRemote(remote, clock, threads, options.service.root)
        self._leave_uploads = False
        self.left = 0
        self._disk = open_disk(options.cache_dir, options.min_free_bytes)
        try:
            self._disk.lock(clock, options.timeout_s)
            self._index = open_cache(
                self._disk, remote.capabilities.identity, options.boot_id, clock
            )
        except BaseException:
            self._disk.close()
            raise
        self._wire(thread_group, given_up, credential, threads)
        try:
            self._control.listen()
            self._recover()
        except BaseException:
            self.abandon()
            raise

    def _wire(
        self,
        thread_group: Callable[[], int],
        given_up: Callable[[], bool],
        credential: str,
        threads: Threads,
    ) -> None:
        options, clock = self._options, self._clock
        self._own = OwnVersions(self._index, clock)
        remote = self._caught_up()
        gate, places = PathGate(clock), WaitingPlaces(clock)
        prefetch = Prefetch(clock, on=options.prefetch)
        self._journal = Journal(self._index)
        self._segments = Segments(remote, options.segments)
        self._table = FileTable(
            self._disk, self._index, clock, options.cache_limit_bytes, self._segments.gone
        )
        self._fetcher = Fetcher(
            remote, self._table, gate, clock, threads, workers=options.fetch_workers,
            places=places, prefetch=prefetch,
            timeout_s=options.timeout_s, strict=options.strict_timeout, given_up=given_up,
            on_stale=lambda path: self._tree.invalidate(path),
            on_proved=lambda path, token, at: self._tree.confirmed(path, token, at),
        )  # fmt: skip
        self._tombstones = Tombstones(
            remote, self._journal, self._index, self._table, self._fetcher, gate, clock,
            options.timeout_s, lambda path: self._tree.removed(path),
        )  # fmt: skip
        empty = EmptyFiles(remote, self._journal)
        self._doubts = Doubts(
            remote, BrokenPuts(self._index, clock), clock, options.settle_s,
            self._stored,
        )  # fmt: skip
        uploader = Uploader(
            remote, self._fetcher, self._tombstones, empty,
            Storing(remote, empty, self._segments), self._doubts, clock,
            confirm_s=options.attr_ttl_s, keeps_conflicts=options.on_conflict is OnConflict.FAIL,
            on_stored=self._stored,
        )  # fmt: skip
        self._conflicts = Conflicts(
            remote, self._table, gate, clock, policy=options.on_conflict, host=options.host,
            on_moved=self._moved,
        )  # fmt: skip
        self._writeback = WriteBack(
            uploader, self._conflicts, self._table, gate, clock, threads,
            workers=options.upload_workers, housekeeping=self._housekeeping,
        )  # fmt: skip
        self._tree = Tree(
            remote, self._table, self._tombstones, clock, places, attr_ttl_s=options.attr_ttl_s,
            negative_ttl_s=options.negative_ttl_s, timeout_s=options.timeout_s,
        )  # fmt: skip
        self._siblings = Siblings(
            self._tree, self._table, self._fetcher, gate, prefetch, threads,
            workers=-(-options.fetch_workers // 2), answers=lambda: not self._remote.is_open,
        )  # fmt: skip
        self._parts = Parts(
            remote, self._tree, self._table, self._index, self._journal, gate, self._tombstones,
            self._writeback, empty, self._own, clock, options.timeout_s,
            self._doubts.is_threatened,
        )  # fmt: skip
        self._followed = Followed(self._parts)
        self._namespace = Namespace(self._parts, self._followed)
        self._renaming = Renaming(self._parts, self._followed, lambda: secrets.token_hex(4))
        status = Status(options, remote, self._table, self._writeback, self._tombstones, credential)
        self._control = Control(
            options.control_dir / "control", options.service.root, status, self._tree, self._table,
            self._writeback, leave=self._leave,
        )  # fmt: skip
        self._vofs = self._operations(thread_group, given_up)

    def _caught_up(self) -> Remote:
        """The service, as it is once it no longer lags (R13)."""
        lags = self._remote.capabilities.listing_lags
        return CaughtUpRemote(self._remote, self._own) if lags else self._remote

    def _stored(self, path: str, old: VersionToken | None, ours: VersionToken) -> None:
        """An upload arrived at `path`."""
        if self._remote.capabilities.listing_lags:
            self._own.stored(path, old, ours)
        self._tree.appeared(path)

    def _operations(self, thread_group: Callable[[], int], given_up: Callable[[], bool]) -> VOFS:
        options, tree = self._options, self._tree
        rights = Rights(
            tree, options.service.root, read_only=options.read_only,
            tells_rights=self._remote.capabilities.tells_rights,
        )  # fmt: skip
        properties = Properties(options.service, tree, self._table, str(self._control.path))
        return VOFS(Machinery(
            service=options.service, tree=tree, table=self._table, fetcher=self._fetcher,
            siblings=self._siblings, writeback=self._writeback, namespace=self._namespace,
            followed=self._followed, renaming=self._renaming, rights=rights,
            quota=Quota(tree, self._table, self._clock), properties=properties,
            told=ToldSizes(self._clock),
            inodes=Inodes(lambda path: uris.node_uri(options.service, path)),
            clock=self._clock, owner=options.owner, close_wait_s=options.close_wait_s,
            save_delay_s=options.save_delay_s, timeout_s=options.timeout_s,
            fsync_remote=options.fsync_remote, thread_group=thread_group, given_up=given_up,
        ))  # fmt: skip

    def _recover(self) -> None:
        """Load dirty files, tombstones and intents; settle the intents if the service answers."""
        recovered = self._table.recover()
        self._doubts.recover(recovered)
        self._tombstones.recover()
        for intent in self._journal.intents():
            if intent.op == RECREATE:
                continue  # its upload finishes it
            is_rename = intent.op == "rename"
            settle = self._renaming.recover if is_rename else self._namespace.recover
            hold = None
            with suppress(NodeBusy):  # an older intent has these paths: it is settled first
                hold = self._parts.gate.hold(intent.paths, 0)
            self._followed.add(intent, hold, settle)
        self._followed.settle_all()
        for file in recovered:
            self._writeback.submit(file, flushed=True)
        if recovered:
            log.warning("%d files of an earlier mount are sent now", len(recovered))

    def _moved(self, *paths: str) -> None:
        """Files have changed their names here alone: the tree asks again."""
        for path in paths:
            self._tree.invalidate(path)

    def _housekeeping(self) -> None:
        self._followed.settle_all()
        self._tombstones.bury_due()
        self._segments.abort_left()
        self._table.evict()
        self._disk.hold_ballast()
        try:
            self._index.checkpoint()
        except CacheError as exc:
            log.info("%s", exc)

    @property
    def cache_warning(self) -> str:
        """One line when the cache is where it cannot keep what it promises, or "" (R21)."""
        return filesystem.warning(self._disk.file_system_type, self._disk.root)

    def boundary(self) -> Boundary:
        """What the FUSE binding calls."""
        return Boundary(self._vofs, self._clock)

    def start(self, *, answering: bool = True) -> None:
        """The kernel has accepted the mount: run the threads.

        Args:
            answering: also answer at the control socket.
        """
        self._writeback.start()
        if answering:
            self._control.start()

    @property
    def files(self) -> list[CachedFile]:
        """All files in memory, for tests that look at their states."""
        return self._table.files()

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What the control socket answers to `request`; see `Control.answer`."""
        return self._control.answer(request)

    def _leave(self) -> None:
        self._leave_uploads = True

    def stop(self) -> None:
        """The mount is gone: send what can be sent, and put the rest away.

        `left` then says how many files wait for the next mount.
        """
        self._control.stop()
        try:
            self._tombstones.commit_all()
        except VofsError as exc:  # a crash of that moment: those unlinks did not happen
            log.error("unlinked files may come back: %s", exc)
        try:
            if self._leave_uploads:
                self.left = len(self._table.unsent_below("/"))
            else:
                self._conflicts.all_closed()
                self.left = self._writeback.drain(self._options.timeout_s)
        except VofsError as exc:
            log.error("the mount ends in disorder: %s", exc)
            self.left = len(self._table.unsent_below("/"))
        finally:
            self._writeback.stop()
            self._fetcher.stop()
            self._siblings.stop()
        self._tombstones.bury_due()
        self._segments.abort_left()
        self._close()
        if self.left:
            log.warning("%d uploads stay in %s for the next mount", self.left, self._disk.root)

    def abandon(self) -> None:
        """The mount was refused after all: close without waiting for anything."""
        self._control.stop()
        self._fetcher.stop()
        self._siblings.stop()
        self._close()

    def _close(self) -> None:
        try:
            self._table.close()
            self._disk.sync()
            self._index.stopped()
        except VofsError as exc:
            log.error("the cache could not be saved: %s", exc)
        self._index.close()
        self._disk.close()
        self._remote.close()
