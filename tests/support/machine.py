"""The model machine: a session over a simulated service, one step at a time, against a plain model.

A step is a word and some numbers, every number taken modulo what there is to choose from, so that
any list of steps can be run and the same list always gives the same run.  Programs' calls, uploads,
downloads and the scheduler are actors (tests/support/actors.py); a step starts a call, or lets one
actor go on to where others could come between, or does something to the world: time, faults, other
clients, kill -9.

After each step what has ended is compared with the model (tests/support/expected.py), and the
invariants of every file in memory are checked.  `settle` heals everything, lets everybody finish,
and then service, mount and model must agree.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.actors import UNLIMITED, Actor, Stagehand
from tests.support.expected import Expected, overwritten, resized
from tests.support.simulated import Arrival, Fault, SimulatedRemote, SimulatedService
from vofs import locks
from vofs.core.attributes import MountOwner
from vofs.core.lifecycle import Upload
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.core.uris import parse_vospace
from vofs.mount.options import MountOptions
from vofs.mount.session import Session

Step = tuple[str | int, ...]

NAMES = ("/a", "/b", "/d/a", "/d/b")
ROOT = "/m"
PAUSES_S = (0.1, 0.6, 2.5, 11.0, 70.0)
FLAGS = (os.O_RDONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_APPEND)
FAULTS = tuple(Fault)
SETTLE_S, TIMEOUT_S, ATTR_TTL_S = 8.0, 5.0, 2.0
MOST_CALLS = 4
MOST_HANDLES = 5
MOST_TURNS = 20_000  # a settling that takes so many is a live-lock
LOCK_CHOICES = 12


class ModelError(AssertionError):
    """The product and the model disagree."""


@dataclass(frozen=True)
class Setting:
    """What a run is about.

    Attributes:
        personality: vault or cavern.
        unit: bytes; offsets and lengths of steps are multiples of it.
    """

    personality: str = "vault"
    unit: int = 1


@dataclass(eq=False)
class Handle:
    """An open file."""

    number: int
    file: Expected
    flags: int
    name: str
    busy: bool = False

    @property
    def reads(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_WRONLY

    @property
    def writes(self) -> bool:
        return self.flags & os.O_ACCMODE != os.O_RDONLY


@dataclass(eq=False)
class Call:
    """A system call under way.

    Attributes:
        what: for messages.
        actor: who makes it.
        done: compares its result with the model.
        failed: takes its errno to the model.
        killed: what the model makes of a kill in its middle.
        expects: errors that are right although nothing was wrong.
    """

    what: str
    actor: Actor
    done: Callable[[object], None]
    failed: Callable[[int], None]
    killed: Callable[[], None] = lambda: None
    expects: frozenset[int] = frozenset()


Names = dict[str, Expected]


class Machine:
    """See the module's docstring.

    Args:
        setting: what the run is about.
        folder: an empty directory.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self._folder = setting, folder
        self.stage = Stagehand()
        self.service = SimulatedService(setting.personality, self.stage.monotonic, SETTLE_S * 0.75)
        self.service.on_stored = self._arrived
        self.service.create(NodeInfo(ROOT, NodeKind.CONTAINER))
        self.service.create(NodeInfo(ROOT + "/d", NodeKind.CONTAINER))
        self.names: Names = {}
        self.unresolved: dict[str, list[Expected | None]] = {}
        self.bound: dict[str, list[Expected]] = {name: [] for name in NAMES}
        self.foreign: dict[tuple[str, bytes], float] = {}
        self.handles: list[Handle] = []
        self.calls: list[Call] = []
        self.recently_hidden: Names = {}
        self.naming = False  # a call that changes names is under way
        self.disturbed = False
        self.steps = 0
        self._fill = itertools.count(1)
        self._hidden = itertools.count(1)
        self._caches = 0
        self._records: list[logging.LogRecord] = []
        self.session: Session | None = None
        self.remote = SimulatedRemote(self.service, self.stage.pause)

    # -- mounting -------------------------------------------------------------------------------

    @property
    def cache_dir(self) -> Path:
        return self._folder / f"cache-{self._caches}"

    def mount(self) -> None:
        """Begin a session on the cache directory; it is there when its actor has ended."""
        self.remote = SimulatedRemote(self.service, self.stage.pause)
        control_dir = self._folder / f"s{self._caches}"
        control_dir.mkdir(exist_ok=True)
        service = replace(parse_vospace("vault:"), root=ROOT)
        options = MountOptions(
            service=service, mount_point=self._folder / "mnt", cache_dir=self.cache_dir,
            control_dir=control_dir, owner=MountOwner(1000, 1000), debug=True,
            timeout_s=TIMEOUT_S, close_wait_s=1.0, attr_ttl_s=ATTR_TTL_S, negative_ttl_s=1.0,
            settle_s=SETTLE_S, min_free_bytes=0, cache_limit_bytes=30 * self.setting.unit,
            upload_workers=2, fetch_workers=2,
        )  # fmt: skip

        def begin() -> object:
            session = Session(
                options, self.remote, self.stage, thread_group=lambda: 1, credential="none",
                threads=self.stage,
            )  # fmt: skip
            session.start(answering=False)
            return session

        def begun(session: object) -> None:
            assert isinstance(session, Session)
            self.session = session

        self._call("mount", begin, begun)

    def _call(
        self,
        what: str,
        job: Callable[[], object],
        done: Callable[[object], None] = lambda value: None,
        failed: Callable[[int], None] | None = None,
        killed: Callable[[], None] = lambda: None,
        locks_left: int = UNLIMITED,
        expects: frozenset[int] = frozenset(),
    ) -> None:
        """Begin a system call, and let it run to where others could come between."""
        actor = self.stage.start(what, job)
        self.calls.append(Call(what, actor, done, failed or (lambda number: None), killed, expects))
        self._go(actor, locks_left)

    def _go(self, actor: Actor, locks_left: int = UNLIMITED) -> None:
        fired = self.remote.fired
        self.stage.run(actor, locks_left)
        self.disturbed |= self.remote.fired > fired
        for call in [call for call in self.calls if call.actor.ended]:
            self.calls.remove(call)
            self._ended(call)
        for record in self._records:
            raise ModelError(f"logged: {record.getMessage()}") from (
                record.exc_info[1] if record.exc_info else None
            )

    def _ended(self, call: Call) -> None:
        error = call.actor.error
        if error is None:
            call.done(call.actor.value)
        elif isinstance(error, OSError) and error.errno is not None:
            if not self.disturbed and error.errno not in call.expects:
                raise ModelError(f"{call.what}: {error}, and nothing was wrong")
            if error.errno in (errno.ENOSYS, errno.EAGAIN, errno.EINVAL, errno.EBADF):
                raise ModelError(f"{call.what}: {error}")
            call.failed(error.errno)
        else:
            raise ModelError(f"{call.what} raised {error!r}") from error

    # -- the steps ------------------------------------------------------------------------------

    def do(self, step: Step) -> bool:
        """Take one step.

        Returns:
            False when there is nothing that it could do now.
        """
        word, numbers = str(step[0]), [int(number) for number in step[1:]]
        if word not in WORLD and (self.session is None or len(self.calls) >= MOST_CALLS):
            return False
        taken: bool = getattr(self, f"do_{word}")(*numbers) is not False
        if taken:
            self.steps += 1
            self._check_invariants()
        return taken

    def _check_invariants(self) -> None:
        if self.session is None or any("lock" in actor.at for actor in self.stage.standing):
            return
        for file in self.session.files:
            file.state.check_invariants()

    # world

    def do_run(self, which: int, locks_left: int = 0) -> bool:
        """Let one actor go on."""
        ready = self.stage.ready
        if not ready:
            return False
        self._go(ready[which % len(ready)], _locks(locks_left))
        return True

    def do_pass(self, which: int) -> None:
        """Let time pass."""
        seconds = PAUSES_S[which % len(PAUSES_S)]
        self.stage.advance(seconds)
        self.service.notice(overdue_only=True)
        self.disturbed |= seconds >= TIMEOUT_S / 2 and bool(self.calls)

    def do_fault(self, which: int) -> bool:
        """The next request that can go wrong in this way does."""
        if self.remote.armed:
            return False
        self.remote.armed.append(FAULTS[which % len(FAULTS)])
        return True

    def do_notice(self) -> None:
        """The service notices that a PUT has broken."""
        self.service.notice(overdue_only=False)

    def do_crash(self) -> None:
        """kill -9, and the next mount begins."""
        copy = self._folder / f"cache-{self._caches + 1}"
        if self.cache_dir.exists():
            shutil.copytree(self.cache_dir, copy)
            copy.chmod(0o700)
        self._bury()
        for name, file in self.recently_hidden.items():  # uncommitted for a moment (R9)
            self._doubt(name, file, None)
        self.recently_hidden.clear()
        for call in self.calls:
            call.killed()
        self.calls.clear()
        self.handles.clear()
        self.naming = False
        for file in self._all_files():
            file.handles, file.changing = 0, False
        self.disturbed = True
        self._caches += 1
        self.mount()

    def _bury(self) -> None:
        """End all actors where they stand, and close what is left of the session."""
        self.stage.kill()
        if self.session is not None:
            self.session.abandon()
            self.session = None
        self._records.clear()

    def do_remount(self) -> bool:
        """Unmount, with what can be sent being sent, and mount again."""
        if self.session is None or self.calls:
            return False
        session, self.session = self.session, None
        for handle in self.handles:
            handle.file.handles -= 1
        self.handles.clear()
        self.recently_hidden.clear()
        self._call("unmount", session.stop, lambda value: self.mount(), killed=lambda: None)
        return True

    # programs

    def do_create(self, which: int, locks_left: int = 0) -> bool:
        """open(2) with O_CREAT of a name that is free."""
        name = NAMES[which % len(NAMES)]
        if not self._may_name(name) or name in self.names:
            return False
        file = Expected(b"")
        file.changing = True
        if name in self.recently_hidden:
            file.may_replace |= set(self.recently_hidden[name].ever)
        self._bind(name, file)

        def created(number: object) -> None:
            assert isinstance(number, int)
            self.naming = file.changing = False
            self.recently_hidden.pop(name, None)
            self.names[name] = file
            self._opened(number, file, os.O_RDWR, name)

        self.naming = True
        self._call(
            f"create {name}", lambda: self._fuse("create", name, 0o644, os.O_RDWR | os.O_CREAT),
            created, lambda number: self._named(file, number, {name: (None, file)}),
            lambda: self._doubt(name, None, file), _locks(locks_left),
        )  # fmt: skip
        return True

    def do_open(self, which: int, flags_of: int, locks_left: int = 0) -> bool:
        """open(2) of a file that is there."""
        name, flags = NAMES[which % len(NAMES)], FLAGS[flags_of % len(FLAGS)]
        file = self.names.get(name)
        truncates = bool(flags & os.O_TRUNC)
        if not self._may_name(name) or file is None or (truncates and file.changing):
            return False
        if truncates:
            file.changing = True
            before = file.now
            file.add(b"")

        def opened(number: object) -> None:
            assert isinstance(number, int)
            self.naming = False
            if truncates:
                file.changing = False
                file.settle(b"")
            self._opened(number, file, flags, name)

        def failed(number: int) -> None:
            self.naming = False
            if truncates:
                file.changing = False
                file.settle(*before, b"")

        self.naming = True
        self._call(
            f"open {name} {flags:#o}", lambda: self._fuse("open", name, flags),
            opened, failed, locks_left=_locks(locks_left),
        )  # fmt: skip
        return True

    def _opened(self, number: int, file: Expected, flags: int, name: str) -> None:
        file.handles += 1
        self.handles.append(Handle(number, file, flags, name))

    def do_read(self, which: int, start: int, length: int, locks_left: int = 0) -> bool:
        """pread(2)."""
        handle = self._handle(which, lambda handle: handle.reads)
        if handle is None:
            return False
        offset, size = start * self.setting.unit, length * self.setting.unit
        file, mark = handle.file, handle.file.mark()

        def read(data: object) -> None:
            handle.busy = False
            assert isinstance(data, bytes | bytearray | memoryview)
            if not file.read_since(mark, offset, size, bytes(data)):
                wanted = [_shown(state[offset : offset + size]) for state in file.ever[mark:]]
                raise ModelError(
                    f"read {handle.name} {offset}+{size}: {_shown(bytes(data))}, not {wanted}"
                )

        self._on_handle(handle, "read", size, offset, done=read, locks_left=locks_left)
        return True

    def do_write(self, which: int, start: int, length: int, locks_left: int = 0) -> bool:
        """pwrite(2), or write(2) of an appending handle."""
        handle = self._handle(which, lambda handle: handle.writes and not handle.file.changing)
        if handle is None:
            return False
        data = bytes([next(self._fill) % 255 + 1]) * (max(1, length) * self.setting.unit)
        offset, append = start * self.setting.unit, bool(handle.flags & os.O_APPEND)
        self._change(
            handle,
            lambda state: overwritten(state, len(state) if append else offset, data),
            "write", data, offset, locks_left=locks_left,
        )  # fmt: skip
        return True

    def do_truncate(self, which: int, size: int, locks_left: int = 0) -> bool:
        """ftruncate(2)."""
        handle = self._handle(which, lambda handle: handle.writes and not handle.file.changing)
        if handle is None:
            return False
        end = size * self.setting.unit
        self._change(
            handle, lambda state: resized(state, end), "truncate", end, locks_left=locks_left
        )
        return True

    def _change(
        self,
        handle: Handle,
        change: Callable[[bytes], bytes],
        operation: str,
        *arguments: object,
        locks_left: int,
    ) -> None:
        file = handle.file
        file.changing = True
        before = file.now
        for state in before:
            file.add(change(state))

        def changed(value: object) -> None:
            handle.busy = file.changing = False
            late = [state for state in file.now if state not in before]
            changed_states = [change(state) for state in before]
            foreign = [change(state) for state in late if state not in changed_states]
            file.settle(*dict.fromkeys(changed_states + foreign))

        def failed(number: int) -> None:
            handle.busy = file.changing = False

        self._on_handle(
            handle, operation, *arguments, done=changed, failed=failed, locks_left=locks_left
        )

    def do_fsync(self, which: int) -> bool:
        """fsync(2)."""
        handle = self._handle(which, lambda handle: handle.writes)
        if handle is None:
            return False
        self._on_handle(handle, "fsync", 0)
        return True

    def do_close(self, which: int, locks_left: int = 0) -> bool:
        """close(2) of the last descriptor; libfuse unlinks a hidden file with its last handle."""
        handle = self._handle(which, lambda handle: not handle.busy)
        if handle is None:
            return False
        self.handles.remove(handle)

        def close() -> object:
            try:
                self._fuse("flush", handle.number)
            finally:
                self._fuse("release", handle.number)
                handle.file.handles -= 1
                self._forget_hidden(handle.file)
            return None

        self._call(f"close {handle.name}", close, locks_left=_locks(locks_left))
        return True

    def do_stat(self, which: int) -> bool:
        """stat(2) of a name."""
        name = NAMES[which % len(NAMES)]
        if not self._may_name(name):
            return False
        file = self.names.get(name)
        mark = 0 if file is None else file.mark()

        def found(attributes: object) -> None:
            self.naming = False
            size = getattr(attributes, "size", None)
            if file is None:
                raise ModelError(f"stat {name}: {size} bytes, and there is no such file")
            if size not in {len(state) for state in file.ever[mark:]}:
                raise ModelError(f"stat {name}: {size} bytes, not {list(map(len, file.now))}")

        def failed(number: int) -> None:
            self.naming = False
            if number == errno.ENOENT and file is not None:
                raise ModelError(f"stat {name}: no such file, and there is one")

        self.naming = True
        self._call(
            f"stat {name}", lambda: self._fuse("getattr", name), found, failed,
            expects=frozenset({errno.ENOENT} if file is None else ()),
        )  # fmt: skip
        return True

    def do_unlink(self, which: int, locks_left: int = 0) -> bool:
        """unlink(2)."""
        name = NAMES[which % len(NAMES)]
        file = self.names.get(name)
        if not self._may_name(name) or file is None or file.changing:
            return False
        hidden = f"/.fuse_hidden{next(self._hidden):016x}" if file.handles else ""

        def unlink() -> object:
            if not hidden:
                return self._fuse("unlink", name)
            self._fuse("rename", name, hidden)
            file.hidden = hidden
            self._forget_hidden(file)
            return None

        def gone(value: object) -> None:
            self.naming = file.changing = False
            del self.names[name]
            if hidden:
                self.recently_hidden[name] = file

        self.naming = file.changing = True
        self._call(
            f"unlink {name}", unlink, gone,
            lambda number: self._named(file, number, {name: (file, None)}),
            lambda: self._doubt(name, file, None), _locks(locks_left),
        )  # fmt: skip
        return True

    # -- pieces of calls ------------------------------------------------------------------------

    def _fuse(self, operation: str, *arguments: object) -> object:
        assert self.session is not None
        return self.session.boundary()(operation, *arguments)

    def _forget_hidden(self, file: Expected) -> None:
        """What libfuse does when the last handle of an unlinked file has been closed."""
        if file.hidden and not file.handles:
            self._fuse("unlink", file.hidden)
            file.hidden = ""

    def _handle(self, which: int, wanted: Callable[[Handle], bool]) -> Handle | None:
        fitting = [handle for handle in self.handles if not handle.busy and wanted(handle)]
        return fitting[which % len(fitting)] if fitting else None

    def _on_handle(
        self,
        handle: Handle,
        operation: str,
        *arguments: object,
        done: Callable[[object], None] | None = None,
        failed: Callable[[int], None] | None = None,
        locks_left: int = 0,
    ) -> None:
        def free(value: object) -> None:
            handle.busy = False

        handle.busy = True
        head: tuple[object, ...] = (handle.number,)
        if operation == "truncate":
            arguments = (None, *arguments, handle.number)
            head = ()
        self._call(
            f"{operation} {handle.name}",
            lambda: self._fuse(operation, *head, *arguments),
            done or free, failed or free, locks_left=_locks(locks_left),
        )  # fmt: skip

    def _may_name(self, name: str) -> bool:
        """Whether a call may use that name now: the model knows what it should find there."""
        return not self.naming and name not in self.unresolved and len(self.handles) < MOST_HANDLES

    def _bind(self, name: str, file: Expected) -> None:
        self.bound[name].append(file)

    def _named(
        self, file: Expected, number: int, names: dict[str, tuple[Expected | None, Expected | None]]
    ) -> None:
        """A change of names has failed: after ETIMEDOUT it may still happen."""
        self.naming = file.changing = False
        if number == errno.ETIMEDOUT:
            for name, (before, after) in names.items():
                self._doubt(name, before, after)

    def _doubt(self, name: str, *files: Expected | None) -> None:
        """Only looking will tell which of `files` has that name."""
        known = self.unresolved.setdefault(name, [])
        known += [file for file in files if file not in known]
        self.names.pop(name, None)

    def _all_files(self) -> Iterator[Expected]:
        for files in self.bound.values():
            yield from files

    # -- what the service sees ------------------------------------------------------------------

    def _arrived(self, arrival: Arrival) -> None:
        """Somebody's bytes have arrived: they are what a user's file was at one moment."""
        name = arrival.path.removeprefix(ROOT)
        files = self.bound.get(name, [])
        if not any(arrival.data in file.ever for file in files):
            raise ModelError(f"stored at {name}: {_shown(arrival.data)}, which was never there")
        stored_at = self.foreign.get((name, arrival.replaced or b""))
        if stored_at is not None and stored_at < arrival.began_s - ATTR_TTL_S:
            known = any(
                arrival.replaced in file.ever or arrival.replaced in file.may_replace
                for file in files
                if arrival.data in file.ever
            )
            if not known:
                raise ModelError(f"{name}: the version of somebody else is overwritten")

    # -- the end --------------------------------------------------------------------------------

    def do_settle(self) -> None:
        """Heal everything, let everybody finish, and compare."""
        self.remote.armed.clear()
        if self.session is None and not self.calls:
            self.mount()
        self._finish_calls()
        assert self.session is not None
        self._resolve()
        self._send_all()
        self._compare()
        self.disturbed = False
        self.recently_hidden.clear()

    def _finish_calls(self) -> None:
        """Let everybody run, and time pass, until no call is under way."""
        for turn in range(MOST_TURNS):
            ready = self.stage.ready
            if not self.calls:
                return
            if ready:
                self._go(ready[turn % len(ready)])
                continue
            deadline = self.stage.next_deadline
            if deadline is None:
                standing = [f"{actor.name} at {actor.at}" for actor in self.stage.standing]
                raise ModelError(f"a dead-lock: {standing}")
            self.stage.advance(max(0.0, deadline - self.stage.monotonic()))
            self.service.notice(overdue_only=True)
        raise ModelError(f"{[call.what for call in self.calls]} do not end")

    def _send_all(self) -> None:
        session = self.session
        assert session is not None
        for _ in range(3):
            self._quietly("drain", lambda: session.answer({"command": "drain", "timeout_s": 100}))
            self._wait(2 * SETTLE_S)
        self._wait(2 * ATTR_TTL_S)

    def _wait(self, seconds: float) -> None:
        self._quietly("wait", lambda: self.stage.sleep(seconds))

    def _quietly(self, what: str, job: Callable[[], object]) -> object:
        """A call of the machine's own, to its end."""
        found: list[object] = []
        self._call(what, job, found.append)
        self._finish_calls()
        return found[0] if found else None

    def _content(self, name: str) -> bytes | None:
        """What a program finds at `name`; None: nothing."""
        found: list[bytes | None] = []

        def read() -> bytes | None:
            try:
                number = self._fuse("open", name, os.O_RDONLY)
            except FileNotFoundError:
                return None
            assert isinstance(number, int)
            attributes = self._fuse("getattr", None, number)
            size = int(getattr(attributes, "size"))  # noqa: B009
            data = self._fuse("read", number, size + 1, 0)
            self._fuse("flush", number)
            self._fuse("release", number)
            assert isinstance(data, bytes | bytearray | memoryview)
            if len(bytes(data)) != size:
                raise ModelError(f"{name}: {size} bytes announced, {len(bytes(data))} read")
            return bytes(data)

        def keep(data: object) -> None:
            assert data is None or isinstance(data, bytes)
            found.append(data)

        self._call(f"read all of {name}", read, keep, self._unreadable(name))
        self._finish_calls()
        return found[0]

    def _unreadable(self, name: str) -> Callable[[int], None]:
        def failed(number: int) -> None:
            raise ModelError(f"{name} cannot be read: {os.strerror(number)}")

        return failed

    def _resolve(self) -> None:
        """Look which of the files that could have an unresolved name has it."""
        if not self.unresolved:
            return
        self._wait(2 * ATTR_TTL_S + 20 * TIMEOUT_S)
        for name, files in list(self.unresolved.items()):
            data = self._content(name)
            fitting = [
                file
                for file in files
                if (data is None) == (file is None)
                and (file is None or data is None or data in file.now)
            ]
            if not fitting:
                raise ModelError(f"{name}: {_shown(data)}, which is none of what it may be")
            del self.unresolved[name]
            if fitting[0] is not None:
                self.names[name] = fitting[0]

    def _compare(self) -> None:
        """Service, mount and model agree."""
        for name in NAMES:
            file, data = self.names.get(name), self._content(name)
            node = self.service.nodes.get(ROOT + name)
            there = None if node is None else node.data
            if file is None:
                if data is not None or there is not None:
                    raise ModelError(
                        f"{name} is gone; read: {_shown(data)}, there: {_shown(there)}"
                    )
                continue
            if data not in file.now:
                raise ModelError(f"{name}: read {_shown(data)}, not {list(map(_shown, file.now))}")
            if there != data and not self._kept_in_conflict(name, file):
                raise ModelError(f"{name}: read {_shown(data)}, there {_shown(there)}")
            assert data is not None
            file.settle(data)
        expected = {ROOT, ROOT + "/d", "/", *(ROOT + name for name in NAMES)}
        strays = set(self.service.nodes) - expected
        if strays:
            raise ModelError(f"left on the service: {sorted(strays)}")

    def _kept_in_conflict(self, name: str, file: Expected) -> bool:
        assert self.session is not None
        states = [kept.upload_state for kept in self.session.files if kept.path == ROOT + name]
        return file.rival and states == [Upload.CONFLICT]

    def close(self) -> None:
        """End the run, whatever state it is in."""
        self._bury()


