"""What becomes of a downloaded file whose MD5 is not the one that the service tells (R13).

Pure.  One download may have been damaged on the way, so it is repeated once.  Two downloads that
agree are right and the MD5 is wrong: some services keep it beside the file, where it goes stale.
Two that differ from the MD5 and from each other prove that nothing is to be trusted.
"""

from __future__ import annotations

import enum


class Verdict(enum.Enum):
    """What a download is worth."""

    RIGHT = "right"  # it is what the service tells
    REPEAT = "repeat"  # it is not: drop it and download once more
    DISPUTED = "disputed"  # two downloads agree and the service tells something else: serve them
    WRONG = "wrong"  # every download is another one: serve nothing


def disputed(expected: str, found: str) -> str:
    """What is on record of a content that the service tells another MD5 of (R13).

    Args:
        expected: hex MD5 that the service tells.
        found: hex MD5 of two downloads.
    """
    return f"the service tells MD5 {expected}; downloaded twice, it is {found}"


def is_right(found: str, expected: str, record: str) -> bool:
    """Whether a copy is as it was downloaded.

    Args:
        found: its hex MD5.
        expected: what the service tells.
        record: "", or what `disputed` said.
    """
    return found == expected or record == disputed(expected, found)


class ContentCheck:
    """The downloads of one version of one file."""

    def __init__(self) -> None:
        self._first: str | None = None

    @property
    def repeated(self) -> bool:
        """Whether a download was dropped already."""
        return self._first is not None

    def judge(self, found: str, expected: str) -> Verdict:
        """Judge a whole download.

        Args:
            found: hex MD5 of what came.
            expected: hex MD5 that the service tells.
        """
        if found == expected:
            return Verdict.RIGHT
        if self._first is None:
            self._first = found
            return Verdict.REPEAT
        return Verdict.DISPUTED if found == self._first else Verdict.WRONG
