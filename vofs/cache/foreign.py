"""Whose version it is that the service has under the name of a file with unsent changes (R2, R11).

Asked before anything there is replaced or deleted: what somebody else stored, and the user of this
mount never saw, because the name shows him his own changes, must not go.

Ours is the version that the changes are based on, and what a PUT of ours left that broke.  Where a
PUT truncates, that is shorter than what was sent, or not longer; but so may somebody else's file
be.  As long as the bytes that were sent are here, the two are told apart by reading: a torn PUT
holds nothing but them, behind the zeros of a truncation that came late (R1).  It costs a download
of what is to be sent again anyway.
"""

from __future__ import annotations

from collections.abc import Callable

from vofs.cache.cachedfile import CachedFile
from vofs.cache.firstsight import is_ours
from vofs.cache.waiting import never
from vofs.core.attributes import version_token
from vofs.core.errors import NodeBusy, NodeNotFound, VersionChanged
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken
from vofs.remote.api import Remote


def is_foreign(
    remote: Remote, file: CachedFile, node: NodeInfo, *, given_up: Callable[[], bool] = never
) -> bool:
    """Whether `node` holds what is neither ours nor what our changes are based on.

    Args:
        remote: the service.
        file: a file with unsent changes.
        node: what the service has under its name.
        given_up: whether reading a torn PUT takes too long for whoever waits.

    Raises:
        NodeBusy: it changes while it is looked at, or that takes too long.
        RemoteError: it cannot be read.
    """
    if node.kind is not NodeKind.DATA:
        return True
    base, put, _ = file.provenance
    token = version_token(node)
    if base is not None and is_ours(remote, file.path, base, token, given_up=given_up):
        return False
    if token.length == 0 and (base is None or put is not None):
        return False  # the empty node that a negotiation made: nothing can be lost in it
    if put is None:
        return True
    if file.generation_of(token) is not None:
        return False  # it had arrived, and the answer was lost
    if put.may_have_left(token.length, token.md5):
        return False  # one before it did, which was not seen then, or arrived spoiled
    if remote.capabilities.atomic_put or token.length > put.longest:
        return True
    if file.holds_what_was_sent:
        return not _is_torn(remote, file, token, given_up)
    whole_and_other = token.length == put.size and token.md5 is not None
    stale = base is not None and base.md5 == token.md5  # the MD5 of a torn PUT is the old one's
    return whole_and_other and not stale


def _is_torn(
    remote: Remote, file: CachedFile, token: VersionToken, given_up: Callable[[], bool]
) -> bool:
    """Whether the node holds a beginning of what was sent, or zeros in place of its first part."""
    offset, began = 0, False
    try:
        with remote.open_bytes(file.path, 0, token.length, token) as source:
            for chunk in source.chunks():
                if given_up():
                    raise NodeBusy(f"{file.path}: what its upload left is not known yet; try again")
                found = chunk if began else chunk.lstrip(b"\0")
                began = began or bool(found)
                if found and not file.holds(offset + len(chunk) - len(found), found):
                    return False
                offset += len(chunk)
    except (VersionChanged, NodeNotFound) as exc:
        raise NodeBusy(f"{file.path} is just being changed on the service; try again") from exc
    return True
