"""What `datalab` and `spec` do differently, over HTTP (protocol.md 12)."""

from __future__ import annotations

import pytest
from lxml import etree

from .conftest import CORE, LOCKED, VOS, Client, MakeClient

XML = {"Content-Type": "text/xml"}
DATA_VIEW = b'<view uri="ivo://cadc.nrc.ca/vospace/view#data"/>'
DEFAULT_VIEW = b'<view uri="ivo://ivoa.net/vospace/core#defaultview"/>'


@pytest.fixture
def datalab(make: MakeClient) -> Client:
    """A Data Lab service."""
    return make("datalab")


@pytest.fixture
def spec(make: MakeClient) -> Client:
    """A service to the letter."""
    return make("spec")


def offered(client: Client) -> set[str]:
    root = etree.fromstring(client.call("GET", "capabilities").content)
    return {(one.findtext("interface/accessURL") or "").rpartition("/")[2] for one in root}


def with_view(document: bytes, view: bytes) -> bytes:
    return document.replace(b"</direction>", b"</direction>" + view)


def test_datalab_up_and_down(datalab: Client) -> None:
    assert datalab.upload("f", b"bytes").status_code == 201
    url = datalab.endpoints("f", "pullFromVoSpace")[0]
    assert datalab.call("GET", url).content == b"bytes"
    part = datalab.call("GET", url, headers={"Range": "bytes=1-2"})
    assert (part.status_code, part.content) == (206, b"yt")


def test_datalab_redirects_with_302_and_answers_the_document_itself(datalab: Client) -> None:
    datalab.fake.put("f", b"x")
    answer = datalab.negotiate(datalab.transfer("f", "pullFromVoSpace"))
    assert answer.status_code == 302
    details = datalab.call("GET", answer.headers["Location"])
    assert details.status_code == 200 and b"endpoint" in details.content


def test_datalab_takes_http_protocols(datalab: Client) -> None:
    datalab.fake.put("f", b"x")
    document = datalab.transfer("f", "pullFromVoSpace").replace(b"httpsget", b"httpget")
    answer = datalab.negotiate(document)
    assert b"endpoint" in datalab.call("GET", answer.headers["Location"]).content


def test_datalab_has_no_shortcut(datalab: Client) -> None:
    datalab.fake.put("f", b"x")
    assert datalab.call("GET", "files/f").status_code == 404
    assert datalab.call("GET", "nodes/f?view=data").status_code == 400
    query = {"TARGET": datalab.uri("f"), "DIRECTION": "pullFromVoSpace", "PROTOCOL": "x"}
    assert datalab.call("GET", "synctrans", params=query).status_code == 405
    assert datalab.call("POST", "synctrans", data=query).status_code == 400
    for name in ("async-delete", "async-setprops", "pkg", "properties"):
        assert datalab.call("POST", name, data=query).status_code == 404
    assert not {"files", "async-delete", "async-setprops"} & offered(datalab)


def test_datalab_insists_on_content_types(datalab: Client) -> None:
    document = datalab.transfer("f", "pushToVoSpace")
    assert datalab.call("POST", "synctrans", data=document, headers=XML).status_code == 415
    assert datalab.call("POST", "transfers", data=document, headers=XML).status_code == 415
    node = datalab.node("f")
    assert datalab.call("PUT", "nodes/f", data=node).status_code == 415
    assert datalab.call("PUT", "nodes/f", data=node, headers=XML).status_code == 201
    assert datalab.call("POST", "nodes/f", data=node).status_code == 415


def test_datalab_has_the_default_view_only(datalab: Client) -> None:
    datalab.fake.put("f", b"x")
    for view, phase in ((DATA_VIEW, "ERROR"), (DEFAULT_VIEW, "EXECUTING")):
        answer = datalab.negotiate(with_view(datalab.transfer("f", "pullFromVoSpace"), view))
        job = answer.headers["Location"].removesuffix("/results/transferDetails")
        assert datalab.call("GET", f"{job}/phase").text == phase
        if phase == "ERROR":
            assert datalab.call("GET", f"{job}/error").text.startswith("ViewNotSupported")


def test_datalab_refuses_a_query_on_changes(datalab: Client) -> None:
    node = datalab.node("f")
    for method in ("PUT", "POST", "DELETE"):
        answer = datalab.call(method, "nodes/f?limit=0", data=node, headers=XML)
        assert answer.status_code == 400
    assert datalab.call("GET", "nodes?limit=0").status_code == 200


@pytest.mark.parametrize("personality", ["datalab", "spec"])
def test_delete_takes_the_children_along(make: MakeClient, personality: str) -> None:
    client = make(personality)
    client.fake.mkdir("d/e")
    client.fake.put("d/e/f", b"x")
    expected = 204 if personality == "spec" else 200
    assert client.call("DELETE", "nodes/d").status_code == expected
    assert client.children("") == []


