"""Names and URIs, example by example (core/uris.py); tests/models has the round trips."""

from __future__ import annotations

import pytest

from vofs.core import uris
from vofs.core.errors import InvalidName, NameTooLong, UsageError
from vofs.core.uris import ServiceUri, parse_vospace

VAULT = ServiceUri("cadc.nrc.ca~vault", "ivo://cadc.nrc.ca/vault")


@pytest.mark.parametrize(
    ("text", "authority", "resource_id", "root"),
    [
        ("vault:", "cadc.nrc.ca~vault", "ivo://cadc.nrc.ca/vault", "/"),
        ("vault:a/b", "cadc.nrc.ca~vault", "ivo://cadc.nrc.ca/vault", "/a/b"),
        ("vos:/a/b/", "cadc.nrc.ca~vault", "ivo://cadc.nrc.ca/vault", "/a/b"),
        ("arc:home/me", "cadc.nrc.ca~arc", "ivo://cadc.nrc.ca/arc", "/home/me"),
        ("vault:a b%20#?", "cadc.nrc.ca~vault", "ivo://cadc.nrc.ca/vault", "/a b%20#?"),
        ("vos://cadc.nrc.ca~vault", "cadc.nrc.ca~vault", "ivo://cadc.nrc.ca/vault", "/"),
        ("vos://cadc.nrc.ca!arc/a%20b", "cadc.nrc.ca~arc", "ivo://cadc.nrc.ca/arc", "/a b"),
        ("vos://x.org~a~b/c", "x.org~a~b", "ivo://x.org/a~b", "/c"),
        ("vos://x.org~s/e%CC%81", "x.org~s", "ivo://x.org/s", "/\u00e9"),
    ],
)
def test_what_users_call_a_vospace(text: str, authority: str, resource_id: str, root: str) -> None:
    assert parse_vospace(text) == ServiceUri(authority, resource_id, root)


def test_a_local_deployment_moves_short_names_to_opencadc() -> None:
    """protocol.md 1.5: LOCAL_VOSPACE_WEBSERVICE."""
    local = parse_vospace("arc:x", local_deployment=True)
    assert local.resource_id == "ivo://opencadc.org/arc"
    full = parse_vospace("vos://cadc.nrc.ca~arc/x", local_deployment=True)
    assert full.resource_id == "ivo://cadc.nrc.ca/arc"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/srv/x",
        "vault",
        "http://host/x",
        "vos://",
        "vos://noservice/x",
        "vos://a~b/x?y",
        "vos://a~b/x#y",
        "vos://a~b/100%",
        "vos://a~b/%FF",
        "vos://a~b/x%2Fy",
        "vos://a~b/x/../y",
        "vault:a/../b",
        "vault:a\0b",
        ":x",
    ],
)
def test_nonsense_is_a_usage_error_of_one_helpful_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_vospace(text)
    message = str(caught.value)
    assert "\n" not in message
    assert "vault:dir" in message


@pytest.mark.parametrize(
    ("path", "tail"),
    [
        ("/", ""),
        ("/a b", "/a%20b"),
        ("/h#x?y%z", "/h%23x%3Fy%25z"),
        ("/[x]", "/%5Bx%5D"),
        ('/"<>\\^`{|}', "/%22%3C%3E%5C%5E%60%7B%7C%7D"),
        ("/+&;:,()'*!~$=@-_.x", "/+&;:,()'*!~$=@-_.x"),
        ("/e\u0301", "/%C3%A9"),
        ("/\u96ea/\u2603", "/%E9%9B%AA/%E2%98%83"),
    ],
)
def test_encoding_follows_javas_uri(path: str, tail: str) -> None:
    """protocol.md section 9."""
    assert uris.node_uri(VAULT, path) == "vos://cadc.nrc.ca~vault" + tail


def test_urls_also_hide_what_servlets_would_cut_or_decode() -> None:
    assert uris.url_path("/a;b+c") == "/a%3Bb%2Bc"
    assert uris.url_path("/") == ""


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("vos://a~b/c", "vos://a!b/c/", True),
        ("vos://a~b/c%20d", "vos://a~b/c d", True),
        ("vos://a~b", "vos://a!b/", True),
        ("vos://a~b/c", "vos://a~b/C", False),
        ("vos://a~b/c", "vos://a~x/c", False),
        ("http://x/y", "http://x/y/", True),
        ("vos://a~b/%2F", "vos://a!b/%2F/", True),
    ],
)
def test_same_uri(one: str, other: str, same: bool) -> None:
    assert uris.same_uri(one, other) is same


def test_path_in_service_knows_its_own() -> None:
    assert uris.path_in_service(VAULT, "vos://cadc.nrc.ca!vault/a%20b") == "/a b"
    assert uris.path_in_service(VAULT, "vos://cadc.nrc.ca~arc/a") is None
    assert uris.path_in_service(VAULT, "https://cadc.nrc.ca/a") is None
    assert uris.path_in_service(VAULT, "vos://cadc.nrc.ca~vault/a%2Fb") is None


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "\udcff"])
def test_names_that_nothing_can_hold(name: str) -> None:
    with pytest.raises(InvalidName):
        uris.check_name(name)


def test_names_of_256_bytes_are_too_long() -> None:
    assert uris.check_name("x" * 255) == "x" * 255
    with pytest.raises(NameTooLong):
        uris.check_name("\u00e9" * 128)
    with pytest.raises(NameTooLong):  # NFC makes this one longer: U+0958 decomposes for good
        uris.check_name("\u0958" * 84)


def test_join_parent_name_and_child() -> None:
    assert uris.join("/", "/a/") == "/a"
    assert uris.join("/r/s", "/") == "/r/s"
    assert uris.join("/r/s", "/a/b") == "/r/s/a/b"
    assert uris.join("/", "/") == "/"
    assert (uris.parent_of("/a/b"), uris.parent_of("/a"), uris.parent_of("/")) == ("/a", "/", "/")
    assert (uris.name_of("/a/b"), uris.name_of("/")) == ("b", "")
    assert uris.child_path("/", "a") == "/a"
    assert uris.child_path("/a", "b") == "/a/b"


def test_renames_replace_prefixes_at_names_only() -> None:
    assert uris.is_below("/a/b", "/a")
    assert uris.is_below("/a", "/a")
    assert uris.is_below("/a", "/")
    assert not uris.is_below("/ab", "/a")
    assert uris.replace_prefix("/a/b/c", "/a/b", "/x") == "/x/c"
    assert uris.replace_prefix("/a/b", "/a/b", "/x") == "/x"
    with pytest.raises(ValueError, match="not below"):
        uris.replace_prefix("/ab", "/a", "/x")
