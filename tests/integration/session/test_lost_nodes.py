"""A file that another client deletes while it is open here, and a new one of its name."""

from __future__ import annotations

import os

import pytest

from tests.integration.session.conftest import Open


@pytest.mark.parametrize("exclusive", [0, os.O_EXCL])
def test_a_name_whose_node_is_gone_is_made_anew_beside_its_readers(
    open_stage: Open, exclusive: int
) -> None:
    """The old file goes on for whoever has read it, as after an unlink."""
    stage = open_stage("vault", attr_ttl_s=0.0, negative_ttl_s=0.0)
    stage.store("/f", b"old")
    mount = stage.mount()
    reader = mount.open("/f")
    assert mount.call("read", reader, 10, 0) == b"old"
    stage.service.remote.delete_node(stage.path("/f"))
    made = mount.call("create", "/f", 0o644, os.O_WRONLY | os.O_CREAT | exclusive)
    mount.write(made, b"new!")
    mount.close(made)
    mount.wait_sent()
    assert stage.stored("/f") == b"new!"
    assert mount.call("read", reader, 10, 0) == b"old"
    mount.close(reader)
    assert mount.get("/f") == b"new!"
    mount.stop()
    assert stage.left() == ([], [], [])
