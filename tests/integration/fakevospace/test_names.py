"""Names: what may be in a URL and in a document, and how it comes back (protocol.md 9)."""

from __future__ import annotations

import http.client
import unicodedata
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakevospace.names import decode_path, encode_path

from .conftest import Client

# Rejected raw in a URI by java.net.URI, and what must be escaped to mean itself.
ILLEGAL = ' "<>\\^`{|}[]'
RAW = "+&;:,()'*!~$=@-_."


def raw(client: Client, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    """Send a request whose path no library has tidied up."""
    parts = urlsplit(client.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.putrequest(method, "/" + client.service + path, skip_host=False)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode()
    connection.close()
    return found


def made(client: Client, encoded: str) -> int:
    """Make a data node whose encoded name is the same in document and URL."""
    document = client.node("NAME").replace(b"NAME", encoded.replace("&", "&amp;").encode())
    return raw(client, "PUT", f"/nodes/{encoded}", document)[0]


@pytest.mark.parametrize("character", ILLEGAL)
def test_illegal_characters_are_refused_raw_and_kept_escaped(both: Client, character: str) -> None:
    document = both.node("NAME").replace(b"NAME", b"a" + xml(character) + b"b")
    status, text = raw(both, "PUT", "/nodes/x", document)
    assert (status, text.split(":")[0]) == (400, "InvalidArgument")
    assert made(both, f"a{quote(character)}b") == 201
    assert both.children("") == [f"a{quote(character)}b"]


def xml(text: str) -> bytes:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;").encode()


@pytest.mark.parametrize("escape", ["%", "%4", "%zz", "%%41"])
def test_escapes_that_are_none(both: Client, escape: str) -> None:
    document = both.node("NAME").replace(b"NAME", escape.encode())
    assert raw(both, "PUT", "/nodes/x", document)[0] == 400
    assert raw(both, "GET", f"/nodes/{escape}")[0] == 400


@pytest.mark.parametrize("character", RAW)
def test_what_stays_raw(both: Client, character: str) -> None:
    assert made(both, f"a{character}b") == 201
    assert both.children("") == [f"a{character}b"]
    assert raw(both, "GET", f"/nodes/a%{ord(character):02x}b")[0] == 200


@pytest.mark.parametrize(
    ("sent", "shown"),
    [("e\u0301", "%C3%A9"), ("\u00e9", "%C3%A9"), ("\u6f22", "%E6%BC%A2"),
     ("\U0001f680", "%F0%9F%9A%80"), ("\u2126", "%CE%A9")],
)  # fmt: skip
def test_other_letters_are_normalised_and_escaped(both: Client, sent: str, shown: str) -> None:
    document = both.node("NAME").replace(b"NAME", sent.encode())  # raw in XML, escaped in the URL
    assert raw(both, "PUT", f"/nodes/{quote(sent)}", document)[0] == 201
    assert both.children("") == [shown]
    assert raw(both, "GET", f"/nodes/{shown}")[0] == 200
    again = raw(both, "PUT", f"/nodes/{shown}", both.node("NAME").replace(b"NAME", shown.encode()))
    assert again[0] == 409  # both spellings are one name


def test_an_escaped_slash_is_a_separator(both: Client) -> None:
    both.fake.mkdir("a")
    assert made(both, "a%2Fb") == 201
    assert both.children("a") == ["b"]
    assert raw(both, "GET", "/nodes/a%2fb")[0] == 200


def test_slashes_at_the_end_and_doubled(both: Client) -> None:
    both.fake.mkdir("a")
    document = both.node("a/b/", "ContainerNode")
    assert raw(both, "PUT", "/nodes/a/b/", document)[0] == 201
    assert raw(both, "GET", "/nodes//a//b/")[0] == 200
    assert raw(both, "GET", "/nodes/")[0] == raw(both, "GET", "/nodes")[0] == 200


@pytest.mark.parametrize("authority", ["cadc.nrc.ca~", "cadc.nrc.ca!"])
def test_tilde_and_bang_are_the_same(both: Client, authority: str) -> None:
    document = both.node("f").replace(b"cadc.nrc.ca~", authority.encode())
    assert raw(both, "PUT", "/nodes/f", document)[0] == 201
    uri = f"vos://{authority}{both.service}/f"
    both.fake.put("f", b"x")
    query = {"TARGET": uri, "DIRECTION": "pullFromVoSpace",
             "PROTOCOL": "ivo://ivoa.net/vospace/core#httpsget"}  # fmt: skip
    assert both.call("GET", "synctrans", params=query).status_code == 303


def test_a_fragment_and_a_query_are_cut_off(both: Client) -> None:
    for number, tail in enumerate(("#x", "?x=y")):
        document = both.node("NAME").replace(b"NAME", f"f{number}{tail}".encode())
        assert raw(both, "PUT", f"/nodes/f{number}", document)[0] == 201
    assert both.children("") == ["f0", "f1"]


@pytest.mark.parametrize(
    "path", ["..", "../x", "%2e%2e", "%2E%2e/x", "a/../b", "a/%2e%2e%2fb", "a%2F..%2Fb", "./x"]
)
def test_traversal_is_refused_everywhere(both: Client, path: str) -> None:
    both.fake.mkdir("a")
    for resource in ("nodes", "files"):
        assert raw(both, "GET", f"/{resource}/{path}")[0] == 400
    document = both.node("NAME").replace(b"NAME", path.encode())
    assert raw(both, "PUT", "/nodes/x", document)[0] == 400
    answer = both.call("POST", "synctrans", data=both.transfer("NAME", "pushToVoSpace").replace(
        b"NAME", path.encode()))  # fmt: skip
    job = answer.headers["Location"].removesuffix("/results/transferDetails")
    assert both.call("GET", f"{job}/error").text.startswith("InvalidArgument: invalid node uri")
    assert both.children("") == ["a"]


@pytest.mark.parametrize("path", ["caf\xe9", "\u6f22"])
def test_bytes_that_are_not_ascii_are_refused_in_a_url(both: Client, path: str) -> None:
    parts = urlsplit(both.url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.connect()
    head = f"GET /{both.service}/nodes/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    connection.sock.sendall(head.encode())
    answer = connection.sock.makefile("rb").readline()
    connection.close()
    assert b" 400 " in answer


@pytest.mark.parametrize(
    "name", ["a#b", "100%", "a?b", "x [1]", "\u00fcber", "a+b", "it's", "~", "!"]
)
def test_bytes_of_files_with_such_names(both: Client, name: str) -> None:
    if both.service == "arc" and {"#", "?"} & set(name):
        # The byte URLs of cavern hold the path as it is: clients cut such names off (5.6).
        assert name in both.endpoints(name, "pushToVoSpace")[0]
        return
    assert both.upload(name, name.encode()).status_code == 201
    assert both.fake.get(name) == name.encode()
    answer = both.call("GET", f"files/{quote(name)}")
    if answer.is_redirect:
        answer = both.call("GET", answer.headers["Location"])
    assert answer.content == name.encode()
    both.move(name, "moved")
    assert both.fake.get("moved") == name.encode()
    assert both.call("DELETE", "nodes/moved").status_code == 200


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0/"), min_size=1, max_size=8
).filter(lambda name: name not in (".", ".."))


@given(NAMES)
def test_every_name_comes_back_the_same(name: str) -> None:
    encoded = encode_path(name)
    assert encoded.isascii() and unquote(encoded) == name
    normal = unicodedata.normalize("NFC", name)
    assert decode_path(encoded) == normal == decode_path(encode_path(normal))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(name=NAMES)
def test_every_name_can_be_made_and_found(vault: Client, name: str) -> None:
    normal = unicodedata.normalize("NFC", name)
    vault.fake.put(name, b"x")
    assert vault.children("") == [encode_path(normal)]
    assert raw(vault, "GET", f"/nodes/{quote(name, safe='')}")[0] == 200
    assert raw(vault, "DELETE", f"/nodes/{quote(normal, safe='')}")[0] == 200
