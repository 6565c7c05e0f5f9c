"""When a failed request is tried again, and when no longer: a value, like urllib3's Retry.

Decides only the wait; it never sleeps, never reads a clock and never draws a random number: elapsed
time and jitter are arguments.  Which requests may be repeated at all is the caller's knowledge.

Invariants: immutable; at most `max_attempts` requests; no wait leads beyond `budget_s`; a wait that
the service asked for is never shortened (then the error is raised instead).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from vofs.core.errors import RemoteUnavailable

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one request may be repeated.

    Attributes:
        max_attempts: requests in all, the first one included.
        base_delay_s: seconds before the second request; doubled for each further one.
        max_delay_s: the longest computed wait in seconds.
        budget_s: seconds from the first request within which the last one must begin.
        attempts: requests that have failed so far.
    """

    max_attempts: int = 4
    base_delay_s: float = 0.25
    max_delay_s: float = 8.0
    budget_s: float = 30.0
    attempts: int = 0

    def next(
        self, error: RemoteUnavailable, elapsed_s: float, jitter: float
    ) -> tuple[RetryPolicy, float]:
        """Count one failure and say how long to wait before the next request.

        Args:
            error: the failure; its `retry_after_s` is honoured.
            elapsed_s: seconds since the first request began.
            jitter: in [0, 1); spreads the computed wait over its upper half.

        Returns:
            The policy for the next failure, and the wait in seconds.

        Raises:
            RemoteUnavailable: `error` itself, when attempts or budget are used up.
        """
        failed = replace(self, attempts=self.attempts + 1)
        delay_s = self._delay_s(jitter)
        if error.retry_after_s is not None:
            delay_s = max(delay_s, error.retry_after_s)
        if failed.attempts >= self.max_attempts or elapsed_s + delay_s > self.budget_s:
            raise error
        return failed, delay_s

    def _delay_s(self, jitter: float) -> float:
        # The exponent is capped before the float overflows; max_delay_s rules long before that.
        full_s = min(self.max_delay_s, self.base_delay_s * 2.0 ** min(self.attempts, 60))
        return full_s * (0.5 + jitter / 2)
