"""The command `fakevospace`: serve, run a command against it, print its environment.

Exit codes: that of the command for `run`; 0 for a server that was told to stop; 2 for usage,
an absent personality, a port or a data directory that cannot be used; 3 when `env` finds no fake.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import shlex
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from fakevospace.datafile import DataDirectoryError
from fakevospace.environment import REMOVED, Contact, seed_home
from fakevospace.fake import FakeVOSpace
from fakevospace.faultplans import BadPlan, parse_plan
from fakevospace.fronts import ServedFake
from fakevospace.personalities import PERSONALITIES, UnknownPersonality
from fakevospace.server import BODY_RATE, BODY_S

USAGE, UNREACHABLE = 2, 3
ENV_TIMEOUT_S = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: without the program's name; None for those of the process.
    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "serve":
                return _serve(options)
            case "run":
                return _run(options)
            case _:
                return _env(options)
    except (UnknownPersonality, BadPlan, DataDirectoryError, OSError, ValueError) as error:
        print(f"fakevospace: {error}", file=sys.stderr)
        return UNREACHABLE if isinstance(error, URLError) else USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fakevospace", description="A VOSpace service to test clients against."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="answer until told to stop")
    run = commands.add_parser("run", help="serve while a command runs")
    for one in (serve, run):
        _add_service_options(one)
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND...")
    env = commands.add_parser("env", help="print the environment of a running fake")
    env.add_argument("url", metavar="URL")
    return parser


def _add_service_options(parser: argparse.ArgumentParser) -> None:
    known = "|".join(PERSONALITIES)
    parser.add_argument("--port", type=int, default=0, help="0 (the default): any free one")
    parser.add_argument("--personality", default="vault", metavar=known)
    parser.add_argument("--tls", action="store_true", help="HTTPS; the vos tools need -k then")
    parser.add_argument("--data", type=Path, metavar="DIR", help="keep everything there")
    parser.add_argument("--sample", action="store_true", help="small FITS files in /sample")
    parser.add_argument("--token", action="append", default=[], metavar="[USER:]T")
    parser.add_argument("--group", action="append", default=[], metavar="NAME:USER[,USER]...")
    parser.add_argument("--allocations", action="append", metavar="PATH", help="default: /")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="write the authority there")
    parser.add_argument(
        "--client-certificate",
        action="append",
        default=[],
        metavar="USER:FILE",
        help="write a certificate for a user there; only such users and tokens are known then",
    )
    parser.add_argument("--faults", type=Path, metavar="FILE", help="a plan in TOML or JSON")
    parser.add_argument("--page-cap", type=int, default=0, metavar="N", help="longest listing")
    parser.add_argument(
        "--generate", action="append", default=[], metavar="PATH=N", help="N empty nodes at PATH"
    )
    parser.add_argument(
        "--body-timeout", type=float, default=BODY_S, metavar="S", help="how long a body may pause"
    )
    parser.add_argument(
        "--body-rate", type=float, default=BODY_RATE, metavar="N", help="least bytes per second"
    )


def _fake(options: argparse.Namespace) -> FakeVOSpace:
    rules = parse_plan(options.faults.read_text("utf-8")) if options.faults else ()
    fake = FakeVOSpace(
        options.personality,
        data=options.data,
        sample=options.sample,
        tokens=options.token,
        page_cap=options.page_cap,
        faults=rules,
        users=[user for user, _ in _certificates(options)],
        groups=_groups(options),
        allocation_parents=options.allocations or ("",),
    )
    for given in options.generate:
        path, _, count = given.rpartition("=")
        if options.data is None or not fake.exists(path):
            fake.generate(path, int(count))
    return fake


def _served(options: argparse.Namespace, fake: FakeVOSpace) -> AbstractContextManager[ServedFake]:
    return fake.serve(options.port, options.tls, options.body_timeout, body_rate=options.body_rate)


def _groups(options: argparse.Namespace) -> dict[str, list[str]]:
    """Read `--group`; the last colon parts name and members, as a name may be a URI."""
    groups: dict[str, list[str]] = {}
    for given in options.group:
        name, colon, members = given.rpartition(":")
        if not name or not colon:
            raise ValueError(f"--group needs NAME:USER[,USER]..., not {given!r}")
        groups.setdefault(name, []).extend(one for one in members.split(",") if one)
    return groups


def _certificates(options: argparse.Namespace) -> list[tuple[str, Path]]:
    """Read `--client-certificate`."""
    found = []
    for given in options.client_certificate:
        user, colon, file = given.partition(":")
        if not user or not colon or not file or not options.tls:
            raise ValueError(f"--client-certificate needs USER:FILE and --tls, not {given!r}")
        found.append((user, Path(file)))
    return found


def _write_certificates(options: argparse.Namespace, served: ServedFake) -> None:
    """Write what clients need for TLS; private keys for the owner's eyes only."""
    if options.ca_file is not None:
        if served.certificate_authority is None:
            raise ValueError("--ca-file needs --tls")
        options.ca_file.write_bytes(served.certificate_authority)
    for user, file in _certificates(options):
        file.touch(mode=0o600)
        file.write_bytes(served.client_certificate(user))


def _serve(options: argparse.Namespace) -> int:
    _allow_many_files()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with _fake(options) as fake, _served(options, fake) as served:
        _write_certificates(options, served)
        line: dict[str, Any] = {
            "url": served.url,
            "vospace": served.vospace,
            "personality": fake.personality.name,
            "pid": os.getpid(),
        }
        print(json.dumps(line), flush=True)
        stop.wait()
    return 0


def _allow_many_files() -> None:
    """Raise the limit of open files as far as it goes: each connection is one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _run(options: argparse.Namespace) -> int:
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise ValueError("run: a command is missing (fakevospace run [options] -- COMMAND...)")
    home = Path(tempfile.mkdtemp(prefix="fakevospace-"))
    try:
        with _fake(options) as fake, _served(options, fake) as served:
            _write_certificates(options, served)
            variables = os.environ | served.environment(home)
            for name in REMOVED:
                variables.pop(name, None)
            return _exit_code(argv, variables)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _exit_code(argv: list[str], variables: dict[str, str]) -> int:
    """Run a command to its end; signals from the terminal reach it directly."""
    with subprocess.Popen(argv, env=variables) as process:

        def hand_on(number: int, _: object) -> None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

        signal.signal(signal.SIGTERM, hand_on)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        code = process.wait()
    return code if code >= 0 else 128 - code


def _env(options: argparse.Namespace) -> int:
    url = options.url.rstrip("/")
    # The authority of a fake is made for the occasion: there is nothing to verify it with.
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    control = f"{url}/_fake/environment"
    with urlopen(control, timeout=ENV_TIMEOUT_S, context=trusting) as answer:
        found = json.load(answer)
    home = Path(tempfile.mkdtemp(prefix="fakevospace-"))
    contact = Contact(url, found["service"], found["resource_id"], found["token"])
    print(f"# HOME is new, made for you; remove it when done: rm -r {shlex.quote(str(home))}")
    print(f"# the root of this {found['personality']} is {found['vospace']}")
    for name, value in seed_home(home, contact).items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"unset {' '.join(REMOVED)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
