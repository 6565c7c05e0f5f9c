"""Talking to the daemon behind a mount, over its control socket."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any, Self

from vofs.cli.mounts import FILE_SYSTEM, Mount, mount_of, mounts
from vofs.core.errors import VofsError

CONTROL = "user.vofs.control"
CONNECT_WITHIN_S = 10.0


class NotMounted(VofsError):
    """The path is in no vofs mount, or nobody answers there."""


def find_mounts() -> list[Mount]:
    """All vofs mounts of this machine."""
    return [mount for mount in mounts() if mount.kind == FILE_SYSTEM]


class MountClient:
    """The daemon behind one mount.

    Args:
        mount: the mount.

    Raises:
        NotMounted: its daemon does not answer.
    """

    def __init__(self, mount: Mount) -> None:
        self.mount = mount
        try:
            self._socket = os.getxattr(mount.point, CONTROL).decode()
        except OSError as exc:
            raise NotMounted(
                f"{mount.point} does not answer ({exc.strerror}): if its daemon died,"
                f" mounting again there takes the dead mount away"
            ) from exc

    @classmethod
    def containing(cls, path: Path) -> tuple[Self, str]:
        """The daemon behind the mount that `path` is in.

        Returns:
            The client, and the path below the mount point, beginning with "/".

        Raises:
            NotMounted: it is in no vofs mount.
        """
        mount = mount_of(path)
        if mount is None:
            raise NotMounted(f"{path} is not inside a mounted VOSpace")
        below = Path(os.path.realpath(path)).relative_to(mount.point)
        return cls(mount), "/" if below == Path() else f"/{below}"

    def status(self, below: str = "/") -> dict[str, Any]:
        """What `Status.of` says of everything below `below`."""
        return self.ask({"command": "status", "path": below})

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request and its answer.

        Raises:
            NotMounted: the daemon went away, or refused; the message says what it said.
        """
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(CONNECT_WITHIN_S)
                connection.connect(self._socket)
                connection.settimeout(None)
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as lines:
                    line = lines.readline()
        except OSError as exc:
            raise NotMounted(f"{self.mount.point}: its daemon does not answer: {exc}") from exc
        if not line:
            raise NotMounted(f"{self.mount.point}: its daemon closed the connection")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise NotMounted(f"{self.mount.point}: {answer['failed']}")
        return answer
