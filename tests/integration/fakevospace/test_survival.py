"""`serve --data`: jobs, open transactions and generated trees survive a restart and a kill."""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from lxml import etree

from fakevospace import FakeVOSpace

from .conftest import CORE, TIMEOUT_S, VOS, Client, MakeClient
from .test_cli import client_of, serving

UWS = "http://www.ivoa.net/xml/UWS/v1.0"
ONE, TWO, THREE = b"one" * 100_000, b"two" * 200_000, b"three" * 1000
MILLION = 1_000_000
STOPS = pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])


@contextmanager
def run_of(data: Path, *options: str, stop: signal.Signals) -> Iterator[Client]:
    """A server on a directory, ended by a signal."""
    with serving("--data", str(data), *options) as (process, line):
        client = client_of(line)
        with client.session:
            yield client
        process.send_signal(stop)
        process.wait(TIMEOUT_S)


def here(url: str, client: Client) -> str:
    """A URL of an earlier run, on the port of this one."""
    return url.replace(urlsplit(url).netloc, urlsplit(client.url).netloc)


def phase(client: Client, job: str) -> str:
    return client.call("GET", f"{here(job, client)}/phase").text


def made(client: Client, document: bytes, resource: str = "transfers") -> str:
    """The URL of a new job."""
    return client.negotiate(document, resource).headers["Location"]


def started(client: Client, job: str) -> None:
    assert client.call("POST", f"{here(job, client)}/phase", data={"PHASE": "RUN"}).ok


def digest(data: bytes) -> str:
    return "md5=" + base64.b64encode(hashlib.md5(data).digest()).decode()


def without_ports(document: bytes) -> bytes:
    """A job as XML, with the port of the server left out of its links."""
    root = etree.fromstring(document)
    for one in root.iter():
        for name, value in one.items():
            if str(value).startswith("http://127.0.0.1:"):
                one.set(name, urlsplit(str(value)).path)
    written: bytes = etree.tostring(root)
    return written


@STOPS
def test_jobs_survive(tmp_path: Path, stop: signal.Signals) -> None:
    with run_of(tmp_path, stop=stop) as client:
        for path in ("a", "b", "d"):
            kind = "ContainerNode" if path == "d" else "DataNode"
            assert client.call("PUT", f"nodes/{path}", data=client.node(path, kind)).ok
        pending = made(client, client.transfer("a", client.uri("d"), keep=False))
        finished = client.move("b", "d")
        failed = client.move("none", "d")
        push = made(client, client.transfer("d/new", "pushToVoSpace"))
        started(client, push)
        deletion = client.call("POST", "async-delete", data={"target": client.uri("d/b")})
        deletion_job = deletion.headers["Location"]
        change = client.node("d", "ContainerNode", {"q": "1", "r": None})
        setting = made(client, change, "async-setprops")
        jobs = (pending, finished, failed, push, deletion_job, setting)
        before = [without_ports(client.call("GET", job).content) for job in jobs]
        gone = client.move("none", "d")
        client.call("DELETE", gone)
    with run_of(tmp_path, stop=stop) as client:
        after = [without_ports(client.call("GET", here(job, client)).content) for job in jobs]
        assert after == before
        assert client.call("GET", here(gone, client)).status_code == 404
        found = [phase(client, job) for job in jobs]
        assert found == ["PENDING", "COMPLETED", "ERROR", "EXECUTING", "PENDING", "PENDING"]
        listed = etree.fromstring(client.call("GET", "transfers").content)
        order = [one.get("id") for one in listed.iter(f"{{{UWS}}}jobref")]
        assert order == [job.rpartition("/")[2] for job in jobs[:4]]
        for job in (pending, setting, deletion_job):
            started(client, job)
            assert phase(client, job) == "COMPLETED"
        assert client.properties("d")["q"] == "1"
        assert client.children("d") == ["a", "new"]
        xfer = client.call("GET", f"xfer/{push.rpartition('/')[2]}")
        url = etree.fromstring(xfer.content).findtext(f".//{{{VOS}}}endpoint") or ""
        assert client.call("PUT", url, data=ONE).status_code == 201
    with run_of(tmp_path, stop=stop) as client:
        assert [phase(client, job) for job in (pending, deletion_job)] == ["COMPLETED"] * 2


