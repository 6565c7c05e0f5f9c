"""What was asked of the service, in order.

An entry is made when a request arrives, gets its status when the answer begins, and the rest when
it ends, so that what hangs is seen too.  Requests to `/_fake/` are never recorded.  `Entry` is a
frozen value; `Journal` is safe to use from any thread and offers waiting instead of polling.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from fakevospace.faults import Facts, Rule, Status

ANY = Status(0)  # a rule's matcher serves the queries; its action is never used


@dataclass(frozen=True, slots=True)
class Entry:
    """One request.

    Attributes:
        number: position in the order of arrival, from 1.
        path: path as sent, still percent-encoded; `query` likewise.
        endpoint: nodes, files, bytes, synctrans, transfers, xfer, capabilities, availability,
            registry, async-delete, async-setprops, pkg, catalogues; empty for any other URL.
        node: decoded path of the node it was about, empty when the URL does not say.
        status: HTTP status, None while there is no answer, 0 when the connection was dropped.
        duration_s: seconds from arrival to the last byte sent, None until then.
        bytes_in: bytes of the request's body that were read.
        bytes_out: bytes of the answer's body that were sent.
        user: name, `anonymous`, or None when not known (yet).
        test: value of the X-Conformance-Test header, None without.
    """

    number: int
    method: str
    path: str
    query: str
    endpoint: str
    node: str
    status: int | None = None
    duration_s: float | None = None
    bytes_in: int = 0
    bytes_out: int = 0
    user: str | None = None
    test: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the entry as the control endpoint shows it."""
        return asdict(self)


class Journal:
    """All requests since the start or the last `clear`.

    `_changed` (re-entrant) protects all fields; nothing else is called with it held.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: dict[int, Entry] = {}
        self._next = 1

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    def begin(self, facts: Facts, path: str, query: str, test: str | None) -> int:
        """Record that a request has arrived and return its number."""
        with self._changed:
            number, self._next = self._next, self._next + 1
            self._entries[number] = Entry(
                number, facts.method, path, query, facts.endpoint, facts.path, test=test
            )
            self._changed.notify_all()
            return number

    def amend(self, number: int, **values: Any) -> None:
        """Add to an entry what has become known; one that was cleared away stays away."""
        with self._changed:
            if number in self._entries:
                self._entries[number] = replace(self._entries[number], **values)
                self._changed.notify_all()

    def entries(
        self,
        *,
        method: str | None = None,
        endpoint: str | None = None,
        path: str | None = None,
        status: int | None = None,
        ended: bool = False,
    ) -> list[Entry]:
        """Return the entries that match, in order.

        Args:
            path: the node's path (decoded, leading slash) or the URL's; exact or a glob.
            ended: only those whose answer is sent, or broken off.
        """
        rule = Rule(ANY, method, endpoint, path)
        with self._changed:
            found = list(self._entries.values())
        return [
            one
            for one in found
            if (status is None or one.status == status)
            and not (ended and one.duration_s is None)
            and any(rule.matches(Facts(one.method, one.endpoint, p)) for p in (one.node, one.path))
        ]

    def count(
        self,
        *,
        method: str | None = None,
        endpoint: str | None = None,
        path: str | None = None,
        status: int | None = None,
    ) -> int:
        """Return how many entries match, as in `entries`."""
        return len(self.entries(method=method, endpoint=endpoint, path=path, status=status))

    def wait_for(
        self,
        count: int = 1,
        *,
        method: str | None = None,
        endpoint: str | None = None,
        path: str | None = None,
        status: int | None = None,
        ended: bool = False,
        timeout_s: float = 10.0,
    ) -> list[Entry]:
        """Wait until `count` entries match and return them.

        Raises:
            TimeoutError: they did not come; the message holds what there is.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while True:
                found = self.entries(
                    method=method, endpoint=endpoint, path=path, status=status, ended=ended
                )
                if len(found) >= count:
                    return found
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"{len(found)} of {count} requests came: {self.lines()}")

    def lines(self) -> list[str]:
        """Return the journal as `METHOD path -> status`, for messages and documents."""
        return [f"{one.method} {one.path} -> {one.status}" for one in self._entries.values()]

    def clear(self) -> None:
        """Forget everything so far; numbers go on."""
        with self._changed:
            self._entries.clear()
            self._changed.notify_all()
