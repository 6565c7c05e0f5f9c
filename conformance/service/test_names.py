"""Names: what may be one, and how it is written in URLs, documents and listings.

VOSpace 2.1, sections 2 and 3.1 (URIs are encoded according to RFC 3986); protocol.md 9 (the rules
of java.net.URI, and Unicode's NFC).
"""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

import pytest

from conformance.expect import expect_status, sample
from conformance.wire import Service, node_document
from conformance.wire.terms import CONTAINER, DATA

NAMES = {
    "space": "two words",
    "hash": "a#b",
    "question": "a?b=c",
    "percent": "100%",
    "percent-41": "%41",
    "plus": "a+b",
    "ampersand": "a&b=c;d",
    "tilde": "~a~",
    "exclamation": "!a!",
    "comma-colon-at": "a,b:c@d",
    "equals-dollar": "a=b$c",
    "parentheses": "a(1)*'b'",
    "brackets": "a[1]",
    "quotes": 'a"b',
    "angle": "a<b>",
    "backslash": "a\\b",
    "braces": "a{b}|c^d`",
    "dots": "...",
    "leading-dot": ".hidden",
    "leading-dash": "-rf",
    "latin": "é",
    "greek": "αβγ",
    "cjk": "天文台",
    "emoji": "☃🔭",
    "right-to-left": "שלום",
    "preauth": "preauth:x",
    "nodes": "nodes",
    "xfer": "xfer",
    "long": "x" * 200,
    "upper-and-lower": "ABCabc",
}


def check_name(service: Service, container: str, name: str) -> None:
    """A container and a data node of this name: made, listed, read, moved bytes, deleted."""
    path = f"{container}/{name}"
    expect_status(service.nodes.put(path), 201)
    assert service.nodes.read(path).name == name
    assert service.nodes.read(container).children == (name,)
    inner = f"{path}/{name}"
    expect_status(service.transfers.push(inner, sample(400)), 200, 201)
    assert service.pull(inner).content == sample(400)
    # A URI that the service wrote is one that it takes back.
    uri = service.nodes.read(path).nodes[0].uri
    document = node_document(uri, DATA, {"urn:mine": "x"})
    expect_status(service.nodes.post(inner, document=document), 200)
    expect_status(service.nodes.delete(inner), 200, 204)
    expect_status(service.nodes.delete(path), 200, 204)
    assert service.nodes.read(container).children == ()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name,
            id=word,
            marks=pytest.mark.clause(
                f"VOS-2-name-{word}", source="VOSpace 2.1 §2, §3.1: encoded according to RFC 3986"
            ),
        )
        for word, name in NAMES.items()
    ],
)
def test_a_name(service: Service, container: str, name: str) -> None:
    check_name(service, container, name)


@pytest.mark.clause("VOS-2-case-matters", source="RFC 3986 §6.2.2.1: paths are case-sensitive")
def test_names_differ_by_case(service: Service, container: str) -> None:
    for name in ("a", "A"):
        service.make(f"{container}/{name}")
    assert sorted(service.nodes.read(container).children) == ["A", "a"]


@pytest.mark.clause(
    "VOS-2-escapes-equivalent",
    source="RFC 3986 §2.3, §6.2.2.2: an escaped unreserved character is that character",
)
def test_escapes_of_unreserved_characters(service: Service, container: str) -> None:
    service.make(f"{container}/ab-c")
    url = service.nodes.url(container)
    for written in ("%61b-c", "%61%62%2D%63", "%61%62%2d%63"):
        expect_status(service.connection.send("GET", f"{url}/{written}"), 200)


@pytest.mark.clause(
    "VOS-CADC-nfc", source="protocol.md 9: names are NFC-normalised: e + U+0301 comes back as é"
)
def test_names_are_composed(service: Service, container: str) -> None:
    decomposed = unicodedata.normalize("NFD", "é-ö")
    expect_status(service.nodes.put(f"{container}/{decomposed}"), 201)
    assert service.nodes.read(container).children == ("é-ö",)
    assert service.nodes.exists(f"{container}/é-ö")
    assert service.nodes.exists(f"{container}/{decomposed}")
    expect_status(service.nodes.put(f"{container}/é-ö"), 409)


