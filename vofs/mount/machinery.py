"""What the operations of a mount work with: one bundle, which `session` fills."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vofs.cache.clock import Clock
from vofs.cache.fetcher import Fetcher
from vofs.cache.filetable import FileTable
from vofs.cache.siblings import Siblings
from vofs.cache.writeback import WriteBack
from vofs.core.attributes import MountOwner
from vofs.core.uris import ServiceUri
from vofs.mount.followed import Followed
from vofs.mount.inodes import Inodes
from vofs.mount.namespace import Namespace
from vofs.mount.properties import Properties
from vofs.mount.quota import Quota
from vofs.mount.renaming import Renaming
from vofs.mount.rights import Rights
from vofs.mount.toldsizes import ToldSizes
from vofs.mount.tree import Tree


@dataclass(frozen=True, slots=True)
class Machinery:
    """See the module's docstring.

    Attributes:
        service: the service and the container that is mounted.
        tree: names and attributes.
        table: cached files.
        fetcher: brings missing bytes.
        siblings: fetches the files that will be read next.
        writeback: sends changed files.
        namespace: changes of names.
        followed: changes of names that are in doubt.
        renaming: renames.
        rights: who may change what.
        quota: how much the service has room for.
        properties: extended attributes.
        told: sizes that the kernel believes.
        inodes: numbers of files.
        clock: for times.
        owner: to whom everything belongs.
        close_wait_s: how long close waits for the upload (--close-wait).
        save_delay_s: how long a new file rests after its close, when nobody waits for its upload.
        timeout_s: how long an operation waits without progress (--timeout).
        fsync_remote: fsync waits for the service (--fsync remote).
        thread_group: the process that the current request comes from.
        given_up: whether that process is being killed (R19).
    """

    service: ServiceUri
    tree: Tree
    table: FileTable
    fetcher: Fetcher
    siblings: Siblings
    writeback: WriteBack
    namespace: Namespace
    followed: Followed
    renaming: Renaming
    rights: Rights
    quota: Quota
    properties: Properties
    told: ToldSizes
    inodes: Inodes
    clock: Clock
    owner: MountOwner
    close_wait_s: float
    save_delay_s: float
    timeout_s: float
    fsync_remote: bool
    thread_group: Callable[[], int]
    given_up: Callable[[], bool]
