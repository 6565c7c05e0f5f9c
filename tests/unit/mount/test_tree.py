"""Names and attributes: what is believed, for how long, and what is never asked twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sessions import Background, HeldAt, together
from tests.support.trees import NEGATIVE_TTL, TTL, Place
from vofs.core.errors import NodeNotFound, NotAContainer, RemoteUnavailable
from vofs.core.nodes import NodeInfo, NodeKind


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    yield found
    found.close()


def test_a_node_is_believed_for_its_time_to_live(place: Place) -> None:
    place.remote.add("/f", 5)
    assert place.tree.lookup("/f").length == 5
    place.remote.add("/f", 6)
    place.clock.advance(TTL - 0.1)
    assert place.tree.lookup("/f").length == 5
    place.clock.advance(0.1)
    assert place.tree.lookup("/f").length == 6
    assert place.asked() == ["get /f", "get /f"]


def test_what_is_missing_stays_missing_for_a_while(place: Place) -> None:
    for _ in range(2):
        with pytest.raises(NodeNotFound):
            place.tree.lookup("/f")
    assert place.asked() == ["get /f"]
    place.remote.add("/f", 5)
    place.clock.advance(NEGATIVE_TTL)
    assert place.tree.lookup("/f").length == 5


def test_a_fresh_listing_answers_for_all_names(place: Place) -> None:
    place.remote.add("/f", 5)
    assert place.names("/") == ["f"]
    place.asked()
    assert place.tree.lookup("/f").length == 5
    with pytest.raises(NodeNotFound):
        place.tree.lookup("/g")
    assert place.names("/") == ["f"]
    assert place.asked() == []
    place.clock.advance(NEGATIVE_TTL)
    with pytest.raises(NodeNotFound):
        place.tree.lookup("/g")
    assert place.asked() == ["get /g"]


def test_looking_at_every_entry_is_never_a_request_for_each(place: Place) -> None:
    """targets.md 1: `ls -l` that takes longer than the listing is believed lists once more."""
    for number in range(20):
        place.remote.add(f"/f{number}", number)
    place.names("/")
    for number in range(20):
        if number % 10 == 5:
            place.clock.advance(TTL)
        assert place.tree.lookup(f"/f{number}").length == number
    repeated = [f"get /f{number}" for number in (5, 6, 7)] + ["list /"]
    assert place.asked()[-8:] == repeated + [f"get /f{number}" for number in (15, 16, 17)] + [
        "list /"
    ]


def test_nodes_that_changed_are_asked_for_one_by_one_while_the_listing_is_believed(
    place: Place,
) -> None:
    for number in range(20):
        place.remote.add(f"/f{number}", number)
    place.names("/")
    place.asked()
    for number in range(20):
        place.tree.appeared(f"/f{number}")
        assert place.tree.lookup(f"/f{number}").length == number
    assert place.asked() == [f"get /f{number}" for number in range(20)]


def test_a_container_that_cannot_be_listed_again_does_not_hide_its_nodes(place: Place) -> None:
    for number in range(5):
        place.remote.add(f"/f{number}", number)
    place.names("/")
    place.clock.advance(TTL)
    for number in range(4):
        place.tree.lookup(f"/f{number}")
    place.clock.advance(TTL)
    place.asked()
    place.remote.unlisted = True
    for number in range(5):
        assert place.tree.lookup(f"/f{number}").length == number
    assert [question for question in place.asked() if question != "list /"] == [
        f"get /f{number}" for number in range(5)
    ]


def test_one_listing_for_all_who_want_it(place: Place) -> None:
    """Single flight."""
    place.remote.add("/f", 5)
    place.tree.lookup("/")
    place.asked()
    results: list[list[str]] = []
    assert together(*[lambda: results.append(place.names("/"))] * 6) == [None] * 6
    assert results == [["f"]] * 6
    assert place.asked() == ["list /"]


def test_a_listing_that_fails_changes_nothing_and_lets_others_try(place: Place) -> None:
    """R16."""
    place.remote.add("/f", 5)
    place.names("/")
    place.clock.advance(TTL)
    place.tree.lookup("/")
    place.remote.failure = RemoteUnavailable("down")
    errors = together(*[lambda: place.names("/")] * 3)
    assert all(isinstance(error, RemoteUnavailable) for error in errors)
    place.remote.failure = None
    assert place.names("/") == ["f"]


def test_a_file_is_no_container(place: Place) -> None:
    place.remote.add("/f", 5)
    with pytest.raises(NotAContainer):
        place.tree.children("/f")


def test_own_changes_are_seen_at_once(place: Place) -> None:
    place.remote.add("/f", 5)
    place.names("/")
    place.tree.added(NodeInfo("/d", NodeKind.CONTAINER))
    place.tree.removed("/f")
    assert place.names("/") == ["d"]
    with pytest.raises(NodeNotFound):
        place.tree.lookup("/f")
    assert place.tree.lookup("/d").kind is NodeKind.CONTAINER


def test_what_is_below_a_removed_container_is_forgotten(place: Place) -> None:
    for path, size in (("/d", None), ("/d/f", 5), ("/de", 6)):
        place.remote.add(path, size)
    place.names("/d")
    place.tree.lookup("/de")
    place.tree.removed("/d")
    place.asked()
    place.remote.nodes.pop("/d/f")
    with pytest.raises(NodeNotFound):
        place.tree.lookup("/d/f")
    assert place.tree.lookup("/de").length == 6
    assert place.asked() == ["get /d/f"]


def test_r16_a_listing_in_flight_does_not_undo_a_change(place: Place) -> None:
    for path in ("/gone", "/stays"):
        place.remote.add(path, 5)
    place.tree.lookup("/")
    place.remote.hold = hold = HeldAt()

    def change() -> None:
        hold.wait_until_reached()
        place.tree.removed("/gone")
        place.tree.added(NodeInfo("/made", NodeKind.CONTAINER))
        hold.open()

    seen: list[list[str]] = []
    assert together(lambda: seen.append(place.names("/")), change) == [None, None]
    assert seen == [["made", "stays"]]
    assert place.names("/") == ["made", "stays"]
    with pytest.raises(NodeNotFound):
        place.tree.lookup("/gone")
    place.clock.advance(TTL)  # a listing begun later decides
    assert place.names("/") == ["gone", "stays"]


def test_r16_a_question_in_flight_does_not_undo_a_change(place: Place) -> None:
    place.remote.add("/gone", 5)
    place.remote.hold = hold = HeldAt()

    def change() -> None:
        hold.wait_until_reached()
        place.tree.removed("/gone")
        hold.open()

    errors = together(lambda: place.tree.lookup("/gone"), change)
    assert isinstance(errors[0], NodeNotFound)
    with pytest.raises(NodeNotFound):
        place.tree.lookup("/gone")


def test_files_that_are_only_here_are_listed(place: Place) -> None:
    place.remote.add("/f", 5)
    file = place.table.create("/new", 0o644)
    file.write(0, b"1234567")
    assert place.names("/") == ["f", "new"]
    assert place.tree.lookup("/new").length == 7
    assert "get /new" not in place.asked()
    place.table.release(file)


def test_forgetting_asks_again(place: Place) -> None:
    place.remote.add("/d", None)
    place.remote.add("/d/f", 5)
    place.names("/d")
    place.asked()
    place.tree.forget_below("/d")
    assert place.names("/d") == ["f"]
    assert place.asked() == ["get /d", "list /d"]


def test_a_rename_of_what_is_not_known_is_asked_for(place: Place) -> None:
    place.remote.add("/g", 5)
    place.tree.moved("/f", "/g")
    with pytest.raises(NodeNotFound):
        place.tree.lookup("/f")
    assert place.tree.lookup("/g").length == 5
    assert place.asked() == ["get /g"]


def test_what_is_remembered_does_not_grow_with_time(place: Place) -> None:
    """A mount that lives for weeks sees more names than fit into memory."""
    for number in range(1000):
        place.remote.add(f"/f{number}", 5)
        place.tree.lookup(f"/f{number}")
        place.tree.removed(f"/f{number}")
        with pytest.raises(NodeNotFound):
            place.tree.lookup(f"/missing{number}")
        place.tree.appeared(f"/d{number}/f")
        place.clock.advance(10.0)
    tree = place.tree
    for memory in (tree._nodes, tree._missing, tree._changes, tree._listings, tree._singly):
        assert len(memory) < 100


def test_r16_a_change_stays_as_long_as_an_older_listing_may_come(place: Place) -> None:
    """However long that takes, and whatever else is changed meanwhile."""
    place.remote.add("/f", 5)
    place.tree.lookup("/")
    place.remote.hold = hold = HeldAt()
    listing = Background(lambda: place.names("/"))
    hold.wait_until_reached()
    place.tree.removed("/f")
    for number in range(100):
        place.clock.advance(100.0)
        place.tree.removed(f"/d/{number}")
    hold.open()
    assert listing.result() == []
