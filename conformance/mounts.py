"""What a mount run is pointed at, and how it is brought up and taken down again.

An existing directory, or `vofs+fake:PERSONALITY`, where `fakevospace run` keeps the fake in a
process of its own: page faults on a memory-mapped file wait for the mount with Python's lock held,
and a fake in this process could then never answer.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conformance.targets import TargetError

# The short name by which clients know the service that a personality of the fake plays.
SHORT_NAMES = {"vault": "vault:", "cavern": "arc:", "datalab": "datalab:"}

UNMOUNT_LIMIT_S = 60.0

# Runs inside `fakevospace run`. The line "mounted" tells that the mount answers; it then stays
# until its standard input is closed, so that it ends even when this process is killed.
_MOUNTED_SHELL = """
mountpoint=$1; shift
mountvofs "$@" </dev/null || exit
echo mounted
read -r _
vofs unmount "$mountpoint" || fusermount -u "$mountpoint"
"""


@contextmanager
def open_mount(spec: str, binding: str) -> Iterator[Path]:
    """The directory that clauses may work in; raises TargetError."""
    if spec.startswith("vofs+fake:"):
        with _mount_vofs(_personality(spec), binding) as directory:
            yield directory
    elif Path(spec).is_dir():
        yield Path(spec).absolute()
    else:
        raise TargetError(f"{spec} is neither a directory nor vofs+fake:PERSONALITY")


def _personality(spec: str) -> str:
    name = spec.rpartition(":")[2]
    if name not in SHORT_NAMES:
        raise TargetError(f"{spec}: the fake knows {', '.join(SHORT_NAMES)}")
    return name


@contextmanager
def _mount_vofs(personality: str, binding: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="conformance-") as scratch:
        mountpoint = Path(scratch, "mount")
        mountpoint.mkdir()
        command = [_tool("fakevospace"), "run", "--personality", personality, "--"]
        command += ["sh", "-c", _MOUNTED_SHELL, "conformance", str(mountpoint)]
        command += ["--binding", binding, "--cache-dir", str(Path(scratch, "cache"))]
        command += ["--vospace", SHORT_NAMES[personality], "--mountpoint", str(mountpoint)]
        environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
        ) as process:
            assert process.stdin and process.stdout
            if not any(line.strip() == "mounted" for line in process.stdout):
                raise TargetError(f"mountvofs ended with code {process.wait()}")
            try:
                # Else the clauses would pass, on the directory below.
                if not mountpoint.is_mount():
                    raise TargetError(f"mountvofs succeeded, and {mountpoint} is no mount")
                yield mountpoint
            finally:
                process.stdin.close()
                _await_unmount(process, mountpoint)


def _await_unmount(process: subprocess.Popen[str], mountpoint: Path) -> None:
    try:
        code = process.wait(UNMOUNT_LIMIT_S)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        subprocess.run(["fusermount", "-uz", str(mountpoint)], check=False)
        raise TargetError(f"not unmounted within {UNMOUNT_LIMIT_S:.0f} s") from exc
    if code:
        raise TargetError(f"unmounting ended with code {code}")


def _tool(name: str) -> str:
    """The command installed beside the running Python, else the one on PATH."""
    beside = shutil.which(name, path=str(Path(sys.executable).parent))
    found = beside or shutil.which(name)
    if found is None:
        raise TargetError(f"the command {name} is not installed")
    return found
