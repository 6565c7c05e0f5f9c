"""/nodes: creating, reading and deleting nodes (VOSpace 2.1, createNode, getNode, deleteNode)."""

from __future__ import annotations

import pytest

from conformance.wire import Service, read_node


@pytest.mark.clause(
    "VOS-nodes-create-container",
    source="VOSpace 2.1, operation createNode: 201 Created; 409 DuplicateNode",
)
def test_a_container_is_created_once(service: Service, container: str) -> None:
    path = f"{container}/made"

    created = service.put_container(path)
    assert created.status_code == 201
    assert read_node(created.content).kind == "ContainerNode"
    assert read_node(service.get_node(path).content).children == ()

    duplicate = service.put_container(path)
    assert duplicate.status_code == 409
    assert "DuplicateNode" in duplicate.text
    assert read_node(service.get_node(container).content).children == ("made",)
