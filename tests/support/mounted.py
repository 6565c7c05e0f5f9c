"""A VOSpace mounted through the kernel by `mountvofs`, run as users run it.

`Mounted` is one mount of one fake service: a fresh mount point, a cache, a HOME that knows only
the fake, and a daemon that was started with the real command.  Whatever a test does to it, `close`
takes it away: unmounts, ends the daemon by its id, and fails when the daemon's log tells of a
defect (a traceback, or an error that the test did not announce).

Everything is bounded: commands have a timeout, and a test that hangs in the kernel is freed by
`watchdog.Watchdog`, which kills the daemons of all mounts of this process.

Two traps for who writes tests here.  The fake may live in the test's own process, so that nothing
may touch the mount while it holds Python's global lock: mmap (page faults) and `cwd=` of a
subprocess belong into a subprocess of their own.  And the kernel believes attributes for a second.
"""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from fakevospace import FakeVOSpace
from fakevospace.environment import REMOVED
from tests.support import watchdog
from vofs.cli.client import MountClient
from vofs.core.errors import VofsError

T = TypeVar("T")

COMMAND_S = 60.0
END_S = 15.0
MINIMUM = ("--min-free", "50", "--timeout", "20")
BOTH = ("vault", "cavern")
TIMED_OUT = 124

Done = subprocess.CompletedProcess[str]


def eventually(look: Callable[[], T], within_s: float = 15.0) -> T:
    """Repeat `look` until what it returns is true, and return that.

    For what has no gate to wait at: other processes, and times to live.

    Raises:
        AssertionError: it does not become true within `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {look} -> {found!r}"
        pause.wait(0.02)
    return found


def run(
    *words: str | Path,
    env: Mapping[str, str] | None = None,
    code: int | None = 0,
    timeout_s: float = COMMAND_S,
) -> Done:
    """Run a program to its end and require its exit code; None for any.

    A daemon that kept our pipes open would hold us up until the timeout, and fail the test.
    """
    done = subprocess.run(
        [str(word) for word in words],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    shown = subprocess.CompletedProcess(
        done.args,
        done.returncode,
        done.stdout.decode(errors="surrogateescape"),
        done.stderr.decode(errors="surrogateescape"),
    )
    if code is not None:
        assert shown.returncode == code, (
            f"{shown.args} gave {shown.returncode}\n{shown.stdout}{shown.stderr}"
        )
    return shown


def shell(script: str, *arguments: str | Path, code: int | None = 0) -> str:
    """Run a line of bash with `arguments` as $1...; returns what it printed."""
    return run("bash", "-c", script, "bash", *arguments, code=code).stdout


def python(script: str, *arguments: str | Path, code: int | None = 0) -> str:
    """Run a Python script in a process of its own, `arguments` in sys.argv[1:]."""
    return run(sys.executable, "-I", "-c", script, *arguments, code=code).stdout


def lines_but_of_the_cache(text: str) -> list[str]:
    """What `mountvofs` said but that the cache is on tmpfs (R21): tests may run there."""
    return [line for line in text.splitlines() if " is on tmpfs: " not in line]


def is_mounted(point: Path) -> bool:
    """Whether mountinfo names `point` as a mount point."""
    table = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
    wanted = str(point).replace(" ", "\\040")
    return any(line.split(" ")[4] == wanted for line in table.splitlines())


def is_alive(pid: int) -> bool:
    """Whether the process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def environment(seeded: Mapping[str, str]) -> dict[str, str]:
    """The environment of a user whose HOME is `seeded`, and of nobody else."""
    kept = {name: text for name, text in os.environ.items() if name not in REMOVED}
    return kept | dict(seeded)


