"""Ranges of bytes (RFC 9110, section 14; VOSpace 2.1, section 6.4.3), and services without."""

from __future__ import annotations

import pytest
import requests

from conformance.capabilities import Capabilities
from conformance.expect import digest_header, expect_status, sample
from conformance.wire import Service

SIZE = 3000
CONTENT = sample(SIZE)


@pytest.fixture
def data(service: Service, container: str) -> str:
    """A data node with bytes."""
    service.make(f"{container}/data", CONTENT)
    return f"{container}/data"


def part(service: Service, path: str, ranges: str) -> requests.Response:
    """A pull of a part."""
    return service.transfers.pull(path, {"Range": ranges})


def check_part(answer: requests.Response, first: int, last: int) -> None:
    """206 and exactly these bytes, both ends included."""
    expect_status(answer, 206)
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer.headers["Content-Length"] == str(last - first + 1)
    assert answer.content == CONTENT[first : last + 1]


@pytest.mark.clause("VOS-6.4.3-range", source="RFC 9110 §14.1.2, §15.3.7: both ends are included")
@pytest.mark.needs("ranges")
def test_a_range(service: Service, data: str) -> None:
    for first, last in ((0, 0), (0, 99), (1, 1), (1000, 1999), (SIZE - 1, SIZE - 1)):
        check_part(part(service, data, f"bytes={first}-{last}"), first, last)


@pytest.mark.clause("VOS-6.4.3-range-open", source="RFC 9110 §14.1.2: without an end, to the end")
@pytest.mark.needs("ranges")
def test_an_open_range(service: Service, data: str) -> None:
    for first in (0, 1, 2999):
        check_part(part(service, data, f"bytes={first}-"), first, SIZE - 1)


@pytest.mark.clause(
    "VOS-6.4.3-range-clipped", source="RFC 9110 §14.1.2: an end past the end is cut"
)
@pytest.mark.needs("ranges")
def test_a_range_past_the_end(service: Service, data: str) -> None:
    check_part(part(service, data, "bytes=2990-999999"), 2990, SIZE - 1)


@pytest.mark.clause("VOS-6.4.3-range-suffix", source="RFC 9110 §14.1.2: bytes=-n, the last n bytes")
@pytest.mark.needs("ranges")
def test_a_suffix_range(service: Service, data: str) -> None:
    check_part(part(service, data, "bytes=-500"), SIZE - 500, SIZE - 1)


@pytest.mark.clause(
    "VOS-6.4.3-range-unsatisfiable", source="RFC 9110 §15.5.17: 416, with the size of the whole"
)
@pytest.mark.needs("ranges")
def test_a_range_that_is_not_there(service: Service, data: str) -> None:
    for ranges in (f"bytes={SIZE}-", f"bytes={SIZE + 5}-{SIZE + 9}"):
        answer = expect_status(part(service, data, ranges), 416)
        assert answer.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.clause(
    "VOS-6.4.3-range-ignored-forms",
    source="RFC 9110 §14.2: a Range that is malformed or of another unit is ignored",
)
@pytest.mark.needs("ranges")
def test_what_is_no_range_is_ignored(service: Service, data: str) -> None:
    for ranges in ("bytes=", "bytes=5-2", "bytes=x-y", "lines=1-2", "bytes 0-9", "bytes=-"):
        answer = expect_status(part(service, data, ranges), 200)
        assert answer.content == CONTENT, ranges


@pytest.mark.clause(
    "VOS-6.4.3-range-several",
    source="RFC 9110 §14.2, §15.3.7.2: several ranges as multipart/byteranges, or the whole",
)
@pytest.mark.needs("ranges")
def test_several_ranges(service: Service, data: str) -> None:
    answer = expect_status(part(service, data, "bytes=0-9,20-29"), 200, 206)
    if answer.status_code == 206:
        assert answer.headers["Content-Type"].startswith("multipart/byteranges")
    else:
        assert answer.content == CONTENT


@pytest.mark.clause(
    "VOS-CADC-range-digest",
    source="protocol.md 6.2: Digest is that of the whole file; Accept-Ranges says bytes",
)
@pytest.mark.needs("ranges", "digests")
def test_the_digest_of_a_range_is_the_whole_files(service: Service, data: str) -> None:
    answer = expect_status(part(service, data, "bytes=10-19"), 206)
    assert answer.headers["Digest"] == digest_header(CONTENT)
    assert answer.headers["Accept-Ranges"] == "bytes"


@pytest.mark.clause(
    "VOS-CADC-range-through-files",
    source="protocol.md 6.1: a Range sent to /files reaches the bytes through the redirect",
)
@pytest.mark.needs("ranges", "files")
def test_a_range_through_files(service: Service, data: str) -> None:
    check_part(service.pull(data, {"Range": "bytes=100-199"}), 100, 199)


@pytest.mark.clause(
    "VOS-6.4.3-range-pieces", source="RFC 9110 §14: the parts of a whole add up to it"
)
@pytest.mark.needs("ranges")
def test_pieces_add_up(service: Service, data: str) -> None:
    protocol = service.transfers.endpoint(data, "pullFromVoSpace")
    pieces = [
        service.transfers.send(
            "GET", protocol, headers={"Range": f"bytes={offset}-{offset + 706}"}
        ).content
        for offset in range(0, SIZE, 707)
    ]
    assert b"".join(pieces) == CONTENT


@pytest.mark.clause(
    "VOS-6.4.3-no-ranges",
    source="RFC 9110 §14.2, protocol.md 6.2: without ranges the answer is 200 and the whole",
)
def test_a_service_without_ranges_sends_the_whole(
    service: Service, data: str, flags: Capabilities
) -> None:
    if flags.has("ranges"):
        pytest.skip("byte requests honour Range here")
    for ranges in ("bytes=10-19", f"bytes={SIZE}-"):
        answer = expect_status(part(service, data, ranges), 200)
        assert answer.content == CONTENT
        assert "Accept-Ranges" not in answer.headers and "Content-Range" not in answer.headers
