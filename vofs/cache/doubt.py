"""What became of a PUT that broke, and whether what came after it stays (R1).

Where a broken PUT leaves the old bytes one look is enough.  Where a PUT truncates, the service may
notice the break late and truncate once more, by path, whatever is there by then:

* nothing is sent to that path until its node has stayed as it is for `settle_s`;
* the next success there is provisional: the file stays dirty, and its bytes here, until a GET made
  `settle_s` later gives what was sent; anything else is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from vofs.cache.brokenputs import BrokenPuts
from vofs.cache.cachedfile import CachedFile
from vofs.cache.clock import Clock
from vofs.cache.outcome import Outcome
from vofs.cache.putrecord import PutFate, PutRecord
from vofs.core.attributes import version_token
from vofs.core.errors import NodeNotFound, TransferCorrupted, VersionChanged
from vofs.core.nodes import NodeKind, VersionToken
from vofs.remote.api import Remote

OnStored = Callable[[str, VersionToken | None, VersionToken], None]
QUIET = float("-inf")
LOOKS_PER_SETTLE = 8
SHORTEST_LOOK_S = 1.0


class Doubts:
    """See the module's docstring.

    Args:
        remote: the service.
        broken: where PUTs broke.
        clock: for times.
        settle_s: how long a broken PUT must have left no trace.
        on_stored: told what arrived after all, right before it is clean; see `Uploader`.
    """

    def __init__(
        self,
        remote: Remote,
        broken: BrokenPuts,
        clock: Clock,
        settle_s: float,
        on_stored: OnStored,
    ) -> None:
        self._remote, self._broken, self._clock = remote, broken, clock
        self._settle_s, self._on_stored = settle_s, on_stored
        self._seen: dict[str, tuple[VersionToken | None, float]] = {}

    def recover(self, files: list[CachedFile]) -> None:
        """After a restart: a PUT that ran when the last mount was killed has broken."""
        for file in files:
            put = file.provenance[1]
            if put is not None and put.fate is PutFate.UNKNOWN:
                self.broke(file.path)

    def broke(self, path: str) -> None:
        """A PUT to `path` broke."""
        if not self._remote.capabilities.atomic_put:
            self._broken.note(path)
            self._seen.pop(path, None)

    def is_threatened(self, path: str) -> bool:
        """Whether a PUT broke at or below `path` that the service may not have noticed yet.

        What is moved there now would be truncated then.
        """
        return bool(self._broken.below(path, self._settle_s))

    def is_provisional(self, path: str) -> bool:
        """Whether a success at `path` is not to be believed yet."""
        return path in self._broken

    def settle(self, file: CachedFile) -> Outcome | None:
        """Find out what became of the PUT of `file` that is in doubt.

        Returns:
            None when it is settled, else how long to wait before looking again.

        Raises:
            RemoteError: the service cannot be asked.
            TransferCorrupted: what was accepted did not stay; it is to be sent again.
        """
        put = file.provenance[1]
        if put is not None and put.fate is PutFate.ARRIVED:
            return self._verify(file)
        token = self._look(file.path)
        generation = None if token is None else file.generation_of(token)
        if token is not None and generation is not None:
            if put is not None and (put.after_broken or _is_hint(put, token)):
                file.settle_as_arrived(token, generation)
                return self._verify(file)
            self._stays(file, token, generation)
            return None
        waiting = self._wait_until_quiet(file.path, token)
        if waiting is None:
            file.settle_as_lost()
        return waiting

    def _stays(self, file: CachedFile, token: VersionToken, generation: int) -> None:
        self._on_stored(file.path, file.provenance[0], token)
        file.settle_as_stored(token, generation)
        self._seen.pop(file.path, None)
        if file.path in self._broken:
            self._broken.forget(file.path)

    def wait_until_quiet(self, path: str) -> Outcome | None:
        """Before something new is sent to a path where a PUT broke; see `settle`."""
        if path not in self._broken:
            return None
        return self._wait_until_quiet(path, self._look(path))

    def _wait_until_quiet(self, path: str, token: VersionToken | None) -> Outcome | None:
        """None once the node has been as it is now for `settle_s`, and from then on."""
        if self._remote.capabilities.atomic_put:
            return None
        now = self._clock.monotonic()
        seen, since = self._seen.get(path, (token, now))
        if since > QUIET and seen != token:
            since = now
        remaining = since + self._settle_s - now
        self._seen[path] = (token, since if remaining > 0 else QUIET)
        if remaining <= 0:
            return None
        look_s = max(SHORTEST_LOOK_S, self._settle_s / LOOKS_PER_SETTLE)
        return Outcome(retry_after_s=min(remaining, look_s), waits=True)

    def _verify(self, file: CachedFile) -> Outcome | None:
        """Read back what was accepted, `settle_s` after that."""
        remaining = file.arrived_at + self._settle_s - self._clock.monotonic()
        if remaining > 0:
            return Outcome(retry_after_s=remaining, waits=True, contact=False)
        try:
            token = self._read_back(file.path)
        except VersionChanged:  # between the look and the GET: once more, later
            return Outcome(retry_after_s=SHORTEST_LOOK_S, waits=True)
        generation = None if token is None else file.generation_of(token)
        if token is not None and generation is not None:
            self._stays(file, token, generation)
            return None
        file.settle_as_lost()
        raise TransferCorrupted(f"{file.path}: accepted, and spoiled by a broken upload before it")

    def _read_back(self, path: str) -> VersionToken | None:
        """The version at `path` with the MD5 of the bytes that a GET gives; None: no file."""
        token = self._look(path)
        if token is None:
            return None
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with self._remote.open_bytes(path, 0, token.length, token) as source:
                for chunk in source.chunks():
                    digest.update(chunk)
        except NodeNotFound:
            return None
        return VersionToken(token.length, digest.hexdigest(), token.date_ms, token.md5_proves)

    def _look(self, path: str) -> VersionToken | None:
        """The version of the data node at `path`, or None."""
        try:
            node = self._remote.get_node(path)
        except NodeNotFound:
            return None
        return version_token(node) if node.kind is NodeKind.DATA else None


def _is_hint(put: PutRecord, token: VersionToken) -> bool:
    """Whether only an MD5 that may be of the bytes before says that the node is ours (R13).

    What a PUT that broke wrote in place keeps it; here the content may be back to it meanwhile.
    """
    return not token.md5_proves and token.md5 != put.md5
