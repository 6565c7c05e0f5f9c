"""What was asked of the service, in order.

An entry is made when a request arrives, gets its status when the answer begins, and the rest when
it ends, so that what hangs is seen too.  Requests to `/_fake/` are never recorded.  `Entry` is a
frozen value; `Journal` is safe to use from any thread, offers waiting instead of polling and
assertions that say what there was instead.  Only the newest `kept` entries are held.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from fakevospace.faults import Facts, Rule, Status

ANY = Status(0)  # a rule's matcher serves the queries; its action is never used
KEPT = 20_000  # entries; about 1.5 KiB each
SECRET_HEADERS = frozenset({"authorization", "x-cadc-delegationtoken", "cookie"})
SHOWN = 20  # lines in the message of an assertion
Headers = tuple[tuple[str, str], ...]


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
        user: name, `anonymous`, or None when the credential was no good.
        test: value of the X-Conformance-Test header, None without.
        request_headers, answer_headers: as sent, but credentials are left out.
        answer_text: what a refusal said, its beginning; empty for any other answer.
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
    request_headers: Headers = ()
    answer_headers: Headers = ()
    answer_text: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the entry as the control endpoint shows it."""
        return asdict(self)

    @property
    def line(self) -> str:
        """`METHOD path?query -> status`."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.method} {self.path}{query} -> {self.status}"


class Journal:
    """All requests since the start or the last `clear`.

    `_changed` (re-entrant) protects all fields; nothing else is called with it held.
    """

    def __init__(self, kept: int = KEPT) -> None:
        """Hold at most `kept` entries."""
        self._changed = threading.Condition()
        self._entries: dict[int, dict[str, Any]] = {}  # fields of an Entry, which is made when read
        self._next = 1
        self._kept = kept
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries())

    @property
    def dropped(self) -> int:
        """How many entries were let go because there were too many."""
        return self._dropped

    def begin(
        self,
        facts: Facts,
        path: str,
        query: str,
        *,
        test: str | None = None,
        request_headers: Headers = (),
    ) -> int:
        """Record that a request has arrived and return its number."""
        shown = tuple(one for one in request_headers if one[0].lower() not in SECRET_HEADERS)
        with self._changed:
            number, self._next = self._next, self._next + 1
            self._entries[number] = {
                "number": number,
                "method": facts.method,
                "path": path,
                "query": query,
                "endpoint": facts.endpoint,
                "node": facts.path,
                "user": facts.user,
                "test": test,
                "request_headers": shown,
            }
            if len(self._entries) > self._kept:
                del self._entries[next(iter(self._entries))]
                self._dropped += 1
            self._changed.notify_all()
            return number

    def amend(self, number: int, **values: Any) -> None:
        """Add to an entry what has become known; one that was cleared away stays away."""
        with self._changed:
            if number in self._entries:
                self._entries[number].update(values)
                self._changed.notify_all()

    def entries(
        self,
        *,
        method: str | None = None,
        endpoint: str | None = None,
        path: str | None = None,
        status: int | None = None,
        user: str | None = None,
        ended: bool = False,
    ) -> list[Entry]:
        """Return the entries that match, in order.

        Args:
            path: the node's path (decoded, leading slash) or the URL's; exact or a glob.
            ended: only those whose answer is sent, or broken off.
        """
        rule = Rule(ANY, method, endpoint, path, user=user)
        with self._changed:
            found = [Entry(**fields) for fields in self._entries.values()]
        return [
            one
            for one in found
            if (status is None or one.status == status)
            and not (ended and one.duration_s is None)
            and any(
                rule.matches(Facts(one.method, one.endpoint, p, one.user))
                for p in (one.node, one.path)
            )
        ]

    def since(self, number: int, limit: int) -> list[Entry]:
        """Return at most `limit` entries whose number is higher than `number`, oldest first."""
        with self._changed:
            first = next(iter(self._entries), 1)
            skipped = max(0, number + 1 - first)  # numbers have no gaps
            found = islice(self._entries.values(), skipped, skipped + limit)
            return [Entry(**fields) for fields in found]

    def count(
        self,
        *,
        method: str | None = None,
        endpoint: str | None = None,
        path: str | None = None,
        status: int | None = None,
        user: str | None = None,
    ) -> int:
        """Return how many entries match, as in `entries`."""
        found = self.entries(method=method, endpoint=endpoint, path=path, status=status, user=user)
        return len(found)

    def assert_count(self, count: int, **wanted: Any) -> None:
        """Check how many entries match, as in `count`.

        Raises:
            AssertionError: another number does; the message shows the journal.
        """
        found = self.count(**wanted)
        if found != count:
            what = " ".join(f"{key}={value}" for key, value in wanted.items()) or "any"
            raise AssertionError(
                "\n".join(
                    [f"{found} instead of {count} request(s) {what}; there were:", *self._tail()]
                )
            )

    def assert_lines(self, lines: Iterable[str]) -> None:
        """Check that the journal is exactly this, line by line: `METHOD path?query -> status`.

        Raises:
            AssertionError: it is not; the message shows both.
        """
        wanted, found = list(lines), [one.line for one in self]
        if wanted != found:
            raise AssertionError("\n".join(["wanted:", *wanted, "there were:", *self._tail()]))

    def _tail(self) -> list[str]:
        found = [one.line for one in self]
        more = [f"... ({len(found) - SHOWN} before)"] if len(found) > SHOWN else []
        return more + found[-SHOWN:]

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
        return [f"{one.method} {one.path} -> {one.status}" for one in self]

    def clear(self) -> None:
        """Forget everything so far; numbers go on."""
        with self._changed:
            self._entries.clear()
            self._changed.notify_all()