def test_datalab_keeps_locks_without_heeding_them(datalab: Client) -> None:
    datalab.fake.mkdir("d")
    document = datalab.node("d", "ContainerNode", {LOCKED: "true"})
    assert datalab.call("POST", "nodes/d", data=document, headers=XML).status_code == 200
    assert datalab.properties("d")[LOCKED] == "true"
    assert datalab.call("PUT", "nodes/d/f", data=datalab.node("d/f"), headers=XML).ok


def test_datalab_has_moved_when_its_post_returns(datalab: Client) -> None:
    datalab.fake.put("a", b"x")
    document = datalab.transfer("a", datalab.uri("b"), keep=False)
    answer = datalab.negotiate(document, "transfers")
    assert (answer.status_code, datalab.fake.get("b")) == (302, b"x")
    job = answer.headers["Location"]
    assert datalab.call("GET", f"{job}/phase").text == "COMPLETED"
    assert datalab.call("POST", f"{job}/phase", data={"PHASE": "RUN"}).status_code == 302


def test_datalab_below_auth(make: MakeClient) -> None:
    client = make("datalab", tokens=["ann:secret"])
    answer = client.call("GET", "auth/nodes")
    assert answer.status_code == 401 and "WWW-Authenticate" in answer.headers
    assert client.call("GET", "nodes").status_code == 200
    client.session.auth = ("ann", "secret")
    answer = client.call("GET", "auth/nodes")
    assert (answer.status_code, answer.headers["X-VO-Authenticated"]) == (200, "ann")
    client.fake.put("f", b"x")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    document = client.transfer("f", "pullFromVoSpace")
    answer = client.call("POST", "auth/synctrans", data=document, headers=form)
    assert f"{client.url}/datalab/auth/transfers/" in answer.headers["Location"]
    assert b"endpoint" in client.call("GET", answer.headers["Location"]).content
    client.session.auth = ("ann", "wrong")
    assert client.call("GET", "auth/nodes").status_code == 401


@pytest.mark.parametrize(("personality", "status"), [("datalab", 201), ("vault", 403)])
def test_anonymous_writes_where_the_node_allows(
    make: MakeClient, personality: str, status: int
) -> None:
    client = make(personality, tokens=["ann:secret"])
    client.fake.mkdir("open/inner")
    client.fake.set_property("open", CORE + "ispublic", "true")
    client.fake.set_property("open", CORE + "groupwrite", "*")
    node = client.node("open/f")
    assert client.call("PUT", "nodes/open/f", data=node, headers=XML).status_code == status
    node = client.node("open/inner/f")
    assert client.call("PUT", "nodes/open/inner/f", data=node, headers=XML).status_code == 403
    if status == 201:
        assert client.upload("open/f", b"x").status_code == 201


def test_spec_does_not_follow_links_inside_a_path(spec: Client) -> None:
    spec.fake.mkdir("d")
    spec.fake.put("d/f", b"x")
    document = spec.node("l", "LinkNode", target=spec.uri("d"))
    assert spec.call("PUT", "nodes/l", data=document).status_code == 201
    for method, body in (("GET", b""), ("PUT", spec.node("l/g")), ("DELETE", b"")):
        answer = spec.call(method, "nodes/l/f" if method != "PUT" else "nodes/l/g", data=body)
        assert (answer.status_code, answer.text) == (400, f"LinkFound {spec.uri('l')}\n")
    assert spec.call("GET", "nodes/l").status_code == 200


def test_spec_refuses_read_only_properties(spec: Client) -> None:
    spec.fake.put("f", b"x")
    length = CORE + "length"
    for value, status in (("7", 403), ("1", 200)):  # to repeat what is there changes nothing
        document = spec.node("f", "DataNode", {length: value})
        assert spec.call("POST", "nodes/f", data=document).status_code == status


def test_spec_parameter_form(spec: Client) -> None:
    spec.fake.put("f", b"x")
    query = {
        "TARGET": spec.uri("f"),
        "DIRECTION": "pullFromVoSpace",
        "PROTOCOL": CORE + "httpsget",
    }
    answer = spec.call("GET", "synctrans", params=query)
    assert answer.status_code == 200
    url = etree.fromstring(answer.content).findtext(f".//{{{VOS}}}endpoint") or ""
    assert spec.call("GET", url).content == b"x"
    answer = spec.call("GET", "synctrans", params=query | {"REQUEST": "redirect"})
    assert spec.call("GET", answer.headers["Location"]).content == b"x"


def test_spec_says_what_it_knows(spec: Client, vault: Client) -> None:
    for name, known in (
        ("properties", CORE + "title"),
        ("views", "ivo://ivoa.net/vospace/core#defaultview"),
        ("protocols", CORE + "httpsput"),
    ):
        root = etree.fromstring(spec.call("GET", name).content)
        assert root.tag == f"{{{VOS}}}{name}"
        assert known in [one.get("uri") for one in root]
        assert spec.call("POST", name).status_code == 405
        assert vault.call("GET", name).status_code == 404
    assert {"properties", "views", "protocols"} <= offered(spec)


