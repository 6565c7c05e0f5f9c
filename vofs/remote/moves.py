"""Move jobs: create, run, look (UWS 1.1; protocol.md 5.4).

Creating and running are two requests on purpose: the caller journals the job's URL in between (R8),
so that after a crash or a lost answer the job's phase tells what became of the move.

Invariants: a move is run at most once per call; from RUN on no failure is told as "not done": what
is not known is RemoteUnavailable(sent=True).  A move that is done at once costs one look.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from vofs.core.errors import (
    NodeNotFound,
    ProtocolViolation,
    RemoteError,
    RemoteFailed,
    RemoteUnavailable,
)
from vofs.core.transferxml import JobDocument, build_move, parse_job
from vofs.core.uris import ServiceUri, node_uri, path_in_service
from vofs.remote.api import MovePhase, MoveStatus
from vofs.remote.discovery import Service
from vofs.remote.negotiation import location_of
from vofs.remote.retrying import Clock
from vofs.remote.transport import Transport, release

__all__ = ["Moves"]

_PHASES: Mapping[str, MovePhase] = MappingProxyType(
    {
        "PENDING": MovePhase.PENDING,
        "HELD": MovePhase.PENDING,
        "SUSPENDED": MovePhase.PENDING,
        "QUEUED": MovePhase.ACTIVE,
        "EXECUTING": MovePhase.ACTIVE,
        "COMPLETED": MovePhase.COMPLETED,
        "ERROR": MovePhase.FAILED,
        "ABORTED": MovePhase.FAILED,
    }
)
_RUNNING = (MovePhase.PENDING, MovePhase.ACTIVE)  # a job just run may still show as pending
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class Moves:
    """The move jobs of one service.

    Args:
        transport: the way to it.
        service: its URLs.
        uri: its name.
        timeout_s: seconds after which the transport gives an answer up; waits stay below it.
        clock: for the wait on a service that does not hold WAIT.
    """

    def __init__(
        self,
        transport: Transport,
        service: Service,
        uri: ServiceUri,
        timeout_s: float,
        clock: Clock,
    ) -> None:
        self._transport = transport
        self._service = service
        self._uri = uri
        self._timeout_s = timeout_s
        self._clock = clock

    def create(self, source: str, destination: str) -> str:
        """See `Remote.create_move`."""
        document = build_move(node_uri(self._uri, source), node_uri(self._uri, destination))
        response = self._transport.request(
            "POST", self._service.transfers, data=document, headers={"Content-Type": "text/xml"}
        )
        if response.status_code >= 300:
            return location_of(response)
        release(response)
        raise ProtocolViolation(f"status {response.status_code} where a job was to be created")

    def run(self, job_url: str, timeout_s: float) -> MoveStatus:
        """See `Remote.run_move`."""
        deadline = self._clock.monotonic() + timeout_s
        try:
            response = self._transport.request("POST", f"{job_url}/phase", data={"PHASE": "RUN"})
        except (RemoteFailed, ProtocolViolation) as exc:
            raise RemoteUnavailable(f"the move may have begun: {exc}", sent=True) from exc
        release(response)
        try:
            return self._follow(job_url, deadline)
        except RemoteError as exc:
            raise RemoteUnavailable(f"the move has begun: {exc}", sent=True) from exc

    def status(self, job_url: str, wait_s: int = 0) -> MoveStatus:
        """See `Remote.move_status`.

        Args:
            job_url: the job.
            wait_s: seconds for which the service may hold the answer while the job is active.
        """
        params = {"WAIT": str(wait_s)} if wait_s > 0 else None
        try:
            response = self._transport.request("GET", job_url, params=params)
        except NodeNotFound:
            return MoveStatus(MovePhase.UNKNOWN)
        return self._status_of(job_url, parse_job(self._transport.read(response)))

    def _follow(self, job_url: str, deadline: float) -> MoveStatus:
        pause_s = _FIRST_PAUSE_S
        while True:  # bounded by the deadline
            began = self._clock.monotonic()
            left_s = deadline - began
            # Half of the transport's patience: a held answer must not look like a dead service.
            status = self.status(job_url, wait_s=int(min(left_s, self._timeout_s / 2)))
            now = self._clock.monotonic()
            if status.phase not in _RUNNING:
                return status
            if now + pause_s >= deadline:
                return MoveStatus(MovePhase.ACTIVE)
            if now - began < pause_s:  # the service does not hold WAIT
                self._clock.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _status_of(self, job_url: str, job: JobDocument) -> MoveStatus:
        phase = _PHASES.get(job.phase, MovePhase.UNKNOWN)
        match phase:
            case MovePhase.COMPLETED:
                return MoveStatus(phase, destination=self._destination(job))
            case MovePhase.FAILED:
                return MoveStatus(phase, error=job.error or self._error_text(job_url))
            case _:
                return MoveStatus(phase)

    def _destination(self, job: JobDocument) -> str | None:
        uri = job.results.get("destination")
        return None if uri is None else path_in_service(self._uri, uri)

    def _error_text(self, job_url: str) -> str:
        try:
            response = self._transport.request("GET", f"{job_url}/error")
            return self._transport.read(response).decode("utf-8", "replace").strip()
        except (NodeNotFound, RemoteError):
            return ""
