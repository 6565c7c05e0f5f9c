"""Mounts for the tests, made by the real `mountvofs` on each kind of service in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.mounted import BOTH, Mounted, eventually, mounted
from tests.support.watchdog import Watchdog

MakeMount = Callable[..., Mounted]


@pytest.fixture(autouse=True)
def _watchdog() -> Iterator[None]:
    with Watchdog() as dog:
        yield
    assert not dog.barked, "the test hung: its daemons were killed"


@pytest.fixture(params=BOTH)
def personality(request: pytest.FixtureRequest) -> str:
    """Each kind of service in turn."""
    return str(request.param)


class Corner:
    """One directory of a mount, from both sides.

    Attributes:
        mount: the mount.
        name: the directory, below the mount point.
        path: the directory, through the kernel.
    """

    def __init__(self, mount: Mounted, name: str) -> None:
        self.mount, self.name, self.path = mount, name, mount.path / name
        self.fake = mount.fake

    def put(self, name: str, data: bytes) -> Path:
        """Store a file on the service; the mount has never seen it."""
        self.fake.put(f"{self.name}/{name}", data)
        return self.path / name

    def eventually_holds(self, name: str, data: bytes) -> None:
        """Wait until the service has exactly these bytes."""
        eventually(lambda: self.mount.holds(f"{self.name}/{name}", data))

    def get(self, name: str) -> bytes:
        """What the service holds."""
        return self.fake.get(f"{self.name}/{name}")


@pytest.fixture
def corner(personality: str, make_mount: MakeMount) -> Corner:
    """A directory in a mount with short times to live and the check of the lock order."""
    made = make_mount(
        personality, "--debug", "--attr-ttl", "1", prepare=lambda fake: fake.mkdir("dir")
    )
    return Corner(made, "dir")


@pytest.fixture
def make_mount(tmp_path: Path) -> Iterator[MakeMount]:
    """Makes mounts of the test's own: `make_mount(personality, *options, prepare=...)`."""
    with ExitStack() as stack:
        numbers = iter(range(100))

        def make(*arguments: object, **named: object) -> Mounted:
            base = tmp_path / str(next(numbers))
            base.mkdir()
            return stack.enter_context(mounted(base, *arguments, **named))  # type: ignore[arg-type]

        yield make


@pytest.fixture
def mount(personality: str, make_mount: MakeMount) -> Mounted:
    """A mount of the test's own, on each kind of service in turn."""
    return make_mount(personality)


@pytest.fixture(params=["background", "foreground"])
def where(request: pytest.FixtureRequest) -> list[str]:
    """Options: both ways to start."""
    return ["-f"] if request.param == "foreground" else []


@pytest.fixture
def ready(make_mount: MakeMount) -> Mounted:
    """Everything is prepared, nothing is mounted."""
    made = make_mount("vault", prepare=lambda fake: fake.put("file", b"x"), mount=False)
    made.env.pop("VOSPACE_CERTFILE", None)
    return made
