"""What is on record of a PUT that began: written before its first byte leaves (R2)."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass

WHOLE_KEPT = 16  # of so many versions that may have arrived


class PutFate(enum.Enum):
    """What is known of a PUT that began and did not simply succeed."""

    UNKNOWN = "unknown"  # it runs, or it broke: bytes of it may be there
    OVER = "over"  # it did not arrive; what it left on the service may be there
    ARRIVED = "arrived"  # accepted; a PUT that broke before may still spoil it (R1)


@dataclass(frozen=True, slots=True)
class PutRecord:
    """R2: a PUT that began and whose success is not known or not proved.

    Attributes:
        generation: the generation that was being sent.
        size: its bytes.
        md5: their hex MD5, known before the last of them leave, else None.
        fate: what became of it.
        after_broken: one before it broke on a service that truncates, so that not even its own
            success is the end (R1).
        mixed: one before it sent another generation, of which traces may be there.
        longest_before: the bytes of the longest PUT before it of which traces may be there.
        whole_before: length and hex MD5 of what PUTs before it, or it, may have left there whole;
            each may appear late, or be shown late.
        transaction: the put transaction that carries it: its number, and the size it was begun
            for; or None.
    """

    generation: int
    size: int
    md5: str | None = None
    fate: PutFate = PutFate.UNKNOWN
    after_broken: bool = False
    mixed: bool = False
    transaction: tuple[str, int] | None = None
    longest_before: int = 0
    whole_before: tuple[tuple[int, str], ...] = ()

    @property
    def longest(self) -> int:
        """What was left on a service that truncates is at most as long as this, bytes."""
        return max(self.size, self.longest_before)

    @property
    def whole(self) -> tuple[tuple[int, str], ...]:
        """Length and hex MD5 of all versions that it and those before it may have left."""
        its_own = () if self.md5 is None else ((self.size, self.md5),)
        return tuple(dict.fromkeys((*self.whole_before, *its_own)))[-WHOLE_KEPT:]

    def may_have_left(self, length: int, md5: str | None) -> bool:
        """Whether a version of that length and hex MD5 is one that arrived after all."""
        return md5 is not None and (length, md5) in self.whole

    @property
    def heritage(self) -> PutRecord | None:
        """What another file needs to know of it that takes its name."""
        return PutRecord(0, 0, fate=PutFate.OVER, whole_before=self.whole) if self.whole else None

    @property
    def detail(self) -> str:
        """What of it has no column of its own, as JSON."""
        fields = {
            "fate": self.fate.value,
            "mixed": self.mixed,
            "after_broken": self.after_broken,
            "transaction": self.transaction,
            "longest_before": self.longest_before,
            "whole_before": self.whole_before,
        }
        return json.dumps(fields)


def put_record(
    generation: int | None, size: int | None, md5: str | None, detail: str
) -> PutRecord | None:
    """The record that the index holds in these columns, or None."""
    if generation is None or size is None:
        return None
    fields = json.loads(detail or "{}")  # nothing more in rows of the first format
    fate = PutFate(fields.get("fate", "unknown"))
    begun = fields.get("transaction")
    transaction = None if begun is None else (begun[0], begun[1])
    after_broken, mixed = fields.get("after_broken", False), fields.get("mixed", False)
    longest_before = fields.get("longest_before", 0)
    whole_before = tuple((length, digest) for length, digest in fields.get("whole_before", ()))
    return PutRecord(
        generation, size, md5, fate, after_broken, mixed, transaction, longest_before, whole_before
    )
