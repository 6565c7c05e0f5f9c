"""What each action does to a client, on both services (the table in docs/fakevospace.md)."""

from __future__ import annotations

import base64
import hashlib
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
import requests
from lxml import etree

from fakevospace import Rule
from fakevospace.faults import (
    CappedListing,
    DamagedBody,
    Delay,
    ExpiredCredential,
    FalseFailure,
    FalseSuccess,
    Hang,
    LaggingListing,
    LateCleanup,
    MalformedXml,
    MissingDigest,
    RangeIgnored,
    RedirectLoop,
    StaleListing,
    Status,
    StuckJob,
    TornPut,
    WrongDigest,
    WrongLength,
)

from .conftest import CORE, Client, MakeClient

DATA = b"0123456789" * 100


def pull(client: Client, path: str = "f") -> str:
    return client.endpoints(path, "pullFromVoSpace")[0]


def push(client: Client, path: str = "f") -> str:
    return client.endpoints(path, "pushToVoSpace")[0]


@contextmanager
def in_background(method: str, url: str, data: bytes = b"") -> Iterator[list[int | str]]:
    """A request in a thread of its own; the list holds its status, or what it failed with."""
    results: list[int | str] = []

    def work() -> None:
        try:
            results.append(requests.request(method, url, data=data, timeout=20).status_code)
        except requests.RequestException as error:
            results.append(type(error).__name__)

    thread = threading.Thread(target=work)
    thread.start()
    yield results
    thread.join(20)


def test_retry_after_as_a_date_follows_the_clock(both: Client) -> None:
    both.fake.clock.freeze(1_000_000_000.0)
    both.fake.faults.add(Rule(Status(503, 60, retry_date=True)))
    answer = both.call("GET", "nodes")
    assert answer.headers["Retry-After"] == "Sun, 09 Sep 2001 01:47:40 GMT"
    assert answer.headers["Date"] == "Sun, 09 Sep 2001 01:46:40 GMT"


def test_delay_lasts_as_long_as_the_clock_says(both: Client) -> None:
    both.fake.clock.freeze()
    both.fake.faults.add(Rule(Delay(3600.0), endpoint="nodes"))
    with in_background("GET", f"{both.url}/{both.service}/nodes") as results:
        both.fake.journal.wait_for(endpoint="nodes")
        assert results == []
        both.fake.clock.advance(3600)
    assert results == [200]


def test_delay_in_the_middle_of_a_body_ends_when_the_faults_are_lifted(both: Client) -> None:
    both.fake.put("f", DATA)
    url = pull(both)
    both.fake.clock.freeze()
    both.fake.faults.add(Rule(Delay(3600.0, after_bytes=10), endpoint="bytes"))
    with requests.get(url, stream=True, timeout=20) as answer:
        assert answer.raw.read(10) == DATA[:10]
        both.fake.faults.clear()
        assert answer.raw.read() == DATA[10:]


@pytest.mark.parametrize("by", [5, -5])
def test_wrong_length(both: Client, by: int) -> None:
    both.fake.put("f", DATA)
    url = pull(both)
    both.fake.faults.add(Rule(WrongLength(by), endpoint="bytes"))
    with requests.get(url, stream=True, timeout=20) as answer:
        assert answer.headers["Content-Length"] == str(len(DATA) + by)
        if by < 0:
            assert answer.content == DATA[:by]
        else:
            with pytest.raises(requests.exceptions.ChunkedEncodingError, match="5 more expected"):
                _ = answer.content
    assert both.call("GET", "nodes").status_code == 200


def test_wrong_and_missing_digest(both: Client) -> None:
    both.fake.put("f", DATA)
    true = f"md5={base64.b64encode(hashlib.md5(DATA).digest()).decode()}"
    both.fake.faults.add(Rule(WrongDigest(), times=1, method="HEAD"))
    both.fake.faults.add(Rule(MissingDigest(), method="HEAD", nth=2, times=1))
    found = [both.call("HEAD", "files/f").headers.get("Digest") for _ in range(3)]
    assert found[0] not in (None, true) and found[1:] == [None, true]
    both.fake.faults.add(Rule(WrongDigest(), method="PUT"))
    answer = both.call("PUT", push(both), data=DATA)
    assert answer.status_code == 201 and answer.headers["Digest"] == found[0]


