"""Bytes of VosRemote on a served fake: ranges, proofs, uploads and what breaks."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator

import pytest

from fakevospace.faults import Cut, Hang, RangeIgnored, Reset, Rule, Status
from tests.integration.remote.conftest import Open, Stage
from vofs.core.attributes import version_token
from vofs.core.errors import (
    ContainerNotFound,
    IsAContainer,
    NodeNotFound,
    PermissionDenied,
    QuotaExceeded,
    RemoteTimeout,
    RemoteUnavailable,
    VersionChanged,
    VofsError,
)
from vofs.core.nodes import VersionToken
from vofs.remote.vosclient import VosRemote

DATA = bytes(range(256)) * 4096  # 1 MiB
NAME = "/h#x ?%41 [é] +&;'.fits"


def token_of(remote: VosRemote, path: str) -> VersionToken:
    return version_token(remote.get_node(path))


def read(stage: Stage, path: str, start: int, end: int) -> tuple[int, bytes]:
    expected = token_of(stage.remote, path)
    stage.requests()
    with stage.remote.open_bytes(path, start, end, expected) as source:
        assert source.total == expected.length
        return source.start, b"".join(source.chunks())


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def test_a_cold_read_is_two_requests_on_vault_and_the_next_is_one(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.fake.put(NAME, DATA)
    assert read(stage, NAME, 1000, 5000) == (1000, DATA[1000:5000])
    assert stage.requests() == [("GET", "files"), ("GET", "bytes")]
    assert read(stage, NAME, 0, len(DATA)) == (0, DATA)
    assert stage.requests() == [("GET", "bytes")]


def test_a_cold_read_is_one_request_on_cavern_and_the_whole_body(open_stage: Open) -> None:
    """R12: no ranges there."""
    stage = open_stage("cavern")
    stage.fake.put(NAME, DATA)
    assert read(stage, NAME, 1000, 5000) == (0, DATA)
    assert len(stage.requests()) == 1


def test_a_range_that_is_ignored_is_a_whole_body(open_stage: Open) -> None:
    """R12."""
    stage = open_stage("vault")
    stage.fake.put("f", DATA)
    stage.fake.faults.add(Rule(RangeIgnored()))
    assert read(stage, "/f", 1000, 5000) == (0, DATA)


def test_another_version_is_not_given(stage: Stage) -> None:
    """R12."""
    stage.fake.put("f", b"first")
    old = token_of(stage.remote, "/f")
    stage.fake.put("f", b"second!")
    with pytest.raises(VersionChanged):
        stage.remote.open_bytes("/f", 0, 5, old)


def test_same_length_other_bytes_on_vault(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.fake.put("f", b"first")
    old = token_of(stage.remote, "/f")
    with stage.remote.open_bytes("/f", 0, 5, old) as source:
        assert b"".join(source.chunks()) == b"first"
    stage.fake.put("f", b"other")
    with pytest.raises(VersionChanged):
        stage.remote.open_bytes("/f", 0, 5, old)
    new = token_of(stage.remote, "/f")
    with stage.remote.open_bytes("/f", 0, 5, new) as source:  # the remembered URL leads elsewhere
        assert b"".join(source.chunks()) == b"other"


def test_a_byte_url_that_ran_out_is_asked_for_again(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.fake.put("f", DATA)
    read(stage, "/f", 0, 10)
    stage.fake.faults.add(Rule(Status(403), endpoint="bytes", times=1))
    assert read(stage, "/f", 10, 20) == (10, DATA[10:20])
    assert stage.requests() == [("GET", "bytes"), ("GET", "files"), ("GET", "bytes")]


def test_reads_that_cannot_be(stage: Stage) -> None:
    stage.fake.mkdir("d")
    with pytest.raises(NodeNotFound):
        stage.remote.open_bytes("/nothing", 0, 1, VersionToken(1))
    with pytest.raises(IsAContainer):
        stage.remote.open_bytes("/d", 0, 1, VersionToken(1))


def test_an_empty_file_has_no_bytes(stage: Stage) -> None:
    stage.fake.put("f", b"")
    assert read(stage, "/f", 0, 0) == (0, b"")


def test_a_body_that_breaks_keeps_what_came(stage: Stage) -> None:
    stage.fake.put("f", DATA)
    expected = token_of(stage.remote, "/f")
    stage.fake.faults.add(Rule(Cut(after_bytes=100_000), method="GET", endpoint="bytes"))
    got = b""
    with (
        stage.remote.open_bytes("/f", 0, len(DATA), expected) as source,
        pytest.raises(RemoteUnavailable),
    ):
        for chunk in source.chunks():
            got += chunk
    assert got == DATA[: len(got)]


def test_a_body_that_stops_is_a_timeout(open_stage: Open) -> None:
    stage = open_stage("vault", timeout_s=0.5)
    stage.fake.put("f", DATA)
    expected = token_of(stage.remote, "/f")
    stage.fake.faults.add(Rule(Hang(after_bytes=1000), method="GET", endpoint="bytes"))
    with (
        stage.remote.open_bytes("/f", 0, len(DATA), expected) as source,
        pytest.raises(RemoteTimeout),
    ):
        list(source.chunks())
    stage.fake.faults.clear()


def test_an_upload_and_its_proof(stage: Stage) -> None:
    chunks = [DATA[start : start + 100_000] for start in range(0, len(DATA), 100_000)]
    receipt = stage.remote.put_bytes(NAME, iter(chunks), len(DATA))
    assert (receipt.md5, receipt.length) == (md5(DATA), len(DATA))
    assert stage.fake.get(NAME) == DATA
    vault = stage.fake.personality.name == "vault"
    methods = [method for method, _ in stage.requests()]
    assert methods == (["POST", "PUT"] if vault else ["PUT"])


def test_an_upload_over_an_existing_file(stage: Stage) -> None:
    stage.fake.put("f", b"old")
    old = token_of(stage.remote, "/f")
    read(stage, "/f", 0, 3)
    stage.remote.put_bytes("/f", [b"newer"], 5)
    new = token_of(stage.remote, "/f")
    assert not new.same_version(old)
    assert read(stage, "/f", 0, 5) == (0, b"newer")


def test_an_empty_put_where_it_is_possible(open_stage: Open) -> None:
    stage = open_stage("cavern")
    stage.fake.put("f", b"old")
    assert stage.remote.capabilities.empty_put
    stage.remote.put_bytes("/f", [], 0)
    assert stage.fake.get("f") == b""


def test_uploads_that_are_refused(stage: Stage) -> None:
    with pytest.raises(ContainerNotFound):
        stage.remote.put_bytes("/nothing/f", [b"x"], 1)
    stage.fake.faults.add(Rule(Status(413, body="limit: 0"), method="PUT"))
    with pytest.raises(QuotaExceeded):
        stage.remote.put_bytes("/f", [b"x"], 1)


@pytest.mark.parametrize("status", [403, 413, 503])
def test_a_large_upload_refused_before_its_body_was_read(stage: Stage, status: int) -> None:
    """The answer arrives while the body is still on its way; it is told all the same."""
    stage.fake.faults.add(Rule(Status(status), method="PUT"))
    with pytest.raises(VofsError) as caught:
        stage.remote.put_bytes("/f", [DATA] * 20, 20 * len(DATA))
    if isinstance(caught.value, RemoteUnavailable):  # 503, or the connection broke before it came
        assert caught.value.sent
    else:
        expected = {403: PermissionDenied, 413: QuotaExceeded}
        assert type(caught.value) is expected[status]


def test_an_upload_without_rights(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.fake.faults.add(Rule(Status(403, body="PermissionDenied: x"), endpoint="synctrans"))
    handed_out = []

    def body() -> Iterator[bytes]:
        handed_out.append(1)
        yield b"x"

    with pytest.raises(PermissionDenied):
        stage.remote.put_bytes("/f", body(), 1)
    assert handed_out == []


def test_a_put_that_broke_is_in_doubt(stage: Stage) -> None:
    """R1, R8."""
    stage.fake.faults.add(Rule(Reset(after_bytes=50_000), method="PUT", endpoint="bytes"))
    with pytest.raises(RemoteUnavailable) as caught:
        stage.remote.put_bytes("/f", [DATA] * 20, len(DATA) * 20)
    assert caught.value.sent


def test_a_service_that_is_busy_before_the_body_is_not_in_doubt(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.fake.faults.add(Rule(Status(503, retry_after=7), endpoint="synctrans"))
    with pytest.raises(RemoteUnavailable) as caught:
        stage.remote.put_bytes("/f", [b"x"], 1)
    assert (caught.value.sent, caught.value.retry_after_s) == (False, 7)


def test_what_the_callers_bytes_raise_is_his(stage: Stage) -> None:
    def body() -> Iterator[bytes]:
        yield b"x"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        stage.remote.put_bytes("/f", body(), 10)


def test_many_threads_at_once(stage: Stage) -> None:
    for number in range(8):
        stage.fake.put(f"f{number}", DATA[number:])
    wrong: list[int] = []

    def work(number: int) -> None:
        expected = token_of(stage.remote, f"/f{number}")
        for _ in range(3):
            with stage.remote.open_bytes(f"/f{number}", 0, expected.length, expected) as source:
                if b"".join(source.chunks()) != DATA[number:]:
                    wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert wrong == []


def test_a_service_without_the_parameter_form_is_negotiated_with_by_document(
    open_stage: Open,
) -> None:
    """protocol.md 5.2: POST, transferDetails, the document, then the bytes."""
    stage = open_stage("vault")
    stage.fake.faults.add(Rule(Status(405), endpoint="synctrans", times=1))
    stage.remote.put_bytes("/f", [b"12345"], 5)
    assert stage.fake.get("f") == b"12345"
    assert stage.requests()[-1] == ("PUT", "bytes")


def test_a_refused_negotiation_tells_the_jobs_own_error(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.fake.faults.add(Rule(Status(405), endpoint="synctrans", times=1))
    with pytest.raises(ContainerNotFound):
        stage.remote.put_bytes("/nothing/f", [b"x"], 1)
