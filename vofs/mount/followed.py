"""Changes of names whose fate is not known, and what all changes of names work with.

A change that was asked of the service and not answered stands as an intent, with its paths held.
`Followed` looks at each again, ever less often, until one look decides; only then is the intent
carried out or forgotten, and the paths are let go.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from vofs.cache.clock import Clock
from vofs.cache.emptyfile import EmptyFiles
from vofs.cache.filetable import FileTable
from vofs.cache.gate import Hold, PathGate
from vofs.cache.index import Index
from vofs.cache.journal import Intent, Journal
from vofs.cache.ownversions import OwnVersions
from vofs.cache.tombstones import Tombstones
from vofs.cache.writeback import WriteBack
from vofs.core.errors import CacheError, NodeBusy, RemoteTimeout, RemoteUnavailable, VofsError
from vofs.core.uploadqueue import backoff_s
from vofs.locks import Level, OrderedLock
from vofs.mount.tree import Tree
from vofs.remote.api import Remote

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What changes of names work with."""

    remote: Remote
    tree: Tree
    table: FileTable
    index: Index
    journal: Journal
    gate: PathGate
    tombstones: Tombstones
    writeback: WriteBack
    empty: EmptyFiles
    own: OwnVersions
    clock: Clock
    timeout_s: float
    is_threatened: Callable[[str], bool]


class Unsettled(RemoteTimeout):
    """Nobody could say within the timeout whether the change happened; it is followed up."""


@dataclass(slots=True)
class Doubt:
    """One intent whose fate is unknown.

    Attributes:
        intent: what was to be changed.
        hold: its paths, held; None: they are held for each look.
        settle: looks, and carries out or forgets what it finds.
        look_at: when to look next, monotonic seconds.
        looks: how often looking failed.
    """

    intent: Intent
    hold: Hold | None
    settle: Callable[[Intent], None]
    look_at: float = float("-inf")
    looks: int = 0


class Followed:
    """Intents whose fate is unknown: looked at until one look decides.

    Args:
        parts: what changes of names work with.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = OrderedLock(Level.LEAF)
        self._doubts: list[Doubt] = []

    def add(self, intent: Intent, hold: Hold | None, settle: Callable[[Intent], None]) -> None:
        """Keep looking at `intent`; see `Doubt`."""
        with self._lock:
            self._doubts.append(Doubt(intent, hold, settle))

    def wait_until_settled(self, path: str) -> None:
        """Return when no change of the name `path`, above it or below it is in doubt.

        What is written there before that would go where the name turns out to have gone.

        Raises:
            NodeBusy: one still is after `--timeout` (R8).
        """
        with self._lock:
            holds = [doubt.hold for doubt in self._doubts if doubt.hold is not None]
        if any(hold.covers(path) for hold in holds):
            self._parts.gate.wait_while_held(lambda: path, self._parts.timeout_s)

    def settle_all(self) -> None:
        """Look once at each that is due, oldest first; called by the scheduler and at start."""
        with self._lock:
            doubts = list(self._doubts)
        for doubt in doubts:
            if doubt.look_at <= self._parts.clock.monotonic() and self._is_settled(doubt):
                with self._lock:
                    self._doubts.remove(doubt)

    def _is_settled(self, doubt: Doubt) -> bool:
        intent = doubt.intent
        try:
            held = doubt.hold or self._parts.gate.hold(intent.paths, 0)
        except NodeBusy:
            return False  # an older intent has these paths; it is settled first
        settled = False
        try:
            doubt.settle(intent)
            settled = True
        except VofsError as exc:
            doubt.looks += 1
            doubt.look_at = self._parts.clock.monotonic() + backoff_s(doubt.looks, None)
            transient = isinstance(exc, RemoteUnavailable | CacheError)
            level = logging.INFO if transient or doubt.looks > 1 else logging.ERROR
            log.log(level, "%s of %s is still in doubt: %s", intent.op, intent.source, exc)
        finally:
            if settled or doubt.hold is None:
                self._parts.gate.release(held)
        return settled
