"""Negotiations and move jobs over HTTP (protocol.md 5)."""

from __future__ import annotations

import threading

import pytest
from lxml import etree

from .conftest import CORE, VOS, Client, MakeClient

UWS = "http://www.ivoa.net/xml/UWS/v1.0"
PUT_PROTOCOL = CORE + "httpsput"
GET_PROTOCOL = CORE + "httpsget"


def error_of(client: Client, job: str) -> str:
    assert client.call("GET", f"{job}/phase").text == "ERROR"
    summary = etree.fromstring(client.call("GET", job).content).findtext(
        f"{{{UWS}}}errorSummary/{{{UWS}}}message"
    )
    text = client.call("GET", f"{job}/error").text
    assert summary == text
    return text


def test_push_goes_through_absolute_redirects_and_makes_the_node(both: Client) -> None:
    answer = both.call("POST", "synctrans", data=both.transfer("f", "pushToVoSpace"))
    assert answer.status_code == 303
    details = answer.headers["Location"]
    assert details.startswith(f"{both.url}/{both.service}/transfers/")
    assert details.endswith("/results/transferDetails")
    answer = both.call("GET", details)
    xfer = answer.headers["Location"]
    assert answer.status_code == 303 and f"/{both.service}/xfer/" in xfer
    answer = both.call("GET", xfer)
    assert answer.headers["Content-Type"].startswith("text/xml")
    root = etree.fromstring(answer.content)
    assert root.findtext(f"{{{VOS}}}direction") == "pushToVoSpace"
    job = details.removesuffix("/results/transferDetails")
    assert both.call("GET", f"{job}/phase").text == "EXECUTING"
    assert both.call("GET", f"{job}/error").status_code == 404
    assert both.fake.node("f")["type"] == "DataNode"


@pytest.mark.parametrize("path", ["none", "d"])
def test_pull_of_what_is_no_data_node(both: Client, path: str) -> None:
    both.fake.mkdir("d")
    answer = both.call("POST", "synctrans", data=both.transfer(path, "pullFromVoSpace"))
    job = answer.headers["Location"].removesuffix("/results/transferDetails")
    assert error_of(both, job) == "target is not a data node"
    xfer = both.call("GET", both.call("GET", answer.headers["Location"]).headers["Location"])
    # A node that exists has an answer without protocols; one that does not has none (5.2).
    assert xfer.status_code == (500 if path == "none" else 200)
    assert b"endpoint" not in xfer.content


def test_push_into_a_missing_container(both: Client) -> None:
    answer = both.call("POST", "synctrans", data=both.transfer("no/f", "pushToVoSpace"))
    job = answer.headers["Location"].removesuffix("/results/transferDetails")
    assert error_of(both, job).startswith("ContainerNotFound: ")


def test_parameter_form_leads_straight_to_the_bytes(both: Client) -> None:
    put = {"TARGET": both.uri("f"), "DIRECTION": "pushToVoSpace", "PROTOCOL": PUT_PROTOCOL}
    answer = both.call("POST", "synctrans", params=put)
    assert answer.status_code == 303
    assert both.call("PUT", answer.headers["Location"], data=b"bytes").status_code == 201
    get = {"target": both.uri("f"), "direction": "pullFromVoSpace", "protocol": GET_PROTOCOL}
    answer = both.call("POST", "synctrans", data=get)
    assert both.call("GET", answer.headers["Location"]).content == b"bytes"
    missing = both.call("GET", "synctrans", params=get | {"target": both.uri("none")})
    assert (missing.status_code, missing.text) == (400, "target is not a data node\n")
    assert both.call("GET", "synctrans", params={"TARGET": both.uri("f")}).status_code == 400


def test_move_waits_for_run_and_tells_where_the_node_is(both: Client) -> None:
    both.fake.put("a", b"bytes")
    both.fake.mkdir("d")
    document = both.transfer("a", both.uri("d/b"), keep=False)
    answer = both.call("POST", "transfers?PHASE=RUN", data=document)
    job = answer.headers["Location"]
    assert answer.status_code == 303
    assert both.call("GET", f"{job}/phase").text == "PENDING"
    assert both.fake.get("a") == b"bytes"
    answer = both.call("POST", f"{job}/phase", data={"phase": "run"})
    assert (answer.status_code, answer.headers["Location"]) == (303, job)
    assert both.call("GET", f"{job}/phase").text == "COMPLETED"
    assert both.call("GET", f"{job}/error").status_code == 404
    result = both.call("GET", f"{job}/results/destination")
    assert (result.status_code, result.headers["Location"]) == (303, both.uri("d/b"))
    assert both.fake.get("d/b") == b"bytes"
    assert both.call("GET", "nodes/a").status_code == 404


