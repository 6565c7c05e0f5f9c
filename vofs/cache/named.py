"""A cached file and its name: it may lose it while it is open, and have it back (R9).

The name and the row go together: a file without its name has none, and lives until its last user
has closed it.
"""

from __future__ import annotations

from copy import deepcopy

from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.filecore import FileCore
from vofs.cache.index import Index
from vofs.cache.rows import FileRow
from vofs.cache.space import Space
from vofs.core.lifecycle import Life


class Named(FileCore):
    """See the module's docstring; the arguments are those of `FileCore`."""

    def __init__(self, row: FileRow, disk: Disk, index: Index, clock: Clock, space: Space) -> None:
        super().__init__(row, disk, index, clock, space)
        self._name_is_durable = True

    @property
    def is_detached(self) -> bool:
        """Whether it has lost its name."""
        with self.lock:
            return self.state.life is Life.DETACHED

    @property
    def is_local(self) -> bool:
        """Whether the service never had it."""
        with self.lock:
            return self.state.base is None and self.state.life is Life.ATTACHED

    def name_committed(self, *, durable: bool) -> None:
        """Its row has a new name; without `durable` the next upload brings that to the disk.

        Otherwise a power loss could bring the old name back for what was sent under the new one.
        """
        with self.lock:
            self._name_is_durable = durable

    def detach(self) -> None:
        """The name is gone (unlinked or replaced while open); its row is gone already."""
        with self.lock:
            self.state.detach()
            self.lock.notify_all()  # nobody waits any longer for its upload

    def reattach(self, *, node_is_there: bool) -> None:
        """The name is back; so is the row, with everything still to be sent.

        Where the row never went nothing is written, so that a full disk, which may be why the
        rename failed, does not take the name away.

        Args:
            node_is_there: the service still has the node; otherwise all of it is to be sent.

        Raises:
            CacheDamaged: another file has the name by now; this one stays without.
            CacheFull: the row cannot be stored; the file stays without its name.
        """
        with self.lock:
            trial = deepcopy(self.state)
            trial.reattach(node_is_there=node_is_there)
            stored = self._index.find(self.path)
            if node_is_there and stored is not None and stored.number == self.number:
                self.state = trial
                return
            row = self._row(trial)
            self._row_promises = self._row_promises or row.promises
            self._index.restore(row)
            self.state, self._row_bytes = trial, row.present_bytes
            self._row_dirty = self.state.is_dirty
