"""Faults and journal over HTTP (interface.md section 4)."""

from __future__ import annotations

import json
import socket
import threading
from urllib.parse import urlsplit

import pytest
import requests

from fakevospace import Cut, Hang, RangeIgnored, Reset, Rule, Status

from .conftest import Client, MakeClient

DATA = b"0123456789" * 1000


def add(client: Client, text: str) -> requests.Response:
    return client.call("POST", f"{client.url}/_fake/faults", data=text.encode())


def pull(client: Client, path: str) -> str:
    return client.endpoints(path, "pullFromVoSpace")[0]


def test_status_from_toml_for_the_requests_it_names(both: Client) -> None:
    both.fake.put("a b", b"x")
    answer = add(
        both,
        """
        [[rule]]
        method = "GET"
        endpoint = "nodes"
        path = "/a b"
        nth = 2
        times = 1
        action = "status"
        code = 503
        retry_after = 7
        body = "temporarily unavailable: /a b"
    """,
    )
    assert answer.status_code == 201
    codes = [both.call("GET", "nodes/a%20b").status_code for _ in range(3)]
    assert codes == [200, 503, 200]
    rule = both.call("GET", f"{both.url}/_fake/faults").json()["rule"][0]
    assert (rule["matched"], rule["action"], rule["code"]) == (3, "status", 503)


def test_status_has_its_header_and_body_and_comes_before_the_body_is_read(both: Client) -> None:
    url = both.endpoints("f", "pushToVoSpace")[0]
    both.fake.faults.add(Rule(Status(503, 7, "busy"), endpoint="bytes", path="/f"))
    answer = both.call("PUT", url, data=b"x" * 5_000_000)
    assert (answer.status_code, answer.text) == (503, "busy\n")
    assert answer.headers["Retry-After"] == "7"
    entry = both.fake.journal.entries(method="PUT", endpoint="bytes")[0]
    assert (entry.bytes_in, entry.status) == (0, 503)
    both.fake.faults.clear()
    assert both.call("PUT", url, data=b"x").status_code == 201


@pytest.mark.parametrize(
    "plan",
    ['[[rule]]\naction = "explode"', '[[rule]]\naction = "hang"\nmehtod = "GET"',
     '{"rule": [{"action": "status"}]}', '{"rule": [{"action": "hang", "endpoint": "byte"}]}',
     '{"rule": [{"action": "hang", "nth": 0}]}', "not a plan", '{"rules": []}'],
)  # fmt: skip
def test_plans_that_are_none_are_refused(vault: Client, plan: str) -> None:
    assert add(vault, plan).status_code == 400
    assert vault.fake.faults.plan.rules == ()


def test_hang_holds_a_put_before_its_body_until_faults_are_lifted(both: Client) -> None:
    url = both.endpoints("f", "pushToVoSpace")[0]
    both.fake.put("f", b"before")
    add(both, '{"rule": [{"method": "PUT", "endpoint": "bytes", "action": "hang"}]}')
    codes: list[int] = []
    writer = threading.Thread(
        target=lambda: codes.append(requests.put(url, data=b"after", timeout=20).status_code)
    )
    writer.start()
    entry = both.fake.journal.wait_for(method="PUT", endpoint="bytes", path="/f")[0]
    assert entry.status is None
    assert both.fake.get("f") == b"before"  # also on cavern: the file is not opened yet
    answer = both.call("DELETE", f"{both.url}/_fake/faults")
    assert answer.json() == {"rule": [], "hanging": answer.json()["hanging"]}
    writer.join(10)
    assert codes == [201] and both.fake.get("f") == b"after"


def test_hang_ends_when_its_client_is_gone(both: Client) -> None:
    both.fake.put("f", b"before")
    url = urlsplit(both.endpoints("f", "pushToVoSpace")[0])
    both.fake.faults.add(Rule(Hang(), endpoint="bytes"))
    with socket.create_connection((url.hostname or "", url.port), 10) as connection:
        connection.sendall(
            f"PUT {url.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc".encode()
        )
        both.fake.journal.wait_for(method="PUT")
    both.fake.journal.wait_for(method="PUT", status=0)
    assert both.fake.faults.hanging == 0
    assert both.fake.get("f") == b"before"


