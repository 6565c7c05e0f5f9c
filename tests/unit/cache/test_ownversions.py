"""R13: what we stored is remembered by path, also across renames and restarts."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from tests.unit.cache.conftest import Parts
from vofs.cache.ownversions import OwnVersions
from vofs.core.nodes import LENGTH, MD5, NodeInfo, NodeKind, VersionToken

OURS, OTHERS = VersionToken(9000, "a" * 32), VersionToken(100, "b" * 32)
EMPTY = VersionToken(0)


@pytest.fixture
def own(parts: Parts) -> OwnVersions:
    return OwnVersions(parts.index, parts.clock)


def listed(own: OwnVersions, path: str, version: VersionToken = EMPTY) -> int:
    """The length that is shown of a node that a listing shows as `version`."""
    properties = {LENGTH: str(version.length)}
    if version.md5 is not None:
        properties[MD5] = version.md5
    node = NodeInfo(path, NodeKind.DATA, MappingProxyType(properties))
    return own.corrected(node, listed=True).length


def moved(
    parts: Parts, own: OwnVersions, source: str, destination: str, over: VersionToken | None = None
) -> None:
    with parts.index.transaction() as connection:
        own.write_moved(connection, source, destination, over)
    own.moved(source, destination, over)


@pytest.mark.parametrize("restarted", [False, True])
def test_r13_a_move_takes_the_memories_at_and_below_its_source(
    parts: Parts, own: OwnVersions, restarted: bool
) -> None:
    for path in ("/d", "/d/x", "/d/y/z", "/d.b", "/d0", "/other"):
        own.stored(path, None, OURS)
    moved(parts, own, "/d", "/e")
    if restarted:
        own = OwnVersions(parts.index, parts.clock)
    for path in ("/e", "/e/x", "/e/y/z", "/d.b", "/d0", "/other"):
        assert listed(own, path) == 9000
    for path in ("/d", "/d/x", "/d/y/z"):
        assert listed(own, path) == 0


@pytest.mark.parametrize("restarted", [False, True])
def test_r13_what_made_room_is_forgotten_where_it_was(
    parts: Parts, own: OwnVersions, restarted: bool
) -> None:
    """Another node has its name: what is remembered of the old one says nothing of that."""
    own.stored("/e", None, OURS)
    own.stored("/e/x", None, OURS)
    moved(parts, own, "/d", "/e")
    if restarted:
        own = OwnVersions(parts.index, parts.clock)
    assert listed(own, "/e") == 0
    assert listed(own, "/e/x") == 0


@pytest.mark.parametrize("restarted", [False, True])
def test_r13_what_made_room_is_lag_where_ours_is_now(
    parts: Parts, own: OwnVersions, restarted: bool
) -> None:
    own.stored("/tmp", None, OURS)
    moved(parts, own, "/tmp", "/f", OTHERS)
    if restarted:
        own = OwnVersions(parts.index, parts.clock)
    assert listed(own, "/f", OTHERS) == 9000


def test_r13_a_transaction_that_fails_has_moved_nothing(parts: Parts, own: OwnVersions) -> None:
    own.stored("/f", None, OURS)
    with pytest.raises(KeyError), parts.index.transaction() as connection:
        own.write_moved(connection, "/f", "/g")
        raise KeyError
    again = OwnVersions(parts.index, parts.clock)
    for memory in (own, again):
        assert listed(memory, "/f") == 9000
        assert listed(memory, "/g") == 0


def test_r13_a_move_in_doubt_leaves_the_memories_at_both_names(
    parts: Parts, own: OwnVersions
) -> None:
    own.stored("/d/x", None, OURS)
    own.moving("/d", "/e")
    assert listed(own, "/d/x") == listed(own, "/e/x") == 9000
    assert listed(own, "/e/x", OTHERS) == 100  # somebody's: that says nothing of the old name
    assert listed(own, "/d/x") == listed(own, "/e/x") == 9000
    own.settled("/e")
    assert listed(own, "/d/x") == 9000
    assert listed(own, "/e/x") == 0


def test_r13_a_move_in_doubt_hides_nothing_of_what_is_known_at_its_end(
    parts: Parts, own: OwnVersions
) -> None:
    own.stored("/d", None, OURS)
    own.stored("/e", None, OTHERS)
    own.moving("/d", "/e")
    assert listed(own, "/e") == 100
    moved(parts, own, "/d", "/e")
    assert listed(own, "/e") == 9000
    assert listed(own, "/d") == 0
