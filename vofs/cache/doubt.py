"""What became of a PUT that broke: settled by looking (R1).

Where a broken PUT leaves the old bytes one look is enough.  Where a PUT truncates, the service may
notice the break late and truncate once more: the node must have stayed as it is for `settle_s`
before anything is sent to it again.
"""

from __future__ import annotations

from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.outcome import Outcome
from vofs.core.attributes import version_token
from vofs.core.errors import NodeNotFound
from vofs.core.nodes import NodeKind, VersionToken
from vofs.remote.api import Remote


class Doubts:
    """See the module's docstring.

    Args:
        remote: the service.
        clock: for times.
        settle_s: how long a broken PUT must have left no trace.
    """

    def __init__(self, remote: Remote, clock: Clock, settle_s: float) -> None:
        self._remote, self._clock, self._settle_s = remote, clock, settle_s
        self._seen: dict[int, tuple[VersionToken | None, float]] = {}

    def settle(self, file: CachedFile) -> Outcome | None:
        """Find out what became of the PUT of `file` that is in doubt.

        Returns:
            None when it is settled, else how long to wait before looking again.

        Raises:
            RemoteError: the service cannot be asked.
        """
        token = self._look(file.path)
        if token is not None and file.settle_if_sent(token):
            self._seen.pop(file.number, None)
            return None
        now = self._clock.monotonic()
        if not self._remote.capabilities.atomic_put:
            seen, since = self._seen.get(file.number, (token, now))
            if seen != token:
                since = now
            self._seen[file.number] = (token, since)
            remaining = since + self._settle_s - now
            if remaining > 0:
                return Outcome(
                    retry_after_s=min(remaining, max(1.0, self._settle_s / 8)), waits=True
                )
        self._seen.pop(file.number, None)
        file.settle_as_lost()
        return None

    def _look(self, path: str) -> VersionToken | None:
        """The version of the data node at `path`, or None."""
        try:
            node = self._remote.get_node(path)
        except NodeNotFound:
            return None
        return version_token(node) if node.kind is NodeKind.DATA else None
