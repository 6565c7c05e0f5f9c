"""Snapshot, restore, reset, clock and generated trees, from Python and over `/_fake/`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import requests

from fakevospace import FakeVOSpace, Hang, Rule, Status

from .conftest import CORE, Client, MakeClient

MILLION = 1_000_000


def control(client: Client, method: str, resource: str, **body: Any) -> requests.Response:
    return client.call(method, f"{client.url}/_fake/{resource}", json=body or None)


@pytest.fixture(params=["memory", "directory"])
def client(request: pytest.FixtureRequest, make: MakeClient, tmp_path: Path) -> Client:
    """A vault that keeps its data here or there."""
    return make("vault", data=tmp_path / "data" if request.param == "directory" else None)


def test_snapshot_can_be_put_back_again_and_again(client: Client) -> None:
    fake = client.fake
    client.call("PUT", "nodes/d", data=client.node("d", "ContainerNode", {"quality": "good"}))
    client.upload("d/f", b"before")
    job = client.move("d/f", "d/g")
    dates = client.properties("d/g")
    taken = fake.snapshot()
    for _ in range(2):
        client.upload("d/g", b"after, and longer")
        client.call("DELETE", "nodes/d/g")
        client.call("PUT", "nodes/other", data=client.node("other"))
        client.call("DELETE", job)
        fake.restore(taken)
        assert (client.children(""), client.children("d")) == (["d"], ["g"])
        assert fake.get("d/g") == b"before"
        assert client.properties("d/g") == dates
        assert client.properties("d")["quality"] == "good"
        assert client.call("GET", f"{job}/phase").text == "COMPLETED"
    client.upload("d/g", b"the snapshot has bytes of its own")
    fake.restore(taken)
    assert fake.get("d/g") == b"before"


def test_snapshots_over_http(client: Client) -> None:
    client.fake.put("f", b"1")
    assert control(client, "POST", "snapshot").json() == {"name": "latest", "nodes": 2}
    client.fake.put("f", b"22")
    assert control(client, "POST", "snapshot", name="two").status_code == 201
    client.fake.delete("f")
    assert control(client, "POST", "restore", name="two").json()["nodes"] == 2
    assert client.fake.get("f") == b"22"
    assert control(client, "POST", "restore").ok and client.fake.get("f") == b"1"
    assert control(client, "POST", "restore", name="none").status_code == 404


def test_what_was_put_back_survives_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with FakeVOSpace(data=data) as fake:
        fake.put("d/f".removeprefix("d/"), b"before")
        taken = fake.snapshot()
        fake.put("f", b"after")
        fake.put("g", b"x")
        fake.restore(taken)
    with FakeVOSpace(data=data) as fake:
        assert fake.get("f") == b"before"
        with pytest.raises(FileNotFoundError):
            fake.get("g")
        assert len(list((data / "content").iterdir())) == 1


def test_reset(client: Client) -> None:
    client.upload("f", b"x")
    client.fake.faults.add(Rule(Status(503)))
    client.fake.clock.freeze(0.0)
    assert control(client, "POST", "reset").json() == {"reset": True}
    assert client.children("") == []
    assert client.fake.faults.plan.rules == () and not client.fake.clock.is_frozen
    client.fake.journal.assert_count(1)  # the listing after it
    client.upload("f", b"y")
    assert client.fake.get("f") == b"y"


def test_reset_brings_the_sample_back(make: MakeClient) -> None:
    client = make("cavern", sample=True)
    client.fake.delete("sample")
    client.fake.reset()
    assert sorted(client.children("sample"))[:2] == ["mosaic.fits", "starfield.fits"]


def test_clock_over_http(both: Client) -> None:
    control(both, "POST", "clock", freeze=1_000_000_000)
    assert control(both, "GET", "clock").json() == {"now": 1e9, "frozen": True}
    both.upload("f", b"x")
    assert both.properties("f")[CORE + "date"].startswith("2001-09-09T01:46:40")
    assert control(both, "POST", "clock", advance=3600).json()["now"] == 1e9 + 3600
    both.upload("f", b"y")
    assert both.properties("f")[CORE + "date"].startswith("2001-09-09T02:46:40")
    job = both.move("f", "g")
    assert "2001-09-09T02:46:40" in both.call("GET", job).text
    assert control(both, "DELETE", "clock").json()["frozen"] is False
    for wrong in ({"advance": "1"}, {"freeze": 1, "advance": 1}, {"stop": 1}, {"freeze": -1}):
        assert control(both, "POST", "clock", **wrong).status_code == 400


@pytest.mark.parametrize(
    ("method", "resource", "data", "status"),
    [("POST", "clock", b"[1]", 400), ("POST", "snapshot", b"\xff", 400),
     ("GET", "nothing", b"", 404),
     ("PUT", "journal", b"", 405), ("GET", "tree?path=none", b"", 404),
     ("GET", "tree?limit=x", b"", 400), ("POST", "generate", b'{"path": 3}', 400),
     ("POST", "faults", b"[" * 100_000, 400), ("POST", "restore", b'{"name": []}', 404),
     ("GET", "journal?since=" + "9" * 30, b"", 400), ("GET", "tree?path=..", b"", 400)],
)  # fmt: skip
def test_bad_control_requests(
    vault: Client, method: str, resource: str, data: bytes, status: int
) -> None:
    assert vault.call(method, f"{vault.url}/_fake/{resource}", data=data).status_code == status


def test_a_million_nodes_page_in_constant_time(vault: Client) -> None:
    began = time.monotonic()
    vault.fake.generate("sky/all", MILLION)
    assert time.monotonic() - began < 0.5
    service_uri = vault.uri("sky/all")

    def page(start: int) -> float:
        began = time.monotonic()
        names = vault.children("sky/all", uri=f"{service_uri}/node-{start:06d}", limit="100")
        assert names == [f"node-{n:06d}" for n in range(start, min(start + 100, MILLION))]
        return time.monotonic() - began

    page(0)
    first = min(page(0) for _ in range(5))
    assert min(page(MILLION - 100) for _ in range(5)) < 3 * first + 0.01
    assert min(page(MILLION // 2) for _ in range(5)) < 3 * first + 0.01


def test_generated_nodes_are_nodes(vault: Client) -> None:
    vault.fake.generate("all", 1000)
    name = "all/node-500"
    assert vault.properties(name)[CORE + "length"] == "0"
    assert vault.upload(name, b"bytes").status_code == 201
    assert vault.fake.get(name) == b"bytes"
    vault.call("DELETE", "nodes/all/node-501")
    vault.call("PUT", "nodes/all/node-500a", data=vault.node("all/node-500a"))
    uri = f"{vault.uri('all')}/node-499"
    assert vault.children("all", uri=uri, limit="5") == [
        "node-499", "node-500", "node-500a", "node-502", "node-503",
    ]  # fmt: skip
    assert len(vault.children("all")) == 1000
    taken = vault.fake.snapshot()
    vault.call("DELETE", "nodes/all/node-502")
    vault.fake.restore(taken)
    assert vault.children("all", uri=f"{vault.uri('all')}/node-501", limit="1") == ["node-502"]
    assert vault.fake.get(name) == b"bytes"
    assert vault.call("PUT", "nodes/all/node-501", data=vault.node("all/node-501")).ok
    assert len(vault.children("all")) == 1001


def test_what_cannot_be_generated(make: MakeClient) -> None:
    client = make("vault")
    for path, count in (("d", -1), ("d", 10**9), ("", 5)):
        with pytest.raises(ValueError):
            client.fake.generate(path, count)
    assert control(client, "POST", "generate", path="/d", count=5).status_code == 201
    assert control(client, "POST", "generate", path="/d", count=5).status_code == 400


def test_journal_in_parts_and_with_headers(vault: Client) -> None:
    for number in range(5):
        vault.call("GET", f"nodes/n{number}", headers={"X-Mine": "1", "Authorization": "Bearer s"})
    found = vault.call("GET", f"{vault.url}/_fake/journal?since=2&limit=2").json()
    assert [one["number"] for one in found] == [3, 4]
    headers = dict(found[0]["request_headers"])
    assert headers["X-Mine"] == "1" and "Authorization" not in headers
    assert ["Content-Type", "text/plain; charset=UTF-8"] in found[0]["answer_headers"]
    assert found[0]["answer_text"].startswith("NodeNotFound: vos://cadc.nrc.ca~vault/n2")


def test_journal_assertions_say_what_there_was(vault: Client) -> None:
    vault.call("GET", "nodes/n?limit=0")
    journal = vault.fake.journal
    journal.assert_count(1, method="GET", status=404, user="owner")
    journal.assert_lines(["GET /vault/nodes/n?limit=0 -> 404"])
    with pytest.raises(AssertionError, match=r"1 instead of 2 request\(s\) path=/n"):
        journal.assert_count(2, path="/n")
    with pytest.raises(AssertionError, match="GET /vault/nodes/n"):
        journal.assert_lines([])


def test_tree_and_jobs_for_the_page(both: Client) -> None:
    both.fake.mkdir("d")
    both.fake.put("d/f", b"12345")
    found = both.call("GET", f"{both.url}/_fake/tree?path=/d").json()
    assert (found["total"], found["children"][0]["name"], found["children"][0]["size"]) == (
        1,
        "f",
        5,
    )
    both.move("d/f", "d/g")
    assert both.call("GET", f"{both.url}/_fake/jobs").json()[0]["phase"] == "COMPLETED"


def test_reset_lets_go_what_hangs(both: Client) -> None:
    both.fake.faults.add(Rule(Hang(), path="/x"))
    control(both, "POST", "reset")
    assert both.call("GET", "nodes/x").status_code == 404
