"""Lag or change: what a sight of a node means after we have stored a version of our own (R13).

Node documents, and listings above all, may show for a while what we ourselves replaced.  Taken for
somebody's change, that would drop our bytes or make a conflict of them.  So versions that we
replaced are lag until ours is seen, or 15 minutes have passed; a listing may lag longer than the
node's own document, so what was seen in a document says nothing of listings.

Pure; times are seconds of any clock that survives what the memory survives.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from vofs.core.nodes import VersionToken

LAG_S = 900.0


class Sight(enum.Enum):
    """What a version that the service shows means."""

    OURS = "ours"
    LAG = "lag"  # the service has ours, and does not show it yet
    CHANGE = "change"  # somebody else's, or one that is not remembered


@dataclass(frozen=True, slots=True)
class OwnVersion:
    """What we stored at one path, and what it replaced.

    Attributes:
        ours: the version that we stored last.
        replaced: those before it, each with the time at which we replaced it.
        made_at: when our first upload made the node: a listing may show it empty; None: it was
            there, or nobody remembers.
        seen: ours was seen in the node's own document.
    """

    ours: VersionToken
    replaced: tuple[tuple[VersionToken, float], ...]
    made_at: float | None = None
    seen: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that could be taken for lag."""
        return not self.replaced and self.made_at is None

    def expires_at(self) -> float:
        """When nothing that was replaced counts any more."""
        times = [at for _, at in self.replaced]
        if self.made_at is not None:
            times.append(self.made_at)
        return max(times, default=float("-inf")) + LAG_S


def stored(
    before: OwnVersion | None, old: VersionToken | None, ours: VersionToken, now_s: float
) -> OwnVersion:
    """The memory after an upload.

    Args:
        before: the memory so far.
        old: the version that was replaced; None: the upload made the node.
        ours: what was stored.
        now_s: the time.
    """
    earlier = before.replaced if before is not None else ()
    for gone in (before.ours if before is not None else None, old):
        if gone is not None and not any(gone.same_version(token) for token, _ in earlier):
            earlier += ((gone, now_s),)
    kept = [
        (token, at) for token, at in earlier if now_s - at < LAG_S and not token.same_version(ours)
    ]
    made_at = before.made_at if before is not None else now_s if old is None else None
    return OwnVersion(ours, tuple(kept), made_at)


def moved_over(memory: OwnVersion, replaced: VersionToken | None, now_s: float) -> OwnVersion:
    """The memory at the name to which its node was moved.

    Args:
        memory: what was remembered at the node's old name.
        replaced: the version that had the name before and made room for it; None: nothing had.
        now_s: the time.
    """
    if replaced is None or memory.ours.same_version(replaced):
        return memory
    return replace(memory, replaced=(*memory.replaced, (replaced, now_s)))


def judge(
    memory: OwnVersion | None, token: VersionToken, now_s: float, *, listed: bool
) -> tuple[Sight, OwnVersion | None]:
    """What the service shows, in the light of what we stored.

    Args:
        memory: of this path, or None.
        token: the version that is shown.
        now_s: the time.
        listed: by a listing, not by the node's own document.

    Returns:
        What it means, and the memory from now on.
    """
    if memory is None:
        return Sight.CHANGE, None
    if memory.ours.same_version(token):
        return Sight.OURS, None if listed else replace(memory, seen=True)
    if now_s >= memory.expires_at() or (memory.seen and not listed):
        return Sight.CHANGE, None
    old = [replaced for replaced, at in memory.replaced if now_s - at < LAG_S]
    if any(_shows(memory.ours, replaced, token) for replaced in old):
        return Sight.LAG, memory
    made_at = memory.made_at if listed else None
    if made_at is not None and now_s - made_at < LAG_S and token.length == 0:
        return Sight.LAG, memory
    return Sight.CHANGE, None


def _shows(ours: VersionToken, replaced: VersionToken, token: VersionToken) -> bool:
    """Whether `token` is the replaced version, or half of it and half of ours.

    A listing's length comes from another table than its MD5, and may lag alone (protocol.md 10.9).
    """
    if replaced.same_version(token):
        return True
    if not token.md5_proves:
        return False
    lengths, digests = (ours.length, replaced.length), (ours.md5, replaced.md5, None)
    return token.length in lengths and token.md5 in digests
