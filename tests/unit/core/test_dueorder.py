"""The order of keys, and what the queue of uploads costs: steps are counted, not time."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from vofs.core import dueorder, uploadqueue
from vofs.core.dueorder import DueOrder
from vofs.core.uploadqueue import UploadQueue

MANY, FEW = 20_000, 20
ranks = st.integers(0, 3).map(float)
changes = st.lists(st.tuples(st.integers(1, 5), st.none() | st.tuples(ranks, ranks)), max_size=300)


@given(changes=changes)
def test_the_first_is_the_least_of_what_was_said_last(
    changes: list[tuple[int, tuple[float, float] | None]],
) -> None:
    order, expected = DueOrder(), dict[int, tuple[float, float]]()
    for key, rank in changes:
        if rank is None:
            order.drop(key)
            expected.pop(key, None)
        else:
            order.place(key, *rank)
            expected[key] = rank
        least = min(((rank, key) for key, rank in expected.items()), default=None)
        assert order.first() == (None if least is None else (least[1], least[0]))


def test_old_items_do_not_pile_up() -> None:
    order = DueOrder()
    for number in range(10_000):
        order.place(1, float(-number))
    assert len(order._heap) <= dueorder.LEAST_ITEMS + 3


class Counting(float):
    """A time that counts how often it is compared."""

    compared = 0

    def __lt__(self, other: float) -> bool:
        Counting.compared += 1
        return float(self) < float(other)

    def __eq__(self, other: object) -> bool:
        Counting.compared += 1
        return isinstance(other, float) and float(self) == float(other)

    __hash__ = float.__hash__


def steps(call: Callable[[], object]) -> int:
    """The lines of the queue that run in `call`, and the comparisons of times in its heaps."""
    lines = 0
    modules = {dueorder.__file__, uploadqueue.__file__}

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return trace if frame.f_code.co_filename in modules else None

    before, tracing = Counting.compared, sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(tracing)
    return lines + Counting.compared - before


def waiting(count: int) -> UploadQueue:
    queue = UploadQueue()
    for key in range(count):
        queue.schedule(key, Counting(key * 7919 % count))
    return queue


def worst(count: int, job: Callable[[UploadQueue], object]) -> int:
    """The most steps that `job` takes, of a hundred times one after the other."""
    queue = waiting(count)
    return max(steps(lambda: job(queue)) for _ in range(FEW))


def few_more(job: Callable[[UploadQueue], object]) -> bool:
    """A thousand times as many files cost a few steps more, as many as a heap is deep."""
    deeper = math.log2(MANY / FEW)
    return worst(MANY, job) - worst(FEW, job) <= 12 * deeper


def test_taking_what_is_due_costs_the_logarithm_of_what_waits() -> None:
    assert few_more(lambda queue: queue.take(float(MANY)))
    assert few_more(lambda queue: queue.next_due())


def test_so_does_an_upload_from_its_beginning_to_its_end() -> None:
    def round_(queue: UploadQueue) -> None:
        key = queue.take(float(MANY))
        assert key is not None
        queue.reached(float(MANY))
        queue.finish(key, float(MANY))
        queue.schedule(key, float(MANY), urgent=True)
        queue.discard(key)

    assert few_more(round_)


def test_so_does_a_probe_while_the_service_is_out_of_reach() -> None:
    def probe(queue: UploadQueue) -> None:
        now = queue.next_due()
        assert now is not None
        key = queue.take(max(now, float(MANY)))
        if key is not None:
            queue.retry(key, max(now, float(MANY)), reached=False)

    most = []
    for count in (FEW, MANY):  # the first tries find out that it is, and who may be a probe
        queue = waiting(count)
        for _ in range(5):
            probe(queue)
        assert queue.is_paused
        most.append(max(steps(lambda: probe(queue)) for _ in range(FEW)))  # noqa: B023
    assert most[1] - most[0] <= 12 * math.log2(MANY / FEW)
