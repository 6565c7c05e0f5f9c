"""Files whose uploads break, and what is done to their names: steps of several test modules."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.sessions import Fault, ManualClock, Mounted, Stage
from tests.support.steps import sent
from vofs.cache.unlinked import GRACE_S

SETTLE_S = 60.0
BEFORE = b"the version from before " * 800
OURS = b"changed here" * 100
THEIRS = {"shorter": b"theirs" * 10, "as long": b"x" * len(OURS)}
BOTH = pytest.mark.parametrize("personality", ["vault", "cavern"])
EXISTED = pytest.mark.parametrize("existed", [True, False], ids=["existed", "new"])


def changed(mount: Mounted, *, existed: bool = True, data: bytes = OURS) -> int:
    """A handle of /f, which holds `data` now, all of it to be sent."""
    handle = mount.open("/f", os.O_RDWR | os.O_TRUNC) if existed else mount.create("/f")
    mount.write(handle, data)
    mount.call("flush", handle)
    return handle


def breaks(
    stage: Stage,
    mount: Mounted,
    *,
    before: Callable[[], None] | None = None,
    after: Callable[[], None] | None = None,
) -> None:
    """The next PUT breaks."""
    stage.remote.plan(Fault("put_bytes", before=before, after=after))
    count = stage.remote.count("put_bytes")
    sent(mount)
    assert stage.remote.count("put_bytes") == count + 1


def unlinked(mount: Mounted, handle: int, clock: ManualClock) -> None:
    """/f is unlinked while it is open, closed, and due to go on the service."""
    hidden = mount.hide("/f")
    mount.close(handle)
    mount.call("unlink", hidden)
    clock.advance(2 * GRACE_S)
