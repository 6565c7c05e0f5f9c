"""Ends conflicts (R11), and the doubt about what a power loss left (R5).

`core.conflicts` decides; here the service is looked at and the decision carried out.  Ours gets
another name, or theirs another end, only when no handle is open; the worker that finds one open
comes back later.  The name changes here alone, in one transaction that makes the file a new one
with everything still to be sent; so a kill finds the conflict or its end, and nothing in between.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.filetable import FileTable
from vofs.cache.gate import PathGate
from vofs.cache.outcome import Outcome
from vofs.core import uris
from vofs.core.attributes import version_token
from vofs.core.conflicts import OnConflict, Resolution, names_beside, resolution
from vofs.core.errors import NodeBusy, NodeNotFound, RemoteUnavailable, UploadConflict, VofsError
from vofs.core.nodes import NodeKind, VersionToken
from vofs.remote.api import Remote

log = logging.getLogger(__name__)

LOOK_AGAIN_S = 0.5
BUSY_DELAY_S = 0.1

Seen = tuple[NodeKind, VersionToken]


class Conflicts:
    """See the module's docstring.

    Args:
        remote: the service.
        table: knows which files are open.
        gate: keeps transfers out of both names meanwhile.
        clock: for the time in a name.
        policy: what the user wants (--on-conflict).
        host: this machine's name, for the names of files.
        on_moved: told the old and the new path of a file.
    """

    def __init__(
        self,
        remote: Remote,
        table: FileTable,
        gate: PathGate,
        clock: Clock,
        *,
        policy: OnConflict,
        host: str,
        on_moved: Callable[[str, str], None],
    ) -> None:
        self._remote, self._table, self._gate, self._clock = remote, table, gate, clock
        self._policy, self._host, self._on_moved = policy, host, on_moved
        self._closed = False

    def all_closed(self) -> None:
        """The mount is gone: no handle counts any more."""
        self._closed = True

    def resolve(self, file: CachedFile, noticed: UploadConflict | None) -> Outcome:
        """End the conflict of `file` as far as that can be done now; called by a worker.

        Args:
            file: a file in conflict.
            noticed: what this worker has just run into; None: the conflict is an older one.

        Returns:
            `waits` when the file is to be sent, or looked at again; final when it is kept as it is.
        """
        path = file.path
        if file.is_detached:
            return Outcome(contact=False)
        if self._table.in_use(path) and not self._closed:
            if file.is_given_up:
                return self._keep(file, noticed, whole=not file.gaps)
            return Outcome(waits=True, retry_after_s=LOOK_AGAIN_S, contact=False)
        try:
            hold = self._gate.hold((path,), 0)
        except NodeBusy:
            return Outcome(waits=True, retry_after_s=BUSY_DELAY_S, contact=False)
        try:
            if file.path != path or file.is_detached:  # renamed or unlinked before we held it
                return Outcome(waits=True, retry_after_s=0.0, contact=False)
            return self._resolve_alone(file, noticed)
        except VofsError as exc:
            wait_s = exc.retry_after_s if isinstance(exc, RemoteUnavailable) else None
            return Outcome(exc, retry_after_s=wait_s)
        finally:
            self._gate.release(hold)

    def _resolve_alone(self, file: CachedFile, noticed: UploadConflict | None) -> Outcome:
        seen, uncertain = self._look(file.path), file.is_uncertain
        base, whole = file.provenance[0], not file.gaps
        match resolution(self._policy, seen, base, whole=whole, uncertain=uncertain):
            case Resolution.KEEP:
                return self._keep(file, noticed, whole=whole)
            case Resolution.SEND:
                settled = seen is None
                file.send_after_all(trusted=settled)
                if noticed and not settled:  # the service contradicts itself: not at once again
                    return Outcome(noticed)
                return Outcome(waits=True, retry_after_s=0.0)
            case Resolution.OVERWRITE:
                assert seen is not None
                log.warning("%s changed on the service: ours is sent over it", file.path)
                file.send_over(seen[1])
                return Outcome(waits=True, retry_after_s=0.0)
            case Resolution.RENAME:
                return self._rename(file, uncertain=uncertain)

    def _look(self, path: str) -> Seen | None:
        """What the service has at `path`; unreachable is an error, never "nothing"."""
        try:
            node = self._remote.get_node(path)
        except NodeNotFound:
            return None
        return node.kind, version_token(node)

    def _keep(self, file: CachedFile, noticed: UploadConflict | None, *, whole: bool) -> Outcome:
        """Nothing is sent: listed, and readable as far as it is here."""
        failure = UploadConflict(
            f"{file.path} changed on the service: ours is kept here, copy it to another name"
            if whole
            else f"conflict (partial): {file.path} has changes here, and the version that the rest"
            " of it was to come from is gone: what is here is kept (vofs cache recover)"
        )
        file.keep_conflict(failure)
        return Outcome(failure, final=True) if noticed else Outcome()

    def _rename(self, file: CachedFile, *, uncertain: bool) -> Outcome:
        """Ours becomes a new file under a name that nobody has."""
        path = file.path
        kept_as = self._free_name(path, uncertain=uncertain)
        with self._table.changing_names(path, kept_as):
            if not self._table.take_name(file, kept_as, in_use=self._closed):
                return Outcome(waits=True, retry_after_s=LOOK_AGAIN_S)
            try:
                file.send_as_new(kept_as)
            except BaseException:
                self._table.take_name(file, path, in_use=True)
                raise
        self._on_moved(path, kept_as)
        if uncertain:
            log.warning("%s: its last changes may be lost with the power; it is kept as %s",
                        path, uris.name_of(kept_as))  # fmt: skip
        else:
            log.warning("%s changed here and on the service; ours is kept as %s",
                        path, uris.name_of(kept_as))  # fmt: skip
        return Outcome(waits=True, retry_after_s=0.0)

    def _free_name(self, path: str, *, uncertain: bool) -> str:
        """A path beside `path` that neither the service nor the cache has."""
        name, parent, now = uris.name_of(path), uris.parent_of(path), self._clock.time_ns()
        names = names_beside(name, now, self._host, uncertain=uncertain)
        candidates = (uris.child_path(parent, other) for other in names)
        return next(c for c in candidates if not self._table.knows(c) and self._look(c) is None)
