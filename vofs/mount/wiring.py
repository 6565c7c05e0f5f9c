"""What a mount is made of, put together: which object works with which.

Nothing runs yet: `Session` recovers, starts and stops what is wired here.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from vofs.cache import filesystem
from vofs.cache.breaking import BreakingRemote
from vofs.cache.brokenputs import BrokenPuts
from vofs.cache.caughtup import CaughtUpRemote
from vofs.cache.clock import Clock
from vofs.cache.conflicts import Conflicts
from vofs.cache.disk import Disk
from vofs.cache.doubt import Doubts
from vofs.cache.emptyfile import EmptyFiles
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.gate import PathGate
from vofs.cache.index import Index
from vofs.cache.journal import Journal
from vofs.cache.ownversions import OwnVersions
from vofs.cache.prefetch import Prefetch
from vofs.cache.segments import Segments
from vofs.cache.siblings import Siblings
from vofs.cache.storing import Storing
from vofs.cache.threads import Threads
from vofs.cache.tombstones import Tombstones
from vofs.cache.upload import Uploader
from vofs.cache.waiting import WaitingPlaces
from vofs.cache.writeback import WriteBack
from vofs.core import uris
from vofs.core.conflicts import OnConflict
from vofs.core.errors import CacheError
from vofs.core.nodes import VersionToken
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
from vofs.mount.toldsizes import ToldSizes
from vofs.mount.tree import Tree
from vofs.remote.api import Remote

log = logging.getLogger(__name__)


class Wiring:
    """The objects of one mount.

    Args:
        options: the settings.
        remote: the service.
        clock: where time comes from.
        disk: the cache directory, locked.
        index: its index.
        threads: where the threads of downloads and uploads come from.
        given_up: whether the process that asks is being killed (R19).
    """

    def __init__(
        self,
        options: MountOptions,
        remote: BreakingRemote,
        clock: Clock,
        disk: Disk,
        index: Index,
        threads: Threads,
        given_up: Callable[[], bool],
    ) -> None:
        self._options, self._clock = options, clock
        self._threads, self._given_up = threads, given_up
        self._remote, self._disk, self._index = remote, disk, index
        self._own = OwnVersions(self._index, clock)
        self._service = self._caught_up()
        self._gate, self._places = PathGate(clock), WaitingPlaces(clock)
        self._prefetch = Prefetch(clock, on=options.prefetch)
        self._journal = Journal(self._index)
        self._empty = EmptyFiles(self._service, self._journal)
        self._segments = Segments(self._service, options.segments)
        self._table = FileTable(
            self._disk, self._index, clock, options.cache_limit_bytes, self._segments.gone
        )
        self._wire_downloads()
        self._wire_uploads()
        self._wire_names()

    def _wire_downloads(self) -> None:
        options, clock, threads = self._options, self._clock, self._threads
        self._fetcher = Fetcher(
            self._service, self._table, self._gate, clock, threads, workers=options.fetch_workers,
            places=self._places, prefetch=self._prefetch,
            timeout_s=options.timeout_s, strict=options.strict_timeout, given_up=self._given_up,
            on_stale=lambda path: self._tree.invalidate(path),
            on_proved=lambda path, token, at: self._tree.confirmed(path, token, at),
        )  # fmt: skip
        self._tombstones = Tombstones(
            self._service, self._journal, self._index, self._table, self._fetcher, self._gate,
            clock, options.timeout_s, lambda path: self._tree.removed(path),
        )  # fmt: skip
        self._tree = Tree(
            self._service, self._table, self._tombstones, clock, self._places,
            attr_ttl_s=options.attr_ttl_s, negative_ttl_s=options.negative_ttl_s,
            timeout_s=options.timeout_s,
        )  # fmt: skip
        self._siblings = Siblings(
            self._tree, self._table, self._fetcher, self._gate, self._prefetch, threads,
            workers=-(-options.fetch_workers // 2), answers=lambda: not self._remote.is_open,
        )  # fmt: skip

    def _wire_uploads(self) -> None:
        options, clock, threads = self._options, self._clock, self._threads
        self._doubts = Doubts(
            self._service, BrokenPuts(self._index, clock), clock, options.settle_s,
            self._stored,
        )  # fmt: skip
        uploader = Uploader(
            self._service, self._fetcher, self._tombstones, self._empty,
            Storing(self._service, self._empty, self._segments), self._doubts, clock,
            confirm_s=options.attr_ttl_s, keeps_conflicts=options.on_conflict is OnConflict.FAIL,
            on_stored=self._stored,
        )  # fmt: skip
        self._conflicts = Conflicts(
            self._service, self._table, self._gate, clock, policy=options.on_conflict,
            host=options.host, on_moved=self._moved,
        )  # fmt: skip
        self._writeback = WriteBack(
            uploader, self._conflicts, self._table, self._gate, clock, threads,
            workers=options.upload_workers, housekeeping=self._housekeeping,
        )  # fmt: skip

    def _wire_names(self) -> None:
        options, clock = self._options, self._clock
        self._parts = Parts(
            self._service, self._tree, self._table, self._index, self._journal, self._gate,
            self._tombstones, self._writeback, self._empty, self._own, clock, options.timeout_s,
            self._doubts.is_threatened,
        )  # fmt: skip
        self._followed = Followed(self._parts)
        self._namespace = Namespace(self._parts, self._followed)
        self._renaming = Renaming(self._parts, self._followed, lambda: secrets.token_hex(4))

    def _caught_up(self) -> Remote:
        """The service, as it is once it no longer lags (R13)."""
        lags = self._remote.capabilities.listing_lags
        return CaughtUpRemote(self._remote, self._own) if lags else self._remote

    def _stored(self, path: str, old: VersionToken | None, ours: VersionToken) -> None:
        """An upload arrived at `path`."""
        if self._remote.capabilities.listing_lags:
            self._own.stored(path, old, ours)
        self._tree.appeared(path)

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

    def _operations(self, thread_group: Callable[[], int], control_path: str) -> VOFS:
        """What the kernel asks for.

        Args:
            thread_group: the process that the calling FUSE request comes from.
            control_path: where the control socket is.
        """
        options, tree = self._options, self._tree
        rights = Rights(
            tree, options.service.root, read_only=options.read_only,
            tells_rights=self._remote.capabilities.tells_rights,
        )  # fmt: skip
        properties = Properties(options.service, tree, self._table, control_path)
        return VOFS(Machinery(
            service=options.service, tree=tree, table=self._table, fetcher=self._fetcher,
            siblings=self._siblings, writeback=self._writeback, namespace=self._namespace,
            followed=self._followed, renaming=self._renaming, rights=rights,
            quota=Quota(tree, self._table, self._clock), properties=properties,
            told=ToldSizes(self._clock),
            inodes=Inodes(lambda path: uris.node_uri(options.service, path)),
            clock=self._clock, owner=options.owner, close_wait_s=options.close_wait_s,
            save_delay_s=options.save_delay_s, timeout_s=options.timeout_s,
            fsync_remote=options.fsync_remote, thread_group=thread_group, given_up=self._given_up,
        ))  # fmt: skip
