"""Models of core/uris.py: every legal name survives every way it travels."""

from __future__ import annotations

import unicodedata

from hypothesis import assume, given
from hypothesis import strategies as st

from vofs.core import uris
from vofs.core.uris import ServiceUri, parse_vospace

# Every code point but surrogates, "/" and NUL; the awkward ones more often than chance would.
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0") | st.sampled_from(
    " %#?[]{}|^`\"<>\\+&;:,()'*!~$=@.\u0301\u00e9\u2603\n"
)
NAMES = (
    st.text(_CHARACTERS, min_size=1, max_size=60)
    .filter(lambda name: name not in (".", ".."))
    .filter(lambda name: len(unicodedata.normalize("NFC", name).encode()) <= 255)
    .filter(lambda name: len(name.encode()) <= 255)
)
PATHS = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))
SERVICES = st.sampled_from(
    [
        ServiceUri("cadc.nrc.ca~vault", "ivo://cadc.nrc.ca/vault"),
        ServiceUri("x.org~a~b", "ivo://x.org/a~b"),
    ]
)


@given(SERVICES, PATHS, st.sampled_from("~!"))
def test_a_path_survives_its_uri(service: ServiceUri, path: str, separator: str) -> None:
    normal = uris.normalise_path(path)
    uri = uris.node_uri(service, normal).replace("~", separator, 1)
    assert uris.path_of_uri(uri) == normal
    assert uris.path_in_service(service, uri) == normal
    assert parse_vospace(uri) == ServiceUri(service.authority, service.resource_id, normal)
    assert uris.same_uri(uri, uris.node_uri(service, normal) + "/")


@given(SERVICES, PATHS)
def test_a_uri_holds_only_what_java_accepts(service: ServiceUri, path: str) -> None:
    uri = uris.node_uri(service, path)
    assert uri.isascii()
    assert not set(uri) & set(' "<>\\^`{|}[]#?\n')
    assert set(uris.url_path(path)).isdisjoint(" ;+?#")


@given(PATHS)
def test_normal_paths_stay_normal(path: str) -> None:
    normal = uris.normalise_path(path)
    assert uris.normalise_path(normal) == normal
    assert uris.join("/", path) == normal


@given(PATHS, NAMES)
def test_a_child_has_its_parent_and_its_name(path: str, name: str) -> None:
    parent = uris.normalise_path(path)
    child = uris.child_path(parent, name)
    assert uris.parent_of(child) == parent
    assert uris.name_of(child) == unicodedata.normalize("NFC", name)
    assert uris.is_below(child, parent)


@given(PATHS, PATHS, PATHS)
def test_a_rename_is_undone_by_its_inverse(old: str, new: str, rest: str) -> None:
    assume("/" not in (old, new))
    old, new = uris.normalise_path(old), uris.normalise_path(new)
    path = old if rest == "/" else old + uris.normalise_path(rest)
    moved = uris.replace_prefix(path, old, new)
    assert uris.is_below(moved, new)
    assert uris.replace_prefix(moved, new, old) == path


@given(PATHS)
def test_short_names_take_paths_as_ls_shows_them(path: str) -> None:
    assume(not path.startswith("//"))
    assert parse_vospace(f"vault:{path}").root == uris.normalise_path(path)
