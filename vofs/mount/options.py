"""The settings of one mount, typed and complete; `cli` makes them, `session` reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vofs.cache.segments import SegmentSizes
from vofs.cache.waiting import PLACES
from vofs.core.attributes import MountOwner
from vofs.core.conflicts import OnConflict
from vofs.core.uris import ServiceUri


@dataclass(frozen=True, slots=True)
class MountOptions:
    """See interface.md section 2 for what each means to users.

    Attributes:
        service: the service and the container to mount.
        mount_point: an empty directory, absolute.
        cache_dir: the cache of this service identity.
        control_dir: a private directory for the control socket.
        owner: to whom everything in the mount belongs.
        read_only: nothing may be changed.
        allow_other: other users may look in.
        threads: serve several requests at a time.
        debug: check the lock order and let libfuse print requests.
        timeout_s: how long an operation waits without progress.
        strict_timeout: a read may take no longer than that as a whole (EAGAIN).
        prefetch: bytes may be downloaded before anybody asks for them.
        close_wait_s: how long close waits for the upload.
        save_delay_s: how long a new file rests after its close, when nobody waits for its upload.
        fsync_remote: fsync returns when the service has the bytes.
        attr_ttl_s: how long attributes are believed.
        negative_ttl_s: how long a name stays missing.
        settle_s: how long a broken PUT must have left no trace (R1).
        on_conflict: what becomes of files that were changed here and there (R11).
        host: this machine's name, for the names of such files.
        boot_id: what the kernel calls this boot: another one after a power loss (R5).
        min_free_bytes: space of the cache's file system that is never used.
        cache_limit_bytes: clean cached data beyond this is given up, oldest first.
        upload_workers: uploads at a time.
        fetch_workers: downloads at a time; as many as readers may wait (decision 0010).
        segments: which uploads go in several requests, where the service has that.
    """

    service: ServiceUri
    mount_point: Path
    cache_dir: Path
    control_dir: Path
    owner: MountOwner
    read_only: bool = False
    allow_other: bool = False
    threads: bool = True
    debug: bool = False
    timeout_s: float = 30.0
    strict_timeout: bool = False
    prefetch: bool = True
    close_wait_s: float = 30.0
    save_delay_s: float = 1.0
    fsync_remote: bool = False
    attr_ttl_s: float = 10.0
    negative_ttl_s: float = 5.0
    settle_s: float = 60.0
    on_conflict: OnConflict = OnConflict.KEEP_BOTH
    host: str = "localhost"
    boot_id: str = ""
    min_free_bytes: int = 1024 << 20
    cache_limit_bytes: int = 1024 << 20
    upload_workers: int = 10
    fetch_workers: int = PLACES
    segments: SegmentSizes = field(default_factory=SegmentSizes)
