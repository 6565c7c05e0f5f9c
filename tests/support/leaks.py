"""A test fails when it leaves a thread running, or a socket or one of its files open.

Compared is what is there before the test's own fixtures are set up with what is left after their
teardown. A server of a wider scope (a module's fake service) is there before; while one runs, the
connections made to it and the threads that serve them are its own, and are judged where it stops.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Threads that were told to stop get this long to do it, all together.
JOIN_LIMIT_S = 2.0

# (thread name prefix, reason): threads that libraries keep for the life of the process.
TOLERATED: tuple[tuple[str, str], ...] = (
    ("pytest_timeout", "the watchdog of pytest itself"),
    ("execnet-", "the channel between pytest-xdist and its workers"),
)

# Threads with this prefix accept connections: see the module's docstring.
SERVER_PREFIX = "fakevospace"

Roots = tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Handle:
    """An open file descriptor and what it stands for."""

    number: int
    target: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Threads and descriptors alive at one moment."""

    threads: frozenset[threading.Thread]
    handles: frozenset[Handle]

    @classmethod
    def take(cls, roots: Roots) -> Snapshot:
        """Now; of the files only those below one of `roots`, where tests keep theirs."""
        return cls(frozenset(threading.enumerate()), frozenset(_handles(roots)))


def complaints(before: Snapshot, roots: Roots) -> list[str]:
    """What has been left behind since `before`, one sentence each."""
    shared_server = any(thread.name.startswith(SERVER_PREFIX) for thread in before.threads)
    found = [
        f"leaked thread {thread.name!r}"
        for thread in _surviving_threads(before)
        if not (shared_server and thread.name.startswith(SERVER_PREFIX))
    ]
    leaked = _new_handles(before, roots)
    if leaked:
        # What is merely unreachable is closed by the collector, which is slow: only on suspicion.
        gc.collect()
        leaked = _new_handles(before, roots)
    for handle in leaked:
        if not (shared_server and handle.target.startswith("socket:")):
            found.append(f"leaked file descriptor {handle.number}: {handle.target}")
    return found


def _surviving_threads(before: Snapshot) -> list[threading.Thread]:
    started = [
        thread
        for thread in threading.enumerate()
        if thread.ident is not None  # else it is only about to start
        and thread not in before.threads
        and thread is not threading.current_thread()
        and not thread.name.startswith(tuple(prefix for prefix, _ in TOLERATED))
    ]
    for thread in started:
        thread.join(JOIN_LIMIT_S / len(started))
    return [thread for thread in started if thread.is_alive()]


def _new_handles(before: Snapshot, roots: Roots) -> list[Handle]:
    now = _handles(roots)
    return sorted(set(now) - before.handles, key=lambda handle: handle.number)


def _handles(roots: Roots) -> Iterator[Handle]:
    prefixes = ("socket:", *(f"{root}/" for root in roots))
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the descriptor of this very listing
            continue
        if target.startswith(prefixes):
            yield Handle(int(name), target)
