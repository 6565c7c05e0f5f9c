"""CADC's /files: the bytes of a node at a URL of its path (opencadc FilesTest)."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from conformance.capabilities import Capabilities
from conformance.expect import digest_header, expect_redirect, expect_status, sample
from conformance.wire import Service
from conformance.wire.terms import LENGTH, LINK, MD5, TYPE

pytestmark = pytest.mark.needs("files")

CONTENT = sample(3000)


@pytest.fixture
def data(service: Service, container: str) -> str:
    """A data node with text/plain bytes."""
    path = f"{container}/data.txt"
    expect_status(service.transfers.push(path, CONTENT, {"Content-Type": "text/plain"}), 200, 201)
    return path


def ask(service: Service, path: str, method: str = "GET", follow: bool = True) -> requests.Response:
    """A request for /files."""
    return service.connection.send(method, service.file_url(path), follow=follow)


def check_headers(answer: requests.Response) -> None:
    """What describes the bytes, in the answers to HEAD and GET alike."""
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Content-Disposition"] == 'inline; filename="data.txt"'
    modified = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert (
        datetime.now(UTC) - timedelta(hours=1) < modified < datetime.now(UTC) + timedelta(hours=1)
    )


@pytest.mark.clause(
    "VOS-CADC-files-head",
    source="opencadc FilesTest.fileTest: Content-Length, -Type, -Disposition, Last-Modified",
)
def test_head_describes_the_bytes(service: Service, data: str) -> None:
    answer = expect_status(ask(service, data, "HEAD"), 200)
    check_headers(answer)
    assert answer.content == b""


@pytest.mark.clause("VOS-CADC-files-get", source="opencadc FilesTest.fileTest: 200 and the bytes")
def test_get_gives_the_bytes(service: Service, data: str) -> None:
    answer = expect_status(ask(service, data), 200)
    check_headers(answer)
    assert answer.content == CONTENT


@pytest.mark.clause(
    "VOS-CADC-files-digest", source="opencadc FilesTest.fileTest: Digest is the MD5 of the bytes"
)
@pytest.mark.needs("digests")
def test_the_digest_of_the_bytes(service: Service, data: str) -> None:
    for method in ("HEAD", "GET"):
        assert ask(service, data, method).headers["Digest"] == digest_header(CONTENT)


@pytest.mark.clause(
    "VOS-CADC-files-same-headers", source="RFC 9110 §9.3.2: HEAD has the header fields of GET"
)
def test_head_and_get_agree(service: Service, data: str) -> None:
    head, get = ask(service, data, "HEAD").headers, ask(service, data).headers
    for name in (
        "Content-Length",
        "Content-Type",
        "Digest",
        "Last-Modified",
        "Content-Disposition",
    ):
        assert head.get(name) == get.get(name), name


@pytest.mark.clause(
    "VOS-CADC-files-type-property", source="protocol.md 4.2: core#type is the Content-Type"
)
def test_the_content_type_is_a_property(service: Service, data: str) -> None:
    assert service.nodes.read(data).properties[TYPE] == "text/plain"


@pytest.mark.clause(
    "VOS-CADC-files-redirect", source="protocol.md 6.1: a 303 to an absolute byte URL"
)
@pytest.mark.needs("filesRedirect")
def test_files_leads_to_a_byte_url(service: Service, data: str) -> None:
    answer = expect_status(ask(service, data, follow=False), 303)
    url = expect_redirect(answer)
    assert service.anonymous.send("GET", url).content == CONTENT


@pytest.mark.clause(
    "VOS-CADC-files-passthrough",
    source="opencadc FilesTest.fileTest: exactly the parameters given are in the Location",
)
@pytest.mark.needs("passthroughParams")
def test_the_query_is_passed_on(service: Service, data: str) -> None:
    url = f"{service.file_url(data)}?FOO=1&FOO=2&BAR=%5B3%5D"
    answer = expect_status(service.connection.send("GET", url, follow=False), 303)
    found = parse_qsl(urlsplit(answer.headers["Location"]).query)
    assert sorted(found) == [("BAR", "[3]"), ("FOO", "1"), ("FOO", "2")]


@pytest.mark.clause(
    "VOS-CADC-files-empty", source="opencadc FilesTest.emptyFileTest: HEAD 200 length 0, GET 204"
)
def test_an_empty_file(service: Service, container: str) -> None:
    path = f"{container}/empty"
    service.make(path, b"")
    head = expect_status(ask(service, path, "HEAD"), 200)
    assert head.headers["Content-Length"] == "0"
    assert head.headers["Content-Disposition"] == 'inline; filename="empty"'
    assert expect_status(ask(service, path), 204).content == b""


@pytest.mark.clause("VOS-CADC-files-missing", source="protocol.md 6.1: 404 for a missing node")
def test_a_missing_file(service: Service, container: str) -> None:
    for method in ("GET", "HEAD"):
        expect_status(ask(service, f"{container}/missing", method), 404)


@pytest.mark.clause("VOS-CADC-files-container", source="protocol.md 6.1: 400 for a container")
def test_a_container_has_no_bytes(service: Service, container: str) -> None:
    expect_status(ask(service, container), 400)


@pytest.mark.clause("VOS-CADC-files-link", source="protocol.md 6.1: a link is followed")
@pytest.mark.needs("linksFollowed")
def test_a_link_is_followed(service: Service, container: str, data: str) -> None:
    service.make_link(f"{container}/link", data)
    service.make_link(f"{container}/again", f"{container}/link")
    for name in ("link", "again"):
        assert ask(service, f"{container}/{name}").content == CONTENT


@pytest.mark.clause(
    "VOS-CADC-files-external-link",
    source="opencadc FilesTest.testLinkNodeExternalFile: 400, also for a path out of the space",
)
@pytest.mark.needs("linkExternalFile")
def test_an_external_link_is_refused(service: Service, container: str) -> None:
    for number, target in enumerate(
        ("file:///path/to/external/data", "file:///../../something-above", "file:///etc/passwd")
    ):
        path = f"{container}/link{number}"
        expect_status(service.nodes.put(path, LINK, target=target), 201)
        assert service.nodes.read(path).target == target
        expect_status(ask(service, path), 400)


@pytest.mark.clause("VOS-CADC-files-put", source="protocol.md 6.1: PUT /files is 201, with Digest")
@pytest.mark.needs("filesPut")
def test_put_stores_the_bytes(service: Service, container: str) -> None:
    path = f"{container}/new"
    for content in (CONTENT, sample(100, 2)):
        answer = service.connection.send("PUT", service.file_url(path), data=content)
        expect_status(answer, 201)
        assert answer.headers["Digest"] == digest_header(content)
        assert ask(service, path).content == content
        assert service.nodes.read(path).properties[LENGTH] == str(len(content))


@pytest.mark.clause(
    "VOS-CADC-files-put-refused",
    source="protocol.md 6.1: 412 for a wrong Digest (the file is then empty), 400 for no data node",
)
@pytest.mark.needs("filesPut", "digests")
def test_put_refuses(service: Service, container: str, data: str) -> None:
    wrong = {"Digest": digest_header(b"else")}
    put = service.connection.send("PUT", service.file_url(data), data=CONTENT, headers=wrong)
    expect_status(put, 412)
    service.make_link(f"{container}/link", data)
    for path in (container, f"{container}/link"):
        expect_status(service.connection.send("PUT", service.file_url(path), data=b"x"), 400)


@pytest.mark.clause(
    "VOS-CADC-files-no-put", source="protocol.md 6.1: PUT /files is not mapped where there is none"
)
def test_put_is_not_there(service: Service, data: str, flags: Capabilities) -> None:
    if flags.has("filesPut"):
        pytest.skip("/files takes PUT here")
    expect_status(service.connection.send("PUT", service.file_url(data), data=b"x"), 400, 405)
    assert service.pull(data).content == CONTENT


@pytest.mark.clause(
    "VOS-CADC-files-name",
    source="protocol.md 6.1: a name outside of ASCII in Content-Disposition breaks no header",
)
def test_a_name_outside_of_ascii(service: Service, container: str) -> None:
    path = f"{container}/é ☃.txt"
    service.make(path, CONTENT)
    answer = expect_status(ask(service, path), 200)
    assert answer.content == CONTENT
    assert answer.headers["Content-Disposition"].startswith("inline; filename")


@pytest.mark.clause(
    "VOS-CADC-files-modified",
    source="RFC 9110 §13.1.3, protocol.md 6.1: If-Modified-Since; 304 or the bytes, never an error",
)
def test_if_modified_since(service: Service, data: str) -> None:
    since = ask(service, data, "HEAD").headers["Last-Modified"]
    answer = service.connection.send(
        "GET", service.file_url(data), headers={"If-Modified-Since": since}
    )
    expect_status(answer, 200, 304)
    assert answer.content == (CONTENT if answer.status_code == 200 else b"")


@pytest.mark.clause(
    "VOS-CADC-files-expect", source="protocol.md 6.4: Expect: 100-continue on a GET does no harm"
)
def test_expect_on_a_get(service: Service, data: str) -> None:
    headers = {"Expect": "100-continue"}
    answer = service.connection.send("GET", service.file_url(data), headers=headers)
    assert expect_status(answer, 200).content == CONTENT


@pytest.mark.clause(
    "VOS-CADC-files-md5-property", source="protocol.md 4.2, 6.1: Digest and core#MD5 agree"
)
@pytest.mark.needs("digests")
def test_digest_and_property_agree(service: Service, data: str) -> None:
    digest = ask(service, data, "HEAD").headers["Digest"].removeprefix("md5=")
    md5 = service.nodes.read(data).properties[MD5].removeprefix("md5:")
    assert base64.b64decode(digest).hex() == md5