@pytest.mark.clause(
    "VOS-CADC-escaped-slash", source="protocol.md 9: %2F in a name decodes to a separator"
)
@pytest.mark.needs("coreKeysChecked")
def test_an_escaped_slash_is_a_separator(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    service.make(f"{container}/a/b")
    url = f"{service.nodes.url(container)}/a%2Fb"
    answer = service.connection.send("GET", url)
    # Front ends refuse it as well (400, 404); a node of the name "a/b" there can never be.
    expect_status(answer, 200, 400, 404)
    assert service.nodes.read(container).children == ("a",)


@pytest.mark.clause(
    "VOS-2-no-traversal", source="RFC 3986 §5.2.4: . and .. are no names; none leads out of a space"
)
def test_dots_lead_nowhere(service: Service, container: str) -> None:
    service.make(f"{container}/a")
    url = service.nodes.url(container)
    for written in ("a/%2e%2e/%2e%2e", "%2e%2e/%2e%2e/%2e%2e/etc", "a/..%2f..", "%2e"):
        answer = service.connection.send("PUT", f"{url}/{written}", data=b"<x/>")
        assert 400 <= answer.status_code < 500, (written, answer.status_code)
    for dots in (".", ".."):
        document = node_document(f"{service.nodes.uri(container)}/{dots}", CONTAINER)
        answer = service.nodes.put(f"{container}/x", document=document)
        expect_status(answer, 400)
    assert service.nodes.read(container).children == ("a",)


@pytest.mark.clause(
    "VOS-CADC-raw-characters",
    source="protocol.md 9: characters that java.net.URI refuses raw are 400 in a document",
)
@pytest.mark.needs("coreKeysChecked")
def test_illegal_characters_in_a_document(service: Service, container: str) -> None:
    for character in ' "<>\\^`{|}[]':
        name = f"a{character}b"
        document = node_document(f"{service.nodes.uri(container)}/{name}", CONTAINER)
        expect_status(service.nodes.put(f"{container}/{name}", document=document), 400)
    document = node_document(f"{service.nodes.uri(container)}/a%zz", CONTAINER)
    expect_status(service.nodes.put(f"{container}/a%zz", document=document), 400)
    assert service.nodes.read(container).children == ()


@pytest.mark.clause(
    "VOS-CADC-emitted-raw",
    source="protocol.md 9: + & ; : , ( ) ' * ! ~ $ = @ are emitted raw, all others escaped",
)
@pytest.mark.needs("coreKeysChecked")
def test_how_a_name_is_written(service: Service, container: str) -> None:
    raw = "+&;:,()'*!~$=@"
    service.make(f"{container}/{raw}")
    service.make(f"{container}/é %#?[")
    uris = sorted(node.uri.rpartition("/")[2] for node in service.nodes.read(container).nodes)
    assert uris == sorted([raw, quote("é %#?[")])


@pytest.mark.clause(
    "VOS-2-invalid-utf8", source="RFC 3986 §2.5: escapes that are no UTF-8 are refused, not guessed"
)
def test_escapes_that_are_no_utf8(service: Service, container: str) -> None:
    answer = service.connection.send("GET", f"{service.nodes.url(container)}/%ff%fe")
    expect_status(answer, 400, 404)


@pytest.mark.clause(
    "VOS-6.3.1-order-of-names", source="VOSpace 2.1 §6.3.1: one order for all pages, of any names"
)
@pytest.mark.needs("paginationSupported")
def test_pages_of_awkward_names(service: Service, container: str) -> None:
    names = ["B", "a", "b c", "é", "☃", "~", "%41", "10", "9"]
    for name in names:
        service.make(f"{container}/{name}")
    everything = service.nodes.read(container).children
    assert sorted(everything) == sorted(names)
    seen = list(service.nodes.read(container, limit=2).children)
    while True:
        uri = service.nodes.uri(f"{container}/{seen[-1]}")
        page = service.nodes.read(container, uri=uri, limit=3).children
        if len(page) == 1:
            break
        seen += page[1:]
    assert tuple(seen) == everything