class Mounted:
    """See the module's docstring.

    Args:
        base: a directory for everything; the mount point is `base/mnt`.
        vospace: what to mount, e.g. `vault:`.
        env: the environment that leads to the service.
        options: options of `mountvofs` for every mount.
        fake: the service, when it runs in this process.
    """

    def __init__(
        self,
        base: Path,
        vospace: str,
        env: Mapping[str, str],
        *options: str,
        fake: FakeVOSpace | None = None,
    ) -> None:
        self.path, self.log = base / "mnt", base / "mount.log"
        self.vospace, self.env, self.options = vospace, dict(env), options
        self._fake, self._base = fake, base
        self._caches = 0
        self._pids: list[int] = []
        self._expected: list[str] = []
        base.mkdir(parents=True, exist_ok=True)
        self.path.mkdir()
        watchdog.watch(self)

    @property
    def fake(self) -> FakeVOSpace:
        """The service behind the mount."""
        assert self._fake is not None
        return self._fake

    @property
    def cache(self) -> Path:
        """The cache directory of the mount."""
        return self._base / f"cache{self._caches}"

    @property
    def pid(self) -> int:
        """The daemon's process id, as `vofs status` told it after the mount."""
        return self._pids[-1]

    # -- the mount ------------------------------------------------------------------------------

    def mount(self, *options: str) -> None:
        """Run `mountvofs` as users do: it returns when the mount answers."""
        done = self.mountvofs(*self.words(*options))
        assert done.stdout == "", done.stdout
        self.adopt()

    def adopt(self) -> None:
        """Note the daemon of what is mounted now: it is ours to end."""
        self._pids.append(int(MountClient.containing(self.path)[0].status()["pid"]))

    def words(self, *options: str) -> list[str]:
        """The arguments with which `mount` runs `mountvofs`."""
        cache = ["--cache-dir", str(self.cache), "--log", str(self.log)]
        return [*MINIMUM, *cache, *self.options, *options, self.vospace, str(self.path)]

    def mountvofs(self, *words: str, code: int | None = 0) -> Done:
        """Run `mountvofs` with exactly these words."""
        return run(sys.executable, "-m", "vofs.cli.mountvofs", *words, env=self.env, code=code)

    def unmount(self, *options: str, code: int = 0) -> Done:
        """`vofs unmount`; afterwards nothing is mounted and the daemon is gone."""
        done = self.vofs("unmount", *options, str(self.path), code=code)
        if code == 0:
            assert not is_mounted(self.path)
            assert not is_alive(self.pid)
        return done

    def remount(self, *options: str, fresh_cache: bool = False) -> None:
        """Mount again, unmounting first what is mounted; with an empty cache when wished."""
        if is_mounted(self.path):
            self.unmount()
        if fresh_cache:
            self._caches += 1
        self.mount(*options)

    def kill9(self) -> None:
        """SIGKILL of the daemon, then the dead mount is taken away."""
        self.kill9_only()
        self._detach()
        assert not is_mounted(self.path)

    def kill9_only(self) -> None:
        """SIGKILL of the daemon; the dead mount stays."""
        os.kill(self.pid, signal.SIGKILL)
        eventually(lambda: not is_alive(self.pid))

    def _detach(self) -> None:
        run("fusermount", "-u", "-z", str(self.path), code=None)

    # -- commands -------------------------------------------------------------------------------

    def vofs(self, *words: str | Path, code: int | None = 0) -> Done:
        """Run `vofs`."""
        return run(sys.executable, "-m", "vofs.cli.vofs", *words, env=self.env, code=code)

    def status(self, code: int | None = None) -> dict[str, Any]:
        """`vofs status --json` of this mount."""
        found = self.vofs("status", "--json", str(self.path), code=code)
        assert found.stdout, found.stderr
        value: dict[str, Any] = json.loads(found.stdout)
        return value

    def wait(self, code: int = 0) -> None:
        """`vofs wait` for everything."""
        self.vofs("wait", "--timeout", "40", str(self.path), code=code)

    def state(self, name: str) -> str:
        """`user.vofs.state` of a file."""
        return os.getxattr(self.path / name, "user.vofs.state").decode()

    # -- the service ----------------------------------------------------------------------------

    def holds(self, path: str, data: bytes) -> bool:
        """Whether the service has exactly these bytes under this name."""
        try:
            return self.fake.get(path) == data
        except FileNotFoundError:
            return False

    def requests(self) -> list[str]:
        """The journal without discovery: `METHOD endpoint node -> status`, in order."""
        return [
            f"{one.method} {one.endpoint} {one.node} -> {one.status}"
            for one in self.fake.journal
            if one.endpoint not in ("capabilities", "registry", "availability")
        ]

    # -- the end --------------------------------------------------------------------------------

    def expect_error(self, pattern: str) -> None:
        """Announce an ERROR record of the daemon's log."""
        self._expected.append(pattern)

    def kill(self) -> None:
        """End the daemons of this mount, whatever they do; for `Watchdog`."""
        for pid in self._pids:
            if is_alive(pid) and _is_ours(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Take everything away, then judge the daemon's log."""
        watchdog.leave(self)
        if self._fake is not None:
            self._fake.faults.clear()
        try:
            if is_mounted(self.path):
                with suppress(VofsError):
                    MountClient.containing(self.path)[0].ask({"command": "leave"})
                run("fusermount", "-u", str(self.path), code=None)
        finally:
            if is_mounted(self.path):
                self._detach()
            with suppress(AssertionError):
                eventually(lambda: not any(map(is_alive, self._pids)), END_S)
            self.kill()
        assert not is_mounted(self.path)
        complaints = self.complaints()
        assert not complaints, "the daemon's log:\n" + "\n".join(complaints)

    def complaints(self) -> list[str]:
        """Errors and tracebacks of the daemon's log that were not announced."""
        if not self.log.exists():
            return []
        text = self.log.read_text(errors="replace")
        found = re.findall(r"^(?:[-0-9]+ \S+ (?:ERROR|CRITICAL) |Traceback ).*$", text, re.M)
        return [line for line in found if not any(re.search(wish, line) for wish in self._expected)]


def _is_ours(pid: int) -> bool:
    with suppress(OSError):
        return b"vofs" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@contextmanager
def mounted(
    base: Path,
    personality: str = "vault",
    *options: str,
    prepare: Callable[[FakeVOSpace], None] | None = None,
    mount: bool = True,
    tokens: Sequence[str] = (),
    root: str = "",
) -> Iterator[Mounted]:
    """A fake service in this process, and a mount of it.

    Args:
        base: an existing directory for home, cache, mount point and log.
        personality: of the service.
        options: of `mountvofs`.
        prepare: called with the service before it is mounted.
        mount: False: the test mounts itself.
        tokens: of a strict service.
        root: the container to mount.
    """
    home = base / "home"
    home.mkdir()
    with (
        FakeVOSpace(personality, tokens=tokens) as fake,
        fake.serve() as served,
        unmounted_at_end(
            Mounted(
                base,
                served.vospace + root,
                environment(served.environment(home)),
                *options,
                fake=fake,
            )
        ) as made,
    ):
        if prepare is not None:
            prepare(fake)
        if mount:
            made.mount()
        fake.journal.clear()
        yield made


@contextmanager
def unmounted_at_end(made: Mounted) -> Iterator[Mounted]:
    """`close` a mount when the context ends, however it ends."""
    try:
        yield made
    finally:
        made.close()


def errno_of(call: Callable[[], object]) -> str:
    """The name of the errno that `call` fails with; "" when it does not fail."""
    try:
        call()
    except OSError as exc:
        name = errno.errorcode.get(exc.errno or 0, str(exc.errno))
        return "EOPNOTSUPP" if name == "ENOTSUP" else name  # one number, two names
    return ""


def pattern(size: int, seed: int = 1) -> bytes:
    """Bytes that differ everywhere, the same for the same seed."""
    words = (size + 7) // 8
    numbers = ((number * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
               for number in range(1, words + 1))  # fmt: skip
    return b"".join(number.to_bytes(8, "little") for number in numbers)[:size]
