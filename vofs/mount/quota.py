"""Refuses bytes that the service has no room for while the program can still be told (R24).

The quota that counts is that of the nearest container above a file that has one.  Whoever makes a
file grow asks here first, without any lock, because the service may have to be asked; a service
that does not answer has not refused.
"""

from __future__ import annotations

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.filetable import FileTable
from vofs.core import uris
from vofs.core.errors import NodeError, QuotaExceeded, RemoteError
from vofs.core.nodes import NodeInfo
from vofs.core.quota import TRUSTED_S, Allowance, Verdict, available_in
from vofs.locks import Level, OrderedLock, assert_none_held
from vofs.mount.tree import Tree


class Quota:
    """See the module's docstring.

    Args:
        tree: looks containers up.
        table: knows what waits to be sent.
        clock: for the age of figures.
    """

    def __init__(self, tree: Tree, table: FileTable, clock: Clock) -> None:
        self._tree, self._table, self._clock = tree, table, clock
        self._lock = OrderedLock(Level.LEAF)
        self._limiting: dict[str, tuple[str | None, float]] = {}  # by container; when found
        self._allowances: dict[str, Allowance] = {}

    def require(self, file: CachedFile, size: int) -> None:
        """`file` is about to be `size` bytes long.

        Raises:
            QuotaExceeded: the service, asked less than 30 s ago, has no room for that.
        """
        growth = size - file.size
        if growth <= 0 or file.is_detached:
            return
        assert_none_held("asking for a quota")
        container = self._limiting_container(uris.parent_of(file.path))
        if container is None:
            return
        now = self._clock.monotonic()
        verdict = self._judge(container, growth, now)
        if verdict is Verdict.ASK:
            self._refresh(container, now)
            verdict = self._judge(container, growth, now)
        if verdict is Verdict.REFUSE:
            raise QuotaExceeded(
                f"{file.path}: {growth} bytes more do not fit into the quota of {container}:"
                " delete something there, or ask for more"
            )

    def _judge(self, container: str, growth: int, now: float) -> Verdict:
        """Decide, and count what is accepted."""
        with self._lock:
            allowance = self._allowances.get(container)
            if allowance is None:
                return Verdict.ACCEPT  # the service did not say
            verdict = allowance.judge(growth, now)
            if verdict is Verdict.ACCEPT:
                self._allowances[container] = allowance.accept(growth)
            return verdict

    def _limiting_container(self, container: str) -> str | None:
        """The nearest container, from this one up, that has a quota; looked for every 30 s."""
        now = self._clock.monotonic()
        with self._lock:
            found, at = self._limiting.get(container, (None, float("-inf")))
        if now - at <= TRUSTED_S or (found is not None and found in self._allowances):
            return found
        found = self._find(container)
        with self._lock:
            self._limiting[container] = found, now
        return found

    def _find(self, container: str) -> str | None:
        above: str | None = container
        while above is not None:
            node = self._look(above, fresh=False)
            if node is not None and available_in(node.properties) is not None:
                self._learn(above, node, self._tree.seen_at(above))
                return above
            above = None if above == "/" else uris.parent_of(above)
        return None

    def _look(self, container: str, *, fresh: bool) -> NodeInfo | None:
        """The container's node; None when the service does not show it."""
        try:
            return self._tree.fresh(container) if fresh else self._tree.lookup(container)
        except (NodeError, RemoteError):
            return None

    def _refresh(self, container: str, asked_at: float) -> None:
        """Ask the service; when it does not answer there is no figure to refuse on."""
        node = self._look(container, fresh=True)
        if node is not None:
            self._learn(container, node, asked_at)
        else:
            self._forget(container)

    def _learn(self, container: str, node: NodeInfo, seen_at: float) -> None:
        available = available_in(node.properties)
        if available is None:
            self._forget(container)
            return
        waiting = sum(file.unsent_growth for file in self._table.unsent_below(container))
        with self._lock:
            self._allowances[container] = Allowance(available - waiting, seen_at)

    def _forget(self, container: str) -> None:
        with self._lock:
            self._allowances.pop(container, None)
            self._limiting.clear()
