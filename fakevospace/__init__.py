"""A VOSpace service to test clients against: `FakeVOSpace` in Python, `fakevospace` in a shell.

It speaks what the deployed services speak, and the bare specification (personalities `vault`,
`cavern`, `datalab`, `spec`), records what it was asked and fails on request.  It never leaves the
loopback interface, and in process it opens no socket at all.
"""

from fakevospace.datafile import DataDirectoryError
from fakevospace.fake import FakeVOSpace
from fakevospace.faultboard import FaultNotPossible
from fakevospace.faultplans import BadPlan, parse_plan
from fakevospace.faults import (
    CappedListing,
    Cut,
    DamagedBody,
    Delay,
    ExpiredCredential,
    FalseFailure,
    FalseSuccess,
    FaultPlan,
    Hang,
    LaggingListing,
    LateCleanup,
    MalformedXml,
    MissingDigest,
    RangeIgnored,
    RedirectLoop,
    Reset,
    Rule,
    StaleListing,
    Status,
    StuckJob,
    TornPut,
    WrongDigest,
    WrongLength,
)
from fakevospace.fronts import InProcessFake, ServedFake
from fakevospace.personalities import UnknownPersonality

__all__ = [
    "BadPlan", "CappedListing", "Cut", "DamagedBody", "DataDirectoryError", "Delay",
    "ExpiredCredential", "FakeVOSpace", "FalseFailure", "FalseSuccess", "FaultNotPossible",
    "FaultPlan", "Hang", "InProcessFake", "LaggingListing", "LateCleanup", "MalformedXml",
    "MissingDigest", "RangeIgnored", "RedirectLoop", "Reset", "Rule", "ServedFake",
    "StaleListing", "Status", "StuckJob", "TornPut", "UnknownPersonality", "WrongDigest",
    "WrongLength", "parse_plan",
]  # fmt: skip
