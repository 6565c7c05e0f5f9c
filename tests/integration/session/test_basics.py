"""A session without a kernel, as a program sees it: the ground the other tests stand on."""

from __future__ import annotations

from tests.support.sessions import Stage

DATA = bytes(range(256)) * 1024


def test_what_is_written_arrives_and_is_read_back(stage: Stage) -> None:
    mount = stage.mount()
    mount.put("/f", DATA)
    assert stage.stored("/f") == DATA
    assert mount.get("/f") == DATA
    mount.stop()
    assert stage.left() == ([], [], [])


def test_a_cold_file_is_read(stage: Stage) -> None:
    stage.store("/f", DATA)
    mount = stage.mount()
    assert mount.ls("/") == ["f"]
    assert mount.get("/f") == DATA
