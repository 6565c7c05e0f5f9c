"""PUT transactions (minoc PutTransactionTest; protocol.md 6.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import requests

from conformance.expect import digest_header, expect_status, sample
from conformance.wire import Service
from conformance.wire.terms import LENGTH, PUSH

pytestmark = pytest.mark.needs("transactions")

OPERATION, NUMBER = "x-put-txn-op", "x-put-txn-id"
FIRST, SECOND = sample(2000), sample(1500, 2)


@dataclass(frozen=True, slots=True)
class Upload:
    """A byte URL to push to, and the node it is for."""

    path: str
    send: Callable[..., requests.Response]

    def ask(
        self,
        method: str,
        body: bytes | None = None,
        *,
        operation: str | None = None,
        number: str | None = None,
        **more: str,
    ) -> requests.Response:
        """One request of a transaction."""
        headers = {OPERATION: operation, NUMBER: number, **more}
        given = {name: value for name, value in headers.items() if value is not None}
        return self.send(method, data=body, headers=given)

    def start(self, body: bytes = FIRST) -> str:
        """Start a transaction with these bytes; returns its number."""
        answer = expect_status(self.ask("PUT", body, operation="start"), 202)
        return answer.headers[NUMBER]

    def commit(self, number: str) -> requests.Response:
        """Commit a transaction."""
        return self.ask("PUT", b"", operation="commit", number=number)


@pytest.fixture
def upload(service: Service, container: str) -> Upload:
    """A push to a new node."""
    path = f"{container}/data"
    protocol = service.transfers.endpoint(path, PUSH)

    def send(method: str, **options: object) -> requests.Response:
        return service.transfers.send(method, protocol, **options)  # type: ignore[arg-type]

    return Upload(path, send)


@pytest.mark.clause("VOS-CADC-txn-commit", source="minoc PutTransactionTest.testPutCommit")
def test_a_transaction_is_committed(service: Service, upload: Upload) -> None:
    started = expect_status(upload.ask("PUT", FIRST, operation="start"), 202)
    number = started.headers[NUMBER]
    assert started.headers["Digest"] == digest_header(FIRST)
    assert started.headers["Content-Length"] == "0"
    seen = expect_status(upload.ask("HEAD", number=number), 200)
    assert seen.headers[NUMBER] == number
    assert seen.headers["Digest"] == digest_header(FIRST)
    assert seen.headers["Content-Length"] == str(len(FIRST))
    done = expect_status(upload.commit(number), 201)
    assert done.headers["Digest"] == digest_header(FIRST)
    assert service.pull(upload.path).content == FIRST


@pytest.mark.clause(
    "VOS-CADC-txn-invisible",
    source="minoc PutTransactionTest.testPutCommit: HEAD is 404 until the commit, 200 after it",
)
def test_a_transaction_is_invisible_until_its_commit(service: Service, upload: Upload) -> None:
    number = upload.start()
    expect_status(upload.ask("HEAD"), 404)
    assert service.nodes.read(upload.path).properties.get(LENGTH, "0") == "0"
    upload.commit(number)
    after = expect_status(upload.ask("HEAD"), 200)
    assert NUMBER not in after.headers
    assert service.nodes.read(upload.path).properties[LENGTH] == str(len(FIRST))


@pytest.mark.clause(
    "VOS-CADC-txn-ended", source="minoc PutTransactionTest.testPutCommit: HEAD with txn is then 400"
)
def test_a_transaction_ends_with_its_commit(upload: Upload) -> None:
    number = upload.start()
    upload.commit(number)
    expect_status(upload.ask("HEAD", number=number), 400, 404)
    expect_status(upload.commit(number), 400, 404)


@pytest.mark.clause("VOS-CADC-txn-abort", source="minoc PutTransactionTest.testPutAbort: 204")
def test_a_transaction_is_aborted(service: Service, upload: Upload) -> None:
    number = upload.start()
    expect_status(upload.ask("HEAD", number=number), 200)
    expect_status(upload.ask("POST", b"", operation="abort", number=number), 204)
    expect_status(upload.ask("HEAD"), 404)
    expect_status(upload.ask("HEAD", number=number), 400, 404)
    assert service.nodes.read(upload.path).properties.get(LENGTH, "0") == "0"


@pytest.mark.clause(
    "VOS-CADC-txn-append",
    source="minoc PutTransactionTest.testPutMultiPartCommit: 202, the Digest of all",
)
def test_bytes_are_appended(service: Service, upload: Upload) -> None:
    number = upload.start()
    more = expect_status(upload.ask("PUT", SECOND, number=number), 202)
    assert more.headers["Digest"] == digest_header(FIRST + SECOND)
    seen = upload.ask("HEAD", number=number)
    assert seen.headers["Content-Length"] == str(len(FIRST) + len(SECOND))
    upload.commit(number)
    assert service.pull(upload.path).content == FIRST + SECOND


@pytest.mark.clause(
    "VOS-CADC-txn-revert",
    source="minoc PutTransactionTest.testPutMultiPartCommit: revert is 202, the previous Digest",
)
def test_an_append_is_reverted(service: Service, upload: Upload) -> None:
    number = upload.start()
    upload.ask("PUT", b"wrong" * 100, number=number)
    back = expect_status(upload.ask("POST", b"", operation="revert", number=number), 202)
    assert back.headers["Digest"] == digest_header(FIRST)
    upload.ask("PUT", SECOND, number=number)
    upload.commit(number)
    assert service.pull(upload.path).content == FIRST + SECOND


@pytest.mark.clause(
    "VOS-CADC-txn-revert-all", source="minoc PutTransactionTest: no Digest when back at no bytes"
)
def test_a_start_is_reverted_to_nothing(service: Service, upload: Upload) -> None:
    number = upload.start()
    back = expect_status(upload.ask("POST", b"", operation="revert", number=number), 202)
    assert "Digest" not in back.headers
    upload.ask("PUT", SECOND, number=number)
    upload.commit(number)
    assert service.pull(upload.path).content == SECOND


@pytest.mark.clause(
    "VOS-CADC-txn-segments",
    source="protocol.md 6.3: a start without bytes announces a length and is told segment sizes",
)
def test_a_transaction_in_segments(service: Service, upload: Upload) -> None:
    whole = FIRST + SECOND
    length = {"x-total-length": str(len(whole))}
    started = expect_status(upload.ask("PUT", b"", operation="start", **length), 202)
    assert "Digest" not in started.headers
    least = int(started.headers["x-put-segment-minbytes"])
    most = int(started.headers["x-put-segment-maxbytes"])
    assert 0 < least <= most
    number = started.headers[NUMBER]
    upload.ask("PUT", FIRST, number=number)
    upload.ask("PUT", SECOND, number=number)
    expect_status(upload.commit(number), 201)
    assert service.pull(upload.path).content == whole


@pytest.mark.clause(
    "VOS-CADC-txn-refusals",
    source="protocol.md 6.3: start with a number, commit without one or with a body, POST of "
    "start or commit: 400",
)
def test_what_a_transaction_refuses(service: Service, upload: Upload) -> None:
    number = upload.start()
    expect_status(upload.ask("PUT", SECOND, operation="start", number=number), 400)
    expect_status(upload.ask("PUT", b"", operation="commit"), 400)
    expect_status(upload.ask("PUT", SECOND, operation="commit", number=number), 400)
    for operation in ("start", "commit"):
        expect_status(upload.ask("POST", b"", operation=operation, number=number), 400)
    expect_status(upload.commit(number), 201)
    assert service.pull(upload.path).content == FIRST


@pytest.mark.clause(
    "VOS-CADC-txn-replaces", source="protocol.md 6.3: the old bytes stay until the commit"
)
def test_the_old_bytes_stay_until_the_commit(service: Service, upload: Upload) -> None:
    expect_status(upload.ask("PUT", SECOND), 201)
    number = upload.start()
    assert service.pull(upload.path).content == SECOND
    upload.commit(number)
    assert service.pull(upload.path).content == FIRST
