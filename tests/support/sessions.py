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
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fakevospace import FakeVOSpace
from tests.support.faultydisk import Changes, FaultyDisk
from tests.support.faultyremote import CHANGES, Fault, FaultyRemote, Killed, lost, raising
from tests.support.gates import (
    PATIENCE_S,
    Background,
    HeldAt,
    ManualClock,
    allowing,
    together,
    until,
)
from tests.support.powercut import PowerCut, Unsynced
from vofs.cache.clock import Clock, SystemClock
from vofs.cache.index import Index
from vofs.cache.journal import Intent, Journal, Tombstone
from vofs.core.attributes import Attributes, MountOwner
from vofs.core.errors import VofsError
from vofs.core.uris import parse_vospace
from vofs.mount.options import MountOptions
from vofs.mount.session import Session
from vofs.remote.credentials import Token
from vofs.remote.vosclient import VosRemote


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
        self._unsynced: Unsynced | None = None  # of what a kill has left
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

    def lose_power(self, cut: PowerCut = PowerCut.ALL) -> None:
        """The machine is gone, now; `cut` says what is left of the cache directory."""
        self.kill(power=cut)

    def kill(self, *, power: PowerCut | None = None) -> None:
        """kill -9, now: what the cache directory holds is all that is left.

        Args:
            power: what is lost of that, too.
        """
        copy = self.folder / f"cache-{len(self._caches)}"
        with self.changes.still():
            # Within: no request may follow a commit that the copy lacks, and the copy must not
            # hold what the session makes of requests that end because it was killed.
            self.remote.die()
            shutil.copytree(self.cache_dir, copy)
            self._unsynced = self.changes.unsynced.copied(self.cache_dir, copy)
        if power is not None:
            self._unsynced.cut(copy, power)
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
        self.changes = Changes(self._unsynced)

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


__all__ = [
    "CHANGES",
    "Background",
    "Fault",
    "FaultyRemote",
    "HeldAt",
    "Killed",
    "ManualClock",
    "Mounted",
    "PowerCut",
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
