"""The command line of `mountvofs`: what upstream's users, mount(8) and fstab write.

Three spellings (interface.md section 2):

    mountvofs [options] --vospace URI --mountpoint DIR
    mountvofs [options] URI DIR
    mountvofs [options] --fake[=PERSONALITY] DIR

Words of long options may be joined with "-" or "_".  `-o a,b=c` means `--a --b=c`; options of
mount(8) that say nothing to us are accepted.  An option that is not built is refused, never
ignored.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path

from vofs import __version__
from vofs.core.conflicts import OnConflict
from vofs.core.errors import UsageError

PERSONALITIES = ("vault", "cavern")
MEANT_FOR_MOUNT = frozenset(
    {"rw", "auto", "noauto", "user", "nouser", "users", "owner", "group", "defaults", "_netdev",
     "nofail", "dev", "nodev", "suid", "nosuid", "exec", "noexec", "async", "relatime", "noatime"}
)  # fmt: skip
AS_IN_FSTAB = {"ro": "readonly", "allow_other": "allow-other"}


class Parser(argparse.ArgumentParser):
    """argparse, with errors in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(f"mountvofs: {message} (try --help)")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 1")
    return value


def _megabytes(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is less than 0")
    return value


def _path(text: str) -> Path:
    """Absolute, because the daemon leaves for "/"."""
    return Path(os.path.abspath(text))


def _path_text(text: str) -> str:
    return os.path.abspath(text)


def _octal(text: str) -> int:
    return int(text, 8)


def _parser() -> Parser:
    parser = Parser(
        prog="mountvofs",
        usage="mountvofs [options] --vospace URI --mountpoint DIR\n"
        "       mountvofs [options] URI DIR\n"
        "       mountvofs [options] --fake[=vault|cavern] DIR",
        description="Mount a VOSpace as a directory.",
        allow_abbrev=False,
    )
    parser.add_argument("places", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"vofs {__version__}")
    _add_place(parser.add_argument_group("what and where"))
    _add_identity(parser.add_argument_group("who"))
    _add_behaviour(parser.add_argument_group("how"))
    _add_cache(parser.add_argument_group("cache"))
    _add_process(parser.add_argument_group("process"))
    return parser


def _add_place(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--vospace", metavar="URI", help="vault:path, arc:path, vos://...")
    group.add_argument("--mountpoint", metavar="DIR", help="an empty directory")
    group.add_argument(
        "--fake", metavar="PERSONALITY", choices=PERSONALITIES,
        help="a private fake service with sample data, gone at unmount (default: vault)",
    )  # fmt: skip


def _add_identity(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--certfile", metavar="FILE", type=_path_text, help="proxy certificate with its key (PEM)"
    )
    group.add_argument("--token", help="bearer token; does not stay in ps")
    group.add_argument(
        "--token-file", metavar="FILE", type=_path_text, help="file with the bearer token"
    )
    group.add_argument("--anonymous", action="store_true", help="no credential: read-only")
    group.add_argument("--ca-file", metavar="FILE", type=_path, help="authorities to trust (PEM)")
    group.add_argument("--insecure", action="store_true", help="do not verify servers")
    group.add_argument("--secure-get", action="store_true", help="bytes over https only")


def _add_behaviour(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--readonly", action="store_true", help="nothing may be changed")
    group.add_argument("--allow-other", action="store_true", help="other users may look in")
    group.add_argument("--timeout", type=_seconds, default=30.0, metavar="S",
                       help="wait without progress (%(default)s)")  # fmt: skip
    group.add_argument("--strict-timeout", action="store_true",
                       help="EAGAIN for a read that takes longer than --timeout")  # fmt: skip
    group.add_argument("--close-wait", type=_seconds, default=30.0, metavar="S",
                       help="how long close waits for the upload (%(default)s)")  # fmt: skip
    group.add_argument("--fsync", choices=("local", "remote"), default="local",
                       help="where data is when fsync returns (%(default)s)")  # fmt: skip
    group.add_argument("--attr-ttl", type=_seconds, default=10.0, metavar="S",
                       help="attributes are believed so long (%(default)s)")  # fmt: skip
    group.add_argument("--negative-ttl", type=_seconds, default=5.0, metavar="S",
                       help="names stay missing so long (%(default)s)")  # fmt: skip
    group.add_argument("--settle", type=_seconds, default=60.0, metavar="S",
                       help="quiet after a broken upload (%(default)s)")  # fmt: skip
    group.add_argument("--prefetch", choices=("on", "off"), default="on",
                       help="download before it is asked for (%(default)s)")  # fmt: skip
    group.add_argument("--on-conflict", choices=[choice.value for choice in OnConflict],
                       default=OnConflict.KEEP_BOTH.value,
                       help="a file changed here and on the service (%(default)s)")  # fmt: skip
    group.add_argument("--uid", type=int, default=os.getuid(), help="owner (yours)")
    group.add_argument("--gid", type=int, default=os.getgid(), help="group (yours)")
    group.add_argument("--umask", type=_octal, default=0, help="bits not shown, octal (0)")


def _add_cache(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--cache-dir", metavar="DIR", type=_path, help="one for each identity")
    group.add_argument("--cache-limit", type=_megabytes, default=1024, metavar="MB",
                       help="clean data beyond this is given up (%(default)s)")  # fmt: skip
    group.add_argument("--min-free", type=_megabytes, default=1024, metavar="MB",
                       help="disk space that is left free (%(default)s)")  # fmt: skip
    group.add_argument("--cache-nodes", action="store_true",
                       help="upstream's; nodes are always cached, for --attr-ttl")  # fmt: skip
    group.add_argument("--max-flush-threads", type=_count, default=10, metavar="N",
                       help="uploads at a time (%(default)s)")  # fmt: skip


def _add_process(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-f", "--foreground", action="store_true", help="do not go into background")
    group.add_argument("--nothreads", action="store_true", help="one request at a time")
    group.add_argument("--binding", choices=("auto", "fusepy"), default="auto",
                       help="FUSE binding (only fusepy is built)")  # fmt: skip
    group.add_argument("--log", metavar="FILE", type=_path, help="append log records to FILE")
    group.add_argument("--verbose", action="store_true", help="log more")
    group.add_argument("--debug", action="store_true", help="log everything, check lock order")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line.

    Args:
        argv: the arguments, without the program's name.

    Returns:
        All options, with `vospace` (None for --fake) and `mountpoint` filled in.

    Raises:
        UsageError: with one line that says what is wrong.
    """
    options = _parser().parse_args(spelled(argv))
    places = list(options.places)
    if options.mountpoint is None and places:
        options.mountpoint = places.pop()
    if options.vospace is None and options.fake is None and places:
        options.vospace = places.pop()
    if places:
        raise UsageError(f"mountvofs: one argument too many: {places[-1]!r} (try --help)")
    if options.fake is not None and options.vospace is not None:
        raise UsageError("mountvofs: give either --fake or a VOSpace, not both")
    if options.fake is None and options.vospace is None:
        raise UsageError("mountvofs: which VOSpace? For example: mountvofs vault:me /mnt/me")
    if options.mountpoint is None:
        raise UsageError("mountvofs: where? Give an empty directory as the last argument")
    return options


def spelled(argv: Sequence[str]) -> list[str]:
    """One spelling for all: "-" between words, -o unfolded, --fake with its default."""
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word == "-o":
            words += _unfolded(next(rest, ""))
        elif word.startswith("-o") and not word.startswith("--"):
            words += _unfolded(word[2:])
        elif word == "--fake":
            words.append("--fake=vault")
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            words.append(name.replace("_", "-") + equals + value)
        else:
            words.append(word)
    return words


def _unfolded(folded: str) -> list[str]:
    words = []
    for option in re.split(r",(?=[A-Za-z_])", folded):
        name, equals, value = option.strip().partition("=")
        if name and name not in MEANT_FOR_MOUNT:
            words.append(f"--{AS_IN_FSTAB.get(name, name).replace('_', '-')}{equals}{value}")
    return words
