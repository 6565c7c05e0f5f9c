"""What must be finished, or looked into, after a crash: intents and tombstones (R8, R9).

An *intent* is committed before a synchronous change of the namespace is asked of the service, and
removed in the transaction that carries the change out here.  One that is found at start is settled
by looking at the service.  A *tombstone* stands for a node that was unlinked while it was open: it
is deleted when the last handle closes, and after a restart only if the service still holds the
version that was unlinked.

What is committed right before the service is asked to change something reaches the disk itself, by
a fully synchronous commit, and so does the end of a tombstone: a machine that loses its power then
still knows what it had begun, and deletes nothing twice.  All other ends may be lost: the intent
stands again, and looking finds that it is done (decision 0011).
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, field, replace

from vofs.cache.index import Index
from vofs.cache.rows import token_columns, token_of
from vofs.core.nodes import VersionToken


@dataclass(frozen=True, slots=True)
class Intent:
    """One synchronous change of the namespace.

    Attributes:
        op: mkdir, rmdir, unlink, rename or recreate.
        source: the path that is changed.
        destination: where it goes (rename), else "".
        step: how far a change of several requests has come.
        job_url: the move job of this step, from before it was run; "" before that.
        aside: where a replaced destination waits meanwhile (R10).
        source_token: the version at `source` when the change began.
        destination_token: the version that is being replaced.
        properties: what a node that is deleted and made again must get back (R4).
        number: its row; 0 before it is stored.
    """

    op: str
    source: str
    destination: str = ""
    step: str = ""
    job_url: str = ""
    aside: str = ""
    source_token: VersionToken | None = None
    destination_token: VersionToken | None = None
    properties: dict[str, str] = field(default_factory=dict)
    number: int = 0

    @property
    def paths(self) -> tuple[str, ...]:
        """Every path that nothing else may touch while the intent stands."""
        if self.step == "delete":  # the names have changed; only the aside is left
            return (self.aside,)
        return tuple(path for path in (self.source, self.destination, self.aside) if path)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A node that is unlinked here and not yet deleted there.

    Attributes:
        path: its name.
        token: the version that was unlinked.
        torn_size: a PUT of ours broke there: a node that is not longer than this is what it left,
            or makes yet of that version, bytes (R2); where PUTs are atomic at most an empty one.
        whole: length and hex MD5 of what PUTs of ours whose answers were lost may have left there.
    """

    path: str
    token: VersionToken
    torn_size: int | None = None
    whole: tuple[tuple[int, str], ...] = ()


class Journal:
    """Intents and tombstones in the index.

    Args:
        index: where they are kept.
    """

    def __init__(self, index: Index) -> None:
        self._index = index

    def begin(self, intent: Intent, *, durable: bool = True) -> Intent:
        """Commit `intent`; returns it with its number.

        Args:
            intent: what is to be changed.
            durable: on the disk; not needed as long as the service is not asked to change anything.
        """
        with self._index.transaction(durable=durable) as connection:
            cursor = connection.execute(
                "INSERT INTO intent (op, detail) VALUES (?, ?)", (intent.op, _encode(intent))
            )
            return replace(intent, number=cursor.lastrowid or 0)

    def advance(self, intent: Intent, *, durable: bool = True) -> Intent:
        """Commit the new step or job of a standing intent; `durable` as for `begin`."""
        with self._index.transaction(durable=durable) as connection:
            advance_intent(connection, intent)
        return intent

    def forget(self, intent: Intent) -> None:
        """The change is known not to have happened, or needs nothing here."""
        with self._index.transaction() as connection:
            end_intent(connection, intent)

    def intents(self) -> list[Intent]:
        """All standing intents, oldest first."""
        with self._index.transaction() as connection:
            rows = connection.execute("SELECT id, detail FROM intent ORDER BY id").fetchall()
        return [_decode(number, detail) for number, detail in rows]

    def find(self, number: int) -> Intent:
        """The standing intent of that number, with the step that was committed last.

        Raises:
            KeyError: it stands no more.
        """
        for intent in self.intents():
            if intent.number == number:
                return intent
        raise KeyError(number)

    def tombstones(self) -> list[Tombstone]:
        """All tombstones."""
        with self._index.transaction() as connection:
            rows = connection.execute(
                "SELECT path, torn_size, whole, length, md5, date_ms, md5_proves FROM tombstone"
            ).fetchall()
        found = []
        for path, torn_size, whole, *columns in rows:
            token = token_of(columns)
            if token is not None:
                arrivals = tuple((length, md5) for length, md5 in json.loads(whole))
                found.append(Tombstone(path, token, torn_size, arrivals))
        return found

    def drop_tombstone(self, path: str) -> None:
        """The node is gone, or was replaced.

        On the disk: what is stored there next may be the same bytes, and must not be deleted when
        the power was lost.
        """
        with self._index.transaction(durable=True) as connection:
            connection.execute("DELETE FROM tombstone WHERE path=?", (path,))


def advance_intent(connection: sqlite3.Connection, intent: Intent) -> None:
    """Within the transaction that carries a part of the change out: this step comes next."""
    connection.execute("UPDATE intent SET detail=? WHERE id=?", (_encode(intent), intent.number))


def end_intent(connection: sqlite3.Connection, intent: Intent) -> None:
    """Within the transaction that carries the change out: the intent is fulfilled."""
    connection.execute("DELETE FROM intent WHERE id=?", (intent.number,))


def add_tombstone(connection: sqlite3.Connection, tombstone: Tombstone) -> None:
    """Within a transaction: remember a node to be deleted."""
    connection.execute(
        "INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            tombstone.path,
            *token_columns(tombstone.token),
            tombstone.torn_size,
            json.dumps(tombstone.whole),
        ),
    )


def _encode(intent: Intent) -> str:
    return json.dumps(asdict(intent))


def _decode(number: int, detail: str) -> Intent:
    fields = json.loads(detail)
    for name in ("source_token", "destination_token"):
        if fields[name] is not None:
            fields[name] = VersionToken(**fields[name])
    return Intent(**{**fields, "number": number})
