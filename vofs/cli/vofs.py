"""`vofs`: look at a mount, send or wait for its uploads, forget what it cached, unmount it.

The first five commands; PATH is anywhere inside a mount.  Exit codes are those of interface.md
section 3.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from vofs import __version__
from vofs.cli import cache
from vofs.cli.client import MountClient, NotMounted, find_mounts
from vofs.cli.mounts import detach
from vofs.core.errors import StartError

POLL_S = 0.1
TIMED_OUT = 124  # as timeout(1) has it
GIVE_UP_AFTER_S = 30.0
DAEMON_ENDS_WITHIN_S = 60.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except (NotMounted, StartError) as exc:
        print(f"vofs: {exc}", file=sys.stderr)
        return 2 if isinstance(exc, NotMounted) else 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vofs", description="Look after mounted VOSpaces.")
    parser.add_argument("--version", action="version", version=f"vofs {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    status = commands.add_parser("status", help="mounts, service, cache and uploads")
    status.add_argument("path", nargs="?", type=Path, help="default: every vofs mount")
    status.set_defaults(run=_status)
    wait = commands.add_parser("wait", help="block until everything below PATH is on the service")
    wait.add_argument("--timeout", type=float, default=None, metavar="S")
    wait.add_argument("path", type=Path)
    wait.set_defaults(run=_wait)
    flush = commands.add_parser("flush", help="upload now, ignoring backoff; wait waits for it")
    flush.add_argument("path", type=Path)
    flush.set_defaults(run=_flush)
    drop = commands.add_parser("drop", help="forget clean cached data and attributes")
    drop.add_argument("path", type=Path)
    drop.set_defaults(run=_drop)
    unmount = commands.add_parser("unmount", help="wait for the uploads, then unmount")
    unmount.add_argument("--now", action="store_true", help="leave them for the next mount")
    unmount.add_argument("--timeout", type=float, default=GIVE_UP_AFTER_S, metavar="S",
                         help="give up after so long without progress (%(default)s)")  # fmt: skip
    unmount.add_argument("path", type=Path)
    unmount.set_defaults(run=_unmount)
    for command in (status, wait, flush, drop, unmount):
        command.add_argument("--json", action="store_true", help="one JSON value on stdout")
    cache.add_commands(commands)
    return parser


# -- status -------------------------------------------------------------------------------------


def _status(options: argparse.Namespace) -> int:
    """0, or 1 when something failed to upload."""
    if options.path is None:
        states = [MountClient(mount).status() for mount in find_mounts()]
    else:
        client, below = MountClient.containing(options.path)
        states = [client.status(below)]
    if options.json:
        print(json.dumps(states if options.path is None else states[0], indent=2))
    else:
        for state in states:
            _print_status(state)
        if not states:
            print("no VOSpace is mounted")
    uploads = [upload for state in states for upload in state["uploads"]]
    return int(any(upload["permanent"] for upload in uploads))


def _print_status(state: dict[str, Any]) -> None:
    cache, uploads = state["cache"], state["uploads"]
    mode = "read-only" if state["read_only"] else "read-write"
    print(f"{state['mount']}: {state['service']}, {mode}, daemon {state['pid']}")
    print(f"credential: {state['credential']}")
    used, limit = cache["used_bytes"] / 1e6, cache["limit_bytes"] / 1e6
    print(f"cache: {cache['directory']}, {used:.1f} of {limit:.0f} MB")
    for kept in cache["set_aside"]:
        print(f"set aside, may hold unsent data: {kept} (vofs cache ls)")
    failed = [upload for upload in uploads if upload["permanent"]]
    print(f"uploads pending: {len(uploads) - len(failed)}")
    print(f"uploads failed: {len(failed)}")
    if uploads:
        Console().print(_table(uploads))


def _table(uploads: list[dict[str, Any]]) -> Table:
    table = Table("path", "bytes", "state", "tries", "next try", "last error")
    for upload in uploads:
        retry = "" if upload["retry_in_s"] is None else f"{upload['retry_in_s']:.0f} s"
        size = "" if upload["size"] is None else str(upload["size"])
        table.add_row(
            upload["path"], size, upload["state"], str(upload["attempts"]), retry, upload["error"]
        )
    return table


# -- wait ---------------------------------------------------------------------------------------


def _wait(options: argparse.Namespace) -> int:
    """0 when all is there, 1 for a permanent error, 124 when the time is over."""
    client, below = MountClient.containing(options.path)
    deadline = None if options.timeout is None else time.monotonic() + options.timeout
    code, uploads = _wait_for_uploads(client, below, deadline)
    if options.json:
        print(json.dumps({"code": code, "uploads": uploads}, indent=2))
    elif code == TIMED_OUT:
        print(f"vofs: {len(uploads)} uploads are still pending", file=sys.stderr)
    elif code:
        for upload in uploads:
            if upload["permanent"]:
                print(f"vofs: {upload['path']}: {upload['error']}", file=sys.stderr)
    return code


def _wait_for_uploads(
    client: MountClient, below: str, deadline: float | None
) -> tuple[int, list[dict[str, Any]]]:
    """Poll until nothing is pending; transient errors keep waiting."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        bar = progress.add_task("uploads", total=None)
        most = 0
        while True:
            uploads = client.status(below)["uploads"]
            pending = [upload for upload in uploads if not upload["permanent"]]
            if not pending:
                return int(bool(uploads)), uploads
            most = max(most, len(pending))
            progress.update(bar, total=most, completed=most - len(pending))
            if deadline is not None and time.monotonic() >= deadline:
                return TIMED_OUT, uploads
            time.sleep(POLL_S)


# -- flush, drop and unmount --------------------------------------------------------------------


def _flush(options: argparse.Namespace) -> int:
    client, below = MountClient.containing(options.path)
    flushed = client.ask({"command": "flush", "path": below})["flushed"]
    print(json.dumps({"flushed": flushed}) if options.json else f"files to be sent now: {flushed}")
    return 0


def _drop(options: argparse.Namespace) -> int:
    client, below = MountClient.containing(options.path)
    dropped = client.ask({"command": "drop", "path": below})["dropped"]
    print(json.dumps({"dropped": dropped}) if options.json else f"files dropped: {dropped}")
    return 0


def _unmount(options: argparse.Namespace) -> int:
    """0, or 1 when it gave up with uploads left (not with --now)."""
    client, _ = MountClient.containing(options.path)
    status = client.status()
    if options.now:
        left = len(status["uploads"])
        client.ask({"command": "leave"})
    else:
        left = client.ask({"command": "drain", "timeout_s": options.timeout})["left"]
        if left:
            print(f"vofs: {left} uploads are left; still mounted (--now leaves them for the next"
                  " mount, vofs status says why)", file=sys.stderr)  # fmt: skip
            return 1
    detach(client.mount.point)
    if not _ended(status["pid"]):
        print(f"vofs: unmounted, but the daemon {status['pid']} still works", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"left": left}))
    elif left:
        print(f"{left} uploads stay for the next mount")
    return 0


def _ended(pid: int) -> bool:
    """Wait until the daemon has put everything away."""
    deadline = time.monotonic() + DAEMON_ENDS_WITHIN_S
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                if stat.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        time.sleep(POLL_S / 10)
    return not os.path.exists(f"/proc/{pid}")


if __name__ == "__main__":
    sys.exit(main())
