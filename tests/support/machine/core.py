"""The heart of the model machine: the session under test, and the system calls under way.

What the parts of the machine share lives here: the actors, the service, the disk, the model's
names and doubts, and the rule that a call which has ended is compared with the model at once.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tests.support.actors import UNLIMITED, Actor, Stagehand
from tests.support.expected import DAMAGE, Expected, State
from tests.support.faultydisk import Changes, FaultyDisk
from tests.support.machine.doubts import Doubts, World
from tests.support.simulated import SimulatedRemote
from tests.support.simulatedservice import SimulatedService
from vofs.core.attributes import MountOwner
from vofs.core.errors import VofsError
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.core.uris import parse_vospace
from vofs.mount.options import MountOptions
from vofs.mount.session import Session

NAMES = ("/a", "/b", "/d/a", "/d/b")
ROOT = "/m"
SETTLE_S, TIMEOUT_S, ATTR_TTL_S, CLOSE_WAIT_S = 8.0, 5.0, 2.0, 1.0
NEVER_RIGHT = (errno.ENOSYS, errno.EAGAIN, errno.EINVAL, errno.EBADF)
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
    """An open file; `busy` while a call on it is under way."""

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


def nothing(*_: object) -> None:
    """What most calls mean for the model when they fail, or are killed."""


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
    killed: Callable[[], None]
    expects: tuple[int, ...]


class Core:
    """See the module's docstring.

    Args:
        setting: what the run is about.
        folder: an empty directory.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self.folder = setting, folder
        self.stage = Stagehand()
        self.service = SimulatedService(setting.personality, self.stage.monotonic, SETTLE_S * 0.75)
        self.service.create(NodeInfo(ROOT, NodeKind.CONTAINER))
        self.service.create(NodeInfo(ROOT + "/d", NodeKind.CONTAINER))
        self.remote = SimulatedRemote(self.service, self.stage.pause)
        self.disk = Changes()
        self.session: Session | None = None
        self.names: World = {}
        self.doubts = Doubts()
        self.bound: dict[str, list[Expected]] = {name: [] for name in NAMES}
        self.recently_hidden: World = {}
        self.deleted: World = {}  # by other clients, since the last settling
        self.partial: set[str] = set()  # (perhaps) in conflict with holes, and not whole since
        self.foreign: dict[bytes, float] = {}  # what other clients stored, and when
        self.handles: list[Handle] = []
        self.calls: list[Call] = []
        self.naming = False  # a call that changes or looks up names is under way
        self.damaged = False  # bytes were, or will be, damaged on their way to us
        self.disturbed = False  # since the last settling something happened that excuses errors
        self.sync_may_have_failed = False  # then fsync goes on to fail (R18)
        self.records: list[logging.LogRecord] = []
        self.caches = 0
        self._fill = itertools.count(1)
        self._hidden = itertools.count(1)

    def fresh_data(self, length: int) -> bytes:
        """Bytes that were not written before, `length` units of them, at least one."""
        return bytes([next(self._fill) % DAMAGE or 1]) * (max(1, length) * self.setting.unit)

    def hidden_name(self) -> str:
        """What libfuse calls a file that is unlinked while open."""
        return f"/.fuse_hidden{next(self._hidden):016x}"

    @property
    def all_files(self) -> Iterator[Expected]:
        """Every file that ever had a name."""
        for files in self.bound.values():
            yield from files

    # -- the session ----------------------------------------------------------------------------

    @property
    def cache_dir(self) -> Path:
        return self.folder / f"cache-{self.caches}"

    def mount(self) -> None:
        """Begin a session on the cache directory; it is there when its actor has ended."""
        self.remote = SimulatedRemote(self.service, self.stage.pause)
        self.disk = Changes()
        options = self._options()

        def begin() -> object:
            session = Session(
                options, self.remote, self.stage, thread_group=lambda: 1, credential="none",
                threads=self.stage,
                open_disk=lambda root, free: FaultyDisk(root, free, self.disk),
            )  # fmt: skip
            session.start(answering=False)
            return session

        def begun(session: object) -> None:
            assert isinstance(session, Session)
            self.session = session

        self.call("mount", begin, begun, lambda number: self.mount())

    def _options(self) -> MountOptions:
        control_dir = self.folder / f"s{self.caches}"
        control_dir.mkdir(exist_ok=True)
        service = replace(parse_vospace("vault:"), root=ROOT)
        return MountOptions(
            service=service, mount_point=self.folder / "mnt", cache_dir=self.cache_dir,
            control_dir=control_dir, owner=MountOwner(1000, 1000), debug=True,
            timeout_s=TIMEOUT_S, close_wait_s=CLOSE_WAIT_S, attr_ttl_s=ATTR_TTL_S,
            negative_ttl_s=ATTR_TTL_S / 2, settle_s=SETTLE_S, min_free_bytes=0,
            cache_limit_bytes=30 * self.setting.unit, upload_workers=2, fetch_workers=2,
        )  # fmt: skip

    def fuse(self, operation: str, *arguments: object) -> object:
        """One operation, as libfuse asks for it; called by actors."""
        assert self.session is not None
        return self.session.boundary()(operation, *arguments)

    # -- calls ----------------------------------------------------------------------------------

    def call(
        self,
        what: str,
        job: Callable[[], object],
        done: Callable[[object], None] = nothing,
        failed: Callable[[int], None] = nothing,
        killed: Callable[[], None] = nothing,
        *,
        locks_left: int = 0,
        expects: tuple[int, ...] = (),
    ) -> None:
        """Begin a call, and let it run to where others could come between; see `Call`."""
        actor = self.stage.start(what, job)
        self.calls.append(Call(what, actor, done, failed, killed, expects))
        self.go(actor, locks_left)

    def go(self, actor: Actor, locks_left: int = 0) -> None:
        """Let an actor go on, mostly to the next request or wait, sometimes a few locks far."""
        fired = self.remote.fired
        limited = 0 < locks_left <= LOCK_CHOICES
        self.stage.run(actor, locks_left if limited else UNLIMITED)
        self.disturbed |= self.remote.fired > fired
        for call in [call for call in self.calls if call.actor.ended]:
            self.calls.remove(call)
            self._ended(call)
        records, self.records[:] = list(self.records), []
        for record in records:
            cause = record.exc_info[1] if record.exc_info else None
            if isinstance(cause, VofsError) and self.disturbed:
                continue  # a disk that fails may cost a tick of the scheduler
            raise ModelError(f"logged: {record.getMessage()}: {cause!r}") from cause

    def _ended(self, call: Call) -> None:
        error = call.actor.error
        if error is None:
            call.done(call.actor.value)
        elif isinstance(error, OSError) and error.errno is not None:
            told = self.damaged and error.errno == errno.EIO  # to whom damaged bytes were given
            if not (self.disturbed or told or error.errno in call.expects):
                raise ModelError(f"{call.what}: {error}, and nothing was wrong") from error
            if error.errno in NEVER_RIGHT:
                raise ModelError(f"{call.what}: {error}") from error
            call.failed(error.errno)
        elif isinstance(error, VofsError) and self.disturbed:
            call.failed(0)  # of the session itself, not of an operation
        else:
            raise ModelError(f"{call.what} raised {error!r}") from error

    def check_invariants(self) -> None:
        """The states of all files in memory are consistent; called between any two steps."""
        if self.session is None or any("lock" in actor.at for actor in self.stage.standing):
            return  # an actor stands with a lock held, in the middle of a change
        for file in self.session.files:
            file.state.check_invariants()


def shown(data: State | bytes | None) -> str:
    """Bytes as runs: 3x05 are three fives; what may be several with a bar between them."""
    if data is None:
        return "nothing"
    if isinstance(data, State):
        return " | ".join(map(shown, data.parts))
    runs = [f"{len(list(run))}x{value:02x}" for value, run in itertools.groupby(data)]
    return f"[{' '.join(runs)}]"
