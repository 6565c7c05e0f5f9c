"""What we stored lately at which path, so that a service that lags is understood (R13).

`core.ownversions` decides; `OwnVersions` keeps it by path, in the index too, because a service lags
on while we are restarted; `caughtup` shows nodes to everybody as if it did not lag.

A node that is moved lags on under its new name, and so do all below it: what is remembered goes
with it, in the transaction that carries the move out here.  Until then, as long as nobody knows
whether it was moved, it counts at both names.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict, replace
from types import MappingProxyType

from vofs.cache.clock import Clock
from vofs.cache.index import Index
from vofs.cache.rowchanges import below
from vofs.core import uris
from vofs.core.attributes import version_token
from vofs.core.errors import CacheError
from vofs.core.nodes import CONTENT_DATE, LENGTH, MD5, NodeInfo, NodeKind, VersionToken
from vofs.core.ownversions import OwnVersion, Sight, judge, moved_over, stored
from vofs.locks import Level, OrderedLock

log = logging.getLogger(__name__)

PRUNE_ABOVE = 256


class OwnVersions:
    """See the module's docstring.

    Args:
        index: where they survive a restart.
        clock: for times.
    """

    def __init__(self, index: Index, clock: Clock) -> None:
        self._index, self._clock = index, clock
        self._lock = OrderedLock(Level.LEAF)
        with index.transaction() as connection:
            connection.execute("DELETE FROM own_version WHERE until_ns <= ?", (clock.time_ns(),))
            rows = connection.execute("SELECT path, detail FROM own_version").fetchall()
        self._memories = {path: _decode(detail) for path, detail in rows}
        self._moving: dict[str, str] = {}  # to where, from where
        self._prune_at = PRUNE_ABOVE

    def stored(self, path: str, old: VersionToken | None, ours: VersionToken) -> None:
        """An upload to `path` has replaced version `old` (None: there was no node) by `ours`.

        The same bytes again leave nothing to be remembered.  An index that cannot be written is no
        reason to doubt the upload: only a restart then knows less.
        """
        with self._lock:
            memory = stored(self._memories.get(path), old, ours, self._now_s())
            if not memory.is_empty:
                self._memories[path] = memory
            full = len(self._memories) >= self._prune_at
        try:
            if memory.is_empty:
                self.forget_below(path)
            else:
                self._note(path, memory)
        except CacheError as exc:
            log.warning("%s: stored, but not noted which version it replaced: %s", path, exc)
        if full:
            self._prune()

    def _note(self, path: str, memory: OwnVersion) -> None:
        with self._index.transaction() as connection:
            _save(connection, path, memory)

    def corrected(self, node: NodeInfo, *, listed: bool) -> NodeInfo:
        """The node as the service will show it once it has caught up with us.

        Args:
            node: as it is shown.
            listed: by a listing, not by a document of its own.
        """
        if node.kind is not NodeKind.DATA:
            return node
        sight, ours = self._judge(node.path, version_token(node), listed=listed)
        if sight is not Sight.LAG or ours is None:
            return node
        return replace(node, properties=_with_version(node.properties, ours))

    def _judge(
        self, path: str, token: VersionToken, *, listed: bool
    ) -> tuple[Sight, VersionToken | None]:
        with self._lock:
            here = self._memories.get(path)
            memory = here or self._coming(path)
            if memory is None:
                return Sight.CHANGE, None
            sight, after = judge(memory, token, self._now_s(), listed=listed)
            if here is not None:
                if after is None:
                    del self._memories[path]
                else:
                    self._memories[path] = after
            return sight, memory.ours

    # -- moves ----------------------------------------------------------------------------------

    def moving(self, source: str, destination: str) -> None:
        """The node at `source` is about to be moved; its fate is told by `moved` or `settled`."""
        with self._lock:
            self._moving[destination] = source

    def settled(self, *destinations: str) -> None:
        """Nothing is on its way to `destinations` any more."""
        with self._lock:
            for destination in destinations:
                self._moving.pop(destination, None)

    def _coming(self, path: str) -> OwnVersion | None:
        """What is remembered of a node that may be at `path` by now.  Lock held."""
        for destination, source in self._moving.items():
            if uris.is_below(path, destination):
                return self._memories.get(uris.replace_prefix(path, destination, source))
        return None

    def write_moved(
        self,
        connection: sqlite3.Connection,
        source: str,
        destination: str,
        replaced: VersionToken | None = None,
    ) -> None:
        """Within the transaction that carries a move out; when it has ended well, call `moved`.

        Args:
            connection: of the transaction.
            source: where the node was, with all below it.
            destination: where it is; what is remembered there is of what made room for it.
            replaced: the version that made room; None: there was none.
        """
        for path in (source, destination):
            connection.execute(
                "DELETE FROM own_version WHERE path=? OR (path >= ? AND path < ?)",
                (path, *below(path)),
            )
        for path, memory in self._carried(source, destination, replaced).items():
            _save(connection, path, memory)

    def moved(self, source: str, destination: str, replaced: VersionToken | None = None) -> None:
        """The transaction of `write_moved` has ended well; the arguments are the same."""
        carried = self._carried(source, destination, replaced)
        with self._lock:
            for path in list(self._memories):
                if uris.is_below(path, source) or uris.is_below(path, destination):
                    del self._memories[path]
            self._memories |= carried
            self._moving.pop(destination, None)

    def _carried(
        self, source: str, destination: str, replaced: VersionToken | None
    ) -> dict[str, OwnVersion]:
        """What is remembered at and below `source`, by its new path."""
        now_s = self._now_s()
        with self._lock:
            carried = {
                uris.replace_prefix(path, source, destination): memory
                for path, memory in self._memories.items()
                if uris.is_below(path, source)
            }
        if destination in carried:
            carried[destination] = moved_over(carried[destination], replaced, now_s)
        return carried

    def forget_below(self, path: str) -> None:
        """The node at `path` is gone, or another one came, with all below it."""
        with self._lock:
            gone = [other for other in self._memories if uris.is_below(other, path)]
            for other in gone:
                del self._memories[other]
        if gone:
            with self._index.transaction() as connection:
                connection.executemany(
                    "DELETE FROM own_version WHERE path=?", [(other,) for other in gone]
                )

    def _prune(self) -> None:
        """Forget what has expired; seldom enough that it costs nothing for each upload."""
        now_s = self._now_s()
        with self._lock:
            alive = {path: one for path, one in self._memories.items() if one.expires_at() > now_s}
            self._memories, self._prune_at = alive, max(PRUNE_ABOVE, 2 * len(alive))
        with self._index.transaction() as connection:
            connection.execute("DELETE FROM own_version WHERE until_ns <= ?", (int(now_s * 1e9),))

    def _now_s(self) -> float:
        return self._clock.time_ns() / 1e9


def _save(connection: sqlite3.Connection, path: str, memory: OwnVersion) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO own_version VALUES (?, ?, ?)",
        (path, int(memory.expires_at() * 1e9), json.dumps(asdict(memory))),
    )


def _with_version(properties: Mapping[str, str], ours: VersionToken) -> Mapping[str, str]:
    kept = {uri: text for uri, text in properties.items() if uri not in (MD5, CONTENT_DATE)}
    digest = {} if ours.md5 is None else {MD5: ours.md5}
    return MappingProxyType({**kept, **digest, LENGTH: str(ours.length)})


def _decode(detail: str) -> OwnVersion:
    fields = json.loads(detail)
    replaced = tuple((VersionToken(**token), at) for token, at in fields["replaced"])
    return OwnVersion(VersionToken(**fields["ours"]), replaced, fields["made_at"], fields["seen"])
