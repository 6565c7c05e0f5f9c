"""Opens the cache of a mount: the index that is there, or a fresh one beside what cannot be read.

What a newer vofs wrote, what is damaged and what is something else is never trusted and never
deleted: it may hold the only copy of unsent data.  It is moved, index and data together, into a
directory that `vofs cache` reads, and the mount begins with an empty cache.
"""

from __future__ import annotations

import logging

from vofs.cache.clock import Clock
from vofs.cache.disk import Disk
from vofs.cache.index import Index
from vofs.core.errors import UnknownIndex

log = logging.getLogger(__name__)


def open_cache(disk: Disk, identity: str, boot_id: str, clock: Clock) -> Index:
    """Open the index of a cache that this process has locked.

    Args:
        disk: the cache directory.
        identity: the service identity that it must belong to.
        boot_id: what the kernel calls this boot (R5).
        clock: for the name of what is set aside.

    Raises:
        MountUnusable: it belongs to another identity, or cannot be opened.
    """
    disk.finish_setting_aside()
    try:
        return _opened(disk, identity, boot_id)
    except UnknownIndex as exc:
        kept = disk.set_aside(clock.time_ns())
        log.warning("%s: set aside as %s, with its data; vofs cache ls and recover", exc, kept)
    return _opened(disk, identity, boot_id)


def _opened(disk: Disk, identity: str, boot_id: str) -> Index:
    index = disk.open_index(identity)
    try:
        index.check(thoroughly=False)
        lost = index.started(boot_id)
        if lost:
            index.check(thoroughly=True)
    except BaseException:
        index.close()
        raise
    if lost:
        log.warning(
            "the machine went down while %s was in use: copies are checked before they are served,"
            " and changes that were not synced are kept under names of their own", disk.root,
        )  # fmt: skip
    return index
