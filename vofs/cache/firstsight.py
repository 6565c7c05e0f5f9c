"""The date of what we stored, learned when it is first needed (R13).

Where only dates tell versions apart, the reply to a PUT does not say which date ours has got, and
asking each time would cost every new file a request.  So the version stays undated until something
depends on it: bytes that are downloaded beside ours (R12), a deletion, an upload over it (R11).
Then the node is looked at.  It is ours if its length and its MD5 are; where it tells no MD5, its
bytes are read and must have the MD5 that was sent.  Nothing less proves anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from vofs.cache.waiting import never
from vofs.core.attributes import version_token
from vofs.core.errors import NodeBusy, NodeNotFound, VersionChanged
from vofs.core.nodes import VersionToken
from vofs.remote.api import Remote


def is_ours(
    remote: Remote,
    path: str,
    ours: VersionToken,
    seen: VersionToken,
    *,
    given_up: Callable[[], bool] = never,
) -> bool:
    """Whether the version that the service shows is the one that is known here.

    Args:
        remote: the service.
        path: the node.
        ours: what is known; it may be undated.
        seen: what the node tells now.
        given_up: whether reading it takes too long for whoever waits.

    Raises:
        NodeBusy: it changes while it is looked at, or that takes too long.
        RemoteError: it cannot be read.
    """
    if ours.same_version(seen):
        return True
    if not ours.is_undated or seen.length != ours.length or seen.md5 is not None:
        return False
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with remote.open_bytes(path, 0, seen.length, seen) as source:
            for chunk in source.chunks():
                if given_up():
                    raise NodeBusy(f"{path}: it takes too long to see whose version it is")
                digest.update(chunk)
    except (VersionChanged, NodeNotFound) as exc:
        raise NodeBusy(f"{path} is just being changed on the service; try again") from exc
    return digest.hexdigest() == ours.md5


def dated(remote: Remote, path: str, ours: VersionToken) -> VersionToken:
    """Our version with the date that the service has given it.

    Args:
        remote: the service.
        path: the node.
        ours: an undated version.

    Raises:
        VersionChanged: the service has another one by now.
        NodeNotFound: it has none.
        RemoteError: it cannot be asked.
    """
    seen = version_token(remote.get_node(path))
    try:
        same = is_ours(remote, path, ours, seen)
    except NodeBusy as exc:
        raise VersionChanged(str(exc)) from exc
    if not same:
        raise VersionChanged(f"{path}: somebody else has stored another version after ours")
    return replace(ours, date_ms=seen.date_ms)
