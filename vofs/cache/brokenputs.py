"""On which paths a PUT broke that the service may notice late (R1).

A service that truncates does so by path: whatever is stored there next, under the same row of the
cache or another one, may be spoiled.  So this is kept by path, apart from the files, and survives
their removal and a restart.
"""

from __future__ import annotations

import logging

from vofs.cache.clock import Clock
from vofs.cache.index import Index
from vofs.core import uris
from vofs.core.errors import CacheError
from vofs.locks import Level, OrderedLock

log = logging.getLogger(__name__)

KEPT_NS = 24 * 3600 * 1_000_000_000  # no handler of a service lives longer


class BrokenPuts:
    """See the module's docstring.

    Args:
        index: where they are kept.
        clock: for times.
    """

    def __init__(self, index: Index, clock: Clock) -> None:
        self._index, self._clock = index, clock
        self._lock = OrderedLock(Level.LEAF)
        oldest = clock.time_ns() - KEPT_NS
        with index.transaction() as connection:
            connection.execute("DELETE FROM broken_put WHERE at_ns < ?", (oldest,))
            rows = connection.execute("SELECT path, at_ns FROM broken_put").fetchall()
        self._paths: dict[str, int] = dict(rows)

    def __contains__(self, path: str) -> bool:
        with self._lock:
            return path in self._paths

    def below(self, path: str, age_s: float) -> list[str]:
        """Where at and below `path` a PUT broke less than `age_s` seconds ago."""
        since = self._clock.time_ns() - int(age_s * 1_000_000_000)
        with self._lock:
            young = [broken for broken, at_ns in self._paths.items() if at_ns > since]
        return [broken for broken in young if uris.is_below(broken, path)]

    def note(self, path: str) -> None:
        """A PUT to `path` broke.

        An index that cannot be written changes nothing here; after a restart the file's own row
        still says that its PUT began.
        """
        now = self._clock.time_ns()
        with self._lock:
            self._paths[path] = now
        try:
            with self._index.transaction() as connection:
                connection.execute("INSERT OR REPLACE INTO broken_put VALUES (?, ?)", (path, now))
        except CacheError as exc:
            log.warning("%s: its upload broke, which could not be noted: %s", path, exc)

    def forget(self, path: str) -> None:
        """What is at `path` was read back `settle` after it was stored: nothing comes any more."""
        with self._index.transaction() as connection:
            connection.execute("DELETE FROM broken_put WHERE path=?", (path,))
        with self._lock:
            self._paths.pop(path, None)
