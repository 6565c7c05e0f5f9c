"""The unlink of a file that is open, and the way back when it was only half a rename (R9).

libfuse renames an open file that is unlinked, or replaced by a rename, to a hidden name.  Here the
file loses its name, and a tombstone sees to its node; a rename that fails gives the name back.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from vofs.cache.cachedfile import CachedFile
from vofs.cache.foreign import is_foreign
from vofs.cache.journal import Tombstone
from vofs.cache.putrecord import PutRecord
from vofs.core.attributes import version_token
from vofs.core.errors import NodeNotFound, RemoteError, VofsError
from vofs.core.nodes import VersionToken
from vofs.mount.followed import Parts


class Hiding:
    """See the module's docstring.

    Args:
        parts: what changes of names work with.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def detach(self, path: str) -> None:
        """The file at `path` is unlinked, or is about to be replaced, while it is open (R9).

        The node goes when nobody needs its bytes any more: a tombstone sees to that.

        Raises:
            NodeBusy: an upload of it did not end within the timeout.
        """
        parts = self._parts
        file = parts.table.peek(path)
        if file is None:
            raise NodeNotFound(path)
        hold = parts.gate.hold((path,), parts.timeout_s)
        try:
            tombstone = self._tombstone_of(file)
            parts.writeback.forget(file)
            with parts.table.changing_names(path):
                parts.table.detached(path)
            parts.tombstones.raised(file, path, tombstone)
            parts.tree.removed(path)
        finally:
            parts.gate.release(hold)

    def _tombstone_of(self, file: CachedFile) -> Tombstone | None:
        """What is to go with the name of `file`; None: the service has nothing of it."""
        path, (token, put, _) = file.path, file.provenance
        if put is not None:
            seen, foreign = None, False
            with suppress(VofsError):  # not to be had: what was sent from here decides later
                seen, foreign = self._look_at(file)
            if not foreign:
                return self._left_by(put, path, token, seen)
        elif self._is_hearsay(file):
            with suppress(RemoteError):  # not to be had: what is there goes if it is this one
                token = self._version_there(path)
        return None if token is None else Tombstone(path, token)

    def _left_by(
        self, put: PutRecord, path: str, base: VersionToken | None, seen: VersionToken | None
    ) -> Tombstone:
        """What a PUT that broke left at `path`, did not touch, or leaves there yet.

        Args:
            put: the PUT.
            path: the name.
            base: the version from before.
            seen: what is there now: one of these.
        """
        whole = put.whole
        is_new = seen is not None and not (base is not None and base.same_version(seen))
        if seen is not None and is_new and seen.md5 is not None:
            whole += ((seen.length, seen.md5),)
        # An empty node is left where PUTs are atomic, too, by what makes it before its bytes come.
        torn_size = 0 if self._parts.remote.capabilities.atomic_put else put.longest
        return Tombstone(path, base or VersionToken(torn_size, md5_proves=False), torn_size, whole)

    def _look_at(self, file: CachedFile) -> tuple[VersionToken | None, bool]:
        """What the service has under a changed file's name, and whether its user never saw it.

        Raises:
            NodeBusy: that takes too long.
            RemoteError: the service cannot be asked.
        """
        parts = self._parts
        deadline = parts.clock.monotonic() + parts.timeout_s
        try:
            node = parts.remote.get_node(file.path)
        except NodeNotFound:
            return None, False
        foreign = is_foreign(
            parts.remote, file, node, given_up=lambda: parts.clock.monotonic() >= deadline
        )
        return version_token(node), foreign

    def _version_there(self, path: str) -> VersionToken | None:
        try:
            return version_token(self._parts.remote.get_node(path))
        except NodeNotFound:
            return None

    def _is_hearsay(self, file: CachedFile) -> bool:
        """Whether the version of a clean file was only seen in a listing that may lag (R13)."""
        confirmed = file.provenance[2] > float("-inf")
        return self._parts.remote.capabilities.listing_lags and not (confirmed or file.is_dirty)

    def make_room(self, path: str) -> None:
        """A file is about to be made where one was just unlinked: commit that unlink first."""
        self._parts.tombstones.commit(path)

    def making(self, path: str) -> AbstractContextManager[None]:
        """While a file is made at `path`: its container is not removed meanwhile.

        Raises:
            NodeBusy: its removal did not end within the timeout.
        """
        return self._parts.gate.making(path, self._parts.timeout_s)

    def begin_replacing(self, path: str) -> None:
        """A rename onto `path` begins: what was hidden there is not deleted meanwhile."""
        self._parts.tombstones.hold_off(path)

    def end_replacing(self, path: str) -> None:
        """The rename has ended, well or not; what still stands there may go."""
        self._parts.tombstones.let_go(path)

    def attach_again(self, file: CachedFile) -> None:
        """The rename over an open file failed: the file has its name, its row and its node back."""
        parts = self._parts
        unlinked = parts.tombstones.find(file.path)
        node_is_there = unlinked is not None and unlinked.file in (None, file)
        parts.table.reattached(file, node_is_there=node_is_there)
        parts.tombstones.given_back(file.path)
        parts.tree.appeared(file.path)
        parts.writeback.submit(file, flushed=False)
