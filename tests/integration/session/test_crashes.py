"""Kills and lost answers at every request of every change: nothing is lost, nothing is mixed.

Each scenario is run again and again: killed right before its first request, right after it, before
its second, and so on until it gets through; then with the answer of each request lost.  After a
kill the cache is mounted again.  In the end the service holds the state before or the one after,
and nothing is left to be settled: no intent, no tombstone, no aside, no unsent byte.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.integration.session.conftest import Open
from tests.support.crashsweep import BY_RECOVERY
from tests.support.sessions import CHANGES, Fault, Mounted, Stage, allowing, lost, until
from tests.support.witness import State, content, shown


@dataclass(frozen=True)
class Scenario:
    """One change.

    Attributes:
        prepare: what is there before, on the service.
        begin: what the program has done in the mount before the change.
        change: the change.
        outcomes: what the service may hold in the end.
        sends: something unsent is part of it, so uploads must run after a kill.
        uploads: the change is an upload, so uploads must run for it to happen.
        on: the personalities.
    """

    change: Callable[[Mounted], None]
    outcomes: tuple[State, ...]
    prepare: Callable[[Stage], None] = lambda stage: None
    begin: Callable[[Mounted], None] = lambda mount: None
    sends: bool = False
    uploads: bool = False
    on: tuple[str, ...] = ("vault", "cavern")


def files(**contents: bytes) -> Callable[[Stage], None]:
    def prepare(stage: Stage) -> None:
        for name, data in contents.items():
            stage.store(f"/{name}", data)

    return prepare


def tree(*paths: str) -> Callable[[Stage], None]:
    """Containers end with "/"; files hold their own path."""

    def prepare(stage: Stage) -> None:
        for path in paths:
            if path.endswith("/"):
                stage.mkdir(path.rstrip("/"))
            else:
                stage.store(path, path.encode())

    return prepare


def read_all(*paths: str) -> Callable[[Mounted], None]:
    def begin(mount: Mounted) -> None:
        for path in paths:
            mount.get(path)

    return begin


def unsent(path: str, data: bytes) -> Callable[[Mounted], None]:
    """A file that was made and closed, and not sent, because no upload runs yet."""

    def begin(mount: Mounted) -> None:
        handle = mount.create(path)
        if data:
            mount.write(handle, data)
        mount.call("release", handle)

    return begin


def changed(path: str, data: bytes) -> Callable[[Mounted], None]:
    def begin(mount: Mounted) -> None:
        handle = mount.open(path, 2)
        mount.write(handle, data)
        mount.call("release", handle)

    return begin


def rename(source: str, destination: str) -> Callable[[Mounted], None]:
    return lambda mount: mount.call("rename", source, destination)


def start(mount: Mounted) -> None:
    """Let uploads begin."""
    mount.start()


def emptied(path: str) -> Callable[[Mounted], None]:
    return lambda mount: mount.call("truncate", path, 0)


SCENARIOS = {
    "rename": Scenario(
        rename("/a", "/b"),
        ({"/a": b"1"}, {"/b": b"1"}),
        prepare=files(a=b"1"),
        begin=read_all("/a"),
    ),
    "rename over a file": Scenario(
        rename("/a", "/b"),
        ({"/a": b"1", "/b": b"22"}, {"/b": b"1"}),
        prepare=files(a=b"1", b=b"22"),
        begin=read_all("/a", "/b"),
    ),
    "rename a changed file over a file": Scenario(
        rename("/a", "/b"),
        ({"/a": b"new", "/b": b"22"}, {"/b": b"new"}),
        prepare=files(a=b"1", b=b"22"),
        begin=changed("/a", b"new"),
        sends=True,
    ),
    "rename a directory": Scenario(
        rename("/d", "/e"),
        ({"/d": None, "/d/x": b"/d/x"}, {"/e": None, "/e/x": b"/d/x"}),
        prepare=tree("/d/", "/d/x"),
        begin=read_all("/d/x"),
    ),
    "rename a directory with a file that was never sent": Scenario(
        rename("/d", "/e"),
        (
            {"/d": None, "/d/x": b"/d/x", "/d/new": b"n"},
            {"/e": None, "/e/x": b"/d/x", "/e/new": b"n"},
        ),
        prepare=tree("/d/", "/d/x"),
        begin=unsent("/d/new", b"n"),
        sends=True,
    ),
    "rename over a file that was never sent": Scenario(
        rename("/a", "/b"),
        ({"/a": b"1", "/b": b"22"}, {"/b": b"1"}),
        prepare=files(a=b"1"),
        begin=unsent("/b", b"22"),
        sends=True,
    ),
    "rename a file that was never sent over a file": Scenario(
        rename("/a", "/b"),
        ({"/a": b"1", "/b": b"22"}, {"/b": b"1"}),
        prepare=files(b=b"22"),
        begin=unsent("/a", b"1"),
        sends=True,
    ),
    "unlink": Scenario(
        lambda mount: mount.call("unlink", "/f"),
        ({"/f": b"1"}, {}),
        prepare=files(f=b"1"),
        begin=read_all("/f"),
    ),
    "unlink a changed file": Scenario(
        lambda mount: mount.call("unlink", "/f"),
        ({"/f": b"new"}, {}),
        prepare=files(f=b"1"),
        begin=changed("/f", b"new"),
        sends=True,
    ),
    "rmdir": Scenario(
        lambda mount: mount.call("rmdir", "/d"), ({"/d": None}, {}), prepare=tree("/d/")
    ),
    "mkdir": Scenario(lambda mount: mount.call("mkdir", "/d", 0o755), ({"/d": None}, {})),
    "put": Scenario(
        start, ({"/f": b"12345"},), begin=unsent("/f", b"12345"), sends=True, uploads=True
    ),
    "put an empty file": Scenario(
        start, ({"/f": b""},), begin=unsent("/f", b""), sends=True, uploads=True
    ),
    "overwrite": Scenario(
        start,
        ({"/f": b"newx"},),
        prepare=files(f=b"oldx"),
        begin=changed("/f", b"newx"),
        sends=True,
        uploads=True,
    ),
    "empty a file": Scenario(
        start,
        ({"/f": b""},),
        prepare=files(f=b"old"),
        begin=emptied("/f"),
        sends=True,
        uploads=True,
    ),
}
SWEEPS = [
    pytest.param(personality, name, id=f"{name}-{personality}")
    for name, scenario in SCENARIOS.items()
    for personality in scenario.on
]


def try_change(mount: Mounted, scenario: Scenario) -> OSError | None:
    try:
        scenario.change(mount)
    except OSError as exc:
        return exc
    return None


def judge(stage: Stage, mount: Mounted, scenario: Scenario, where: str) -> None:
    """The mount shows one of the outcomes, and the service ends with just that."""
    before = shown(mount)
    assert before in scenario.outcomes, f"{where}: the mount shows {before}"
    mount.stop()
    assert content(stage) == before, f"{where}: the service holds another state than was shown"
    assert stage.left() == ([], [], []), f"{where}: something is left"


def sweep(open_stage: Open, personality: str, scenario: Scenario, *, after: bool) -> int:
    """Kill at one request after the other until the change gets through; how many there were."""
    number = 0
    while True:
        number += 1
        stage = open_stage(personality, close_wait_s=0.0)
        scenario.prepare(stage)
        mount = stage.mount(threads=False)
        scenario.begin(mount)
        stage.killing("*", number, after=after)
        try_change(mount, scenario)
        if scenario.uploads:
            until(lambda: stage.was_killed or not mount.uploads(), "the kill or the end")  # noqa: B023
        if not stage.was_killed:
            return number - 1
        where = f"killed {'after' if after else 'before'} request {number}"
        again = stage.reopen(threads=scenario.sends)
        if scenario.sends:
            again.wait_sent()
        judge(stage, again, scenario, f"{where}, {stage.service.name}")


@pytest.mark.parametrize(("personality", "name"), SWEEPS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_killed_at_each_request(open_stage: Open, personality: str, name: str, after: bool) -> None:
    """R2, R8, R10."""
    with allowing(*BY_RECOVERY):
        kills = sweep(open_stage, personality, SCENARIOS[name], after=after)
    assert kills > 0 or re.match("rename a file that was never sent", name)


@pytest.mark.parametrize(("personality", "name"), SWEEPS)
def test_each_answer_lost(open_stage: Open, personality: str, name: str) -> None:
    """R8: the service did it, and nobody heard of it."""
    scenario = SCENARIOS[name]
    with allowing(*BY_RECOVERY):
        for method in sorted(CHANGES - {"set_properties"}):
            for number in itertools.count(1):
                stage = open_stage(personality, close_wait_s=0.0)
                scenario.prepare(stage)
                mount = stage.mount(threads=False)
                scenario.begin(mount)
                stage.remote.plan(Fault(method, number, after=lost()))
                try_change(mount, scenario)
                if scenario.sends:
                    mount.start()
                    mount.wait_sent()
                mount.stop()
                where = f"answer {number} of {method} lost on {personality}"
                judge(stage, stage.mount(threads=False), scenario, where)
                if stage.remote.count(method) < number:
                    break