def test_a_job_under_way_at_a_kill_is_an_error(tmp_path: Path) -> None:
    with run_of(tmp_path, stop=signal.SIGKILL) as client:
        assert client.call("PUT", "nodes/a", data=client.node("a")).ok
        rule = json.dumps([{"action": "stuck_job", "endpoint": "transfers"}])
        assert client.call("POST", f"{client.url}/_fake/faults", data=rule).ok
        job = client.move("a", "b")
        assert phase(client, job) == "EXECUTING"
    with run_of(tmp_path, stop=signal.SIGKILL) as client:
        assert phase(client, job) == "ERROR"
        text = client.call("GET", f"{here(job, client)}/error").text
        assert "the service ended while it executed the job" in text
        started(client, job)
        assert phase(client, job) == "ERROR" and client.properties("a")


class Upload:
    """The requests of one put transaction."""

    def __init__(self, client: Client, url: str) -> None:
        self.client = client
        self.url = url

    def __call__(
        self, method: str, op: str = "", txn: str = "", data: bytes | None = None
    ) -> requests.Response:
        headers = {"x-put-txn-op": op} if op else {}
        headers |= {"x-put-txn-id": txn} if txn else {}
        url = here(self.url, self.client)
        return self.client.call(method, url, data=data, headers=headers)


def third_part_has_begun(client: Client, url: str, txn: str) -> socket.socket:
    """Begin to append to a transaction; the service has bytes of it."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0), TIMEOUT_S)
    head = f"PUT {parts.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n"
    connection.sendall(f"{head}x-put-txn-id: {txn}\r\n\r\n".encode() + THREE * 500)
    for _ in range(1000):
        if client.call("HEAD", url, headers={"x-put-txn-id": txn}).status_code == 400:
            return connection  # taken out: the request is working on it
        time.sleep(0.01)
    raise AssertionError("the part has not begun")


@STOPS
def test_an_open_transaction_goes_on(tmp_path: Path, stop: signal.Signals) -> None:
    with run_of(tmp_path, stop=stop) as client:
        url = client.endpoints("f", "pushToVoSpace")[0]
        put = Upload(client, url)
        txn = put("PUT", "start", data=ONE).headers["x-put-txn-id"]
        assert put("PUT", txn=txn, data=TWO).status_code == 202
        empty = put("PUT", "start").headers["x-put-txn-id"]
        ended = put("PUT", "start", data=ONE).headers["x-put-txn-id"]
        assert put("POST", "abort", ended).status_code == 204
        half = third_part_has_begun(client, url, txn)
    half.close()
    with run_of(tmp_path, stop=stop) as client:
        put = Upload(client, url)
        shown = put("HEAD", txn=txn)
        assert shown.headers["Content-Length"] == str(len(ONE + TWO))
        assert shown.headers["Digest"] == digest(ONE + TWO)
        assert put("HEAD", txn=empty).headers["Content-Length"] == "0"
        assert put("HEAD", txn=ended).status_code == 400
        assert put("POST", "revert", txn).headers["Digest"] == digest(ONE)
        assert put("PUT", txn=txn, data=TWO).headers["Digest"] == digest(ONE + TWO)
        assert put("PUT", txn=txn, data=THREE).headers["Digest"] == digest(ONE + TWO + THREE)
        done = put("PUT", "commit", txn)
        assert (done.status_code, done.headers["Digest"]) == (201, digest(ONE + TWO + THREE))
    with run_of(tmp_path, stop=stop) as client:
        answer = client.session.get(f"{client.url}/vault/files/f", timeout=TIMEOUT_S)
        assert answer.content == ONE + TWO + THREE
        assert Upload(client, url)("HEAD", txn=txn).status_code == 400
    assert len(list((tmp_path / "content").iterdir())) == 2  # the file, the empty transaction


def test_a_commit_that_a_kill_cut_off_is_no_open_transaction(
    make: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The node has its bytes, the row is still there: as between the two at a commit."""
    client = make("vault", data=tmp_path)
    put = Upload(client, client.endpoints("f", "pushToVoSpace")[0])
    txn = put("PUT", "start", data=ONE).headers["x-put-txn-id"]
    monkeypatch.setattr(client.fake._state.transactions, "end", lambda _: None)
    assert put("PUT", "commit", txn).status_code == 201
    client.fake.close()
    with FakeVOSpace(data=tmp_path) as fake:
        assert fake.get("f") == ONE
        assert fake._state.transactions.end_all() == []


