"""The file of the index: whose it is, its format, its transactions, and what ended the last mount.

One connection for the process, used under the lock of level INDEX.  Write-ahead logging makes one
commit one append to a file, so every acknowledged change survives a killed process; `synchronous`
is NORMAL, and FULL for the one commit that fsync(2) asks for, because NORMAL alone does not reach
the disk (architecture.md section 3).  `locking_mode=EXCLUSIVE` comes before WAL: then there is no
shared-memory file that a full disk or NFS could break (R21).

An index belongs to one service identity; another one's is refused, never adopted, because its
unsent files would go to the wrong place.  What is not ours is not changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vofs.cache import schema
from vofs.cache.basechanges import BaseChanges
from vofs.core.errors import CacheDamaged, CacheFull, MountUnusable, UnknownIndex
from vofs.locks import Level, OrderedLock

LOG_BYTES = 4 << 20  # the log is brought into the database beyond this


class IndexFile:
    """An open index.

    Args:
        path: the database file; made when missing.
        identity: the service identity that this cache must belong to; None: any.
        on_full: called when a commit finds no room; makes some, and returns whether it did.

    Raises:
        MountUnusable: another identity's cache, or one that cannot be opened at all.
        UnknownIndex: of a newer format, damaged, or no index.
    """

    def __init__(
        self, path: Path, identity: str | None, on_full: Callable[[], bool] = lambda: False
    ) -> None:
        self._lock = OrderedLock(Level.INDEX)
        self._on_full = on_full
        self._log_file = Path(f"{path}-wal")
        self.losses = 0  # power losses that this cache has seen (R5)
        self.base_changes = BaseChanges()  # of this mount
        self.identity: str | None = identity
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as exc:
            raise _unusable(path, exc) from exc
        try:
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            version = self._identify(path, identity)  # what is not ours is not changed
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA wal_autocheckpoint=0")  # see `checkpoint`
            self._prepare(version)
        except BaseException as exc:
            self._connection.close()
            if isinstance(exc, sqlite3.Error):
                raise _unusable(path, exc) from exc
            raise

    def _identify(self, path: Path, identity: str | None) -> int:
        """The format of the index, 0 for a new one."""
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")}
        if version == 0 and not tables and identity is not None:
            return 0
        self.identity = self._meta("identity") if "meta" in tables else None
        if self.identity is None:
            raise UnknownIndex(f"{path} is no index of a cache of vofs")
        if identity not in (None, self.identity):
            raise MountUnusable(
                f"cache {path.parent} belongs to {self.identity}, not to {identity}:"
                " give another --cache-dir"
            )
        if version != schema.FORMAT and version not in schema.MIGRATIONS:
            raise UnknownIndex(f"{path} has format {version}, this vofs reads {schema.FORMAT}")
        return version

    def _prepare(self, version: int) -> None:
        if version == 0:
            assert self.identity is not None
            schema.create(self._connection, self.identity)
        elif version != schema.FORMAT:
            schema.migrate(self._connection, version)
        self.losses = int(self._meta("losses") or 0)

    def _meta(self, key: str) -> str | None:
        found = self._connection.execute("SELECT value FROM meta WHERE key=?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def started(self, boot_id: str) -> bool:
        """A mount begins: note under which boot, on the disk, before anything else changes (R5).

        Args:
            boot_id: what the kernel calls this boot.

        Returns:
            True when the machine went down since the last mount, and that did not end in order:
            what the cache holds may then be older than what the index says.
        """
        with self.transaction(durable=True) as connection:
            before, clean = self._meta("boot_id"), self._meta("clean_stop") == "1"
            lost = before is not None and before != boot_id and not clean
            self.losses += lost
            connection.executemany(
                "INSERT OR REPLACE INTO meta VALUES (?, ?)",
                [("boot_id", boot_id), ("clean_stop", "0"), ("losses", str(self.losses))],
            )
        return lost

    def stopped(self) -> None:
        """The mount ends, and everything that it wrote is on the disk."""
        with self.transaction(durable=True) as connection:
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('clean_stop', '1')")

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[sqlite3.Connection]:
        """One atomic change of the index.

        Args:
            durable: reach the disk before returning (fsync(2)), not only the kernel.

        Raises:
            CacheFull: the local file system is full; nothing was changed.
            CacheDamaged: the index cannot be written; nothing was changed.
        """
        with self._lock:
            try:
                if durable:
                    self._connection.execute("PRAGMA synchronous=FULL")
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._commit()
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
                finally:
                    if durable:
                        self._connection.execute("PRAGMA synchronous=NORMAL")
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    self._on_full()
                    raise CacheFull("the cache's index has no room on its disk") from exc
                raise CacheDamaged(f"index: {exc}") from exc
            except sqlite3.Error as exc:
                raise CacheDamaged(f"index: {exc}") from exc

    def _commit(self) -> None:
        """Commit; once more when the disk is full and room can be made (R21)."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            full = exc.sqlite_errorcode == sqlite3.SQLITE_FULL
            if not (full and self._connection.in_transaction and self._on_full()):
                raise
            self._connection.execute("COMMIT")

    def checkpoint(self) -> None:
        """Bring the log into the database when it has grown; the scheduler's work (R21).

        Raises:
            CacheFull, CacheDamaged: it could not be; nothing is lost, the log goes on.
        """
        try:
            if self._log_file.stat().st_size < LOG_BYTES:
                return
        except OSError:
            return
        with self._lock:
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.OperationalError as exc:
                if exc.sqlite_errorcode == sqlite3.SQLITE_FULL:
                    raise CacheFull("no room to bring the index's log in") from exc
                raise CacheDamaged(f"index: {exc}") from exc

    def close(self) -> None:
        """Close the connection; its lock on the file goes with it."""
        with self._lock:
            self._connection.close()


def _unusable(path: Path, exc: sqlite3.Error) -> CacheDamaged | MountUnusable:
    """What an error at opening means: what is no index, or one that cannot be reached."""
    if is_content(exc):
        return UnknownIndex(f"{path}: {exc}")
    return MountUnusable(
        f"cache index {path} cannot be used ({exc}); it may hold unsent data:"
        " keep it and give another --cache-dir"
    )


def is_content(exc: sqlite3.Error) -> bool:
    """Whether what is in the file is wrong, not the way to it (permissions, locks, the disk)."""
    return not isinstance(exc, sqlite3.OperationalError) or "no such" in str(exc)
