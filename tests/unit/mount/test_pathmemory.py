"""Memory by path: old values go by themselves, and a subtree at the cost of what is in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vofs.core import uris
from vofs.mount.pathmemory import PathMemory

PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda n: "/" + "/".join(n))
STEPS = st.tuples(st.sampled_from(["set", "pop", "drop"]), PATHS)


@given(st.lists(STEPS, max_size=40))
def test_it_is_a_dict_from_which_subtrees_can_be_dropped(steps: list[tuple[str, str]]) -> None:
    memory, model = PathMemory[int](lambda _: False), {}
    for number, (step, path) in enumerate(steps):
        if step == "set":
            memory[path] = model[path] = number
        elif step == "pop":
            assert memory.pop(path) == model.pop(path, None)
        else:
            memory.drop_below(path)
            model = {p: n for p, n in model.items() if p == path or not uris.is_below(p, path)}
        assert len(memory) == len(model)
        for known in model:
            assert (known in memory, memory[known], memory.get(known)) == (
                True, model[known], model[known],
            )  # fmt: skip
        for container in ["/", *(p for _, p in steps)]:
            expected = {p: n for p, n in model.items() if uris.parent_of(p) == container}
            assert dict(memory.children(container)) == expected
    memory.drop_below("/")
    assert (len(memory), memory._below) == (0, {})


def test_a_subtree_is_dropped_without_looking_at_the_rest() -> None:
    memory = PathMemory[int](lambda _: False)
    for number in range(1000):
        memory[f"/other/{number % 10}/{number}"] = number
    memory["/d"] = memory["/d/e/f"] = memory["/d/g"] = 1
    assert memory.drop_below("/d") == 3  # e, which only leads to f, f and g
    assert len(memory) == 1001


def test_what_is_old_goes_when_something_else_is_noted() -> None:
    now = 0
    memory = PathMemory[int](lambda at: now - at >= 10)
    for now in range(1000):
        memory[f"/{now}"] = now
    assert len(memory) == 10
    memory["/990"] = now  # seen again: the youngest
    now += 9
    memory["/new"] = now
    assert "/990" in memory
    assert "/991" not in memory