def test_a_transaction_whose_bytes_are_damaged_goes_back_to_what_is_whole(tmp_path: Path) -> None:
    with run_of(tmp_path, stop=signal.SIGKILL) as client:
        put = Upload(client, client.endpoints("f", "pushToVoSpace")[0])
        txn = put("PUT", "start", data=ONE).headers["x-put-txn-id"]
        assert put("PUT", txn=txn, data=TWO).status_code == 202
    (content,) = (tmp_path / "content").iterdir()
    with content.open("r+b") as file:
        file.truncate(len(ONE) + 5)
    with run_of(tmp_path, stop=signal.SIGKILL) as client:
        put.client = client
        assert put("HEAD", txn=txn).headers["Digest"] == digest(ONE)


@STOPS
def test_a_generated_tree_survives(tmp_path: Path, stop: signal.Signals) -> None:
    options = ("--generate", f"sky/all={MILLION}")
    with run_of(tmp_path, *options, stop=stop) as client:
        url = client.endpoints("sky/all/node-000003", "pushToVoSpace")[0]
        txn = Upload(client, url)("PUT", "start", data=ONE).headers["x-put-txn-id"]
        assert client.upload("sky/all/node-000002", b"bytes").status_code == 201
        client.call("DELETE", "nodes/sky/all/node-000001")
        client.move("sky/all/node-000000", "sky/moved")
        assert client.call("PUT", "nodes/later", data=client.node("later")).ok
    began = time.monotonic()
    with run_of(tmp_path, *options, stop=stop) as client:
        assert time.monotonic() - began < 10
        first = ["node-000002", "node-000003", "node-000004"]
        assert client.children("sky/all", limit="3") == first
        assert client.children("sky") == ["all", "moved"]
        assert client.properties("sky/all/node-000002")[CORE + "length"] == "5"
        assert Upload(client, url)("PUT", "commit", txn).status_code == 201
        assert client.properties("sky/all/node-000003")[CORE + "length"] == str(len(ONE))

        def page(start: int) -> float:
            began = time.monotonic()
            uri = f"{client.uri('sky/all')}/node-{start:06d}"
            assert len(client.children("sky/all", uri=uri, limit="100")) == 100
            return time.monotonic() - began

        page(10)
        fastest = min(page(10) for _ in range(5))
        assert min(page(MILLION - 100) for _ in range(5)) < 3 * fastest + 0.01
    held = tmp_path / "nodes.sqlite"
    assert held.stat().st_size < 1 << 20  # the recipe, not the nodes


def test_generated_trees_on_disk_are_trees(tmp_path: Path) -> None:
    with FakeVOSpace(data=tmp_path) as fake:
        fake.generate("a", 100)
        taken = fake.snapshot()
        fake.put("a/node-07", b"x")
        fake.delete("a/node-08")
        fake.delete("a/node-09")
        fake.put("a/node-09", b"again")
        fake.generate("b", 10)
        fake.delete("b")
    with FakeVOSpace(data=tmp_path) as fake:
        assert not fake.exists("b") and not fake.exists("a/node-08")
        assert (fake.get("a/node-07"), fake.get("a/node-09")) == (b"x", b"again")
        taken = fake.snapshot()
        fake.delete("a")
        fake.generate("c", 3)
        fake.restore(taken)
    with FakeVOSpace(data=tmp_path) as fake:
        assert not fake.exists("c") and not fake.exists("a/node-08")
        assert (fake.get("a/node-07"), fake.get("a/node-09")) == (b"x", b"again")
        assert fake.exists("a/node-99") and not fake.exists("a/node-100")
        fake.reset()
    with FakeVOSpace(data=tmp_path) as fake:
        assert not fake.exists("a")


@pytest.mark.parametrize("personality", ["vault", "cavern"])
def test_recursive_jobs_reach_generated_nodes(
    make: MakeClient, tmp_path: Path, personality: str
) -> None:
    client = make(personality, data=tmp_path)
    client.fake.generate("a", 20)
    if client.fake.personality.recursive_jobs:
        job = made(client, client.node("a", "ContainerNode", {"q": "1"}), "async-setprops")
        started(client, job)
        assert client.properties("a/node-07")["q"] == "1"
        answer = client.call("POST", "async-delete", data={"target": client.uri("a")})
        started(client, answer.headers["Location"])
    else:
        assert client.call("DELETE", "nodes/a").ok
    client.fake.close()
    with FakeVOSpace(personality, data=tmp_path) as fake:
        assert not fake.exists("a")
