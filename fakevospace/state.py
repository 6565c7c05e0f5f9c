"""Everything that one fake service is, in one object, and the one lock that guards the tree.

`State` wires the parts and decides nothing.  Lock rule: `lock` is held around every use of
`tree` and `space` and of the nodes they give out; never while reading or writing a socket, and
never while waiting for anything else.  Journal, faults and jobs have their own locks: leaves.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from fakevospace.access import Users
from fakevospace.clock import ServiceClock
from fakevospace.datafile import DataFile
from fakevospace.faultboard import FaultBoard
from fakevospace.faults import Rule
from fakevospace.jobs import JobStore
from fakevospace.jobtable import JobTable
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
from fakevospace.transactiontable import TransactionTable
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
        self.lock = threading.RLock()
        self.mode = Mode.READ_WRITE
        self.faults = FaultBoard(rules)
        self.journal = Journal()
        self.at_reset: Callable[[], None] = lambda: None  # fills an emptied service again
        self.snapshots: dict[str, Snapshot] = {}  # those taken over HTTP, by name
        self.store: ByteStore
        self._file: DataFile | None = None
        self._table: NodeTable | NoTable
        if data is None:
            self.store, self._table = MemoryBytes(), NoTable()
            self.jobs, self.transactions = JobStore(self.clock), Transactions()
            self.tokens = Tokens(secrets.token_bytes(32))
            self._plant(())
        else:
            self._load(data)
        self.clock.when_set = self._clock_was_set

    def _load(self, data: Path) -> None:
        """Go on with what a directory holds; contents that belong to nothing in it are deleted."""
        self.store = DiskBytes(data / "content")
        self._file = file = DataFile(data / "nodes.sqlite", self.personality.name)
        self.tokens = Tokens(file.secret)
        table, job_table, transaction_table = (
            NodeTable(file),
            JobTable(file),
            TransactionTable(file),
        )
        nodes = table.load(self.store)
        held = {node.content for node in nodes if node.content is not None}
        transactions = transaction_table.load(self.store, held)
        self.store.retain(held | {one.content for one in transactions})
        jobs = job_table.load(int(self.clock() * 1000))
        self._table = table
        self.jobs = JobStore(self.clock, job_table, jobs)
        self.transactions = Transactions(transaction_table, transactions)
        self._plant(nodes)

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
            if self._file is not None:
                self._file.close()
