"""A mount without a kernel: `Session` over the real `VosRemote` on a served fake.

A `Service` is a served fake with one `VosRemote`, made once for a module; each test mounts a
container of its own in it.  A `Stage` is that container, a cache directory and the sessions on it.

`FaultyRemote` stands between session and service.  It can fail a call before or after the service
has done it, hold it at a gate, or kill: a kill copies the cache directory at that very moment,
which is what a killed process leaves behind, and from then on nothing of the old session gets
through.  `Stage.reopen` mounts the copy.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from fakevospace import FakeVOSpace
from tests.support.faultydisk import Changes, FaultyDisk
from vofs.cache.clock import Clock, SystemClock
from vofs.cache.index import Index
from vofs.cache.journal import Intent, Journal, Tombstone
from vofs.core.attributes import Attributes, MountOwner
from vofs.core.errors import RemoteUnavailable, VofsError
from vofs.core.nodes import NodeInfo, VersionToken
from vofs.core.uris import parse_vospace
from vofs.locks import assert_none_held
from vofs.mount.options import MountOptions
from vofs.mount.session import Session
from vofs.remote.api import (
    ByteSource,
    Capabilities,
    MoveStatus,
    PutReceipt,
    PutTransaction,
    PutTransactions,
    Remote,
)
from vofs.remote.credentials import Token
from vofs.remote.vosclient import VosRemote

T = TypeVar("T")
PATIENCE_S = 10.0  # a gate that nobody opens for so long is a hang
CHANGES = frozenset({"create_node", "set_properties", "delete_node", "run_move", "put_bytes"})


class Killed(RemoteUnavailable):
    """The process is gone.  What the old session makes of it no longer matters to anybody."""


class ManualClock:
    """A clock that a test moves; `sleep` moves it, too."""

    def __init__(self, now: float = 1000.0) -> None:
        self._lock = threading.Lock()
        self._now = now

    def monotonic(self) -> float:
        with self._lock:
            return self._now

    def time_ns(self) -> int:
        return int(self.monotonic() * 1_000_000_000)

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._now += seconds


class HeldAt:
    """A call that waits: `reached` when it is there, goes on when `open` is called."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def arrive(self) -> None:
        self._reached.set()
        assert self._open.wait(PATIENCE_S), "nobody opened the gate"

    def wait_until_reached(self) -> None:
        assert self._reached.wait(PATIENCE_S), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the `nth` call (from 1) of `method` whose first argument is `path`.

    Attributes:
        method: of `Remote`; "put_body" for the moment when half the body of a PUT has left; "*" for
            the n-th of anything.
        nth: which call of those that match.
        path: the first argument, None for any.
        times: how many calls from the nth on.
        before: runs before the service is asked; may raise.
        after: runs once it has answered, or got the whole body; may raise.
    """

    method: str
    nth: int = 1
    path: str | None = None
    times: int = 1
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None


def lost(message: str = "the answer is lost") -> Callable[[], None]:
    """An answer that never arrives, although the service did it."""
    return raising(RemoteUnavailable(message, sent=True))


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


class FaultyRemote:
    """A `Remote` that does what a plan says; see the module's docstring.

    Args:
        inner: the service; it is not closed.
    """

    def __init__(self, inner: Remote) -> None:
        self._inner = inner
        self._lock = threading.Lock()
        self._faults: list[tuple[Fault, list[int]]] = []
        self._dead: Callable[[], None] | None = None
        self.calls: list[tuple[str, str]] = []

    def plan(self, *faults: Fault) -> None:
        """Add faults; they count from now."""
        with self._lock:
            self._faults += [(fault, [0]) for fault in faults]

    def hold(self, method: str, path: str | None = None, nth: int = 1) -> HeldAt:
        """Hold a call before the service is asked."""
        gate = HeldAt()
        self.plan(Fault(method, nth, path, before=gate.arrive))
        return gate

    def hold_answer(self, method: str, path: str | None = None, nth: int = 1) -> HeldAt:
        """Hold the answer of a call."""
        gate = HeldAt()
        self.plan(Fault(method, nth, path, after=gate.arrive))
        return gate

    def heal(self) -> None:
        """Nothing fails any more."""
        with self._lock:
            self._faults.clear()

    def die(self) -> None:
        """From now on every call ends in Killed, as in a process that is gone."""
        self._dead = raising(Killed("killed"))

    def count(self, method: str) -> int:
        """How often `method` was called."""
        return sum(name == method for name, _ in self.calls)

    def _due(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.calls.append((method, path))
            due = None
            for fault, seen in self._faults:
                if fault.method in (method, "*") and fault.path in (None, path):
                    seen[0] += 1
                    if fault.nth <= seen[0] < fault.nth + fault.times and due is None:
                        due = fault
            return due

    def _call(self, method: str, path: str, call: Callable[[], T]) -> T:
        assert_none_held(f"{method} {path}")
        if self._dead is not None:
            self._dead()
        fault = self._due(method, path)
        if fault is not None and fault.before is not None:
            fault.before()
        try:
            return call()
        except RemoteUnavailable:
            fault = None  # no answer came
            raise
        finally:
            if fault is not None and fault.after is not None:
                fault.after()
            if self._dead is not None:
                self._dead()

    @property
    def capabilities(self) -> Capabilities:
        return self._inner.capabilities

    @property
    def transactions(self) -> PutTransactions | None:
        inner = self._inner.transactions
        return None if inner is None else FaultyTransactions(self._call, inner)

    def get_node(self, path: str) -> NodeInfo:
        return self._call("get_node", path, lambda: self._inner.get_node(path))

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        children = self._call("list_children", path, lambda: list(self._inner.list_children(path)))
        return iter(children)

    def create_node(self, node: NodeInfo) -> NodeInfo:
        return self._call("create_node", node.path, lambda: self._inner.create_node(node))

    def set_properties(self, path: str, changes: Mapping[str, str | None]) -> NodeInfo:
        return self._call("set_properties", path, lambda: self._inner.set_properties(path, changes))

    def delete_node(self, path: str) -> None:
        self._call("delete_node", path, lambda: self._inner.delete_node(path))

    def create_move(self, source: str, destination: str) -> str:
        return self._call(
            "create_move", source, lambda: self._inner.create_move(source, destination)
        )

    def run_move(self, job_url: str, timeout_s: float) -> MoveStatus:
        return self._call("run_move", job_url, lambda: self._inner.run_move(job_url, timeout_s))

    def move_status(self, job_url: str) -> MoveStatus:
        return self._call("move_status", job_url, lambda: self._inner.move_status(job_url))

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        with ExitStack() as closed_on_failure:

            def call() -> ByteSource:
                source = self._inner.open_bytes(path, start, end, expected)
                return closed_on_failure.enter_context(source)

            source = self._call("open_bytes", path, call)
            closed_on_failure.pop_all()
        return source

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        return self._call(
            "put_bytes",
            path,
            lambda: self._inner.put_bytes(path, self._halved(path, body, size), size),
        )

    def _halved(self, path: str, body: Iterable[bytes], size: int) -> Iterator[bytes]:
        """The body, with a stop for faults after its first half."""
        half, sent = size // 2, 0
        for chunk in body:
            rest = chunk
            if sent < half <= sent + len(chunk):
                yield chunk[: half - sent]
                self._call("put_body", path, lambda: None)
                rest = chunk[half - sent :]
            if rest:
                yield rest
            sent += len(chunk)

    def close(self) -> None:
        """The service outlives the session."""


class FaultyTransactions:
    """Put transactions of a `FaultyRemote`; the methods' names in a `Fault` are `append` etc."""

    def __init__(self, call: Callable[..., Any], inner: PutTransactions) -> None:
        self._call, self._inner = call, inner

    def start(self, path: str, size: int) -> PutTransaction | None:
        found: PutTransaction | None = self._call(
            "start", path, lambda: self._inner.start(path, size)
        )
        return found

    def append(self, path: str, number: str, body: Iterable[bytes], size: int) -> PutReceipt:
        receipt: PutReceipt = self._call(
            "append", path, lambda: self._inner.append(path, number, body, size)
        )
        return receipt

    def find(self, path: str, number: str) -> PutTransaction | None:
        found: PutTransaction | None = self._call(
            "find", path, lambda: self._inner.find(path, number)
        )
        return found

    def revert(self, path: str, number: str) -> bool:
        return bool(self._call("revert", path, lambda: self._inner.revert(path, number)))

    def commit(self, path: str, number: str) -> PutReceipt:
        receipt: PutReceipt = self._call("commit", path, lambda: self._inner.commit(path, number))
        return receipt

    def abort(self, path: str, number: str) -> None:
        self._call("abort", path, lambda: self._inner.abort(path, number))


