"""Read-only and offline modes, availability, and node documents as JSON (protocol.md 1.4, 4.3)."""

from __future__ import annotations

import pytest
from lxml import etree

from .conftest import CORE, Client, MakeClient

VOSI = "{http://www.ivoa.net/xml/VOSIAvailability/v1.0}"


def switch(client: Client, word: str, **options: object) -> int:
    return client.call("POST", "availability", data={"state": word}, **options).status_code


def available(client: Client) -> tuple[str | None, str | None]:
    root = etree.fromstring(client.call("GET", "availability?detail=min").content)
    return root.findtext(f"{VOSI}available"), root.findtext(f"{VOSI}note")


def test_read_only(both: Client) -> None:
    both.fake.put("f", b"x")
    push = both.endpoints("f", "pushToVoSpace")[0]
    pull = both.endpoints("f", "pullFromVoSpace")[0]
    assert switch(both, "ReadOnly") == 303
    note = "System is in read-only mode for maintainence"
    assert available(both) == ("true", note)
    changes = [
        both.call("PUT", "nodes/g", data=both.node("g")),
        both.call("POST", "nodes/f", data=both.node("f")),
        both.call("DELETE", "nodes/f"),
        both.call("PUT", push, data=b"y"),
        both.call("POST", "transfers", data=both.transfer("f", both.uri("g"), keep=False)),
        both.call("POST", "synctrans", data=both.transfer("g", "pushToVoSpace")),
        both.call("POST", "async-delete", data={"target": both.uri("f")}),
    ]
    for answer in changes:
        assert (answer.status_code, answer.text) == (503, note + "\n")
        assert answer.headers["Retry-After"] == "180"
    assert both.call("GET", pull).content == b"x"
    assert both.endpoints("f", "pullFromVoSpace")
    assert both.call("GET", "nodes/f").status_code == 200
    assert switch(both, "readwrite") == 303
    assert both.call("DELETE", "nodes/f").status_code == 200
    assert both.fake.journal.count(status=503) == len(changes)


def test_offline(both: Client) -> None:
    both.fake.put("f", b"x")
    assert switch(both, "Offline") == 303
    assert available(both) == ("false", "System is offline for maintainence")
    for path in ("nodes/f", "files/f", "transfers", "synctrans"):
        answer = both.call("GET", path)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "180")
    assert both.call("GET", "capabilities").status_code == 200
    assert switch(both, "ReadWrite") == 303
    assert available(both) == ("true", "service is accepting requests")
    assert both.call("GET", "nodes/f").status_code == 200


def test_who_may_switch(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:a", "bob:b"])
    assert switch(client, "Offline") == 403
    assert switch(client, "Offline", headers={"Authorization": "Bearer b"}) == 403
    assert switch(client, "nonsense", headers={"Authorization": "Bearer a"}) == 400
    assert switch(client, "Offline", headers={"Authorization": "Bearer a"}) == 303


def test_json_is_a_parameter_not_a_header(both: Client) -> None:
    both.fake.mkdir("d")
    both.fake.put("d/f", b"12345")
    both.fake.set_property("d", CORE + "title", 'a "b" <c>')
    answer = both.call("GET", "nodes/d", params={"Accept": "application/json"})
    assert answer.headers["Content-Type"] == "application/json"
    node = answer.json()["vos:node"]
    assert node["@uri"] == both.uri("d")
    assert node["@xsi:type"] == "vos:ContainerNode"
    assert node["@xmlns:vos"] == "http://www.ivoa.net/xml/VOSpace/v2.0"
    shown = {one["property"]["@uri"]: one["property"]["$"] for one in node["vos:properties"]["$"]}
    assert shown[CORE + "title"] == 'a "b" <c>'
    (child,) = node["vos:nodes"]["$"]
    lengths = [
        one["property"]
        for one in child["node"]["vos:properties"]["$"]
        if one["property"]["@uri"] == CORE + "length"
    ]
    assert lengths == [{"@uri": CORE + "length", "@readOnly": "true", "$": "5"}]
    header = both.call("GET", "nodes/d", headers={"Accept": "application/json"})
    assert header.headers["Content-Type"].startswith("text/xml")


def test_json_of_what_was_made(vault: Client) -> None:
    query = {"Accept": "application/json"}
    document = vault.node("l", "LinkNode", target=vault.uri("x"))
    answer = vault.call("PUT", "nodes/l", data=document, params=query)
    assert (answer.status_code, answer.json()["vos:node"]["vos:target"]["$"]) == (
        201,
        vault.uri("x"),
    )
    document = vault.node("l", "LinkNode", {CORE + "title": "t"})
    assert vault.call("POST", "nodes/l", data=document, params=query).json()


@pytest.mark.parametrize("size", [32 * 1024, 32 * 1024 + 1])
def test_the_limit_of_documents(both: Client, size: int) -> None:
    document = both.node("f", properties={"own:x": "y"})
    document = document.replace(b">y<", b">" + b"y" * (size - len(document) + 1) + b"<")
    assert len(document) == size
    answer = both.call("PUT", "nodes/f", data=document)
    assert answer.status_code == (201 if size == 32 * 1024 else 413)
    if size > 32 * 1024:
        assert answer.text == "limit: 32768\n"
        assert both.call("POST", "async-setprops", data=document).status_code == 413
        assert both.call("POST", "synctrans", data=document).status_code == 413
