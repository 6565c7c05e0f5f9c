"""What we stored lately at which path, so that a service that lags is understood (R13).

`core.ownversions` decides; `OwnVersions` keeps it by path, in the index too, because a service lags
on while we are restarted; `CaughtUpRemote` shows nodes to everybody as if it did not lag.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from types import MappingProxyType

from vofs.cache.clock import Clock
from vofs.cache.index import Index
from vofs.core import uris
from vofs.core.attributes import version_token
from vofs.core.errors import CacheError
from vofs.core.nodes import CONTENT_DATE, LENGTH, MD5, NodeInfo, NodeKind, VersionToken
from vofs.core.ownversions import OwnVersion, Sight, judge, stored
from vofs.locks import Level, OrderedLock
from vofs.remote.api import (
    ByteSource,
    Capabilities,
    MoveStatus,
    PutReceipt,
    PutTransactions,
    Remote,
)

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
            connection.execute(
                "INSERT OR REPLACE INTO own_version VALUES (?, ?, ?)",
                (path, int(memory.expires_at() * 1e9), json.dumps(asdict(memory))),
            )

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
            memory = self._memories.get(path)
            if memory is None:
                return Sight.CHANGE, None
            sight, after = judge(memory, token, self._now_s(), listed=listed)
            if after is None:
                del self._memories[path]
            else:
                self._memories[path] = after
            return sight, memory.ours

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


def _with_version(properties: Mapping[str, str], ours: VersionToken) -> Mapping[str, str]:
    kept = {uri: text for uri, text in properties.items() if uri not in (MD5, CONTENT_DATE)}
    digest = {} if ours.md5 is None else {MD5: ours.md5}
    return MappingProxyType({**kept, **digest, LENGTH: str(ours.length)})


def _decode(detail: str) -> OwnVersion:
    fields = json.loads(detail)
    replaced = tuple((VersionToken(**token), at) for token, at in fields["replaced"])
    return OwnVersion(VersionToken(**fields["ours"]), replaced, fields["made_at"], fields["seen"])


class CaughtUpRemote:
    """A `Remote` whose nodes show what we stored in them, although the service lags.

    Args:
        inner: the service.
        own: what we stored.
    """

    def __init__(self, inner: Remote, own: OwnVersions) -> None:
        self._inner, self._own = inner, own

    @property
    def capabilities(self) -> Capabilities:
        """See `Remote`."""
        return self._inner.capabilities

    @property
    def transactions(self) -> PutTransactions | None:
        """See `Remote`."""
        return self._inner.transactions

    def get_node(self, path: str) -> NodeInfo:
        """See `Remote`."""
        return self._own.corrected(self._inner.get_node(path), listed=False)

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`."""
        for node in self._inner.list_children(path):
            yield self._own.corrected(node, listed=True)

    def create_node(self, node: NodeInfo) -> NodeInfo:
        """See `Remote`."""
        return self._inner.create_node(node)

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        """See `Remote`."""
        return self._own.corrected(self._inner.set_properties(path, changes), listed=False)

    def delete_node(self, path: str) -> None:
        """See `Remote`."""
        self._inner.delete_node(path)
        self._own.forget_below(path)

    def create_move(self, source: str, destination: str) -> str:
        """See `Remote`."""
        job_url = self._inner.create_move(source, destination)
        self._own.forget_below(source)
        self._own.forget_below(destination)
        return job_url

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        """See `Remote`."""
        return self._inner.run_move(job_url, timeout_s)

    def move_status(self, job_url: str) -> MoveStatus:
        """See `Remote`."""
        return self._inner.move_status(job_url)

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        """See `Remote`."""
        return self._inner.open_bytes(path, start, end, expected)

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """See `Remote`."""
        return self._inner.put_bytes(path, body, size)

    def close(self) -> None:
        """See `Remote`."""
        self._inner.close()