@dataclass(frozen=True)
class Service:
    """A served fake and the way to it; see the module's docstring."""

    fake: FakeVOSpace
    remote: VosRemote
    environment: Mapping[str, str]
    registry_cache: str

    @property
    def name(self) -> str:
        return self.fake.personality.name


@contextmanager
def serving(personality: str, home: Path) -> Iterator[Service]:
    """Serve a fake and connect to it, once for many tests."""
    with ExitStack() as stack:
        fake = stack.enter_context(FakeVOSpace(personality))
        server = stack.enter_context(fake.serve())
        home.mkdir()
        environment = server.environment(home)
        cache = str(home / ".config" / "cadc-registry")
        with pytest.MonkeyPatch.context() as patch:
            enter(environment, cache, patch)
            remote = VosRemote(parse_vospace(server.vospace), Token("any"), timeout_s=10.0)
        stack.callback(remote.close)
        yield Service(fake, remote, environment, cache)


def enter(environment: Mapping[str, str], registry_cache: str, patch: pytest.MonkeyPatch) -> None:
    """Let vos find the service: it looks for it once more in every thread."""
    for name, value in environment.items():
        patch.setenv(name, value)
    patch.setattr("cadcutils.net.ws.CACHE_LOCATION", registry_cache)


class Mounted:
    """One session and the system calls of a program that uses it, paths below the mount.

    Args:
        session: not yet started.
        options: its settings.
    """

    def __init__(self, session: Session, options: MountOptions) -> None:
        self.session, self.options = session, options
        self.call = session.boundary()
        self._started = False
        self._ended = False

    def start(self) -> Mounted:
        """Run the threads, if they do not run yet."""
        if not self._started:
            self._started = True
            self.session.start()
        return self

    def stop(self) -> None:
        """Unmount: everything is sent first."""
        if not self._ended:
            self._ended = True
            (self.session.stop if self._started else self.session.abandon)()

    def leave(self) -> None:
        """Unmount without sending anything more."""
        if self._started and not self._ended:
            self.control(command="leave")
        self.stop()

    def step(self) -> bool:
        """Carry out one upload that is due, in this thread; False when there is none."""
        return self.session._writeback.step()

    def control(self, **request: Any) -> dict[str, Any]:
        """Ask the control socket, or without threads what is behind it."""
        if not self._started:
            return self.session._control.answer(request)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE_S)
            connection.connect(str(self.options.control_dir / "control"))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
        return answer

    def housekeeping(self) -> None:
        """What the scheduler does twice a second, now."""
        self.session._housekeeping()

    def uploads(self) -> list[dict[str, Any]]:
        """What `vofs status` says is not on the service."""
        found: list[dict[str, Any]] = self.control(command="status")["uploads"]
        return found

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Poll for something that no event announces."""
        until(condition, what)

    def wait_sent(self) -> None:
        """Wait until nothing is left to be sent."""
        until(lambda: not self.uploads(), "uploads end")

    def wait_for_siblings(self) -> None:
        """Wait until no file is being fetched that is only expected to be read."""
        until(lambda: not self.session._siblings.offered, "the siblings have come")

    def create(self, path: str) -> int:
        return int(self.call("create", path, 0o644, 0o1 | 0o100))

    def open(self, path: str, flags: int = 0) -> int:
        return int(self.call("open", path, flags))

    def write(self, handle: int, data: bytes, offset: int = 0) -> None:
        assert self.call("write", handle, data, offset) == len(data)

    def close(self, handle: int) -> None:
        """close(2) of the last descriptor."""
        try:
            self.call("flush", handle)
        finally:
            self.call("release", handle)

    def put(self, path: str, data: bytes) -> None:
        """cp: make the file and close it."""
        handle = self.create(path)
        if data:
            self.write(handle, data)
        self.close(handle)

    def overwrite(self, path: str, data: bytes, offset: int = 0) -> None:
        """Open an existing file, write into it, close it."""
        handle = self.open(path, 2)
        self.write(handle, data, offset)
        self.close(handle)

    def get(self, path: str) -> bytes:
        """cat."""
        handle = self.open(path)
        try:
            size = self.stat(path).size
            return bytes(self.call("read", handle, size + 1, 0))
        finally:
            self.close(handle)

    def stat(self, path: str) -> Attributes:
        found = self.call("getattr", path)
        assert isinstance(found, Attributes)
        return found

    def exists(self, path: str) -> bool:
        try:
            self.call("getattr", path)
        except FileNotFoundError:
            return False
        return True

    def ls(self, path: str) -> list[str]:
        handle = int(self.call("opendir", path))
        try:
            names = [entry.name for entry in self.call("readdir", handle)]
            return [name for name in names if name not in (".", "..")]
        finally:
            self.call("releasedir", handle)

    def hide(self, path: str, hidden: str = "/.fuse_hidden0000000a00000001") -> str:
        """What libfuse does to unlink, or to replace, a file that is open."""
        self.call("rename", path, hidden)
        return hidden


class Stage:
    """One container of a service, mounted at will.

    Args:
        service: where the container is.
        root: its path on the service.
        folder: an empty directory for caches and sockets.
        clock: for the sessions.
        settings: of `MountOptions`, to replace the harness's.
    """

    def __init__(
        self, service: Service, root: str, folder: Path, clock: Clock, **settings: Any
    ) -> None:
        self.service, self.root, self.folder, self.clock = service, root, folder, clock
        self._settings = settings
        self.remote = FaultyRemote(service.remote)
        self.changes = Changes()
        self._mounts: list[Mounted] = []
        self._sockets = 0
        self._caches = [folder / "cache-0"]
        service.fake.mkdir(root)

    @property
    def vault(self) -> bool:
        return self.service.name == "vault"

    @property
    def cache_dir(self) -> Path:
        return self._caches[-1]

    def path(self, path: str) -> str:
        """The node path of a path below the mount."""
        return self.root + path

    def store(self, path: str, data: bytes) -> None:
        """Somebody else stores a file."""
        self.service.fake.put(self.path(path), data)

    def mkdir(self, path: str) -> None:
        """Somebody else makes a container."""
        self.service.fake.mkdir(self.path(path))

    def stored(self, path: str) -> bytes | None:
        """The bytes that the service has at `path`; None: no such node."""
        try:
            return self.service.fake.get(self.path(path))
        except FileNotFoundError:
            return None

    def has(self, path: str) -> bool:
        try:
            self.service.fake.node(self.path(path))
        except FileNotFoundError:
            return False
        return True

    def names(self, path: str = "") -> set[str]:
        """What the service lists."""
        return {node.name for node in self.service.remote.list_children(self.path(path))}

    def mount(self, *, threads: bool = True, **settings: Any) -> Mounted:
        """Mount the container; `threads` run the uploads and the scheduler."""
        self._sockets += 1
        control_dir = self.folder / f"s{self._sockets}"
        control_dir.mkdir()
        options = MountOptions(
            service=replace(parse_vospace(self.service.fake.personality.short_name),
                            root=self.root),
            mount_point=self.folder / "mnt", cache_dir=self.cache_dir, control_dir=control_dir,
            owner=MountOwner(1000, 1000), debug=True, min_free_bytes=0,
            **{"timeout_s": 5.0, "close_wait_s": 5.0, "save_delay_s": 0.0, "settle_s": 0.05,
               "upload_workers": 2, "fetch_workers": 3, **self._settings, **settings},
        )  # fmt: skip
        session = Session(
            options, self.remote, self.clock, thread_group=lambda: 1, credential="a test's",
            open_disk=partial(FaultyDisk, changes=self.changes),
        )  # fmt: skip
        mounted = Mounted(session, options)
        self._mounts.append(mounted)
        return mounted.start() if threads else mounted

    def kill(self) -> None:
        """kill -9, now: what the cache directory holds is all that is left."""
        copy = self.folder / f"cache-{len(self._caches)}"
        self.remote.die()  # first: no request may follow a commit that the copy lacks
        with self.changes.still():
            shutil.copytree(self.cache_dir, copy)
        copy.chmod(0o700)
        self._caches.append(copy)
        raise Killed("killed")

    def killing(self, method: str, nth: int = 1, *, after: bool, path: str | None = None) -> None:
        """Plan a kill right before, or right after, a call of the service."""
        self.remote.plan(
            Fault(method, nth, path, after=self.kill)
            if after
            else Fault(method, nth, path, before=self.kill)
        )

    @property
    def was_killed(self) -> bool:
        return len(self._caches) > 1

    def bury(self) -> None:
        """End what is left of a killed session; the next starts afresh."""
        self.remote.die()
        for mounted in self._mounts:
            mounted.leave()
        self.changes.close_all()
        self.remote = FaultyRemote(self.service.remote)
        self.changes = Changes()

    def reopen(self, **settings: Any) -> Mounted:
        """Bury the killed session and mount what it left."""
        self.bury()
        return self.mount(**settings)

    def close(self) -> None:
        for mounted in self._mounts:
            mounted.stop()

    def left(self) -> tuple[list[Intent], list[Tombstone], list[str]]:
        """Intents, tombstones and unsent paths in the cache of a session that has ended."""
        index = Index(self.cache_dir / "index.sqlite", self.remote.capabilities.identity)
        try:
            journal = Journal(index)
            dirty = [row.path for row in index.dirty()]
            return journal.intents(), journal.tombstones(), dirty
        finally:
            index.close()

    def stray_data(self) -> set[int]:
        """Data files with bytes that no row names, in the cache of a session that has ended.

        An empty one may be there, whose row a kill prevented: the next file takes its number.
        """
        index = Index(self.cache_dir / "index.sqlite", self.remote.capabilities.identity)
        try:
            with index.transaction() as connection:
                rows = {row[0] for row in connection.execute("SELECT number FROM file")}
        finally:
            index.close()
        files = (self.cache_dir / "data").iterdir()
        return {int(file.name) for file in files if file.stat().st_size} - rows


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that no event announces; the suite's only polling."""
    deadline = time.monotonic() + PATIENCE_S
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        pause.wait(0.01)


