"""/async-delete and /async-setprops (opencadc RecursiveNodeDeleteTest, RecursiveNodePropsTest)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_phase, expect_redirect, expect_status
from conformance.wire import Job, Jobs, Service, node_document
from conformance.wire.nodes import Properties
from conformance.wire.terms import (
    CONTAINER,
    DESCRIPTION,
    GROUP_READ,
    GROUP_WRITE,
    IS_LOCKED,
    IS_PUBLIC,
    QUOTA,
    RECURSIVE_DELETE,
    RECURSIVE_PROPS,
    TITLE,
)

DELETION = pytest.mark.needs("recursiveDelete")
SETTING = pytest.mark.needs("recursiveProps")
GROUP = pytest.mark.needs("group", "permissionProps")

NAMES = ("", "/file1", "/subdir", "/subdir/file2")


@pytest.fixture
def tree(service: Service, open_container: str) -> str:
    """A container with file1 and subdir, and file2 in that."""
    path = f"{open_container}/top"
    service.make(path)
    service.make(f"{path}/file1", b"one")
    service.make(f"{path}/subdir")
    service.make(f"{path}/subdir/file2", b"two")
    return path


def delete(service: Service, path: str) -> Job:
    """Delete recursively."""
    return service.jobs(RECURSIVE_DELETE).run(form={"target": service.nodes.uri(path)})


def set_properties(service: Service, path: str, properties: Properties) -> Job:
    """Set properties recursively."""
    document = node_document(service.nodes.uri(path), CONTAINER, properties)
    return service.jobs(RECURSIVE_PROPS).run(document)


def lock(service: Service, path: str, value: str = "true") -> None:
    """Lock or unlock a container."""
    expect_status(service.nodes.post(path, CONTAINER, {IS_LOCKED: value}), 200)


def allow(service: Service, group: str, *paths: str) -> None:
    """Let the group write."""
    for path in paths:
        kind = service.nodes.read(path, limit=0).kind
        expect_status(service.nodes.post(path, kind, {GROUP_WRITE: group}), 200)


def counts(job: Job) -> tuple[int | None, int | None]:
    """How many nodes the job did, and how many it could not do."""
    return job.count("successcount"), job.count("errorcount")


def titles(service: Service, root: str) -> list[str | None]:
    """The title of each node of the tree."""
    return [service.nodes.read(root + name).properties.get(TITLE) for name in NAMES]


@pytest.mark.clause("VOS-CADC-delete-all", source="opencadc testRecursiveDelete: COMPLETED, 4")
@DELETION
def test_a_tree_is_deleted(service: Service, tree: str) -> None:
    job = expect_phase(delete(service, tree), "COMPLETED")
    assert dict(job.results) == {"successcount": "final:4"}
    expect_status(service.nodes.get(tree), 404)


@pytest.mark.clause(
    "VOS-CADC-delete-pending", source="opencadc testRecursiveDelete: 303, then phase=RUN 303"
)
@DELETION
def test_nothing_is_deleted_before_the_run(service: Service, tree: str) -> None:
    jobs: Jobs = service.jobs(RECURSIVE_DELETE)
    answer = expect_status(jobs.create(form={"target": service.nodes.uri(tree)}), 303)
    job = expect_redirect(answer)
    assert service.nodes.exists(tree)
    expect_status(jobs.post_phase(job, "RUN", "phase"), 303)
    expect_phase(jobs.finish(job), "COMPLETED")


@pytest.mark.clause(
    "VOS-CADC-delete-missing", source="opencadc testRecursiveDelete: a bad target is ERROR"
)
@DELETION
def test_a_missing_tree(service: Service, container: str) -> None:
    job = expect_phase(delete(service, f"{container}/missing"), "ERROR")
    assert "NodeNotFound" in str(job.error)


@pytest.mark.clause(
    "VOS-CADC-delete-locked",
    source="opencadc testRecursiveDelete: a locked container: ABORTED, 1, 1",
)
@pytest.mark.needs("recursiveDelete", "nodelockSupported")
def test_a_locked_container_survives(service: Service, tree: str) -> None:
    lock(service, f"{tree}/subdir")
    # Nothing done at all: ERROR, which CADC gives no summary here.
    assert delete(service, f"{tree}/subdir/file2").phase == "ERROR"
    job = expect_phase(delete(service, tree), "ABORTED")
    assert counts(job) == (1, 1)
    assert service.nodes.read(tree).children == ("subdir",)
    assert service.nodes.read(f"{tree}/subdir").children == ("file2",)


@pytest.mark.clause("VOS-CADC-delete-permission", source="opencadc testRecursiveDeletePermissions")
@DELETION
@GROUP
def test_what_another_user_may_delete(
    service: Service, other: Service, open_container: str, tree: str, group: str
) -> None:
    for path in (tree, f"{tree}/subdir"):
        service.nodes.post(path, CONTAINER, {IS_PUBLIC: "true"})
    allow(service, group, open_container)
    assert delete(other, tree).phase == "ERROR"
    allow(service, group, tree)
    assert counts(expect_phase(delete(other, tree), "ABORTED")) == (1, 1)
    assert service.nodes.read(tree).children == ("subdir",)
    allow(service, group, f"{tree}/subdir", f"{tree}/subdir/file2")
    job = expect_phase(delete(other, tree), "COMPLETED")
    assert counts(job) == (3, None)


@pytest.mark.clause(
    "VOS-CADC-delete-link", source="protocol.md 4.6, 8: links inside a tree go, their targets stay"
)
@DELETION
def test_the_target_of_a_link_stays(service: Service, container: str, tree: str) -> None:
    service.make(f"{container}/kept")
    service.make(f"{container}/kept/data", b"kept")
    service.make_link(f"{tree}/link", f"{container}/kept")
    expect_phase(delete(service, tree), "COMPLETED")
    assert service.nodes.read(container).children == ("kept",)
    assert service.pull(f"{container}/kept/data").content == b"kept"


@pytest.mark.clause("VOS-CADC-delete-form", source="protocol.md 8: the target, names in any case")
@DELETION
def test_the_form_of_a_deletion(service: Service, tree: str) -> None:
    jobs = service.jobs(RECURSIVE_DELETE)
    job = expect_phase(jobs.run(form={"TARGET": service.nodes.uri(tree)}), "COMPLETED")
    assert job.count("successcount") == 4


@pytest.mark.clause("VOS-CADC-setprops-all", source="opencadc testRecursiveNodeProps: COMPLETED, 4")
@SETTING
def test_properties_are_set_everywhere(service: Service, tree: str) -> None:
    values = {TITLE: "title", DESCRIPTION: "d", "custom:secret-meaning": "s", IS_PUBLIC: "true"}
    job = expect_phase(set_properties(service, tree, values), "COMPLETED")
    assert dict(job.results) == {"successcount": "final:4"}
    for name in NAMES:
        found = service.nodes.read(tree + name).properties
        assert {key: found.get(key) for key in values} == values


@pytest.mark.clause(
    "VOS-CADC-setprops-groups", source="opencadc testRecursiveNodeProps: groups everywhere"
)
@SETTING
@GROUP
def test_groups_are_set_everywhere(service: Service, tree: str, group: str) -> None:
    expect_phase(set_properties(service, tree, {GROUP_READ: group}), "COMPLETED")
    for name in NAMES:
        assert service.nodes.read(tree + name).properties[GROUP_READ] == group


@pytest.mark.clause(
    "VOS-CADC-setprops-nil", source="opencadc testRecursiveNodeProps: changed, and deleted by nil"
)
@SETTING
def test_properties_are_deleted_everywhere(service: Service, tree: str) -> None:
    set_properties(service, tree, {TITLE: "title", "custom:secret-meaning": "s"})
    change: Properties = {TITLE: "better title", "custom:secret-meaning": None}
    assert (
        expect_phase(set_properties(service, tree, change), "COMPLETED").count("successcount") == 4
    )
    assert titles(service, tree) == ["better title"] * 4
    for name in NAMES:
        assert "custom:secret-meaning" not in service.nodes.read(tree + name).properties


@pytest.mark.clause(
    "VOS-CADC-setprops-locked", source="opencadc testRecursiveNodeProps: locks are ignored"
)
@pytest.mark.needs("recursiveProps", "nodelockSupported")
def test_locks_do_not_stop_properties(service: Service, tree: str) -> None:
    lock(service, f"{tree}/subdir")
    job = expect_phase(set_properties(service, tree, {TITLE: "title"}), "COMPLETED")
    assert job.count("successcount") == 4
    assert titles(service, tree) == ["title"] * 4


@pytest.mark.clause(
    "VOS-CADC-setprops-quota", source="opencadc testRecursiveNodeProps: a quota is ERROR, no result"
)
@SETTING
def test_a_quota_is_not_set_everywhere(service: Service, tree: str) -> None:
    job = expect_phase(set_properties(service, tree, {QUOTA: "100000"}), "ERROR")
    assert not job.results
    for name in NAMES:
        assert QUOTA not in service.nodes.read(tree + name).properties


@pytest.mark.clause(
    "VOS-CADC-setprops-permission", source="opencadc testRecursiveNodePropsPermissions"
)
@SETTING
@GROUP
def test_what_another_user_may_set(service: Service, other: Service, tree: str, group: str) -> None:
    for path in (tree, f"{tree}/subdir"):
        service.nodes.post(path, CONTAINER, {IS_PUBLIC: "true"})
    assert set_properties(other, tree, {TITLE: "title"}).phase == "ERROR"
    allow(service, group, tree)
    job = expect_phase(set_properties(other, tree, {TITLE: "title"}), "ABORTED")
    # file1 and subdir are refused, file2 is never looked at.
    assert counts(job) == (1, 2)
    assert titles(service, tree) == ["title", None, None, None]
    allow(service, group, *(tree + name for name in NAMES[1:]))
    job = expect_phase(set_properties(other, tree, {TITLE: "better"}), "COMPLETED")
    assert counts(job) == (4, None)
    assert titles(service, tree) == ["better"] * 4


@pytest.mark.clause(
    "VOS-CADC-setprops-missing", source="protocol.md 8: a target that is not there is ERROR"
)
@SETTING
def test_properties_of_a_missing_tree(service: Service, container: str) -> None:
    expect_phase(set_properties(service, f"{container}/missing", {TITLE: "t"}), "ERROR")