def test_damaged_body(both: Client) -> None:
    """Nothing but the bytes tells."""
    both.fake.put("f", DATA)
    url = pull(both)
    both.fake.faults.add(Rule(DamagedBody(500, 2), method="GET", times=1))
    answer, true = (both.call("GET", url) for _ in range(2))
    assert answer.content == DATA[:500] + b"2" + DATA[501:]
    assert true.content == DATA
    told = [
        one.headers.get(name) for one in (answer, true) for name in ("Digest", "Content-Length")
    ]
    assert told[:2] == told[2:]
    both.fake.faults.add(Rule(DamagedBody(len(DATA)), method="GET"))
    assert both.call("GET", url).content == DATA


def test_stale_listing_is_the_first_one_that_the_rule_saw(both: Client) -> None:
    both.fake.put("d/../a".removeprefix("d/../"), b"x")
    both.fake.faults.add(Rule(StaleListing(), method="GET", endpoint="nodes", path="/"))
    assert both.children("") == ["a"]
    both.fake.put("b", b"x")
    assert both.children("") == ["a"]
    assert both.children("", limit="5") == ["a", "b"]  # another URL, seen for the first time
    both.fake.faults.clear()
    both.fake.faults.add(Rule(StaleListing(), method="GET", endpoint="nodes", path="/"))
    assert both.children("") == ["a", "b"]


def test_capped_listing(both: Client) -> None:
    for name in "abcde":
        both.fake.put(name, b"")
    both.fake.faults.add(Rule(CappedListing(2), method="GET", endpoint="nodes"))
    assert both.children("") == ["a", "b"]


def test_lagging_listing(both: Client) -> None:
    both.fake.clock.freeze()
    both.fake.put("d1", b"x")
    both.upload("f", b"old")
    both.fake.faults.add(Rule(LaggingListing(30.0), method="GET", endpoint="nodes"))
    both.upload("f", b"newer and longer")
    both.call("PUT", "nodes/n", data=both.node("n"))
    both.call("DELETE", "nodes/d1")
    assert both.properties("f")[CORE + "length"] == "16"  # the node itself is never behind
    assert sorted(both.children("")) == ["d1", "f"]
    assert lengths(both) == {"d1": "1", "f": "3"}
    both.fake.clock.advance(31)
    assert lengths(both) == {"f": "16", "n": "0"}


def test_lagging_listing_behind_a_move(both: Client) -> None:
    both.fake.clock.freeze()
    both.fake.put("a", b"x")
    both.fake.mkdir("d")
    both.fake.faults.add(Rule(LaggingListing(30.0), method="GET", endpoint="nodes"))
    both.move("a", "d")
    assert (sorted(both.children("")), both.children("d")) == (["a", "d"], [])
    both.fake.clock.advance(31)
    assert (both.children(""), both.children("d")) == (["d"], ["a"])


def lengths(client: Client) -> dict[str, str]:
    """Names and lengths as the listing of the root has them."""
    root = etree.fromstring(client.call("GET", "nodes").content)
    found = {}
    for node in root.iterfind("{*}nodes/{*}node"):
        for one in node.iterfind("{*}properties/{*}property"):
            if one.get("uri") == CORE + "length":
                found[(node.get("uri") or "").rpartition("/")[2]] = one.text or ""
    return found


def test_malformed_xml_has_a_length_that_agrees(both: Client) -> None:
    both.fake.faults.add(Rule(MalformedXml(), endpoint="nodes"))
    answer = both.call("GET", "nodes")
    assert answer.headers["Content-Length"] == str(len(answer.content))
    with pytest.raises(etree.XMLSyntaxError):
        etree.fromstring(answer.content)


