"""The mount table: is this a mount point, whose, and where does its daemon listen?

The daemon of a mount is found from the mount alone: mountinfo says which mount a path is in, an
extended attribute of its root names the control socket.  Neither HOME nor XDG is consulted.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from vofs.core.errors import MountUnusable

MOUNTINFO = Path("/proc/self/mountinfo")
FILE_SYSTEM = "fuse.vofs"
ANSWER_WITHIN_S = 10.0
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo(5)."""

    point: Path
    kind: str
    source: str


def mounts() -> list[Mount]:
    """All mounts, in the order they were made."""
    found = []
    for line in MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields, _, rest = line.partition(" - ")
        kind, source = rest.split(" ")[:2]
        found.append(Mount(Path(_unescaped(fields.split(" ")[4])), kind, _unescaped(source)))
    return found


def _unescaped(text: str) -> str:
    """mountinfo(5) writes blanks and backslashes as octal."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(escape, character)
    return text


def mount_of(path: Path) -> Mount | None:
    """The vofs mount that `path` is in, or None."""
    absolute = Path(os.path.realpath(path))
    holders = [
        mount for mount in mounts() if absolute == mount.point or mount.point in absolute.parents
    ]
    if not holders:
        return None
    deepest = max(len(mount.point.parts) for mount in holders)
    last = [mount for mount in holders if len(mount.point.parts) == deepest][-1]
    return last if last.kind == FILE_SYSTEM else None


def check_mount_point(path: Path) -> Path:
    """Make sure that `path` can be mounted on; a dead mount there is taken away first (R22).

    Returns:
        Its absolute path.

    Raises:
        MountUnusable: it is missing, no directory, not empty, or a mount point already.
    """
    absolute = Path(os.path.abspath(path))
    try:
        entries = os.listdir(absolute)
    except OSError as exc:
        if exc.errno != errno.ENOTCONN:
            raise MountUnusable(f"mount point {path}: {os.strerror(exc.errno or 0)}") from exc
        detach(absolute, lazily=True)
        return check_mount_point(path)
    if any(mount.point == absolute for mount in mounts()):
        raise MountUnusable(f"mount point {path} is busy: something is mounted there already")
    if entries:
        raise MountUnusable(f"mount point {path} is not empty")
    return absolute


def wait_until_mounted(point: Path) -> bool:
    """Wait until the mount answers; False when it does not within ten seconds."""
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while time.monotonic() < deadline:
        if any(mount.point == point and mount.kind == FILE_SYSTEM for mount in mounts()):
            return True
        time.sleep(POLL_S)
    return False


def detach(point: Path, *, lazily: bool = False) -> None:
    """Take the mount at `point` out of the tree.

    Args:
        point: the mount point.
        lazily: also when it is in use.

    Raises:
        MountUnusable: it cannot be unmounted; the message says why.
    """
    helper = shutil.which("fusermount3") or shutil.which("fusermount")
    command = [helper, "-u"] if helper else ["umount"]
    if lazily:
        command.append("-z" if helper else "-l")
    done = subprocess.run(
        [*command, "--", str(point)], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"{command[0]} failed"
        raise MountUnusable(f"{point} cannot be unmounted: {reason}")