def test_passed_on_parameters(vault: Client) -> None:
    vault.fake.put("f", b"x")
    query = "FOO=1&FOO=2&BAR=%5B3%5D"
    location = vault.call("GET", f"files/f?{query}").headers["Location"]
    assert location.endswith(f"?{query}")
    sync = {"TARGET": vault.uri("f"), "DIRECTION": "pullFromVoSpace", "PROTOCOL": CORE + "httpsget"}
    location = vault.call("GET", "synctrans", params=sync | {"SUB": "[1]"}).headers["Location"]
    assert location.endswith("?SUB=%5B1%5D")


def phase_and_error(client: Client, document: bytes) -> tuple[str, str]:
    answer = client.call("POST", "synctrans", data=document)
    job = answer.headers["Location"].removesuffix("/results/transferDetails")
    return client.call("GET", f"{job}/phase").text, client.call("GET", f"{job}/error").text


def test_faults_of_a_negotiation(spec: Client, vault: Client) -> None:
    for client, pigeon, missing in (
        (spec, "ERROR", "NodeNotFound"),
        (vault, "EXECUTING", "target is not a data node"),
    ):
        client.fake.put("f", b"x")
        document = client.transfer("f", "pullFromVoSpace").replace(b"httpsget", b"pigeon")
        phase, error = phase_and_error(client, document)
        assert (phase, error.startswith("ProtocolNotSupported")) == (pigeon, pigeon == "ERROR")
        _, error = phase_and_error(client, client.transfer("none", "pullFromVoSpace"))
        assert error.startswith(missing)


def test_a_negotiated_job_names_its_results(both: Client) -> None:
    both.fake.put("f", b"x")
    answer = both.call("POST", "synctrans", data=both.transfer("f", "pullFromVoSpace"))
    results = answer.headers["Location"].removesuffix("/transferDetails")
    text = both.call("GET", results).text
    assert 'id="transferDetails"' in text and f'"{both.uri("f")}"' in text


def test_a_push_to_an_existing_node(spec: Client, vault: Client) -> None:
    title, public = CORE + "title", CORE + "ispublic"
    for client, kept in ((spec, False), (vault, True)):
        client.fake.put("f", b"old")
        client.fake.set_property("f", title, "t")
        client.fake.set_property("f", public, "true")
        assert client.upload("f", b"new").status_code == 201
        shown = client.properties("f")
        assert (title in shown, shown[public]) == (kept, "true")


def test_a_missing_container_in_a_path(spec: Client, vault: Client) -> None:
    for client, fault in ((spec, "ContainerNotFound"), (vault, "NodeNotFound")):
        for method in ("GET", "DELETE", "POST"):
            body = client.node("none/f") if method == "POST" else b""
            answer = client.call(method, "nodes/none/f", data=body)
            assert (answer.status_code, answer.text.startswith(fault)) == (404, True)
        assert client.call("GET", "nodes/none").text.startswith("NodeNotFound")


def test_fault_names_are_followed_by_white_space_to_the_letter(spec: Client) -> None:
    assert spec.call("GET", "nodes/none").text == f"NodeNotFound {spec.uri('none')}\n"


def test_spec_runs_a_job_at_its_post_on_request(spec: Client) -> None:
    spec.fake.put("a", b"x")
    document = spec.transfer("a", spec.uri("b"), keep=False)
    job = spec.call("POST", "transfers?PHASE=RUN", data=document).headers["Location"]
    assert spec.call("GET", f"{job}/phase").text == "COMPLETED"


@pytest.mark.parametrize("personality", ["datalab", "spec"])
def test_a_sibling_whose_name_begins_alike_is_no_descendant(
    make: MakeClient, personality: str
) -> None:
    client = make(personality)
    client.fake.mkdir("d")
    client.fake.mkdir("d2")
    client.move("d", "d2")
    assert client.children("d2") == ["d"]
    client.fake.mkdir("d3/e")
    client.move("d3", "d3/e")
    assert client.children("") == ["d2", "d3"]


def test_later_properties(spec: Client, vault: Client) -> None:
    for client, status in ((spec, 201), (vault, 400)):
        for word in ("btime", "ctime", "mtime", "publicread"):
            document = client.node(word, properties={CORE + word: "x"})
            assert client.call("PUT", f"nodes/{word}", data=document).status_code == status


def test_suffix_ranges(spec: Client, vault: Client) -> None:
    for client, expected in ((spec, b"789"), (vault, b"0123")):
        client.fake.put("f", b"0123456789")
        url = client.endpoints("f", "pullFromVoSpace")[0]
        answer = client.call("GET", url, headers={"Range": "bytes=-3"})
        assert (answer.status_code, answer.content) == (206, expected)
    url = spec.endpoints("f", "pullFromVoSpace")[0]
    whole = spec.call("GET", url, headers={"Range": "bytes=-99"})
    assert whole.headers["Content-Range"] == "bytes 0-9/10"
    assert spec.call("GET", url, headers={"Range": "bytes=-0"}).status_code == 416
