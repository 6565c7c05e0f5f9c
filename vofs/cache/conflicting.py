"""The conflicting side of a cached file: what it takes part in when a conflict ends (R5, R11).

What is decided, and why, is `conflicts`' business; here state and row change together, so that a
kill finds either the conflict or its end.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from vofs.cache.rows import FileRow
from vofs.cache.settling import Settling
from vofs.core.errors import UploadConflict
from vofs.core.filestate import FileState
from vofs.core.lifecycle import Event, Upload
from vofs.core.nodes import VersionToken


class Conflicting(Settling):
    """See the module's docstring; the arguments are those of `FileCore`."""

    @property
    def is_given_up(self) -> bool:
        """Whether nothing of it will be sent unless somebody does something about it."""
        with self.lock:
            kept = self.state.upload is Upload.CONFLICT and self.conflict_kept
            return kept or self.state.upload is Upload.FAILED

    @property
    def is_uncertain(self) -> bool:
        """Whether changes of it may have been lost with the machine's power (R5)."""
        with self.lock:
            return self.state.is_dirty and self._losses < self._index.losses

    def conflicted(self, failure: UploadConflict, *, kept: bool) -> None:
        """The service turned out to hold something else.

        Args:
            failure: what it is.
            kept: nothing will be done about it: whoever closes the file is told.
        """
        with self.lock:
            self.conflict_kept = kept or not self.state.is_whole
            self.state.apply(Event.CONFLICT)
            self._upload_ended(failure, keep_put=True)

    def keep_conflict(self, failure: UploadConflict) -> None:
        """The conflict stays: listed, never sent by itself."""
        with self.lock:
            self.conflict_kept = True
            self._upload_ended(failure, keep_put=True)

    def send_after_all(self, *, trusted: bool) -> None:
        """Nothing stands against its own name any more.

        Args:
            trusted: there is no node: what a power loss left of it may be sent there, too, and what
                was not proved; there is nothing left to compare it with, or to spoil (R6).
        """
        with self.lock:
            self.state.apply(Event.RESOLVE)
            if trusted:
                self._losses = self._index.losses
                self.state.proved()
            self._upload_ended(None, keep_put=True)

    def send_over(self, seen: VersionToken) -> None:
        """All of it is sent over the version `seen`.

        Raises:
            CacheError: the index could not be changed; nothing was.
        """
        with self.lock:
            trial = deepcopy(self.state)
            trial.resolved(seen)
            row = replace(self._row(trial), whole=True, spans=(), error="", attempts=0)
            self._store(row)
            self._is_as(trial, row)
            self.confirmed_at = self._clock.monotonic()

    def send_as_new(self, path: str) -> None:
        """It becomes a file of its own, at `path`, that the service never had.

        Args:
            path: its name from now on, already so in the file table.

        Raises:
            CacheError: the index could not be changed; nothing was.
        """
        with self.lock:
            trial = deepcopy(self.state)
            trial.resolved(None)
            row = replace(
                self._row(trial), whole=True, spans=(), error="", attempts=0, put=None,
                losses=self._index.losses,
            )  # fmt: skip
            self._row_promises = True
            self._index.save_as(row, path)
            self._name_is_durable = False
            self._is_as(trial, row)

    def _is_as(self, state: FileState, row: FileRow) -> None:
        """State and row are committed: here they follow.  Lock held."""
        self.state, self.put, self._put_before = state, row.put, row.put
        self.error, self.attempts, self.answered_failures = "", 0, 0
        self._row_whole, self._losses = True, row.losses
        self._row_promises, self._row_bytes = True, row.present_bytes
        self.lock.notify_all()
