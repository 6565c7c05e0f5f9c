"""What the queue of uploads knows of one key; what it means is said in `uploadqueue`.  Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Entry:
    """One key.

    Attributes:
        due_at: when it is to run, were it alone.
        not_before: its rest, or a Retry-After: only urgency overrides it.
        attempts: failures in a row.
        running: its upload runs.
        urgent: one try at once.
        again_at, again_urgent: it became due while it ran.
        stalled: its last try did not reach the service.
        spared: the end of a pause has made it due early once; a second time it waits its backoff,
            or a file that alone cannot be sent would be tried with each success of another.
    """

    due_at: float
    not_before: float = 0.0
    attempts: int = 0
    running: bool = False
    urgent: bool = False
    again_at: float | None = None
    again_urgent: bool = False
    stalled: bool = False
    spared: bool = False

    @property
    def ready_at(self) -> float:
        """When it is to run while the service can be reached."""
        return self.due_at if self.urgent else max(self.due_at, self.not_before)

    @property
    def probe_at(self) -> float:
        """When it may be the one that finds out whether the service is back."""
        return self.not_before if self.stalled else self.ready_at
