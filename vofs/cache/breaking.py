"""A `Remote` that stops asking a service which does not answer (R20).

Two requests in a row without an answer open the breaker.  From then on a call sends no request of
its own until a probe, one at a time and in a thread of its own, was answered; it waits for that
probe for a second at most and then fails, so that a dead service costs a second and no timeout.
An answer of any kind closes the breaker.

What fails here was never sent (`sent` is False): uploads are tried again later, by their backoff.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from vofs.cache.clock import Clock
from vofs.cache.threads import Threads
from vofs.core.breaker import Breaker
from vofs.core.errors import NodeError, RemoteError, RemoteUnavailable, VofsError
from vofs.core.nodes import NodeInfo, VersionToken
from vofs.locks import Level, OrderedLock, assert_none_held
from vofs.remote.api import ByteSource, PutReceipt, Remote
from vofs.remote.around import RemoteAround, SourceAround

log = logging.getLogger(__name__)

T = TypeVar("T")

WAIT_FOR_PROBE_S = 1.0


class BreakingRemote(RemoteAround):
    """See the module's docstring; implements `api.Remote`.

    Args:
        inner: the service.
        clock: for the wait.
        threads: where the probe's thread comes from.
        probe_path: a node that is there; it is looked up to see whether the service answers.
        patience_s: how long a call waits for a probe.
    """

    def __init__(
        self,
        inner: Remote,
        clock: Clock,
        threads: Threads,
        probe_path: str,
        patience_s: float = WAIT_FOR_PROBE_S,
    ) -> None:
        super().__init__(inner)
        self._clock, self._patience_s = clock, patience_s
        self._probe_path = probe_path
        self._lock = OrderedLock(Level.LEAF)
        self._breaker = Breaker()
        self._pool = threads.pool(1, "vofs-probe")

    @property
    def is_open(self) -> bool:
        """Whether the service has stopped answering."""
        with self._lock:
            return self._breaker.is_open

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        """See `Remote`."""
        self._require_service()
        with self.watched():
            yield from self._inner.list_children(path)
        self.answered()

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        """See `Remote`; it counts as answered when the first byte of the body is there."""
        self._require_service()
        with self.watched():
            source = self._inner.open_bytes(path, start, end, expected)
        return _WatchedSource(source, self)

    def put_bytes(self, path: str, body: Iterable[bytes], size: int) -> PutReceipt:
        """See `Remote`."""
        return self._ask(lambda: self._inner.put_bytes(path, body, size), changes=True)

    def close(self) -> None:
        """See `Remote`; waits for a probe that is on its way."""
        self._pool.shutdown(wait=True)
        super().close()

    # -- the breaker ----------------------------------------------------------------------------

    def _ask(self, call: Callable[[], T], *, changes: bool) -> T:
        self._require_service()
        with self.watched():
            result = call()
        self.answered()
        return result

    def _require_service(self) -> None:
        """Return at once as long as the service answers, else when a probe was answered.

        Raises:
            RemoteUnavailable: it was not, within a second.
        """
        with self._lock:
            if not self._breaker.is_open:
                return
            mine = self._breaker.take_probe()
        assert_none_held("waiting for the service")
        if mine:
            self._send_probe()
        until = self._clock.monotonic() + self._patience_s
        with self._lock:
            while self._breaker.is_open:
                remaining = until - self._clock.monotonic()
                if remaining <= 0 or not self._breaker.probing:
                    raise RemoteUnavailable("the service does not answer; it is being asked again")
                self._lock.wait(remaining)

    def _send_probe(self) -> None:
        try:
            self._pool.submit(self._probe)
        except RuntimeError as exc:  # the mount is going away
            with self._lock:
                self._breaker.probe_ended()
            raise RemoteUnavailable("the mount is shutting down") from exc

    def _probe(self) -> None:
        try:
            with self.watched():
                self._inner.get_node(self._probe_path)
            self.answered()
        except VofsError as exc:
            log.debug("the service does not answer yet: %s", exc)
        except Exception:
            log.exception("probe of the service")
        finally:
            with self._lock:
                self._breaker.probe_ended()
                self._lock.notify_all()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Count how the request inside ends, if it fails.

        What its caller raised (a body that cannot be read) says nothing of the service.
        """
        try:
            yield
        except RemoteUnavailable as exc:
            with self._lock:
                was_open = self._breaker.is_open
                self._breaker.failed()
                opens = self._breaker.is_open and not was_open
            if opens:
                log.info("the service does not answer: %s", exc)
            raise
        except (NodeError, RemoteError):
            self.answered()
            raise

    def answered(self) -> None:
        """The service answered."""
        with self._lock:
            was_open = self._breaker.is_open
            self._breaker.answered()
            if was_open:
                self._lock.notify_all()
        if was_open:
            log.info("the service answers again")


class _WatchedSource(SourceAround):
    """A byte reply whose body counts, too: a body that never comes is no answer."""

    def __init__(self, inner: ByteSource, remote: BreakingRemote) -> None:
        super().__init__(inner)
        self._remote = remote

    def chunks(self) -> Iterator[bytes]:
        """See `api.ByteSource`."""
        with self._remote.watched():
            chunks = self._inner.chunks()
            first = next(chunks, None)
            self._remote.answered()
            if first is not None:
                yield first
                yield from chunks
