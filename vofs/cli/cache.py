"""`vofs cache ls|check|recover DIR`: the cache of a mount that is not running.

What is in it, whether the disk still has it, and what was never uploaded, taken out.  The cache is
never changed; while a mount uses it, all three refuse.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vofs.cache.clock import SystemClock
from vofs.cache.inspection import Entry, Inspection, State, inspecting, locked
from vofs.cache.recovering import Recovered, recover, recover_unnamed
from vofs.core.errors import MountUnusable, UnknownIndex


def add_commands(commands: Any) -> None:
    """Add `cache` with its three commands to the parser of `vofs`."""
    cache = commands.add_parser("cache", help="the cache of a mount that is not running")
    kinds = cache.add_subparsers(required=True, metavar="ls|check|recover")
    for name, run, text in (
        ("ls", _ls, "what is in it, what was never uploaded"),
        ("check", _check, "compare it with its data files and their MD5"),
        ("recover", _recover, "copy out what was never uploaded"),
    ):
        command = kinds.add_parser(name, help=text)
        command.add_argument("directory", type=Path, metavar="DIR", help="the cache directory")
        command.add_argument("--json", action="store_true", help="one JSON value on stdout")
        command.set_defaults(run=run)
        if name == "recover":
            command.add_argument("into", type=Path, nargs="?", metavar="INTO",
                                 help="where to (./recovered-TIME)")  # fmt: skip


@contextmanager
def _opened(root: Path) -> Iterator[Inspection]:
    """The cache at `root`.

    Raises:
        MountUnusable: it is none, it is in use, or its index cannot be read.
    """
    try:
        with locked(root, SystemClock()) as disk, inspecting(disk) as cache:
            yield cache
    except UnknownIndex as exc:
        raise MountUnusable(
            f"{exc}: its files can be taken out without their names: vofs cache recover {root}"
        ) from exc


def _as_json(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "size": entry.size,
        "present": entry.present_bytes,
        "state": entry.state.value,
        "error": entry.reason,
    }


# -- ls -----------------------------------------------------------------------------------------


def _ls(options: argparse.Namespace) -> int:
    """0, or 1 when the index cannot be read."""
    root: Path = options.directory
    with _opened(root) as cache:
        entries, leftovers = cache.entries(), cache.leftovers()
        unsent = [entry for entry in entries if entry.state is not State.CLEAN]
        if options.json:
            print(json.dumps({
                "directory": str(root), "identity": cache.identity,
                "files": [_as_json(entry) for entry in entries], "unsent": len(unsent),
                "leftovers": leftovers, "set_aside": [str(path) for path in cache.set_aside],
            }, indent=2))  # fmt: skip
            return 0
        print(f"{root}: cache of {cache.identity}")
        if entries:
            Console().print(_table(entries))
        print(f"files: {len(entries)}, never uploaded: {len(unsent)}")
        if leftovers:
            print(f"data files that no file claims: {len(leftovers)}")
        _tell_set_aside(cache.set_aside)
    return 0


def _table(entries: list[Entry]) -> Table:
    table = Table("path", "bytes", "here", "state", "last error")
    for entry in sorted(entries, key=lambda entry: (entry.state is State.CLEAN, entry.path)):
        here = "all" if not entry.missing else str(entry.present_bytes)
        table.add_row(entry.path, str(entry.size), here, entry.state.value, entry.reason)
    return table


def _tell_set_aside(directories: list[Path]) -> None:
    for path in directories:
        print(f"set aside earlier, may hold unsent data: vofs cache ls {path}")


# -- check --------------------------------------------------------------------------------------


def _check(options: argparse.Namespace) -> int:
    """0, or 1 when something is damaged."""
    root: Path = options.directory
    with _opened(root) as cache:
        entries = cache.entries()
        problems = [(entry, cache.problem(entry)) for entry in entries]
        wrong = [(entry, problem) for entry, problem in problems if problem]
        if options.json:
            files = [_as_json(entry) | {"problem": problem} for entry, problem in wrong]
            print(json.dumps({"files": len(entries), "damaged": files}, indent=2))
        else:
            for entry, problem in wrong:
                what = "can be fetched again" if entry.state is State.CLEAN else "NEVER UPLOADED"
                print(f"{entry.path}: {problem} ({what})")
            print(f"files: {len(entries)}, damaged: {len(wrong)}")
            _tell_set_aside(cache.set_aside)
    return int(bool(wrong))


# -- recover ------------------------------------------------------------------------------------


def _recover(options: argparse.Namespace) -> int:
    """0, or 1 when something that was here could not be read."""
    root: Path = options.directory
    into = options.into or Path(time.strftime("recovered-%Y%m%dT%H%M%SZ", time.gmtime()))
    recovered = []
    try:
        for one in _recovering(root, into):
            recovered.append(one)
            if not options.json:
                print(_told(one))
    except OSError as exc:
        raise MountUnusable(f"{into}: {exc.strerror}; {len(recovered)} files were copied") from exc
    if options.json:
        print(json.dumps([asdict(one) for one in recovered], indent=2, default=str))
    elif not recovered:
        print("everything in it was uploaded: nothing to recover")
    else:
        print(f"{len(recovered)} files, below {into}; the cache is as it was")
    return int(any(one.problem for one in recovered))


def _recovering(root: Path, into: Path) -> Iterator[Recovered]:
    with locked(root, SystemClock()) as disk:
        try:
            with inspecting(disk) as cache:
                yield from recover(cache, into)
        except UnknownIndex as exc:
            print(f"vofs: {exc}: its files are recovered without their names", file=sys.stderr)
            yield from recover_unnamed(disk, into)


def _told(one: Recovered) -> str:
    if one.copy is None:
        return f"LOST {one.path}: {one.problem}"
    if not one.missing:
        return f"{one.copy}: {one.size} bytes" + (f" ({one.problem})" if one.problem else "")
    gaps = ", ".join(f"{start}-{end}" for start, end in one.missing[:5])
    more = ", ..." if len(one.missing) > 5 else ""
    why = f" ({one.problem})" if one.problem else ""
    return f"{one.copy}: PARTIAL, {one.size} bytes, these are not here: {gaps}{more}{why}"
