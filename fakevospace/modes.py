"""Whether the service takes reads and writes now: the modes of `/availability` (protocol.md 1.4).

Pure: which requests a mode refuses, and in what words.  Negotiation of a pull is a POST that
changes nothing; only the transfer itself can tell (`endpoints/transfers.py` asks `check_write`).
"""

from __future__ import annotations

import enum

from fakevospace.refusals import busy

ALWAYS = frozenset({"availability", "capabilities", "registry"})
CHANGES = frozenset({"PUT", "POST", "DELETE"})
JUDGED_INSIDE = frozenset({"synctrans"})


class Mode(enum.Enum):
    """What an operator can switch to; the values are the words of the `state` parameter."""

    READ_WRITE = "ReadWrite"
    READ_ONLY = "ReadOnly"
    OFFLINE = "Offline"

    @property
    def note(self) -> str:
        """What `/availability` says, and refused requests are told (the real spelling)."""
        match self:
            case Mode.READ_WRITE:
                return "service is accepting requests"
            case Mode.READ_ONLY:
                return "System is in read-only mode for maintainence"
            case Mode.OFFLINE:
                return "System is offline for maintainence"

    def check(self, method: str, endpoint: str) -> None:
        """Refuse a request that the mode does not allow.

        Raises:
            Refusal: 503 with Retry-After.
        """
        if self is Mode.OFFLINE and endpoint not in ALWAYS:
            raise busy(self.note)
        if method in CHANGES and endpoint not in ALWAYS | JUDGED_INSIDE:
            self.check_write()

    def check_write(self) -> None:
        """Refuse to change anything, unless the mode allows it.

        Raises:
            Refusal: 503 with Retry-After.
        """
        if self is not Mode.READ_WRITE:
            raise busy(self.note)


def mode_named(word: str) -> Mode | None:
    """Return the mode of that name, in any case; None when there is none."""
    return next((one for one in Mode if one.value.lower() == word.strip().lower()), None)
