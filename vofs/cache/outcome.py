"""How an upload ended, and whether repeating it makes sense."""

from __future__ import annotations

from dataclasses import dataclass

from vofs.core.errors import (
    CacheDamaged,
    CacheFull,
    DownloadsDiffer,
    NodeBusy,
    ProtocolViolation,
    RemoteFailed,
    RemoteUnavailable,
    TransferCorrupted,
    VofsError,
)

ATTEMPTS_OF_A_FAILING_SERVICE = 3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an upload ended.

    Attributes:
        failure: None when nothing is left to send of what was there; else why not.
        retry_after_s: the earliest repetition; None: by backoff.
        final: repeating it by itself makes no sense.
        waits: nothing failed, it is too early; no try is counted.
        contact: the service was asked for something.
    """

    failure: VofsError | None = None
    retry_after_s: float | None = None
    final: bool = False
    waits: bool = False
    contact: bool = True

    @property
    def reached(self) -> bool:
        """The service is there: it answered, be it with a refusal."""
        local = isinstance(self.failure, CacheFull | CacheDamaged | NodeBusy)
        return self.contact and not local and not isinstance(self.failure, RemoteUnavailable)


def is_final(failure: VofsError, attempts: int) -> bool:
    """Whether repeating an upload by itself makes no sense.

    What the node or the credential refuses is final at once; a service that fails, or bytes that
    arrive wrong, are tried three times (R7); what is merely out of reach is never given up.  A base
    version that came differently twice was tried often enough (R13).

    Args:
        failure: how it failed.
        attempts: how many times in a row the service answered so, this time included.
    """
    if isinstance(failure, RemoteUnavailable | NodeBusy | CacheFull):
        return False
    if isinstance(failure, DownloadsDiffer):
        return True
    if isinstance(failure, RemoteFailed | ProtocolViolation | TransferCorrupted):
        return attempts >= ATTEMPTS_OF_A_FAILING_SERVICE
    return True