def test_hang_in_the_middle_of_an_answer(both: Client) -> None:
    both.fake.put("f", DATA)
    url = pull(both, "f")
    both.fake.faults.add(Rule(Hang(after_bytes=100), endpoint="bytes", method="GET"))
    with requests.get(url, stream=True, timeout=20) as answer:
        assert answer.raw.read(100) == DATA[:100]
        both.fake.faults.clear()
        assert answer.raw.read() == DATA[100:]


def test_reset(both: Client) -> None:
    both.fake.faults.add(Rule(Reset(), endpoint="nodes", times=1))
    with pytest.raises(requests.ConnectionError, match="reset by peer"):
        both.call("GET", "nodes")
    assert both.call("GET", "nodes").status_code == 200


def test_reset_in_the_middle_of_an_upload(both: Client) -> None:
    both.fake.put("f", b"before")
    url = both.endpoints("f", "pushToVoSpace")[0]
    both.fake.faults.add(Rule(Reset(after_bytes=70_000), method="PUT", times=1))
    with pytest.raises(requests.ConnectionError):
        both.call("PUT", url, data=bytes(9_000_000))
    entry = both.fake.journal.wait_for(method="PUT", status=0)[0]
    assert entry.bytes_in == 70_000
    assert both.fake.get("f") == (b"before" if both.service == "vault" else b"")


def test_cut(both: Client) -> None:
    both.fake.put("f", DATA)
    url = pull(both, "f")
    both.fake.faults.add(Rule(Cut(after_bytes=1234), endpoint="bytes", times=1))
    with requests.get(url, stream=True, timeout=20) as answer:
        assert answer.headers["Content-Length"] == str(len(DATA))
        with pytest.raises(requests.exceptions.ChunkedEncodingError, match="1234 bytes read"):
            _ = answer.content
    assert both.call("GET", url).content == DATA


def test_range_ignored(vault: Client) -> None:
    vault.fake.put("f", DATA)
    url = pull(vault, "f")
    vault.fake.faults.add(Rule(RangeIgnored(), endpoint="bytes", times=1))
    answers = [vault.call("GET", url, headers={"Range": "bytes=5-9"}) for _ in range(2)]
    assert [(one.status_code, len(one.content)) for one in answers] == [(200, len(DATA)), (206, 5)]


def test_bytes_are_whatever_carries_content(both: Client) -> None:
    both.upload("f", b"x")
    both.call("GET", pull(both, "f"))
    both.call("GET", "files/f")
    both.call("HEAD", "files/f")
    journal = both.fake.journal
    assert journal.count(method="PUT", endpoint="bytes", path="/f") == 1
    assert journal.count(method="GET", endpoint="bytes") == (1 if both.service == "vault" else 2)
    assert journal.count(endpoint="files") == (2 if both.service == "vault" else 1)


def test_journal_over_http(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:secret"])
    client.fake.put("f", DATA)
    headers = {"X-Conformance-Test": "clause-1", "Authorization": "Bearer secret"}
    client.call("GET", "nodes/f?limit=0", headers=headers)
    client.call("GET", "nodes/none")
    control = f"{client.url}/_fake/journal"
    first, second = json.loads(client.call("GET", control).text)
    assert (first["method"], first["path"], first["query"]) == ("GET", "/vault/nodes/f", "limit=0")
    assert (first["user"], first["test"], first["status"]) == ("ann", "clause-1", 200)
    assert first["bytes_out"] > 0 and first["duration_s"] >= 0
    assert (second["user"], second["status"], second["number"]) == ("anonymous", 404, 2)
    assert client.call("DELETE", control).json() == []
    assert client.call("GET", control).json() == []


def test_rules_from_the_constructor(make: MakeClient) -> None:
    client = make("vault", faults=[Rule(Status(500), endpoint="capabilities")])
    assert client.call("GET", "capabilities").status_code == 500
