"""Going into the background, with word of how the start went (R22).

We fork before anything is opened, because a fork kills threads.  The child reports through a pipe;
the parent prints what it says and exits with its code, so that `mountvofs` returns only when the
mount answers, or says in one line why it does not.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

EXIT_LOST = 4


class Word:
    """The child's one message to whoever started the mount.

    Args:
        descriptor: the pipe's writing end; None in the foreground: the message goes to stderr.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def say(self, code: int, message: str = "") -> None:
        """Report the outcome; only the first word counts.

        Args:
            code: the exit code that the parent gives.
            message: one line for stderr; "" for none.
        """
        if self._descriptor is None:
            if message:
                print(message, file=sys.stderr, flush=True)
            return
        if self._descriptor >= 0:
            os.write(self._descriptor, json.dumps([code, message]).encode())
            os.close(self._descriptor)
            self._descriptor = -1
            detach_streams()


def in_background(serve: Callable[[Word], int]) -> int:
    """Run `serve` in a daemon and return when it has given its word.

    Args:
        serve: does the work; returns the daemon's exit code.

    Returns:
        The exit code for the parent.  The daemon itself never returns.
    """
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with open(reading, "rb") as pipe:
            message = pipe.read()
        os.wait()
        return _pass_on(message)
    os.close(reading)
    os.setsid()
    if os.fork():
        os._exit(0)
    code = EXIT_LOST
    try:
        code = serve(Word(writing))
    finally:
        os._exit(code)


def _pass_on(message: bytes) -> int:
    if not message:
        print("mountvofs: the daemon died before it could mount; see --log", file=sys.stderr)
        return EXIT_LOST
    code, text = json.loads(message)
    if text:
        print(text, file=sys.stderr)
    return int(code)


def detach_streams() -> None:
    """Leave the terminal: standard streams lead nowhere, no directory is kept busy."""
    os.chdir("/")
    sys.stdout.flush()
    sys.stderr.flush()
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    os.close(null)


def take_descriptors() -> None:
    """Have as many files open as the system allows: each with unsent changes keeps one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # then it is as many as before
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def below(path: Path, top: Path) -> bool:
    """Whether `path` lies at or below `top`, links resolved as far as they exist."""
    resolved, base = path.resolve(), top.resolve()
    return resolved == base or base in resolved.parents
