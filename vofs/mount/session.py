"""One mount, started and stopped; `Wiring` says which objects it is made of.

`Session(...)` takes the cache, recovers what the last mount left, and settles what was interrupted,
all before the mount answers (R8).  `start` runs the threads once the kernel has accepted the mount;
`stop`, called by libfuse when it is gone, treats every open file as closed, sends what it can as
long as that progresses, and leaves the rest as rows for the next mount (R22).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from vofs import locks
from vofs.cache.breaking import BreakingRemote
from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.emptyfile import RECREATE
from vofs.cache.opening import open_cache
from vofs.cache.threads import SystemThreads, Threads
from vofs.cache.waiting import never
from vofs.core.errors import NodeBusy, VofsError
from vofs.mount.boundary import Boundary
from vofs.mount.control import Control
from vofs.mount.options import MountOptions
from vofs.mount.status import Status
from vofs.mount.wiring import Wiring
from vofs.remote.api import Remote

log = logging.getLogger(__name__)


class Session(Wiring):
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
        self._leave_uploads = False
        self.left = 0
        disk = open_disk(options.cache_dir, options.min_free_bytes)
        try:
            disk.lock(clock, options.timeout_s)
            index = open_cache(disk, remote.capabilities.identity, options.boot_id, clock)
        except BaseException:
            disk.close()
            raise
        breaking = BreakingRemote(remote, clock, threads, options.service.root)
        super().__init__(options, breaking, clock, disk, index, threads, given_up)
        status = Status(
            options, self._service, self._table, self._writeback, self._tombstones, credential
        )
        self._control = Control(
            options.control_dir / "control", options.service.root, status, self._tree, self._table,
            self._writeback, leave=self._leave,
        )  # fmt: skip
        self._vofs = self._operations(thread_group, str(self._control.path))
        try:
            self._control.listen()
            self._recover()
        except BaseException:
            self.abandon()
            raise

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