def test_move_into_an_existing_container_nests(both: Client) -> None:
    both.fake.mkdir("src")
    both.fake.put("src/f", b"x")
    both.fake.mkdir("dst")
    job = both.move("src", "dst")
    assert both.uri("dst/src") in both.call("GET", job).text
    assert both.fake.get("dst/src/f") == b"x"


@pytest.mark.parametrize(
    ("source", "destination", "error"),
    [
        ("none", "x", "NodeNotFound: "),
        ("f", "g", "DuplicateNode: destination is an existing DataNode: /g"),
        ("f", "no/f", "ContainerNotFound: "),
        ("d", "d/e", "InvalidArgument: Cannot move container node into its descendants"),
        ("d", "d/e/new", "InvalidArgument: Cannot move container node into its descendants"),
        ("d", "d2", "InvalidArgument: Cannot move container node into its descendants"),
        ("f", "d", "DuplicateNode: /d/f"),
        ("f", "broken", "UnreadableLinkTarget: "),
    ],
)
def test_moves_that_are_refused(both: Client, source: str, destination: str, error: str) -> None:
    for path in ("f", "g"):
        both.fake.put(path, path.encode())
    both.fake.mkdir("d/e")
    both.fake.mkdir("d2")  # the substring test of the real service hits a sibling like this
    both.fake.put("d/f", b"")
    document = both.node("broken", "LinkNode", target=both.uri("gone"))
    assert both.call("PUT", "nodes/broken", data=document).status_code == 201
    assert error_of(both, both.move(source, destination)).startswith(error)
    assert (both.fake.get("f"), both.fake.get("g")) == (b"f", b"g")


def test_rename_to_a_name_that_begins_with_the_old_one(both: Client) -> None:
    both.fake.mkdir("d")
    both.move("d", "d2")
    assert both.children("") == ["d2"]


def test_copy_and_foreign_directions_are_not_implemented(both: Client) -> None:
    both.fake.put("f", b"x")
    for document in (
        both.transfer("f", both.uri("g"), keep=True),
        both.transfer("f", "pushFromVoSpace", keep=False),
    ):
        job = both.call("POST", "transfers", data=document).headers["Location"]
        both.call("POST", f"{job}/phase", data={"PHASE": "RUN"})
        assert "not implemented" in error_of(both, job) or "OperationNot" in error_of(both, job)


def test_wait_ends_when_the_job_does(vault: Client) -> None:
    vault.fake.put("a", b"x")
    document = vault.transfer("a", vault.uri("b"), keep=False)
    job = vault.call("POST", "transfers", data=document).headers["Location"]
    seen: list[str] = []
    waiter = threading.Thread(target=lambda: seen.append(Client(vault.fake, vault.url).call(
        "GET", f"{job}?WAIT=15").text))  # fmt: skip
    waiter.start()
    vault.fake.journal.wait_for(method="GET", endpoint="transfers")
    vault.call("POST", f"{job}/phase", data={"PHASE": "RUN"})
    waiter.join(10)
    assert "COMPLETED" in seen[0]


def test_abort_and_destroy(both: Client) -> None:
    both.fake.put("a", b"x")
    document = both.transfer("a", both.uri("b"), keep=False)
    job = both.call("POST", "transfers", data=document).headers["Location"]
    assert both.call("POST", f"{job}/phase", data={"PHASE": "NONSENSE"}).status_code == 400
    assert both.call("POST", f"{job}/phase", data={"PHASE": "ABORT"}).status_code == 303
    assert both.call("GET", f"{job}/phase").text == "ABORTED"
    both.call("POST", f"{job}/phase", data={"PHASE": "RUN"})
    assert both.fake.get("a") == b"x"
    assert both.call("DELETE", job).status_code == 303
    assert both.call("GET", job).status_code == 404


def test_job_list_is_not_for_the_anonymous(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:secret"])
    assert client.call("GET", "transfers").status_code == 403
    answer = client.call("GET", "transfers", headers={"Authorization": "Bearer secret"})
    assert answer.status_code == 200


def test_move_makes_the_caller_the_owner(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:secret"])
    client.session.headers["Authorization"] = "Bearer secret"
    client.fake.put("a", b"x")
    client.move("a", "b")
    assert client.fake.node("b")[CORE + "creator"] == "ann"
