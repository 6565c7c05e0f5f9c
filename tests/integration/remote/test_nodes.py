"""Nodes, listings, properties and moves of VosRemote on a served fake."""

from __future__ import annotations

import pytest

from fakevospace.faults import Rule, Status
from tests.integration.remote.conftest import Open, Stage
from vofs.core import nodes
from vofs.core.errors import (
    ContainerNotEmpty,
    ContainerNotFound,
    InvalidRequest,
    NodeExists,
    NodeLocked,
    NodeNotFound,
    NotAContainer,
    PermissionDenied,
    RemoteUnavailable,
)
from vofs.core.nodes import NodeInfo, NodeKind
from vofs.remote.api import MovePhase, MoveStatus, Remote

NAME = "h#x ?%41 [é] +&;'.fits"


def test_it_is_a_remote(stage: Stage) -> None:
    remote: Remote = stage.remote
    vault = stage.fake.personality.name == "vault"
    capabilities = remote.capabilities
    assert (capabilities.ranges, capabilities.atomic_put, capabilities.pages) == (vault,) * 3
    assert capabilities.empty_put is not vault
    assert capabilities.writable
    host = stage.url.partition("//")[2]
    service = "vault" if vault else "arc"
    assert capabilities.identity == f"{host}|ivo://cadc.nrc.ca/{service}|token"


def test_a_node_is_one_request(stage: Stage) -> None:
    stage.fake.mkdir("d")
    stage.fake.put(f"d/{NAME}", b"12345")
    node = stage.remote.get_node(f"/d/{NAME}")
    assert (node.path, node.kind, node.length) == (f"/d/{NAME}", NodeKind.DATA, 5)
    assert node.md5_proves is (stage.fake.personality.name == "vault")
    assert stage.requests() == [("GET", "nodes")]
    assert stage.remote.get_node("/").kind is NodeKind.CONTAINER


def test_a_missing_node(stage: Stage) -> None:
    with pytest.raises(NodeNotFound):
        stage.remote.get_node("/nothing")
    with pytest.raises(NodeNotFound):
        list(stage.remote.list_children("/nothing"))


def test_detail_max_tells_rights(stage: Stage) -> None:
    stage.fake.put("f", b"x")
    node = stage.remote.get_node("/f")
    assert node.flag(nodes.READABLE)
    assert node.flag(nodes.WRITABLE)
    assert stage.remote.capabilities.tells_rights


def test_children_with_every_kind_of_name(stage: Stage) -> None:
    names = {NAME, "plain", "空白", "a b", "100%"}
    stage.fake.mkdir("d/sub")
    for name in names:
        stage.fake.put(f"d/{name}", b"x")
    children = list(stage.remote.list_children("/d"))
    assert {child.name for child in children} == names | {"sub"}
    assert len(children) == len(names) + 1
    assert {child.path.rpartition("/")[0] for child in children} == {"/d"}


def test_a_file_has_no_children(stage: Stage) -> None:
    stage.fake.put("f", b"x")
    with pytest.raises(NotAContainer):
        list(stage.remote.list_children("/f"))


@pytest.mark.parametrize("cap", [2, 3, 10, 11])
def test_a_silently_capped_listing_is_complete(open_stage: Open, cap: int) -> None:
    """protocol.md 10.1: the vos client shows 500 of 1100.

    With a cap of 1 nobody can go on: a page begins with the last child of the one before.
    """
    stage = open_stage("vault", page_cap=cap)
    stage.fake.mkdir("d")
    for number in range(10):
        stage.fake.put(f"d/{number}", b"x")
    for _ in range(2):
        names = [child.name for child in stage.remote.list_children("/d")]
        assert names == [str(number) for number in range(10)]


def test_listing_costs_one_request_once_a_longer_page_was_seen(open_stage: Open) -> None:
    stage = open_stage("vault")
    for folder, count in (("big", 5), ("small", 4)):
        stage.fake.mkdir(folder)
        for number in range(count):
            stage.fake.put(f"{folder}/{number}", b"x")
    assert len(list(stage.remote.list_children("/big"))) == 5
    assert len(stage.requests()) == 2
    assert len(list(stage.remote.list_children("/small"))) == 4
    assert len(stage.requests()) == 1


def test_a_listing_that_was_given_up_leaves_nothing_open(stage: Stage) -> None:
    stage.fake.mkdir("d")
    for number in range(50):
        stage.fake.put(f"d/{number}", b"x")
    children = stage.remote.list_children("/d")
    next(children)
    close = getattr(children, "close")  # noqa: B009
    close()
    assert len(list(stage.remote.list_children("/d"))) == 50


def test_containers_links_and_empty_files_are_made(stage: Stage) -> None:
    made = stage.remote.create_node(NodeInfo("/d", NodeKind.CONTAINER))
    assert (made.path, made.kind) == ("/d", NodeKind.CONTAINER)
    stage.remote.create_node(NodeInfo(f"/d/{NAME}", NodeKind.DATA, {nodes.TYPE: "x/y"}))
    file = stage.remote.get_node(f"/d/{NAME}")
    assert (file.length, file.properties[nodes.TYPE]) == (0, "x/y")
    target = f"vos://cadc.nrc.ca~{stage.fake.personality.service}/d"
    stage.remote.create_node(NodeInfo("/l", NodeKind.LINK, {}, target))
    assert stage.remote.get_node("/l").kind is NodeKind.LINK


