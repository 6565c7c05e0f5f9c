"""Nodes over HTTP: create, list, update, delete; locks, links, names (protocol.md 4, 8, 9)."""

from __future__ import annotations

import http.client
import re
from urllib.parse import urlsplit

import pytest

from .conftest import CORE, LOCKED, Client, MakeClient

INHERIT = "ivo://cadc.nrc.ca/vospace/core#inheritPermissions"


def create(client: Client, path: str, kind: str = "ContainerNode", **properties: str) -> int:
    document = client.node(path, kind, {CORE + key: value for key, value in properties.items()})
    return client.call("PUT", f"nodes/{path}", data=document).status_code


def set_lock(client: Client, path: str, kind: str, value: str | None) -> int:
    document = client.node(path, kind, {LOCKED: value})
    return client.call("POST", f"nodes/{path}", data=document).status_code


@pytest.fixture
def six(both: Client) -> Client:
    """A service with a container of six children, made out of order."""
    both.fake.mkdir("d")
    for number in (3, 1, 6, 2, 5, 4):
        both.fake.put(f"d/c{number}", b"x")
    return both


def test_listing_pages_on_vault_only(six: Client) -> None:
    all_names = [f"c{n}" for n in (1, 2, 3, 4, 5, 6)]
    assert six.children("d", limit="0") == []
    if six.service == "vault":
        assert six.children("d") == all_names
        assert six.children("d", limit="2") == all_names[:2]
        assert six.children("d", uri=six.uri("d/c3"), limit="3") == all_names[2:5]
        assert six.children("d", uri=six.uri("d/c5"), limit="3") == all_names[4:]
        assert six.children("d", uri=six.uri("d/c35")) == all_names[3:]
        elsewhere = six.call("GET", "nodes/d", params={"uri": six.uri("x/y")})
        assert (elsewhere.status_code, elsewhere.text[:10]) == (400, "InvalidURI")
    else:
        assert six.children("d", limit="2") == ["c3", "c1", "c6", "c2", "c5", "c4"]
        refused = six.call("GET", "nodes/d", params={"uri": six.uri("d/c3")})
        assert refused.status_code == 400
        assert refused.text.startswith("OptionNotSupported: batch container node listing")


@pytest.mark.parametrize("query", ["sort=x", "order=desc", "limit=-1", "limit=many"])
def test_listing_options_that_are_refused(six: Client, query: str) -> None:
    assert six.call("GET", f"nodes/d?{query}").status_code == 400


def test_page_cap_cuts_silently(make: MakeClient) -> None:
    client = make("vault", page_cap=2)
    for name in "abc":
        client.fake.put(name, b"")
    assert client.children("") == ["a", "b"]
    assert client.children("", uri=client.uri("b")) == ["b", "c"]


def test_detail_levels(both: Client) -> None:
    both.fake.put("f", b"x")
    assert both.properties("f", detail="min") == {}
    assert "readable" not in str(both.properties("f"))
    full = both.properties("f", detail="max")
    assert full["ivo://cadc.nrc.ca/vospace/core#readable"] == "true"
    assert full["ivo://cadc.nrc.ca/vospace/core#writable"] == "true"


def test_dates_have_milliseconds_and_follow_the_clock(make: MakeClient) -> None:
    client = make("vault", clock=lambda: 1_700_000_000.25)
    client.fake.put("f", b"x")
    shown = client.properties("f")
    assert re.fullmatch(r"2023-11-14T22:13:20\.\d{3}", shown[CORE + "date"])
    client.fake.set_property("f", CORE + "title", "t")
    assert client.properties("f")[CORE + "date"] > shown[CORE + "date"]


def test_view_data_leads_to_the_bytes(both: Client) -> None:
    both.fake.put("f", b"x")
    answer = both.call("GET", "nodes/f?view=data")
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        f"{both.url}/{both.service}/files/f",
    )


