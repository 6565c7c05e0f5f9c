"""The node tree alone: no bytes, no requests, a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakevospace.access import Caller
from fakevospace.nodes import Children, Kind, Node, NodeDraft
from fakevospace.personalities import CAVERN, VAULT
from fakevospace.personality import Personality
from fakevospace.properties import CORE, IS_LOCKED, IS_PUBLIC, MD5
from fakevospace.refusals import Refusal
from fakevospace.space import Space
from fakevospace.tree import Tree

ANN = Caller("ann", admin=False, authenticated=True, administers=True)
BOB = Caller("bob", admin=False, authenticated=True)
NOBODY = Caller(None, admin=False, authenticated=False)


class Log:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.rows: dict[int, Node] = {}

    def saved(self, node: Node) -> None:
        self.rows[node.number] = node

    def removed(self, node: Node) -> None:
        del self.rows[node.number]


def space_of(personality: Personality = VAULT) -> tuple[Space, Log]:
    log = Log()
    times = personality.directory_times
    tree = Tree(lambda: 1000.0, log, root_owner="ann", directory_times=times)
    return Space(personality, tree), log


def draft(kind: Kind = Kind.DATA, target: str | None = None, **properties: str | None) -> NodeDraft:
    return NodeDraft("", kind, {CORE + key: value for key, value in properties.items()}, target)


def status_of(error: pytest.ExceptionInfo[Refusal]) -> int:
    return error.value.status


def test_every_change_has_a_later_date_and_is_told_to_the_log() -> None:
    space, log = space_of()
    first = space.create("a", draft(), ANN)
    second = space.create("b", draft(), ANN)
    assert first.date_ms < second.date_ms
    before = second.date_ms
    space.update("b", draft(title="t"), ANN)
    assert second.date_ms > before
    space.delete("a", ANN)
    assert set(log.rows.values()) == {space.tree.root, second}


def test_existence_is_looked_at_before_permission() -> None:
    space, _ = space_of()
    space.create("a", draft(), ANN)
    with pytest.raises(Refusal) as error:
        space.create("a", draft(), BOB)
    assert status_of(error) == 409
    with pytest.raises(Refusal) as error:
        space.create("b", draft(), BOB)
    assert status_of(error) == 403


def test_nobody_never_writes_and_reads_only_what_is_public() -> None:
    space, _ = space_of()
    node = space.create("a", draft(), ANN)
    assert not NOBODY.can_read(node) and not NOBODY.can_write(node)
    space.update("a", draft(ispublic="true"), ANN)
    assert NOBODY.can_read(node) and not NOBODY.can_write(node)


def test_private_container_on_the_way_is_403() -> None:
    space, _ = space_of()
    space.create("d", draft(Kind.CONTAINER), ANN)
    space.create("d/f", draft(), ANN)
    with pytest.raises(Refusal) as error:
        space.resolve("d/f", NOBODY)
    assert status_of(error) == 403
    assert space.resolve("d", NOBODY).kind is Kind.CONTAINER


def test_update_by_a_non_admin_drops_the_md5_on_cavern() -> None:
    for personality, left in ((VAULT, "m"), (CAVERN, None)):
        space, _ = space_of(personality)
        node = space.create("f", draft(), ANN)
        node.md5 = "m"
        space.update("f", NodeDraft("", Kind.DATA, {MD5: "m"}), ANN)
        assert node.md5 == left


def test_locks_belong_to_one_node_and_do_not_stop_unlocking() -> None:
    space, _ = space_of()
    lock = NodeDraft("", Kind.CONTAINER, {IS_LOCKED: "true"})
    space.create("d", draft(Kind.CONTAINER), ANN)
    space.create("d/e", draft(Kind.CONTAINER), ANN)
    space.update("d", lock, ANN)
    space.create("d/e/f", draft(), ANN)
    refusals: list[Callable[[], object]] = [
        lambda: space.create("d/g", draft(), ANN),
        lambda: space.delete("d/e", ANN),
        lambda: space.move("d/e", "e", ANN),
        lambda: space.move("d/e/f", "d/f", ANN),
    ]
    for refused in refusals:
        with pytest.raises(Refusal) as error:
            refused()
        assert status_of(error) == 403
    space.update("d", NodeDraft("", Kind.CONTAINER, {IS_LOCKED: None}), ANN)
    space.move("d/e", "e", ANN)


def test_links_in_a_circle_end() -> None:
    space, _ = space_of()
    for name, target in (("a", "b"), ("b", "a")):
        space.create(name, draft(Kind.LINK, f"vos://cadc.nrc.ca!vault/{target}"), ANN)
    with pytest.raises(Refusal) as error:
        space.resolve("a/x", ANN)
    assert error.value.text.startswith("UnreadableLinkTarget")


def test_cavern_rewrites_link_targets_and_takes_files() -> None:
    space, _ = space_of(CAVERN)
    link = space.create("a", draft(Kind.LINK, "vos://cadc.nrc.ca!arc/x"), ANN)
    assert link.target == "vos://cadc.nrc.ca~arc/x"
    assert space.create("b", draft(Kind.LINK, "file:///x"), ANN).target == "file:///x"
    with pytest.raises(Refusal):
        space.create("c", draft(Kind.LINK, "vos://cadc.nrc.ca!vault/x"), ANN)


def test_containers_date_moves_with_entries_on_cavern_only() -> None:
    for personality in (VAULT, CAVERN):
        space, _ = space_of(personality)
        before = space.tree.root.date_ms
        space.create("f", draft(), ANN)
        assert (space.tree.root.date_ms > before) == personality.directory_times


def test_root_is_public_and_stays() -> None:
    space, _ = space_of()
    assert space.tree.root.properties[IS_PUBLIC] == "true"
    refusals: list[Callable[[], object]] = [
        lambda: space.delete("", ANN),
        lambda: space.move("", "x", ANN),
    ]
    for refused in refusals:
        with pytest.raises(Refusal):
            refused()


names = st.sampled_from("abcd")


@given(st.lists(st.tuples(st.booleans(), names), max_size=30), names, st.integers(0, 5))
def test_children_page_like_a_sorted_list(
    changes: list[tuple[bool, str]], start: str, limit: int
) -> None:
    children, model = Children(), dict[str, Node]()
    for adds, name in changes:
        if adds and name not in model:
            model[name] = Node(1, name, Kind.DATA, None, "", 0)
            children.add(model[name])
        elif not adds and name in model:
            children.remove(model.pop(name))
        expected = [one for one in sorted(model) if one >= start][:limit]
        assert [one.name for one in children.page(start, limit, by_name=True)] == expected
        assert [one.name for one in children] == list(model)


paths = st.lists(names, min_size=1, max_size=3).map("/".join)


@given(st.lists(st.tuples(st.sampled_from(["mkdir", "put", "delete", "move"]), paths, paths)))
def test_tree_stays_whole_whatever_is_asked(steps: list[tuple[str, str, str]]) -> None:
    space, log = space_of()
    for action, path, other in steps:
        try:
            match action:
                case "mkdir":
                    space.create(path, draft(Kind.CONTAINER), ANN)
                case "put":
                    space.create(path, draft(), ANN)
                case "delete":
                    space.delete(path, ANN)
                case _:
                    space.move(path, other, ANN)
        except Refusal:
            pass
    seen = [space.tree.root]
    for node in seen:
        for child in node.children:
            assert child.parent is node and node.children.get(child.name) is child
            assert space.tree.at(child.path) is child
            seen.append(child)
    assert set(log.rows) == {node.number for node in seen}
