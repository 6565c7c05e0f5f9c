"""The step that settles: heal everything, let everybody finish, and compare."""

from __future__ import annotations

import errno
import os

from tests.support.expected import Expected, State
from tests.support.machine.core import (
    ATTR_TTL_S,
    NAMES,
    ROOT,
    SETTLE_S,
    TIMEOUT_S,
    ModelError,
    shown,
)
from tests.support.machine.doubts import Possible
from tests.support.machine.naming import Naming
from tests.support.machine.programs import Programs
from tests.support.machine.world import Happenings
from vofs.core.lifecycle import Upload

MOST_TURNS = 20_000  # a settling that takes so many is a live-lock
CONFLICT, ASIDE = ".conflict-", ".vofs-aside-"
LOST = bytes(range(255, -1, -1))  # stands for a file that cannot be read as a whole


class Judge(Programs, Naming, Happenings):
    """See the module's docstring; the arguments are those of `Core`."""

    def do_settle(self) -> None:
        """Heal everything, let everybody finish, and compare service, mount and model.

        The service may lag on: nobody may notice (R13).
        """
        self.remote.armed.clear()
        self.disk.heal()
        if self.session is None and not self.calls:
            self.mount()
        self._finish_calls()
        if self.doubts:
            self._wait(20 * TIMEOUT_S)
        for _ in range(3):
            self._drain()
            self._wait(2 * SETTLE_S)
        self._wait(2 * ATTR_TTL_S)
        self._compare()
        self.disturbed = bool(self.doubts)
        self.recently_hidden.clear()
        named = set(self.names.values())
        self.deleted = {
            name: file for name, file in self.deleted.items() if file.handles and file not in named
        }

    def _finish_calls(self) -> None:
        """Let everybody run, and time pass, until no call is under way."""
        for turn in range(MOST_TURNS):
            ready = self.stage.ready
            if not self.calls:
                return
            if ready:
                self.go(ready[turn % len(ready)])
                continue
            deadline = self.stage.next_deadline
            if deadline is None:
                standing = [f"{actor.name} at {actor.at}" for actor in self.stage.standing]
                raise ModelError(f"a dead-lock: {standing}")
            self.pass_time(max(0.0, deadline - self.stage.monotonic()))
        raise ModelError(f"{[call.what for call in self.calls]} do not end")

    def _drain(self) -> None:
        session = self.session
        assert session is not None
        self.call("drain", lambda: session.answer({"command": "drain", "timeout_s": 100}))
        self._finish_calls()

    def _wait(self, seconds: float) -> None:
        self.call("wait", lambda: self.stage.sleep(seconds))
        self._finish_calls()

    def _content(self, name: str) -> bytes | None:
        """What a program finds at `name`; None: nothing."""
        found: list[bytes | None] = []

        def read() -> bytes | None:
            try:
                number = self.fuse("open", name, os.O_RDONLY)
            except FileNotFoundError:
                return None
            assert isinstance(number, int)
            size = int(getattr(self.fuse("getattr", None, number), "size"))  # noqa: B009
            data = self.fuse("read", number, size + 1, 0)
            self.fuse("flush", number)
            self.fuse("release", number)
            assert isinstance(data, bytes | bytearray | memoryview)
            if len(bytes(data)) != size:
                raise ModelError(f"{name}: {size} bytes announced, {len(bytes(data))} read")
            return bytes(data)

        def keep(data: object) -> None:
            assert data is None or isinstance(data, bytes)
            found.append(data)

        def failed(number: int) -> None:
            if number != errno.ESTALE or name not in self._perhaps_partial():
                raise ModelError(f"{name} cannot be read: {os.strerror(number)}")
            self.partial.add(name)
            found.append(LOST)

        self.call(f"read all of {name}", read, keep, failed)
        self._finish_calls()
        return found[0]

    def _perhaps_partial(self) -> set[str]:
        """Names of files whose holes another client may have made impossible to fill (R6)."""
        files = {
            *self.deleted.values(),
            *(f for f in self.all_files if f.rival or f.challenged is not None),
        }
        return self.partial | {name for name, bound in self.bound.items() if files & set(bound)}

    def _compare(self) -> None:
        """Every name has, here and there, what the model says; nothing else is left anywhere."""
        contents = {name: self._content(name) for name in NAMES}

        def fits(name: str, file: Expected | None) -> bool:
            data = contents[name]
            if data is LOST:
                return True
            return data is None if file is None else data is not None and file.may_be(data)

        found, impossible = self.doubts.resolve(fits)
        if impossible:
            raise ModelError(f"{impossible}: {[shown(contents[name]) for name in impossible]}")
        self.names.update(found)
        kept, named = self._kept_aside(), set(self.names.values())
        for name in NAMES:
            self._compare_name(name, contents[name])
        for file in self.all_files:
            if file.rival and file not in named:
                self._find_rival(file, kept)
        if any(handle.file not in named for handle in self.handles):  # whose bytes it may lack (R9)
            kept |= {path: b"" for path in self.service.nodes if ASIDE in path}
        strays = set(self.service.nodes) - {"/", ROOT, ROOT + "/d", *(ROOT + n for n in NAMES)}
        if strays - kept.keys():
            raise ModelError(f"left on the service: {sorted(strays)}")

    def _kept_aside(self) -> dict[str, bytes]:
        """Nodes to which our side of a conflict was renamed (R11)."""
        return {path: node.data for path, node in self.service.nodes.items() if CONFLICT in path}

    def _find_rival(self, file: Expected, kept: dict[str, bytes]) -> None:
        """A file that lost its name to another client's is kept under another (R11)."""
        if not any(map(file.may_be, kept.values())):
            raise ModelError(f"our side of a conflict is lost: {list(map(shown, file.now))}")
        file.rival = False

    def _compare_name(self, name: str, data: bytes | None) -> None:
        file, node = self.names.get(name), self.service.nodes.get(ROOT + name)
        if data is LOST and file is not None:  # kept and listed, but nobody can read all of it
            file.rival = False
            del self.names[name]
            worlds: list[Possible] = [{name: file}]
            if self.service.atomic:  # a node that lags may have shown another's version
                worlds += [{name: other} for other in self.bound[name] if other is not file]
            self.doubts.add(*worlds)
            return
        there = None if node is None else node.data
        if file is None:
            waits = any(handle.file in self.bound[name] for handle in self.handles)
            if data is not None or (there is not None and not waits):  # whose bytes it lacks (R9)
                raise ModelError(f"{name} is gone; read: {shown(data)}, there: {shown(there)}")
            self.partial.discard(name)
            if there in self.foreign:  # it is seen once the unlinked file is closed
                theirs = Expected(there)
                self.bound[name].append(theirs)
                self.doubts.add({name: None}, {name: theirs})
            return
        if data is None or not file.may_be(data):
            raise ModelError(f"{name}: read {shown(data)}, not {list(map(shown, file.now))}")
        file.settle(State((data,)))
        if there == data:
            file.rival, file.challenged = False, None
            self.partial.discard(name)
        elif not self._is_kept_in_conflict(name, file, there):
            raise ModelError(f"{name}: read {shown(data)}, there {shown(there)}")

    def _is_kept_in_conflict(self, name: str, file: Expected, there: bytes | None) -> bool:
        """Ours is kept, dirty and listed, and theirs is untouched, while a handle is open.

        There may also be what was sent over theirs, by a PUT that had looked before (R11).
        """
        assert self.session is not None
        named = [f for f in self.session.files if f.path == ROOT + name and not f.is_detached]
        known = file.rival or file.challenged is not None or name in self.partial
        if not known or [f.upload_state for f in named] != [Upload.CONFLICT] or there is None:
            return False
        if there not in self.foreign and not (self.service.atomic and file.was(there)):
            return False
        theirs = Expected(there)
        self.bound[name].append(theirs)
        del self.names[name]
        self.doubts.add({name: file}, {name: theirs})
        return True
