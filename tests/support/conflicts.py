"""Files that are changed here and on the service, and what both sides show of them (R11)."""

from __future__ import annotations

import re
from typing import Any

from tests.support.sessions import Mounted, Stage

KEPT_AS = re.compile(r"\.conflict-\d{8}T\d{6}Z-tower(-\d+)?$")
SETTINGS: dict[str, Any] = {"attr_ttl_s": 0.0, "host": "tower"}
OURS, THEIRS = b"ours, longer", b"somebody else's"


def content(stage: Stage) -> dict[str, bytes | None]:
    """What the service holds; the time is taken out of names of conflicts."""

    def stored(name: str) -> bytes | None:
        try:
            return stage.stored(f"/{name}")
        except IsADirectoryError:
            return None

    return {KEPT_AS.sub(".kept", name): stored(name) for name in stage.names()}


def shown(mount: Mounted) -> dict[str, bytes]:
    """What the mount shows, its listing and its bytes."""
    return {KEPT_AS.sub(".kept", name): mount.get(f"/{name}") for name in mount.ls("/")}


def changed_here_and_there(stage: Stage, mount: Mounted) -> int:
    """A whole file, changed here and then there; returns the handle, still open."""
    stage.store("/f", b"base")
    mount.get("/f")
    handle = mount.open("/f", 2)
    mount.write(handle, OURS)
    stage.store("/f", THEIRS)
    return handle