def test_stuck_job_runs_when_the_faults_are_lifted(both: Client) -> None:
    both.fake.put("a", DATA)
    both.fake.faults.add(Rule(StuckJob("EXECUTING"), endpoint="transfers", method="POST"))
    job = both.move("a", "b")
    assert both.call("GET", f"{job}/phase").text == "EXECUTING"
    assert both.fake.get("a") == DATA
    both.fake.faults.clear()
    assert both.call("GET", f"{job}/phase").text == "COMPLETED"
    assert both.fake.get("b") == DATA


def test_stuck_job_where_jobs_run_when_they_are_made(make: MakeClient) -> None:
    client = make("datalab")
    client.fake.put("a", DATA)
    client.fake.faults.add(Rule(StuckJob("QUEUED"), endpoint="transfers", method="POST"))
    document = client.transfer("a", client.uri("b"), keep=False)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    job = client.call("POST", "transfers", data=document, headers=headers).headers["Location"]
    assert client.call("GET", f"{job}/phase").text == "QUEUED"
    client.fake.faults.clear()
    assert client.call("GET", f"{job}/phase").text == "COMPLETED"
    assert client.fake.get("b") == DATA


def test_stuck_job_can_be_aborted(both: Client) -> None:
    both.fake.put("a", DATA)
    both.fake.faults.add(Rule(StuckJob("EXECUTING"), endpoint="transfers", method="POST"))
    job = both.move("a", "b")
    assert both.call("POST", f"{job}/phase", data={"PHASE": "ABORT"}).status_code == 303
    assert both.call("GET", f"{job}/phase").text == "ABORTED"
    both.fake.faults.clear()
    assert both.fake.get("a") == DATA


def test_torn_put(both: Client) -> None:
    both.fake.put("f", DATA)
    url = push(both)
    both.fake.faults.add(Rule(TornPut(), method="PUT", times=1))
    assert both.call("PUT", url, data=b"new").status_code == 500
    assert both.fake.get("f") == b""
    assert both.properties("f")[CORE + "length"] == "0"
    assert both.call("PUT", url, data=b"new").status_code == 201
    assert both.fake.get("f") == b"new"


def test_late_cleanup_empties_what_a_second_put_wrote(cavern: Client) -> None:
    """R1: 201 with our MD5 and length, while the file loses its bytes a moment later."""
    url = push(cavern)
    cavern.fake.clock.freeze()
    cavern.fake.faults.add(Rule(LateCleanup(after_bytes=100, seconds=60.0), method="PUT", times=1))
    with pytest.raises(requests.ConnectionError):
        cavern.call("PUT", url, data=bytes(9_000_000))
    cavern.fake.journal.wait_for(method="PUT", status=0)
    assert cavern.call("PUT", url, data=DATA).status_code == 201
    assert cavern.fake.get("f") == DATA
    cavern.fake.clock.advance(60)
    cavern.fake.journal.wait_for(method="PUT", status=0, ended=True)
    assert cavern.fake.get("f") == b""


def test_late_cleanup_after_a_client_that_broke_off(cavern: Client) -> None:
    url = urlsplit(push(cavern))
    cavern.fake.faults.add(Rule(LateCleanup(), method="PUT", times=1))
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=20)
    connection.putrequest("PUT", url.path)
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"half")
    connection.close()
    cavern.fake.faults.wait_until_hanging()
    assert cavern.call("PUT", url.geturl(), data=DATA).status_code == 201
    cavern.fake.faults.clear()
    cavern.fake.journal.wait_for(method="PUT", status=0, ended=True)
    assert cavern.fake.get("f") == b""


def test_false_failure_has_done_what_was_asked(both: Client) -> None:
    url = push(both)
    both.fake.faults.add(Rule(FalseFailure(502)))
    assert both.call("PUT", url, data=DATA).status_code == 502
    assert both.call("PUT", "nodes/n", data=both.node("n")).status_code == 502
    assert both.call("DELETE", "nodes/none").status_code == 404
    assert (both.fake.get("f"), both.fake.get("n")) == (DATA, b"")


