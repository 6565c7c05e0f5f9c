"""Fetches the next files of a directory whose files are read in the order of its listing (R24).

`core.siblings` says which; here they are downloaded, by threads that no reader needs, each file as
a whole and in its place in the cache, so that opening it is as opening any cached file.  What a
sibling is never allowed to do:

* cost more than the budget that the mount has for what nobody asked for (`Prefetch`);
* push anything out of the cache but clean files that nobody uses;
* wait in a place that readers wait in, or ask a service that has stopped answering;
* touch a name that is being changed: it is fetched inside the gate, and known again inside it;
* touch a file that is in use or has changes of its own.

Its whole size is spent before it is asked for, and comes back to the budget when a handle begins to
read it, which is known by the number of its data file, or when it could not be had.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar

from vofs.cache.cachedfile import CachedFile
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.gate import PathGate
from vofs.cache.prefetch import Prefetch
from vofs.cache.threads import Threads
from vofs.core import uris
from vofs.core.attributes import mtime_ns_of, version_token
from vofs.core.errors import VofsError
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.core.siblings import AHEAD, LARGEST_SIBLING, Walk
from vofs.locks import Level, OrderedLock

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

WALKS_KEPT = 64  # directories
UNREAD_KEPT = 64 * AHEAD  # files
CACHE_SHARE = 4  # all that is fetched ahead for one walk fits into this part of the cache


class Names(Protocol):
    """What is known of the service's tree: see `mount.tree.Tree`."""

    def order(self, path: str) -> tuple[float, Callable[[], list[str]]]:
        """When the container `path` was listed, and its names, sorted, when called."""
        ...

    def remembered_or_none(self, path: str) -> NodeInfo | None:
        """The node at `path` if it is known without asking."""
        ...

    def found_again(self, path: str) -> NodeInfo | None:
        """The node at `path`, asked for if need be, in no reader's place; None: no such node."""
        ...

    def proved(self, path: str, token: VersionToken) -> None:
        """The service has just shown that the node at `path` has this version."""
        ...