WORLD = frozenset({"run", "pass", "fault", "notice", "crash", "remount", "settle"})


def _locks(choice: int) -> int:
    """Mostly an actor runs to the next request or wait; sometimes only a few locks far."""
    return UNLIMITED if not 0 < choice <= LOCK_CHOICES else choice


def _shown(data: bytes | None) -> str:
    """Bytes as runs: 3x05 are three fives."""
    if data is None:
        return "nothing"
    runs = [f"{len(list(run))}x{value:02x}" for value, run in itertools.groupby(data)]
    return f"[{' '.join(runs)}]"


@contextmanager
def running(setting: Setting, folder: Path) -> Iterator[Machine]:
    """A machine, mounted; its records are judged by it and nobody else."""
    machine = Machine(setting, folder)
    log = logging.getLogger("vofs")
    log.propagate, before = False, log.propagate
    handler = _Judge(machine)
    log.addHandler(handler)
    try:
        with locks.taking_turns(machine.stage):
            try:
                machine.mount()
                yield machine
            finally:
                machine.close()
    finally:
        log.removeHandler(handler)
        log.propagate = before


class _Judge(logging.Handler):
    """Keeps records of defects: exceptions that nobody foresaw."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(logging.WARNING)
        self._machine = machine

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and not self._machine.stage.killing:
            self._machine._records.append(record)


def play(setting: Setting, steps: list[Step], folder: Path) -> int:
    """Run a list of steps, and settle; returns how many steps were taken.

    Raises:
        AssertionError: the product and the model disagree; says after which step.
    """
    with running(setting, folder) as machine:
        for number, step in enumerate([*steps, ("settle",)]):
            try:
                machine.do(step)
            except AssertionError as exc:
                exc.add_note(f"at step {number}, {step}, of {setting}: {[*steps[:number], step]}")
                raise
        return machine.steps
