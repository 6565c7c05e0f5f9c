"""A file that another client deletes while it is open here, and a new one of its name."""

from __future__ import annotations

import os

import pytest

from tests.integration.session.conftest import Open
from tests.support.sessions import Stage


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


@pytest.mark.parametrize("old", [b"", b"old"])
def test_a_name_whose_node_is_gone_is_made_anew_together_with_its_writers(
    stage: Stage, old: bytes
) -> None:
    """R11: what they write makes its node again, so they and the new file are one file."""
    stage.store("/f", old)
    mount = stage.mount(attr_ttl_s=0.0, negative_ttl_s=0.0)
    writer = mount.open("/f", os.O_RDWR)
    stage.service.remote.delete_node(stage.path("/f"))
    made = mount.call("create", "/f", 0o644, os.O_WRONLY | os.O_CREAT)
    assert mount.stat("/f").size == 0
    mount.write(made, b"new!")
    mount.close(made)
    mount.write(writer, b"more", 4)
    mount.close(writer)
    mount.wait_sent()
    assert mount.get("/f") == stage.stored("/f") == b"new!more"
    mount.stop()
    assert stage.left() == ([], [], [])
