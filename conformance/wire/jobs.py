"""UWS jobs: made, started, watched to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import requests

from conformance.wire.connection import Connection, WireError, succeed
from conformance.wire.documents import Job, read_job

ACTIVE = frozenset({"PENDING", "QUEUED", "EXECUTING", "HELD", "SUSPENDED", "UNKNOWN"})
POLLS = 60
WAIT_S = 5
# Only for services that answer at once where they were asked to wait.
PAUSE_S = 0.5


@dataclass(slots=True)
class Jobs:
    """The jobs below one endpoint (`/transfers`, `/async-delete`, ...)."""

    connection: Connection
    root: str
    document_type: str = "text/xml"
    pause: Callable[[float], None] = time.sleep

    def create(
        self, document: bytes | None = None, *, form: Mapping[str, str] | None = None
    ) -> requests.Response:
        """POST of a new job; the redirect to it is not followed."""
        if form is not None:
            return self.connection.send("POST", self.root, data=form, follow=False)
        headers = {"Content-Type": self.document_type}
        return self.connection.send("POST", self.root, data=document, headers=headers, follow=False)

    def post_phase(self, job: str, phase: str, name: str = "PHASE") -> requests.Response:
        """POST of a change of phase; the redirect is not followed."""
        return self.connection.send("POST", f"{job}/phase", data={name: phase}, follow=False)

    def get(self, job: str, part: str = "", **query: int | str) -> requests.Response:
        """GET of a job, or of one of its parts; redirects are not followed."""
        url = f"{job}/{part}".rstrip("/")
        return self.connection.send("GET", url, params=query or None, follow=False)

    def phase(self, job: str) -> str:
        """The phase, from its own resource."""
        return succeed(self.get(job, "phase")).text.strip()

    def read(self, job: str, **query: int | str) -> Job:
        """The job document, read."""
        return read_job(succeed(self.get(job, "", **query)).content)

    def finish(self, job: str) -> Job:
        """Start the job unless it has been, and wait for its end.

        Raises WireError when it does not end.
        """
        if self.phase(job) == "PENDING":
            succeed(self.post_phase(job, "RUN"))
        for _ in range(POLLS):
            asked = time.monotonic()
            found = self.read(job, WAIT=WAIT_S)
            if found.phase not in ACTIVE:
                return found
            if time.monotonic() - asked < PAUSE_S:
                self.pause(PAUSE_S)
        raise WireError(f"{job} is still {found.phase} after {POLLS} polls")

    def run(self, document: bytes | None = None, *, form: Mapping[str, str] | None = None) -> Job:
        """Create a job and see it through to its end."""
        return self.finish(location(self.create(document, form=form)))


def location(answer: requests.Response) -> str:
    """Where a redirect leads; raises WireError when the answer is none."""
    url = answer.headers.get("Location", "")
    if answer.status_code not in (302, 303) or not url:
        raise WireError(
            f"{answer.request.method} {answer.request.url}: "
            f"{answer.status_code} instead of a redirect: {answer.text[:200]}"
        )
    return url
