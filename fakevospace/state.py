"""Everything that one fake service is, in one object, and the one lock that guards the tree.

`State` wires the parts and decides nothing.  Lock rule: `lock` is held around every use of
`tree` and `space` and of the nodes they give out; never while reading or writing a socket, and
never while waiting for anything else.  Journal, faults and jobs have their own locks: leaves.
"""

from __future__ import annotations

import threading
from pathlib import Path

from fakevospace.access import Users
from fakevospace.faults import FaultBoard, Rule
from fakevospace.jobs import JobStore
from fakevospace.journal import Journal
from fakevospace.modes import Mode
from fakevospace.nodes import Node
from fakevospace.nodetable import NodeTable, NoTable
from fakevospace.personality import Personality
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
        self.users = users
        self.page_cap = page_cap
        self.lock = threading.RLock()
        self.jobs = JobStore(clock)
        self.transactions = Transactions()
        self.mode = Mode.READ_WRITE
        self.faults = FaultBoard(rules)
        self.journal = Journal()
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
        self.tree = Tree(
            clock,
            self._table,
            root_owner=users.root_owner,
            directory_times=personality.directory_times,
            nodes=nodes,
        )
        self.space = Space(personality, self.tree, users.groups)

    def close(self) -> None:
        """Let go of the data directory; the state cannot be used after that."""
        with self.lock:
            self._table.close()
