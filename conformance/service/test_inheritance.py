"""Permissions as properties, and what children take over (opencadc NodesTest)."""

from __future__ import annotations

import pytest

from conformance.expect import expect_status
from conformance.wire import Service
from conformance.wire.terms import (
    CONTAINER,
    DATA,
    DESCRIPTION,
    GROUP_READ,
    GROUP_WRITE,
    INHERIT,
    IS_PUBLIC,
    TITLE,
)

pytestmark = pytest.mark.needs("permissionProps", "group")

PERMISSIONS = (IS_PUBLIC, GROUP_READ, GROUP_WRITE)


def permissions(service: Service, path: str) -> dict[str, str]:
    """The permissions of a node; an absent one is an empty value."""
    found = service.nodes.read(path).properties
    return {key: found.get(key, "false" if key == IS_PUBLIC else "") for key in PERMISSIONS}


@pytest.mark.clause(
    "VOS-CADC-property-updates", source="opencadc NodesTest.testNodePropertyUpdates"
)
def test_properties_are_updated(
    service: Service, container: str, group: str, another_group: str
) -> None:
    path = f"{container}/node"
    first = {
        TITLE: "t",
        DESCRIPTION: "d",
        "custom:secret-meaning": "s",
        GROUP_READ: group,
        GROUP_WRITE: another_group,
        IS_PUBLIC: "true",
        INHERIT: "true",
    }
    expect_status(service.nodes.put(path, CONTAINER, first), 201)
    found = service.nodes.read(path).properties
    assert {key: found.get(key) for key in first} == first
    changes = {
        TITLE: None,
        DESCRIPTION: "other",
        GROUP_READ: another_group,
        GROUP_WRITE: group,
        IS_PUBLIC: "false",
        INHERIT: "false",
    }
    expect_status(service.nodes.post(path, CONTAINER, changes), 200)
    found = service.nodes.read(path).properties
    assert TITLE not in found
    assert found["custom:secret-meaning"] == "s"
    assert {key: found.get(key) for key in changes if key != TITLE} == {
        key: value for key, value in changes.items() if key != TITLE
    }


@pytest.mark.clause(
    "VOS-CADC-several-groups",
    source="protocol.md 4.2: groups are separated by spaces, and replaced",
)
def test_several_groups(service: Service, container: str, group: str, another_group: str) -> None:
    several = f"{group} {another_group}"
    service.make(f"{container}/a", properties={GROUP_READ: several})
    found = service.nodes.read(f"{container}/a").properties[GROUP_READ]
    assert sorted(found.split()) == sorted(several.split())
    service.nodes.post(f"{container}/a", CONTAINER, {GROUP_READ: group})
    assert service.nodes.read(f"{container}/a").properties[GROUP_READ] == group


@pytest.mark.clause(
    "VOS-CADC-not-inherited",
    source="opencadc NodesTest.testInheritPermissions: without inheritPermissions nothing is taken",
)
@pytest.mark.needs("inheritPermissions")
def test_nothing_is_inherited_unasked(
    service: Service, container: str, group: str, another_group: str
) -> None:
    given = {IS_PUBLIC: "true", GROUP_READ: group, GROUP_WRITE: another_group}
    service.make(f"{container}/parent", properties={**given, INHERIT: "false"})
    for name, kind in (("a", CONTAINER), ("b", DATA)):
        expect_status(service.nodes.put(f"{container}/parent/{name}", kind), 201)
        assert permissions(service, f"{container}/parent/{name}") == {
            IS_PUBLIC: "false",
            GROUP_READ: "",
            GROUP_WRITE: "",
        }


@pytest.mark.clause(
    "VOS-CADC-inherited",
    source="opencadc NodesTest.testInheritPermissions: children take ispublic and both groups",
)
@pytest.mark.needs("inheritPermissions")
def test_permissions_are_inherited(
    service: Service, container: str, group: str, another_group: str
) -> None:
    given = {IS_PUBLIC: "true", GROUP_READ: group, GROUP_WRITE: another_group}
    service.make(f"{container}/parent", properties={**given, INHERIT: "true"})
    for name, kind in (("a", CONTAINER), ("b", DATA)):
        expect_status(service.nodes.put(f"{container}/parent/{name}", kind), 201)
        assert permissions(service, f"{container}/parent/{name}") == given


@pytest.mark.clause(
    "VOS-CADC-inherited-from-then-on",
    source="opencadc NodesTest.testInheritPermissions: the container starts to inherit later",
)
@pytest.mark.needs("inheritPermissions")
def test_a_container_starts_to_inherit(
    service: Service, container: str, group: str, another_group: str
) -> None:
    given = {IS_PUBLIC: "true", GROUP_READ: group, GROUP_WRITE: another_group}
    parent = f"{container}/parent"
    service.make(parent, properties={**given, INHERIT: "false"})
    service.make(f"{parent}/before")
    nothing = {IS_PUBLIC: "false", GROUP_READ: "", GROUP_WRITE: ""}
    assert permissions(service, f"{parent}/before") == nothing
    expect_status(service.nodes.post(parent, CONTAINER, {INHERIT: "true"}), 200)
    for name, kind in (("a", CONTAINER), ("b", DATA)):
        expect_status(service.nodes.put(f"{parent}/{name}", kind), 201)
        assert permissions(service, f"{parent}/{name}") == given
    assert permissions(service, f"{parent}/before") == nothing


@pytest.mark.clause(
    "VOS-CADC-inherited-by-push", source="protocol.md 5.2: a node made by a push inherits as well"
)
@pytest.mark.needs("inheritPermissions")
def test_a_push_inherits(service: Service, container: str, group: str, another_group: str) -> None:
    given = {IS_PUBLIC: "true", GROUP_READ: group, GROUP_WRITE: another_group}
    service.make(f"{container}/parent", properties={**given, INHERIT: "true"})
    service.transfers.push(f"{container}/parent/data", b"bytes")
    assert permissions(service, f"{container}/parent/data") == given


@pytest.mark.clause(
    "VOS-CADC-explicit-wins",
    source="opencadc NodesTest.testInheritPermissions: what the child's document says wins",
)
@pytest.mark.needs("inheritPermissions")
def test_explicit_permissions_win(
    service: Service, container: str, group: str, another_group: str
) -> None:
    parent = {IS_PUBLIC: "false", GROUP_READ: group, GROUP_WRITE: another_group}
    service.make(f"{container}/parent", properties={**parent, INHERIT: "true"})
    own = {IS_PUBLIC: "true", GROUP_READ: another_group, GROUP_WRITE: group}
    expect_status(service.nodes.put(f"{container}/parent/a", CONTAINER, own), 201)
    assert permissions(service, f"{container}/parent/a") == own


@pytest.mark.clause(
    "VOS-CADC-inherit-later", source="protocol.md 4.2: children copy at their creation, not later"
)
@pytest.mark.needs("inheritPermissions")
def test_inheritance_is_no_link(
    service: Service, container: str, group: str, another_group: str
) -> None:
    service.make(f"{container}/parent", properties={INHERIT: "true", GROUP_READ: group})
    service.make(f"{container}/parent/a")
    service.nodes.post(f"{container}/parent", CONTAINER, {GROUP_READ: another_group})
    assert permissions(service, f"{container}/parent/a")[GROUP_READ] == group