class Siblings:
    """See the module's docstring.

    Args:
        names: says what a directory holds.
        table: the cached files.
        fetcher: brings bytes.
        gate: keeps downloads out of names that are being changed.
        prefetch: the budget.
        threads: where threads come from.
        workers: files that are fetched at a time.
        answers: whether the service answers at all.
    """

    def __init__(
        self,
        names: Names,
        table: FileTable,
        fetcher: Fetcher,
        gate: PathGate,
        prefetch: Prefetch,
        threads: Threads,
        *,
        workers: int,
        answers: Callable[[], bool],
    ) -> None:
        self._names, self._table, self._fetcher, self._gate = names, table, fetcher, gate
        self._prefetch, self._answers = prefetch, answers
        self._largest = min(LARGEST_SIBLING, table.space.limit_bytes // (AHEAD * CACHE_SHARE))
        self._lock = OrderedLock(Level.LEAF)
        self._walks: OrderedDict[str, Walk] = OrderedDict()
        self._orders: OrderedDict[str, tuple[float, list[str]]] = OrderedDict()
        self._unread: OrderedDict[int, int] = OrderedDict()  # bytes, by number of the data file
        self._ended = False  # the last walk that was heard of has come to its directory's end
        self._coming = 0  # bytes of the files that are being fetched
        self._offered = 0  # names that threads are to see to
        self._pool = threads.pool(workers, "vofs-sibling")

    @property
    def offered(self) -> int:
        """How many names were offered to be fetched that no thread has seen to yet."""
        with self._lock:
            return self._offered

    def reads(self, file: CachedFile) -> None:
        """A handle of `file` is about to read for the first time; others may come with it."""
        if not self._prefetch.is_on:
            return
        self._take_back(file)
        container, name = uris.parent_of(file.path), uris.name_of(file.path)
        while True:
            with self._lock:
                before, follows = self._walks.get(container, Walk()), self._ended
            if before.last == name:
                return
            order = self._order(container)

            def is_read(other: str) -> bool:
                return self._is_read(uris.child_path(container, other))

            reached = before.reached(name, order, is_read, follows=follows)
            names, ended = reached.ahead(order), reached.is_at_the_end(order, is_read)
            with self._lock:
                if self._walks.get(container, Walk()) != before:
                    continue  # another thread reads here, too
                self._walks[container] = reached.offered(names)
                _forget_oldest(self._walks, container, WALKS_KEPT)
                self._ended = ended
            self._set_out(container, names)
            return

    def _take_back(self, file: CachedFile) -> None:
        """If it was fetched ahead, it is unread no longer."""
        if self._unread:
            with self._lock:
                size = self._unread.pop(file.number, 0)
            self._prefetch.give_back(size)

    def _order(self, container: str) -> list[str]:
        """The names of a directory, in listing order; none when it was never listed."""
        listed_at, names = self._names.order(container)
        with self._lock:
            known = self._orders.get(container)
        if known is None or known[0] != listed_at:
            known = listed_at, names()
            with self._lock:
                self._orders[container] = known
                _forget_oldest(self._orders, container, WALKS_KEPT)
        return known[1]

    def _is_read(self, path: str) -> bool:
        """Whether a reader that leaves out `path` leaves out a file; of an empty one nothing is
        ever read."""
        node = self._names.remembered_or_none(path)
        return node is None or (node.kind is NodeKind.DATA and node.length > 0)

    def _set_out(self, container: str, names: list[str]) -> None:
        for name in names:
            with self._lock:
                self._offered += 1
            try:
                self._pool.submit(self._bring, container, uris.child_path(container, name))
            except RuntimeError:  # the mount is going away
                self._seen_to()

    # -- in the pool ----------------------------------------------------------------------------

    def _bring(self, container: str, path: str) -> None:
        """Fetch one file, if all that the module's docstring asks for holds."""
        try:
            if not self._answers() or not self._gate.try_enter(path):
                return
            try:
                self._bring_inside(path)
            finally:
                self._gate.leave(path)
        except VofsError as exc:
            log.debug("%s was not fetched ahead, nor what follows it: %s", path, exc)
            with self._lock:
                self._walks.pop(container, None)
        except Exception:
            log.exception("fetching %s ahead", path)
        finally:
            self._seen_to()

    def _seen_to(self) -> None:
        with self._lock:
            self._offered -= 1

    def _bring_inside(self, path: str) -> None:
        if self._table.peek(path) is not None:
            return
        asked = self._table.mark()
        node = self._names.found_again(path)
        if node is None or node.kind is not NodeKind.DATA:
            return
        size, number = node.length, None
        if not 0 < size <= self._largest or not self._prefetch.take(size):
            return
        with self._lock:
            self._coming += size
            coming = self._coming
        try:
            # The file that is being read comes at the same time, and must find room, too.
            if self._table.spare_room(coming + self._largest):
                number = self._fetch(path, node, asked)
        finally:
            with self._lock:
                self._coming -= size
            if number is None:
                self._prefetch.give_back(size)
        if number is not None:
            with self._lock:
                self._unread[number] = size
                _forget_oldest(self._unread, number, UNREAD_KEPT)

    def _fetch(self, path: str, node: NodeInfo, asked: int) -> int | None:
        """Download a file; returns the number of its data file, None when others see to it."""
        token = version_token(node)
        file = self._table.acquire(path, token, mtime_ns_of(node), asked)
        try:
            if file.is_dirty or not self._fetcher.bring_ahead(file):
                return None
            self._names.proved(path, token)
            return file.number
        finally:
            self._table.release(file)

    def stop(self) -> None:
        """Fetch nothing more; to be called when the fetcher has stopped."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _forget_oldest(entries: OrderedDict[K, V], used: K, most: int) -> None:
    """`used` was used last; what was used longest ago goes when there are more than `most`."""
    entries.move_to_end(used)
    if len(entries) > most:
        entries.popitem(last=False)
