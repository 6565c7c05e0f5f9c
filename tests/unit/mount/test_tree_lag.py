"""R11, R13: names and attributes of a service whose listings lag behind the bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.trees import TTL, Place
from vofs.core.nodes import VersionToken

ONE, OTHER = "1" * 32, "2" * 32
NEVER = float("-inf")


@pytest.fixture
def lagging(tmp_path: Path) -> Iterator[Place]:
    """A service whose listings lag."""
    found = Place(tmp_path, lags=True)
    yield found
    found.close()


def listed_in(place: Place, size: int, md5: str | None) -> None:
    place.remote.add("/f", size, md5)
    assert place.names("/") == ["f"]
    place.asked()


@pytest.mark.parametrize(("size", "md5"), [(0, None), (0, ONE), (5, None)])
def test_r13_a_version_that_proves_nothing_is_asked_for_once(
    lagging: Place, size: int, md5: str | None
) -> None:
    listed_in(lagging, size, md5)
    lagging.remote.add("/f", 9, OTHER)
    assert lagging.tree.lookup("/f").length == size
    assert lagging.asked() == []
    assert lagging.tree.lookup_version("/f").length == 9
    assert lagging.tree.lookup_version("/f").length == 9
    assert lagging.asked() == ["get /f"]


def test_r13_files_that_come_ahead_are_asked_for_as_well(lagging: Place) -> None:
    listed_in(lagging, 5, None)
    lagging.remote.add("/f", 9, OTHER)
    found = lagging.tree.found_again("/f")
    assert found is not None
    assert found.length == 9


def test_r12_a_version_that_its_bytes_will_prove_is_not_asked_for(lagging: Place) -> None:
    listed_in(lagging, 5, ONE)
    assert lagging.tree.lookup_version("/f").length == 5
    assert lagging.asked() == []


@pytest.mark.parametrize(("md5", "asked"), [(ONE, []), (OTHER, ["get /f"])])
def test_r13_a_version_other_than_the_cached_one_is_asked_for(
    lagging: Place, md5: str, asked: list[str]
) -> None:
    """Also when the cached file is not in memory."""
    lagging.table.release(lagging.table.acquire("/f", VersionToken(5, ONE), 1))
    listed_in(lagging, 5, md5)
    lagging.tree.lookup_version("/f")
    assert lagging.asked() == asked


def test_r11_a_listing_that_lags_confirms_nothing(lagging: Place) -> None:
    listed_in(lagging, 5, ONE)
    assert lagging.tree.seen_at("/f") == NEVER
    assert lagging.tree.known_version("/f") is None
    lagging.tree.confirmed("/f", VersionToken(5, OTHER), 3.0)
    assert lagging.tree.seen_at("/f") == NEVER
    lagging.tree.confirmed("/f", VersionToken(5, ONE), 3.0)
    assert lagging.tree.seen_at("/f") == 3.0
    assert lagging.tree.known_version("/f") == VersionToken(5, ONE)


def test_r11_a_listing_that_lags_takes_no_confirmation_away(lagging: Place) -> None:
    listed_in(lagging, 5, ONE)
    lagging.tree.confirmed("/f", VersionToken(5, ONE), 3.0)
    lagging.clock.advance(TTL)
    listed_in(lagging, 5, ONE)
    assert lagging.tree.seen_at("/f") == 3.0
    lagging.clock.advance(TTL)
    listed_in(lagging, 5, OTHER)
    assert lagging.tree.seen_at("/f") == NEVER


def test_r11_what_a_node_itself_says_is_a_confirmation(lagging: Place) -> None:
    lagging.remote.add("/f", 5, ONE)
    lagging.tree.lookup("/f")
    assert lagging.tree.seen_at("/f") == lagging.clock.monotonic()


def test_r11_containers_are_listed_as_they_are(lagging: Place) -> None:
    lagging.remote.add("/d", None)
    assert lagging.names("/") == ["d"]
    assert lagging.tree.seen_at("/d") == lagging.clock.monotonic()


@pytest.mark.parametrize("lags", [False, True])
def test_r11_a_rename_confirms_nothing_anew(tmp_path: Path, lags: bool) -> None:
    place = Place(tmp_path, lags=lags)
    listed_in(place, 5, ONE)
    at = place.tree.seen_at("/f")
    place.clock.advance(3.0)
    place.tree.moved("/f", "/g")
    assert place.tree.lookup("/g").path == "/g"
    assert place.tree.seen_at("/g") == at
    assert place.asked() == []
    place.close()
