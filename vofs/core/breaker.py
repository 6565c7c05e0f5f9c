"""Whether it is worth asking the service at all (R20).

Pure.  Two requests in a row that the network swallowed open the breaker; while it is open nothing
is asked but one probe at a time, and the first answer of any kind closes it.  Time is not needed:
a probe is sent when somebody wants something, and how long he waits for it is the shell's matter.
"""

from __future__ import annotations

FAILURES_TO_OPEN = 2


class Breaker:
    """See the module's docstring.

    Attributes:
        is_open: nothing but probes is to be sent.
        probing: a probe is on its way.
    """

    def __init__(self) -> None:
        self._failures = 0
        self.probing = False

    @property
    def is_open(self) -> bool:
        """Whether the last requests all failed for want of an answer."""
        return self._failures >= FAILURES_TO_OPEN

    def failed(self) -> None:
        """A request got no answer."""
        self._failures += 1

    def answered(self) -> None:
        """The service answered: that it refused something is an answer, too."""
        self._failures = 0

    def take_probe(self) -> bool:
        """Whether the caller is to send the probe; if so, end it with `probe_ended`."""
        if not self.is_open or self.probing:
            return False
        self.probing = True
        return True

    def probe_ended(self) -> None:
        """The probe came back, or did not; `answered` or `failed` has told which."""
        self.probing = False
