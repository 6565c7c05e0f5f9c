"""Everything that one fake service is, in one object, and the one lock that guards the tree.

`State` wires the parts and decides nothing.  Lock rule: `lock` is held around every use of
`tree` and `space` and of the nodes they give out; never while reading or writing a socket, and
never while waiting for anything else.  Journal, faults and jobs have their own locks: leaves.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fakevospace.access import Users
from fakevospace.clock import ServiceClock
from fakevospace.faultboard import FaultBoard
from fakevospace.faults import Rule
from fakevospace.jobs import JobStore
from fakevospace.journal import Journal
from fakevospace.modes import Mode
from fakevospace.nodes import Node
from fakevospace.nodetable import NodeTable, NoTable
from fakevospace.personality import Personality
from fakevospace.snapshots import Snapshot
from fakevospace.space import Space
from fakevospace.storage import ByteStore, DiskBytes, MemoryBytes
from fakevospace.tokens import Tokens
from fakevospace.transactions import Transactions
from fakevospace.tree import Clock, Tree


class State:
    """One service: tree, bytes, users, jobs, faults and journal."""

    def __init__(
        self,
        personality: Personality,
        *,
        data: Path | None,
        clock: Clock,
        users: Users,
        page_cap: int,
        rules: tuple[Rule, ...],
    ) -> None:
        """Start empty in memory, or with what `data` holds.

        Raises:
            DataDirectoryError: `data` cannot be used.
        """
        self.personality = personality
        self.clock = ServiceClock(clock)
        self.users = users
        self.page_cap = page_cap
        self.keeps_data = data is not None
        self.lock = threading.RLock()
        self.jobs = JobStore(self.clock)
        self.transactions = Transactions()
        self.mode = Mode.READ_WRITE
        self.faults = FaultBoard(rules)
        self.journal = Journal()
        self.at_reset: Callable[[], None] = lambda: None  # fills an emptied service again
        self.snapshots: dict[str, Snapshot] = {}  # those taken over HTTP, by name
        nodes: list[Node] = []
        self.store: ByteStore
        self._table: NodeTable | NoTable
        if data is None:
            self.store, self._table = MemoryBytes(), NoTable()
        else:
            self.store = DiskBytes(data / "content")
            table = NodeTable(data / "nodes.sqlite", personality.name)
            self._table, nodes = table, table.load(self.store)
        self.tokens = Tokens(self._table.secret)
        self._plant(nodes)
        self.clock.when_set = self._clock_was_set

    def _clock_was_set(self) -> None:
        with self.lock:
            self.tree.follow_clock()

    def _plant(self, nodes: Iterable[Node]) -> None:
        self.tree = Tree(
            self.clock,
            self._table,
            root_owner=self.users.root_owner,
            directory_times=self.personality.directory_times,
            nodes=nodes,
        )
        self.space = Space(self.personality, self.tree, self.users.groups)

    def replant(self, nodes: Sequence[Node] = ()) -> None:
        """Put another tree in the place of the whole one, an empty one without nodes.

        Call with `lock` held.  Contents are the caller's to delete.
        """
        self._table.replace_all(nodes)
        self._plant(nodes)

    def close(self) -> None:
        """Let go of the data directory; the state cannot be used after that."""
        with self.lock:
            self._table.close()