def test_create_refusals(both: Client) -> None:
    assert create(both, "d") == 201
    assert create(both, "d") == 409
    assert create(both, "none/d") == 404
    both.fake.put("f", b"")
    assert create(both, "f/d") == 404
    assert create(both, "e", "NoSuchNode") == 400
    answer = both.call("PUT", "nodes/other", data=both.node("d2"))
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "InvalidURI")
    assert both.call("PUT", "nodes/x", data=b"<not xml").status_code == 400
    assert both.call("PUT", "nodes/x", data=b"x" * 40_000).status_code == 413


def test_update_merges_and_nil_deletes(both: Client) -> None:
    assert create(both, "d", title="t", description="one") == 201
    document = both.node("d", "ContainerNode", {CORE + "title": None, CORE + "subject": "s"})
    assert both.call("POST", "nodes/d", data=document).status_code == 200
    shown = both.properties("d")
    assert CORE + "title" not in shown
    assert (shown[CORE + "description"], shown[CORE + "subject"]) == ("one", "s")


def test_immutable_properties_are_ignored_and_unknown_ones_refused(both: Client) -> None:
    assert create(both, "f", "DataNode", length="123", MD5="0" * 32) == 201
    assert both.properties("f")[CORE + "length"] == "0"
    assert create(both, "g", "DataNode", nonsense="1") == 400
    free = both.node("h", "DataNode", {"quality": "good"})
    assert both.call("PUT", "nodes/h", data=free).status_code == 201
    assert both.properties("h")["quality"] == "good"


def test_update_refusals(both: Client) -> None:
    both.fake.put("f", b"x")
    change = both.call("POST", "nodes/f", data=both.node("f", "ContainerNode"))
    assert (change.status_code, change.text.split(":")[0]) == (400, "InvalidArgument")
    other = both.call("POST", "nodes/f", data=both.node("g"))
    assert (other.status_code, other.text.split(":")[0]) == (400, "InvalidArgument")
    assert both.call("POST", "nodes/none", data=both.node("none")).status_code == 404


def test_inherit_permissions(both: Client) -> None:
    document = both.node("d", "ContainerNode", {INHERIT: "true", CORE + "ispublic": "true"})
    assert both.call("PUT", "nodes/d", data=document).status_code == 201
    create(both, "d/inherits", "DataNode")
    create(both, "d/explicit", "DataNode", ispublic="false")
    assert both.properties("d/inherits")[CORE + "ispublic"] == "true"
    assert both.properties("d/explicit")[CORE + "ispublic"] == "false"


def test_locks_are_vaults_alone(both: Client) -> None:
    create(both, "d")
    both.fake.put("d/f", b"x")
    assert set_lock(both, "d", "ContainerNode", "true") == 200
    expected = 403 if both.service == "vault" else 201
    assert (LOCKED in both.properties("d")) == (both.service == "vault")
    assert create(both, "d/new", "DataNode") == expected
    deleted = both.call("DELETE", "nodes/d/f").status_code
    assert deleted == (403 if both.service == "vault" else 200)
    assert set_lock(both, "d", "ContainerNode", None) == 200
    assert create(both, "d/newer", "DataNode") == 201


def test_locked_node_cannot_be_deleted_or_pushed_to(vault: Client) -> None:
    vault.fake.put("f", b"x")
    assert set_lock(vault, "f", "DataNode", "true") == 200
    assert vault.call("DELETE", "nodes/f").status_code == 403
    assert vault.endpoints("f", "pushToVoSpace") == []
    assert vault.call("GET", "files/f").status_code == 303


def test_delete(both: Client) -> None:
    both.fake.put("f", b"x")
    both.fake.mkdir("d/e")
    answer = both.call("DELETE", "nodes/f")
    assert (answer.status_code, answer.content) == (200, b"")
    assert both.call("DELETE", "nodes/f").status_code == 404
    answer = both.call("DELETE", "nodes/d")
    assert (answer.status_code, answer.text) == (400, "container node 'd' is not empty\n")


