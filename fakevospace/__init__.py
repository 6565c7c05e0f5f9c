"""A VOSpace service to test clients against: `FakeVOSpace` in Python, `fakevospace` in a shell.

It speaks what the deployed services speak (personalities `vault` and `cavern`), records what it
was asked and fails on request.  It never leaves the loopback interface.
"""

from fakevospace.fake import FakeVOSpace, ServedFake
from fakevospace.faults import Cut, Hang, RangeIgnored, Reset, Rule, Status
from fakevospace.nodetable import DataDirectoryError
from fakevospace.personality import UnknownPersonality

__all__ = [
    "Cut",
    "DataDirectoryError",
    "FakeVOSpace",
    "Hang",
    "RangeIgnored",
    "Reset",
    "Rule",
    "ServedFake",
    "Status",
    "UnknownPersonality",
]
