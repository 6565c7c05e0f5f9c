"""What can go wrong with a request, as values; one class per action of a fault plan.

Nothing here does anything: `faulteffects` carries the actions out.  The name of an action in a
plan is the key of `ACTIONS`.  `after_bytes`, where an action has it, counts the request's body
when it has one, else the answer's; None is before any byte of the body is read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with a status code, before the request's body is read.

    Attributes:
        code: HTTP status.
        retry_after: seconds for the Retry-After header, None for no header.
        body: text of the answer.
        retry_date: write Retry-After as a date of the service's clock instead of seconds.
    """

    code: int
    retry_after: int | None = None
    body: str = "fault injected"
    retry_date: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Wait so many seconds of the service's clock, then go on; lifting the faults ends it."""

    seconds: float
    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """Wait until the faults are lifted or the client is gone, then go on."""

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (SO_LINGER 0)."""

    after_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """Close the connection in an orderly way after so many bytes of the body."""

    after_bytes: int = 0


@dataclass(frozen=True, slots=True)
class WrongLength:
    """State a Content-Length that is `by` bytes off; the connection ends after the answer."""

    by: int = 1


@dataclass(frozen=True, slots=True)
class WrongDigest:
    """State the Digest of other bytes."""


@dataclass(frozen=True, slots=True)
class MissingDigest:
    """State no Digest."""


@dataclass(frozen=True, slots=True)
class DamagedBody:
    """Let one byte of a successful answer's body arrive as another; the headers tell the true one.

    Attributes:
        at: which byte of the body, from 0; a body that ends before it is left alone.
        by: what is added to it, modulo 256.
    """

    at: int = 0
    by: int = 1


@dataclass(frozen=True, slots=True)
class RangeIgnored:
    """Answer a Range with 200 and the whole body."""


@dataclass(frozen=True, slots=True)
class StaleListing:
    """Answer every GET of a node as the rule's first one was answered."""


@dataclass(frozen=True, slots=True)
class CappedListing:
    """Leave out of a listing all children after the first `count`, without saying so."""

    count: int


@dataclass(frozen=True, slots=True)
class LaggingListing:
    """Show in a listing each child as it was so many seconds (of the service's clock) ago.

    Only changes made over HTTP while the rule stands are held back, and only in listings: the
    node itself is always shown as it is, as vault does (protocol.md 10.9).
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class MalformedXml:
    """Break an XML answer off before its end, with a Content-Length that agrees."""


@dataclass(frozen=True, slots=True)
class StuckJob:
    """Let a job that is told to run stay in a phase; lifting the faults lets it run."""

    phase: str = "EXECUTING"


@dataclass(frozen=True, slots=True)
class TornPut:
    """Truncate the node of a PUT, then fail with a status; the body is not read."""

    code: int = 500


@dataclass(frozen=True, slots=True)
class LateCleanup:
    """Break a PUT towards its client and let the service notice only later (rules.md R1).

    On a service that truncates, the clean-up empties whatever file is at the path by then.

    Attributes:
        after_bytes: reset the connection after so many bytes of the body; None: when the client
            breaks it, the service is late to notice.
        seconds: how late, by the service's clock; None: when the faults are lifted.
    """

    after_bytes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FalseFailure:
    """Do what is asked and answer with a failure; a failure stays what it is."""

    code: int = 500


@dataclass(frozen=True, slots=True)
class FalseSuccess:
    """Do nothing and answer as if it were done; a request that only reads never fails."""


@dataclass(frozen=True, slots=True)
class ExpiredCredential:
    """Take the credential for expired: 401, on a pre-authorised URL 403; without one: nothing."""


@dataclass(frozen=True, slots=True)
class RedirectLoop:
    """Redirect a request to itself."""

    code: int = 303


Action = (
    Status | Delay | Hang | Reset | Cut | WrongLength | WrongDigest | MissingDigest | DamagedBody
    | RangeIgnored | StaleListing | CappedListing | LaggingListing | MalformedXml | StuckJob
    | TornPut | LateCleanup | FalseFailure | FalseSuccess | ExpiredCredential | RedirectLoop
)  # fmt: skip

ACTIONS: dict[str, type[Action]] = {
    "status": Status,
    "delay": Delay,
    "hang": Hang,
    "reset": Reset,
    "cut": Cut,
    "wrong_length": WrongLength,
    "wrong_digest": WrongDigest,
    "missing_digest": MissingDigest,
    "damaged_body": DamagedBody,
    "range_ignored": RangeIgnored,
    "stale_listing": StaleListing,
    "capped_listing": CappedListing,
    "lagging_listing": LaggingListing,
    "malformed_xml": MalformedXml,
    "stuck_job": StuckJob,
    "torn_put": TornPut,
    "late_cleanup": LateCleanup,
    "false_failure": FalseFailure,
    "false_success": FalseSuccess,
    "expired_credential": ExpiredCredential,
    "redirect_loop": RedirectLoop,
}


NEED_CONNECTION: tuple[type[Action], ...] = (Hang, Reset, Cut, WrongLength, LateCleanup)


def name_of(action: Action) -> str:
    """Return the name that a plan uses for an action."""
    return next(name for name, kind in ACTIONS.items() if isinstance(action, kind))