def test_false_success_has_done_nothing(both: Client) -> None:
    both.fake.put("f", b"before")
    url = push(both)
    both.fake.faults.add(Rule(FalseSuccess(), method="PUT"))
    both.fake.faults.add(Rule(FalseSuccess(), method="DELETE"))
    answer = both.call("PUT", url, data=DATA)
    assert answer.status_code == 201
    assert answer.headers["Digest"].startswith("md5=")
    assert both.call("PUT", "nodes/n", data=both.node("n")).status_code == 201
    assert both.call("DELETE", "nodes/f").status_code == 200
    assert both.fake.get("f") == b"before"
    with pytest.raises(FileNotFoundError):
        both.fake.get("n")


def test_false_success_of_a_move(both: Client) -> None:
    both.fake.put("f", DATA)
    both.fake.faults.add(Rule(FalseSuccess(), endpoint="transfers"))
    job = both.move("f", "g")
    assert both.call("GET", f"{job}/phase").text == "COMPLETED"
    assert both.fake.get("f") == DATA


def test_false_success_of_a_failure(both: Client) -> None:
    both.fake.faults.add(Rule(FalseSuccess(), method="GET"))
    assert (both.call("GET", "nodes/none").status_code, both.call("GET", "nodes").ok) == (200, True)


def test_expired_credential(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:secret"])
    client.session.headers["Authorization"] = "Bearer secret"
    client.fake.put("f", DATA)
    url = pull(client)
    client.fake.faults.add(Rule(ExpiredCredential()))
    answer = client.call("GET", "nodes")
    assert answer.status_code == 401 and "Bearer" in answer.headers["WWW-Authenticate"]
    del client.session.headers["Authorization"]
    assert client.call("GET", "nodes").status_code == 200  # the anonymous caller has none
    assert client.call("GET", url).status_code == 403  # the URL itself is the credential


def test_rules_for_one_user(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:a", "bob:b"])
    client.fake.faults.add(Rule(Status(503), user="bob"))
    codes = {}
    for token in ("a", "b"):
        headers = {"Authorization": f"Bearer {token}"}
        codes[token] = client.call("GET", "nodes", headers=headers).status_code
    codes["none"] = client.call("GET", "nodes").status_code
    assert codes == {"a": 200, "b": 503, "none": 200}
    client.fake.journal.assert_count(1, user="bob", status=503)


def test_redirect_loop(both: Client) -> None:
    both.fake.faults.add(Rule(RedirectLoop(), endpoint="nodes"))
    with pytest.raises(requests.TooManyRedirects):
        both.session.get(f"{both.url}/{both.service}/nodes?limit=0", timeout=20)


def test_offset_hits_only_requests_for_that_byte(vault: Client) -> None:
    vault.fake.put("f", DATA)
    url = pull(vault)
    vault.fake.faults.add(Rule(Status(500), endpoint="bytes", offset=500))
    ranges = {"bytes=0-499": 206, "bytes=500-500": 500, "bytes=501-": 206, "bytes=0-": 500}
    found = {one: vault.call("GET", url, headers={"Range": one}).status_code for one in ranges}
    assert found == ranges
    assert vault.call("GET", url).status_code == 500


def test_the_same_seed_gives_the_same_run(make: MakeClient) -> None:
    runs = []
    for _ in range(2):
        client = make("vault", faults=[Rule(Status(503), probability=0.4, seed=7)])
        runs.append([client.call("GET", "nodes").status_code for _ in range(30)])
    assert runs[0] == runs[1] and set(runs[0]) == {200, 503}


def test_a_silent_rule_explains_itself_over_http(both: Client) -> None:
    both.fake.faults.add(Rule(Hang(), method="PUT", endpoint="bytes", path="/d/*"))
    both.call("PUT", push(both, "f"), data=b"x")
    shown = both.call("GET", f"{both.url}/_fake/faults").json()
    assert "PUT /f: path is /f, not /d/*" in shown["rule"][0]["why_not"][0]


def test_range_ignored_is_stated_as_a_whole(vault: Client) -> None:
    vault.fake.put("f", DATA)
    url = pull(vault)
    vault.fake.faults.add(Rule(RangeIgnored(), offset=3))
    answer = vault.call("GET", url, headers={"Range": "bytes=1-5"})
    assert (answer.status_code, answer.content) == (200, DATA)
    assert "Content-Range" not in answer.headers