@contextmanager
def allowing(*patterns: str, when: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Let records of vofs pass that may come, but need not: a kill decides."""

    def unexpected(record: logging.LogRecord) -> bool:
        allowed = any(re.search(pattern, record.getMessage()) for pattern in patterns)
        return not (allowed and when())

    names = [name for name in logging.root.manager.loggerDict if name.startswith("vofs")]
    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(unexpected)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(unexpected)


def together(*jobs: Callable[[], object]) -> list[BaseException | None]:
    """Run jobs at the same time, let go at one barrier; their errors, None where there is none."""
    barrier = threading.Barrier(len(jobs))
    errors: list[BaseException | None] = [None] * len(jobs)

    def run(number: int) -> None:
        try:
            barrier.wait(PATIENCE_S)
            jobs[number]()
        except BaseException as exc:
            errors[number] = exc

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(6 * PATIENCE_S)
        assert not thread.is_alive(), "a dead-lock"
    return errors


class Background:
    """One call in a thread of its own; `result` waits for it and raises what it raised."""

    def __init__(self, job: Callable[[], object]) -> None:
        self._value: object = None
        self._error: BaseException | None = None

        def run() -> None:
            try:
                self._value = job()
            except BaseException as exc:
                self._error = exc

        self._thread = threading.Thread(target=run)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def result(self) -> object:
        self._thread.join(3 * PATIENCE_S)
        assert not self._thread.is_alive(), "it hangs"
        if self._error is not None:
            raise self._error
        return self._value


__all__ = [
    "CHANGES",
    "Background",
    "Fault",
    "FaultyRemote",
    "HeldAt",
    "Killed",
    "ManualClock",
    "Mounted",
    "Service",
    "Stage",
    "SystemClock",
    "VofsError",
    "allowing",
    "enter",
    "lost",
    "raising",
    "serving",
    "together",
    "until",
]