def test_what_cannot_be_made(stage: Stage) -> None:
    stage.fake.mkdir("d")
    with pytest.raises(NodeExists):
        stage.remote.create_node(NodeInfo("/d", NodeKind.CONTAINER))
    with pytest.raises(ContainerNotFound):
        stage.remote.create_node(NodeInfo("/x/y", NodeKind.CONTAINER))
    with pytest.raises(InvalidRequest):
        stage.remote.create_node(NodeInfo("/z", NodeKind.DATA, {"ivo://a/b#c": "x" * 40_000}))


def test_properties_change_and_go(stage: Stage) -> None:
    title, mine = nodes.CORE + "title", "ivo://me/p#q"
    stage.fake.put("f", b"12345")
    stage.remote.set_properties("/f", {title: "T", mine: "é <&>"})
    node = stage.remote.get_node("/f")
    assert (node.properties[title], node.properties[mine]) == ("T", "é <&>")
    after = stage.remote.set_properties("/f", {title: None})
    assert title not in after.properties
    assert after.properties[mine] == "é <&>"
    assert after.length == 5


def test_an_update_is_one_request_when_the_node_is_known(stage: Stage) -> None:
    stage.fake.mkdir("d")
    stage.remote.get_node("/d")
    stage.requests()
    stage.remote.set_properties("/d", {nodes.IS_PUBLIC: "true"})
    assert stage.requests() == [("POST", "nodes")]
    assert stage.remote.get_node("/d").flag(nodes.IS_PUBLIC)


def test_an_update_of_what_became_another_kind_of_node(stage: Stage) -> None:
    """The remembered type is stale; the service refuses it and nothing is lost."""
    stage.fake.mkdir("x")
    stage.remote.get_node("/x")
    stage.fake.delete("x")
    stage.fake.put("x", b"12345")
    node = stage.remote.set_properties("/x", {nodes.IS_PUBLIC: "true"})
    assert (node.kind, node.flag(nodes.IS_PUBLIC)) == (NodeKind.DATA, True)


def test_nodes_are_deleted_and_full_containers_are_not(stage: Stage) -> None:
    stage.fake.put("f", b"x")
    stage.fake.mkdir("d/e")
    stage.remote.delete_node("/f")
    with pytest.raises(ContainerNotEmpty):
        stage.remote.delete_node("/d")
    stage.remote.delete_node("/d/e")
    stage.remote.delete_node("/d")
    for path in ("/f", "/d"):
        with pytest.raises(NodeNotFound):
            stage.remote.get_node(path)
        with pytest.raises(NodeNotFound):
            stage.remote.delete_node(path)


def test_a_locked_node_is_not_deleted(open_stage: Open) -> None:
    stage = open_stage("vault")
    stage.fake.put("f", b"x")
    stage.remote.set_properties("/f", {nodes.IS_LOCKED: "true"})
    with pytest.raises((PermissionDenied, NodeLocked)):
        stage.remote.delete_node("/f")


def test_a_move_is_three_requests(stage: Stage) -> None:
    stage.fake.put("a", b"12345")
    job = stage.remote.create_move("/a", f"/{NAME}")
    assert stage.remote.move_status(job) == MoveStatus(MovePhase.PENDING)
    assert stage.remote.get_node("/a").length == 5  # R8: nothing has happened yet
    stage.requests()
    assert stage.remote.run_move(job, 10.0) == MoveStatus(MovePhase.COMPLETED, f"/{NAME}")
    assert len(stage.requests()) == 2
    assert stage.remote.get_node(f"/{NAME}").length == 5
    assert stage.remote.move_status(job) == MoveStatus(MovePhase.COMPLETED, f"/{NAME}")


def test_a_move_into_a_container_says_where_it_went(stage: Stage) -> None:
    """R10: an existing container nests."""
    stage.fake.put("a", b"x")
    stage.fake.mkdir("d")
    status = stage.remote.run_move(stage.remote.create_move("/a", "/d"), 10.0)
    assert status == MoveStatus(MovePhase.COMPLETED, "/d/a")


def test_a_move_onto_a_file_fails_with_its_fault(stage: Stage) -> None:
    stage.fake.put("a", b"x")
    stage.fake.put("b", b"y")
    status = stage.remote.run_move(stage.remote.create_move("/a", "/b"), 10.0)
    assert status.phase is MovePhase.FAILED
    assert status.error.startswith("DuplicateNode")


def test_a_job_that_the_service_forgot(stage: Stage) -> None:
    job = stage.remote.create_move("/a", "/b")
    gone = job.rpartition("/")[0] + "/nosuchjob"
    assert stage.remote.move_status(gone) == MoveStatus(MovePhase.UNKNOWN)


def test_an_answer_lost_after_run_leaves_the_move_in_doubt(stage: Stage) -> None:
    """R8."""
    stage.fake.put("a", b"x")
    job = stage.remote.create_move("/a", "/b")
    stage.fake.faults.add(Rule(Status(500), method="GET", endpoint="transfers"))
    with pytest.raises(RemoteUnavailable) as caught:
        stage.remote.run_move(job, 5.0)
    assert caught.value.sent