def test_links(both: Client) -> None:
    both.fake.mkdir("d")
    both.fake.put("d/f", b"bytes")
    for name, target in (("l", "d"), ("broken", "none"), ("loop", "loop")):
        document = both.node(name, "LinkNode", target=both.uri(target))
        assert both.call("PUT", f"nodes/{name}", data=document).status_code == 201
    assert b"LinkNode" in both.call("GET", "nodes/l").content
    assert both.properties("l/f")[CORE + "length"] == "5"
    assert both.call("GET", "nodes/loop/x").status_code == 404
    assert both.call("GET", "files/broken").text.startswith("UnreadableLinkTarget")
    assert both.upload("l/g", b"through").status_code == 201
    assert both.fake.get("d/g") == b"through"
    assert both.call("DELETE", "nodes/l").status_code == 200
    assert both.fake.get("d/f") == b"bytes"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("a%20b", "a%20b"), ("a%23b%3Fc%25", "a%23b%3Fc%25"), ("e%CC%81", "%C3%A9"),
     ("a+b&c;d,e(f)'*!~$=@", "a+b&c;d,e(f)'*!~$=@"), ("%E2%98%83", "%E2%98%83"),
     ("%5Bx%5D", "%5Bx%5D")],
)  # fmt: skip
def test_names_come_back_as_java_writes_them(both: Client, sent: str, shown: str) -> None:
    document = both.node("NAME", "DataNode").replace(b"NAME", sent.replace("&", "&amp;").encode())
    assert both.call("PUT", f"nodes/{sent}", data=document).status_code == 201
    assert both.children("") == [shown]


def test_bang_and_tilde_are_the_same(both: Client) -> None:
    document = both.node("f").replace(b"~", b"!")
    assert both.call("PUT", "nodes/f", data=document).status_code == 201
    assert b"cadc.nrc.ca~" in both.call("GET", "nodes/f").content


@pytest.mark.parametrize("name", ["a b", "a|b", "a%zz", 'a"b', "a^b"])
def test_illegal_uris_in_documents_are_refused(both: Client, name: str) -> None:
    document = both.node("NAME").replace(b"NAME", name.replace('"', "&quot;").encode())
    answer = both.call("PUT", "nodes/a", data=document)
    assert (answer.status_code, answer.text.split(":")[0]) == (400, "InvalidArgument")


@pytest.mark.parametrize("path", ["%2e%2e/etc", "a/%2E/b", "a%00b", "%ff%fe", "a%zz"])
def test_paths_that_are_no_names_are_refused(both: Client, path: str) -> None:
    parts = urlsplit(both.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("GET", f"/{both.service}/nodes/{path}")
    assert connection.getresponse().status == 400
    connection.close()


def test_entities_and_doctypes_are_refused(both: Client) -> None:
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b SYSTEM "file:///etc/passwd">]><x>&b;</x>'
    answer = both.call("PUT", "nodes/x", data=bomb)
    assert answer.status_code == 400 and "root:" not in answer.text


def test_strict_mode(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:secret", "bob:other"])
    client.fake.put("private", b"x")
    client.fake.put("public", b"y")
    client.fake.set_property("public", CORE + "ispublic", "true")
    ann = {"Authorization": "Bearer secret"}
    bob = {"X-CADC-DelegationToken": "other"}
    wrong = {"Authorization": "Bearer nonsense"}
    anonymous = client.call("GET", "files/public")
    assert anonymous.status_code == 303 and "WWW-Authenticate" in anonymous.headers
    assert client.call("GET", "files/private").status_code == 403
    assert client.call("HEAD", "files/private").status_code == 200
    assert client.call("GET", "nodes/private").status_code == 200
    assert client.call("GET", "nodes", headers=wrong).status_code == 401
    assert client.call("DELETE", "nodes/public").status_code == 403
    assert client.call("DELETE", "nodes/public", headers=bob).status_code == 403
    own = client.call("GET", "files/private", headers=ann)
    assert (own.status_code, own.headers["X-VO-Authenticated"]) == (303, "ann")
    # A pre-authorised URL needs no credential.
    assert client.call("GET", own.headers["Location"]).content == b"x"
    assert client.call("DELETE", "nodes/public", headers=ann).status_code == 200


def test_private_container_shows_itself_but_not_its_children(make: MakeClient) -> None:
    client = make("vault", tokens=["ann:secret"])
    client.fake.put("f", b"x")
    client.fake.mkdir("d")
    client.fake.put("d/f", b"x")
    assert client.children("d") == []
    assert client.call("GET", "nodes/d/f").status_code == 403
