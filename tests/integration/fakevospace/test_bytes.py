"""Bytes over HTTP: ranges, digests, replacement, tokens (protocol.md 6)."""

from __future__ import annotations

import base64
import hashlib
import http.client
import socket
from urllib.parse import urlsplit

import pytest

from fakevospace.sample import star_field

from .conftest import CORE, Client, MakeClient

DATA = bytes(range(256)) * 40
DIGEST = "md5=" + base64.b64encode(hashlib.md5(DATA).digest()).decode()


def pull(client: Client, path: str) -> str:
    return client.endpoints(path, "pullFromVoSpace")[0]


def begin_put(url: str, path: str, length: int) -> socket.socket:
    """Send the head of a PUT."""
    connection = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), 10)
    connection.sendall(
        f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    return connection


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=10000-", 10000, 10240),
     ("bytes=10000-99999", 10000, 10240), ("bytes=-500", 0, 501)],
)  # fmt: skip
def test_range_is_answered_with_206(vault: Client, asked: str, start: int, end: int) -> None:
    vault.fake.put("f", DATA)
    answer = vault.call("GET", pull(vault, "f"), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (206, DATA[start:end])
    assert answer.headers["Content-Range"] == f"bytes {start}-{end - 1}/10240"
    assert answer.headers["Content-Length"] == str(end - start)
    assert answer.headers["Digest"] == DIGEST  # of the whole file, also with a part


@pytest.mark.parametrize("asked", ["bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=-", "x"])
def test_range_that_makes_no_sense_is_ignored(vault: Client, asked: str) -> None:
    vault.fake.put("f", DATA)
    answer = vault.call("GET", pull(vault, "f"), headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, DATA)


def test_range_past_the_end_is_416(vault: Client) -> None:
    vault.fake.put("f", DATA)
    answer = vault.call("GET", pull(vault, "f"), headers={"Range": "bytes=10240-"})
    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */10240"


def test_cavern_ignores_ranges(cavern: Client) -> None:
    cavern.fake.put("f", DATA)
    answer = cavern.call("GET", "files/f", headers={"Range": "bytes=5-9"})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "Accept-Ranges" not in answer.headers


def test_vault_files_redirects_to_an_absolute_url_with_the_query(vault: Client) -> None:
    vault.fake.put("a b", DATA)
    answer = vault.call("GET", "files/a%20b?FOO=1&FOO=2&BAR=%5B3%5D")
    assert answer.status_code == 303
    location = answer.headers["Location"]
    assert location.startswith(f"{vault.url}/minoc/files/")
    assert location.endswith("?FOO=1&FOO=2&BAR=%5B3%5D")
    assert answer.headers["Digest"] == DIGEST
    assert vault.call("GET", location).content == DATA


def test_head_describes_what_get_sends(both: Client) -> None:
    both.fake.put("f", DATA)
    answer = both.call("HEAD", "files/f")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Content-Length"] == "10240"
    assert answer.headers["Digest"] == DIGEST
    assert answer.headers["Content-Disposition"] == 'inline; filename="f"'
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert ("Accept-Ranges" in answer.headers) == both.fake.personality.ranges


def test_empty_file_is_204_and_has_no_md5(both: Client) -> None:
    assert both.call("PUT", "nodes/e", data=both.node("e")).status_code == 201
    assert both.call("GET", "files/e").status_code == 204
    assert both.call("HEAD", "files/e").headers["Content-Length"] == "0"
    shown = both.properties("e")
    assert shown[CORE + "length"] == "0" and CORE + "MD5" not in shown


def test_put_answers_with_the_digest_of_what_it_stored(both: Client) -> None:
    answer = both.upload("f", DATA, **{"Content-Type": "application/fits"})
    assert (answer.status_code, answer.headers["Digest"]) == (201, DIGEST)
    shown = both.properties("f")
    assert shown[CORE + "length"] == "10240"
    assert shown[CORE + "MD5"] == hashlib.md5(DATA).hexdigest()
    assert shown[CORE + "type"] == "application/fits"
    assert both.fake.get("f") == DATA


def test_wrong_digest_is_412(both: Client) -> None:
    both.fake.put("f", b"before")
    answer = both.upload("f", DATA, Digest="md5=" + base64.b64encode(b"0" * 16).decode())
    assert answer.status_code == 412
    # vault replaces atomically; cavern has truncated the file when it opened it.
    assert both.fake.get("f") == (b"before" if both.service == "vault" else b"")


def test_right_digest_of_another_algorithm_is_accepted(both: Client) -> None:
    digest = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    answer = both.upload("f", DATA, Digest=f"SHA-256={digest}")
    assert (answer.status_code, answer.headers["Digest"]) == (201, DIGEST)


def test_short_body_loses_nothing_on_vault_and_everything_on_cavern(both: Client) -> None:
    both.fake.put("f", b"before")
    url = both.endpoints("f", "pushToVoSpace")[0]
    with begin_put(url, urlsplit(url).path, 100) as connection:
        connection.sendall(b"x" * 40)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 412 ")
    both.fake.journal.wait_for(method="PUT", status=412)
    assert both.fake.get("f") == (b"before" if both.service == "vault" else b"")


def test_cavern_truncates_at_open_and_grows_as_bytes_come(cavern: Client) -> None:
    cavern.fake.put("f", b"before")
    rule = {"method": "PUT", "action": "hang", "after_bytes": 3}
    cavern.call("POST", f"{cavern.url}/_fake/faults", json={"rule": [rule]})
    with begin_put(cavern.url, "/arc/files/f", 6) as connection:
        connection.sendall(b"abcdef")
        cavern.fake.faults.wait_until_hanging()
        assert cavern.fake.get("f") == b"abc"
        assert cavern.properties("f")[CORE + "length"] == "3"
        cavern.fake.faults.clear()
        assert connection.recv(100).startswith(b"HTTP/1.1 201 ")
    assert cavern.fake.get("f") == b"abcdef"


def test_body_that_does_not_come_is_408(make: MakeClient) -> None:
    client = make("vault", body_timeout_s=0.2)
    url = client.endpoints("f", "pushToVoSpace")[0]
    with begin_put(url, urlsplit(url).path, 100) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 408 ")


def test_cavern_md5_has_a_prefix_from_the_second_put_on(cavern: Client) -> None:
    md5 = hashlib.md5(DATA).hexdigest()
    cavern.call("PUT", "files/f", data=DATA)
    assert cavern.properties("f")[CORE + "MD5"] == md5
    cavern.call("PUT", "files/f", data=DATA)
    assert cavern.properties("f")[CORE + "MD5"] == f"md5:{md5}"
    assert cavern.call("GET", "files/f").headers["Digest"] == DIGEST


def test_put_files_is_caverns_alone(both: Client) -> None:
    answer = both.call("PUT", "files/new", data=DATA)
    assert answer.status_code == (405 if both.service == "vault" else 201)


def test_token_is_bound_to_direction_and_path(both: Client) -> None:
    both.fake.put("f", DATA)
    both.fake.put("g", b"other")
    read, write = pull(both, "f"), both.endpoints("f", "pushToVoSpace")[0]
    other = pull(both, "g")
    assert both.call("PUT", read, data=b"x").status_code == 403
    assert both.call("GET", write).status_code == 403
    mark = "preauth:" if both.service == "arc" else "/minoc/files/"
    swapped = read.partition(mark)[0] + mark + other.partition(mark)[2].partition("/")[0]
    swapped += "/" + read.partition(mark)[2].partition("/")[2]
    assert both.call("GET", swapped).status_code == 403
    assert both.fake.get("f") == DATA
    # HEAD with a write token: minoc allows it, cavern wants a read grant (5.6).
    assert both.call("HEAD", write).status_code == (200 if both.service == "vault" else 403)


def test_pull_endpoints_per_service(both: Client) -> None:
    both.fake.put("f", DATA)
    urls = both.endpoints("f", "pullFromVoSpace")
    assert len(urls) == (1 if both.service == "vault" else 2)
    assert all(both.call("GET", url).content == DATA for url in urls)
    assert len(both.endpoints("f", "pushToVoSpace")) == 1


def test_readers_keep_the_old_bytes_while_vault_replaces_them(make: MakeClient) -> None:
    client = make("vault")
    old = b"o" * (4 << 20)
    client.fake.put("f", old)
    with client.call("GET", pull(client, "f"), stream=True) as answer:
        assert client.upload("f", b"new").status_code == 201
        assert answer.content == old
    assert client.fake.get("f") == b"new"


def test_containers_and_missing_nodes_have_no_bytes(both: Client) -> None:
    both.fake.mkdir("d")
    assert both.call("GET", "files/d").status_code == 400
    assert both.call("GET", "files/none").status_code == 404


def test_connection_lives_on_after_refusals_and_unread_bodies(both: Client) -> None:
    parts = urlsplit(both.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.connect()
    first = connection.sock
    for method, path, body in (
        ("GET", f"/{both.service}/nodes/none", None),
        ("PATCH", f"/{both.service}/nodes/x", b"y" * 1000),
        ("GET", f"/{both.service}/nodes", None),
    ):
        connection.request(method, path, body)
        connection.getresponse().read()
    assert connection.sock is first
    connection.close()


def test_expect_100_continue_comes_when_the_body_is_wanted(cavern: Client) -> None:
    parts = urlsplit(cavern.url)
    with socket.create_connection((parts.hostname or "", parts.port), 10) as connection:
        connection.sendall(
            b"PUT /arc/files/f HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert connection.recv(100).startswith(b"HTTP/1.1 201 ")


def test_chunked_put(cavern: Client) -> None:
    assert cavern.call("PUT", "files/f", data=iter([b"abc", b"def"])).status_code == 201
    assert cavern.fake.get("f") == b"abcdef"


def test_headers_of_a_fits_file(vault: Client) -> None:
    vault.fake.put("x.fits", star_field())
    vault.fake.put("f", DATA)
    answer = vault.call("GET", "files/x.fits?META=true")
    answer = vault.call("GET", answer.headers["Location"])
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text.startswith("SIMPLE  =") and "FAKE FIELD 1" in answer.text
    for query in ("META=true", "SUB=[1]", "CIRCLE=1+2+3"):
        refused = vault.call("GET", f"{pull(vault, 'f')}?{query}")
        assert (refused.status_code, refused.text) == (400, "not a fits file\n")
    whole = vault.call("GET", f"{pull(vault, 'x.fits')}?SUB=[0]")
    assert whole.content == star_field()


def test_if_modified_since(make: MakeClient) -> None:
    client = make("vault", clock=lambda: 1_000_000_000.0)
    client.fake.put("f", DATA)
    url = pull(client, "f")
    for date, status in (
        ("Sun, 09 Sep 2001 01:46:40 GMT", 304),
        ("Sat, 08 Sep 2001 01:46:40 GMT", 200),
    ):
        answer = client.call("GET", url, headers={"If-Modified-Since": date})
        assert answer.status_code == status
        assert len(answer.headers["x-artifact-id"]) == 36
    assert client.call("GET", url, headers={"If-Modified-Since": "once"}).content == DATA


def test_a_file_system_has_one_date_for_a_file_and_its_bytes(make: MakeClient) -> None:
    """cavern: Last-Modified is the node's date, to the second; a move keeps both."""
    client = make("cavern")
    client.fake.clock.freeze(1_000_000_000.0)
    client.fake.put("file", b"one")
    client.fake.clock.advance(3600)
    client.fake.put("file", b"two")
    reply = client.call("GET", "files/file")
    assert reply.headers["Last-Modified"] == "Sun, 09 Sep 2001 02:46:40 GMT"
    assert client.fake.node("file")[f"{CORE}date"].startswith("2001-09-09T02:46:40")
