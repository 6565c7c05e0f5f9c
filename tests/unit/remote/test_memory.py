"""The bounded memory (remote/memory.py); needs nothing."""

from __future__ import annotations

from vofs.remote.memory import Memory


def test_what_was_used_longest_ago_goes_first() -> None:
    memory: Memory[int] = Memory(2)
    memory.put("/a", 1)
    memory.put("/b", 2)
    assert memory.get("/a") == 1
    memory.put("/c", 3)
    assert [memory.get(path) for path in ("/a", "/b", "/c")] == [1, None, 3]


def test_what_is_dropped_is_returned_once() -> None:
    memory: Memory[int] = Memory(2)
    memory.put("/a", 1)
    memory.put("/a", 2)
    assert memory.drop("/a") == 2
    assert memory.drop("/a") is None
