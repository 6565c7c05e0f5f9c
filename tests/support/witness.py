"""A program that uses a mount, and what it was told is done: the judge of every crash.

A `Witness` does system calls and keeps, beside what it has been told, what the call under way would
lead to.  After a kill the mount must show what was acknowledged, or that and the call that was
under way; of a write under way any part may be there.  Nothing else was ever written.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest

from tests.support.sessions import Killed, Mounted, Stage

State = dict[str, bytes | None]  # paths below the mount: bytes of files, None for containers


def content(stage: Stage, path: str = "") -> State:
    """All that the service holds below the mount."""
    found: State = {}
    for name in sorted(stage.names(path)):
        child = f"{path}/{name}"
        if "Container" in stage.service.fake.node(stage.path(child))["type"]:
            found |= {child: None} | content(stage, child)
        else:
            found[child] = stage.stored(child)
    return found


def shown(mount: Mounted, path: str = "/") -> State:
    """All that the mount shows."""
    found: State = {}
    for name in mount.ls(path):
        child = f"{path.rstrip('/')}/{name}"
        if mount.stat(child).is_directory:
            found |= {child: None} | shown(mount, child)
        else:
            found[child] = mount.get(child)
    return found


def is_between(found: State, before: State, after: State) -> bool:
    """Whether `found` is what a change from `before` to `after` may leave when it breaks off."""
    if found in (before, after):
        return True
    return found.keys() == before.keys() == after.keys() and all(
        _is_mixed(found[path], before[path], after[path]) for path in found
    )


def _is_mixed(found: bytes | None, before: bytes | None, after: bytes | None) -> bool:
    if found is None or before is None or after is None:
        return found is before is after
    lengths = sorted((len(before), len(after)))
    return lengths[0] <= len(found) <= lengths[1] and all(
        byte in (old, new)
        for byte, old, new in zip_longest(found, before, after)
        if byte is not None
    )


@dataclass
class Account:
    """What a program was told, and what the call under way would lead to.

    Attributes:
        told: what was acknowledged.
        under_way: what the last call leads to; the same when it has returned.
        undone: open files that were unlinked: for a moment a crash undoes that (decision 0005).
    """

    told: State
    under_way: State
    undone: State = field(default_factory=dict)

    def begins(self, after: State) -> None:
        """A call begins that leads to `after`."""
        self.under_way = after

    def returned(self) -> None:
        """It has returned without an error."""
        self.told = self.under_way

    def require(self, found: State, where: str) -> None:
        """Assert that `found` may be there after a kill, or the end.

        Raises:
            AssertionError: acknowledged bytes are missing, or something was never written.
        """
        named = self.told.keys() | self.under_way.keys()
        kept = {
            path: data
            for path, data in found.items()
            if path in named or path not in self.undone or data != self.undone[path]
        }
        assert is_between(kept, self.told, self.under_way), (
            f"{where}: {brief(found)}, told {brief(self.told)}"
            + ("" if self.under_way == self.told else f", under way {brief(self.under_way)}")
        )


class Witness:
    """See the module's docstring.  System calls of one thread at a time; paths below the mount.

    Args:
        state: what the service holds.
    """

    def __init__(self, state: State) -> None:
        self._lock = threading.Lock()
        self._account = Account(state, state)
        self._dead = False
        self._mount: Mounted | None = None

    @property
    def mount(self) -> Mounted:
        """The mount that is used."""
        assert self._mount is not None
        return self._mount

    @property
    def told(self) -> State:
        """What was acknowledged."""
        return self._account.told

    def use(self, mount: Mounted) -> None:
        """Go on with this mount."""
        self._mount = mount

    def die(self) -> None:
        """The process behind the mount is gone: what it says from now on is worth nothing."""
        with self._lock:
            self._dead = True

    def live(self) -> None:
        """There is a new process, which knows what `die` left."""
        with self._lock:
            self._dead = False

    def require(self, found: State, where: str) -> None:
        """Assert that `found` may be there: see `Account.require`."""
        self._account.require(found, where)

    @contextmanager
    def _towards(self, after: State) -> Iterator[None]:
        with self._lock:
            self._require_life()
            self._account.begins(after)
        yield
        with self._lock:
            self._require_life()
            self._account.returned()

    def _require_life(self) -> None:
        """A dead process may seem to go on, when a call survives the kill: nobody is there to see.

        Raises:
            Killed: it is dead.
        """
        if self._dead:
            raise Killed("killed")

    def store_elsewhere(self, store: Callable[[], None]) -> None:
        """Somebody else changes the service, unless the program has come to its end."""
        with self._lock:
            self._require_life()
        store()

    # -- system calls -----------------------------------------------------------------------------

    def create(self, path: str) -> int:
        with self._towards(self.told | {path: b""}):
            return self.mount.create(path)

    def write(self, path: str, handle: int, data: bytes, offset: int) -> None:
        with self._towards(written(self.told, path, data, offset)):
            self.mount.write(handle, data, offset)

    def append(self, path: str, handle: int, data: bytes) -> None:
        """write(2) through a handle with O_APPEND; the offset that arrives is not to be used."""
        end = len(self.told[path] or b"")
        with self._towards(written(self.told, path, data, end)):
            self.mount.write(handle, data, 0)

    def truncate(self, path: str, size: int, handle: int | None = None) -> None:
        with self._towards(truncated(self.told, path, size)):
            self.mount.call("truncate", None if handle is not None else path, size, handle)

    def rename(self, source: str, destination: str) -> None:
        with self._towards(renamed(self.told, source, destination)):
            self.mount.call("rename", source, destination)

    def rename_over_open(self, source: str, destination: str) -> str:
        """What libfuse makes of a rename over a file that is open: hide, then rename.

        Returns:
            The hidden name, to be unlinked when the last handle is closed.
        """
        with self._towards(renamed(self.told, source, destination)):
            hidden = self.mount.hide(destination)
            self.mount.call("rename", source, destination)
        return hidden

    def unlink(self, path: str) -> None:
        with self._towards(without(self.told, path)):
            self.mount.call("unlink", path)

    def unlink_open(self, path: str) -> str:
        """unlink(2) of an open file; for a moment a crash undoes it (ADR 0005).

        Returns:
            The hidden name, to be unlinked when the last handle is closed.
        """
        with self._lock:
            self._require_life()
            self._account.undone |= {path: self.told[path]}
        with self._towards(without(self.told, path)):
            return self.mount.hide(path)


def written(state: State, path: str, data: bytes, offset: int) -> State:
    """`state` after pwrite(2)."""
    old = state[path] or b""
    return state | {path: old[:offset].ljust(offset, b"\0") + data + old[offset + len(data) :]}


def truncated(state: State, path: str, size: int) -> State:
    """`state` after truncate(2)."""
    return state | {path: (state[path] or b"")[:size].ljust(size, b"\0")}


def renamed(state: State, source: str, destination: str) -> State:
    """`state` after rename(2)."""
    kept = without(without(state, source), destination)
    moved = {path: data for path, data in state.items() if is_below(path, source)}
    return kept | {destination + path[len(source) :]: data for path, data in moved.items()}


def without(state: State, gone: str) -> State:
    """`state` without `gone` and all below it."""
    return {path: data for path, data in state.items() if not is_below(path, gone)}


def is_below(path: str, top: str) -> bool:
    return path == top or path.startswith(f"{top}/")


def brief(state: State) -> str:
    """`state`, readable when files are large: their length and the beginning of their MD5."""
    shown = {
        path: data if data is None or len(data) < 40 else f"{len(data)} bytes, {_digest(data)}"
        for path, data in sorted(state.items())
    }
    return str(shown)


def _digest(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()[:6]
