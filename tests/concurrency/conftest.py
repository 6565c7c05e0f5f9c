"""Stages for races: the fixtures of the sessions' tests, and a file that is made and open."""

from __future__ import annotations

import os

from tests.integration.session.conftest import open_stage, stage
from tests.support.sessions import Mounted

__all__ = ["create", "open_stage", "stage"]


def create(mount: Mounted, path: str, data: bytes) -> int:
    """Make a file, open for reading and writing, with `data` in it; returns its handle."""
    handle = int(mount.call("create", path, 0o644, os.O_RDWR | os.O_CREAT))
    mount.write(handle, data)
    return handle
