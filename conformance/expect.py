"""What clauses expect of an answer, with messages that show the answer itself."""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Mapping

import requests

from conformance.wire import Job
from conformance.wire.terms import MD5


def described(answer: requests.Response) -> str:
    """The request, the status and the beginning of the body."""
    request = answer.request
    return f"{request.method} {request.url} answers {answer.status_code}: {answer.text[:300]!r}"


def expect_status(answer: requests.Response, *statuses: int) -> requests.Response:
    """The answer has one of these statuses."""
    if answer.status_code not in statuses:
        wanted = " or ".join(map(str, statuses))
        raise AssertionError(f"{described(answer)}, instead of {wanted}")
    return answer


def expect_fault(answer: requests.Response, status: int, fault: str) -> None:
    """The answer has this status, and its body is the fault of this name."""
    expect_status(answer, status)
    if not answer.text.startswith(fault):
        raise AssertionError(f"{described(answer)}: the body does not begin with {fault}")


def expect_redirect(answer: requests.Response) -> str:
    """The answer is a redirect to an absolute URL, which is returned."""
    expect_status(answer, 302, 303)
    url = answer.headers.get("Location", "")
    if not url.startswith(("http://", "https://")):
        raise AssertionError(f"{described(answer)}: Location {url!r} is not absolute")
    return url


def expect_phase(job: Job, phase: str) -> Job:
    """The job ended in this phase; an ERROR says why."""
    if job.phase != phase:
        raise AssertionError(f"the job is {job.phase} ({job.error}), instead of {phase}")
    if phase == "ERROR" and not job.error:
        raise AssertionError("the job is in ERROR without an errorSummary")
    return job


def sample(size: int, seed: int = 1) -> bytes:
    """Bytes that no text mode survives: every value, then noise; the same for the same seed."""
    head = bytes(range(256))[:size]
    return head + random.Random(seed).randbytes(size - len(head))


def digest_header(content: bytes) -> str:
    """The value of a Digest header (RFC 3230)."""
    return f"md5={base64.b64encode(hashlib.md5(content).digest()).decode()}"


def stored_md5(properties: Mapping[str, str]) -> str | None:
    """The MD5 property without the prefix that cavern sometimes gives it."""
    value = properties.get(MD5)
    return None if value is None else value.removeprefix("md5:")
