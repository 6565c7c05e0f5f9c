"""What may still be written below a container that has a quota (behaviours.md 23, R24).

Pure.  A service tells how much is left; what was accepted here since, and what was waiting to be
sent then, is not in its figure.  Nothing is refused on a figure that was not asked for just now
(R24 allows 30 s, but what was deleted meanwhile makes room), and one older than 30 s that is used
up by half is asked for again in time.  Where the service tells nothing, all is accepted.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

from vofs.core.nodes import AVAILABLE_SPACE, LENGTH, QUOTA

TRUSTED_S = 30.0  # R24


class Verdict(enum.Enum):
    """What to do with bytes that are about to be accepted."""

    ACCEPT = "accept"
    ASK = "ask"  # the figure is too old to decide
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left below one container.

    Attributes:
        available: bytes that may still be sent, less what was waiting to be sent then.
        seen_at: when it said so, in monotonic seconds.
        accepted: bytes that were accepted here since.
    """

    available: int
    seen_at: float
    accepted: int = 0

    def judge(self, growth: int, now: float) -> Verdict:
        """Whether a file may grow by `growth` bytes.

        Args:
            growth: in bytes; nothing that does not grow is ever refused.
            now: monotonic seconds.
        """
        if growth <= 0:
            return Verdict.ACCEPT
        age_s, wanted = now - self.seen_at, self.accepted + growth
        if wanted > self.available:
            return Verdict.ASK if age_s > 0 else Verdict.REFUSE
        if age_s > TRUSTED_S and 2 * wanted > self.available:
            return Verdict.ASK
        return Verdict.ACCEPT

    def accept(self, growth: int) -> Allowance:
        """The allowance once `growth` bytes more are accepted."""
        return replace(self, accepted=self.accepted + max(0, growth))


def space_of(properties: Mapping[str, str]) -> tuple[int | None, int]:
    """Quota and used bytes of a container.

    Args:
        properties: of its node.

    Returns:
        (quota or None where none is told, used).
    """
    used = _number(properties.get(LENGTH)) or 0
    available = _number(properties.get(AVAILABLE_SPACE))
    quota = _number(properties.get(QUOTA))
    if quota is None and available is not None:
        quota = used + available
    return quota, used


def available_in(properties: Mapping[str, str]) -> int | None:
    """Bytes that may still be stored below a container; None where it has no quota of its own."""
    available = _number(properties.get(AVAILABLE_SPACE))
    if available is not None:
        return available
    quota, used = space_of(properties)
    return None if quota is None else max(0, quota - used)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None
