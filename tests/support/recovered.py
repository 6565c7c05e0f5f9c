"""What is there after a power loss, with the times taken out of the names of what was recovered."""

from __future__ import annotations

import re

from tests.support.sessions import Mounted, Stage

RECOVERED = re.compile(r"\.recovered-\d{8}T\d{6}Z(-\d+)?$")


def content(stage: Stage) -> dict[str, bytes | None]:
    """What the service holds."""
    return {RECOVERED.sub(".recovered", name): stage.stored(f"/{name}") for name in stage.names()}


def shown(mount: Mounted) -> dict[str, bytes]:
    """What the mount shows, its listing and its bytes."""
    return {RECOVERED.sub(".recovered", name): mount.get(f"/{name}") for name in mount.ls("/")}
