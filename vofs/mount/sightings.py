"""Nodes as they were seen, and listings under way: what they tell, and from when on that is true.

An answer of the service confirms what it says as of the moment in which it was asked for.  So does
a listing, except for the versions of files where listings lag (vault): their lengths come from
another table than the bytes, and may be older than the question (R11, R13).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vofs.core.attributes import version_token
from vofs.core.errors import VofsError
from vofs.core.nodes import NodeInfo, NodeKind

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Known:
    """A node as it was seen.

    Attributes:
        node: the node.
        since: when the answer came: from then on it is believed for the time to live.
        asked_at: when the question was sent: the answer confirms nothing that is younger; `NEVER`
            when the answer may be older than that: a version in a listing that lags.
    """

    node: NodeInfo
    since: float
    asked_at: float


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of ours made of a name.

    Attributes:
        sequence: its number.
        present: whether the name is there since.
        at: when it was confirmed, monotonic seconds.
    """

    sequence: int
    present: bool
    at: float


@dataclass(slots=True)
class Load:
    """One listing under way, shared by all who want it.

    Attributes:
        sequence: the number of the last local change before it began.
        asked_at: when it began, monotonic seconds.
        lags: the versions that come may be older ones.
        nodes: what came.
        failure: why nothing came.
        ended: one of the two is there.
    """

    sequence: int
    asked_at: float
    lags: bool = False
    nodes: list[NodeInfo] = field(default_factory=list)
    failure: VofsError | None = None
    ended: bool = False

    def told_at(self, node: NodeInfo, known: Known | None) -> float:
        """From when on what this listing says of `node` is true; see `Known.asked_at`.

        A version in one that lags confirms nothing that was not known before.

        Args:
            node: one that came.
            known: what is known of it.
        """
        if node.kind is not NodeKind.DATA or not self.lags:
            return self.asked_at
        if known is None or not version_token(known.node).same_version(version_token(node)):
            return NEVER
        return known.asked_at
