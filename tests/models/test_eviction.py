"""The order of use behaves as a plain list of uses, whatever is used and given up."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vofs.core.eviction import BLOCK, MOST_BLOCKS, REST, UseOrder, blocks_of

files = st.sampled_from("abc")
offsets = st.integers(0, 6 * BLOCK)


class UseOrderMachine(RuleBasedStateMachine):
    """Row 29: `uses` holds the last use of everything that is cached, and is searched from end to
    end; the order must give the same answers without looking at more than it names."""

    most = MOST_BLOCKS

    def __init__(self) -> None:
        super().__init__()
        self.order: UseOrder[str] = UseOrder(self.most)
        self.uses: dict[tuple[str, int], int] = {}
        self.tick = 0

    @rule(file=files, start=offsets, length=offsets)
    def use(self, file: str, start: int, length: int) -> None:
        self.tick += 1
        self.order.used(file, start, start + length, self.tick)
        for block in blocks_of(start, start + length):
            self.uses.pop((file, block), None)
            self.uses[file, block] = self.tick

    @rule(file=files)
    def use_rest(self, file: str) -> None:
        self.tick += 1
        self.order.rest_used(file, self.tick)
        self.uses.pop((file, REST), None)
        self.uses[file, REST] = self.tick

    @rule(file=files)
    def forget(self, file: str) -> None:
        self.order.drop_file(file)
        self.uses = {key: tick for key, tick in self.uses.items() if key[0] != file}

    @rule()
    def give_up_the_oldest(self) -> None:
        oldest = self.order.oldest()
        if oldest is None:
            assert not self.uses
            return
        assert oldest.tick == min(self.uses.values())
        self.order.drop(oldest.file, oldest.block)
        assert self.uses.pop((oldest.file, oldest.block)) == oldest.tick

    @rule()
    def give_up_a_part_of_the_oldest_rest(self) -> None:
        oldest = self.order.oldest()
        if oldest is not None and oldest.block == REST:
            self.order.drop(oldest.file, REST)
            self.order.rest_left(oldest.file, oldest.tick)
            assert self.order.oldest() == oldest

    @invariant()
    def same_entries(self) -> None:
        assert len(self.order) == len(self.uses)
        listed = {key for key in self.uses if key[1] != REST and self.order.is_listed(*key)}
        assert listed == {key for key in self.uses if key[1] != REST}


class CrowdedMachine(RuleBasedStateMachine):
    """With few entries the order is coarser; still nothing that is cached is forgotten, and what
    is given up is never younger than a block that keeps its entry."""

    def __init__(self) -> None:
        super().__init__()
        self.order: UseOrder[str] = UseOrder(3)
        self.cached: set[tuple[str, int]] = set()
        self.tick = 0

    @rule(file=files, start=offsets, length=offsets)
    def use(self, file: str, start: int, length: int) -> None:
        self.tick += 1
        self.order.used(file, start, start + length, self.tick)
        self.cached |= {(file, block) for block in blocks_of(start, start + length)}

    @rule()
    def give_up_the_oldest(self) -> None:
        oldest = self.order.oldest()
        if oldest is None:
            assert not self.cached
            return
        self.order.drop(oldest.file, oldest.block)
        after = self.order.oldest()
        assert after is None or oldest.tick <= after.tick
        if oldest.block == REST:
            gone = {
                (file, block)
                for file, block in self.cached
                if file == oldest.file and not self.order.is_listed(file, block)
            }
        else:
            gone = {(oldest.file, oldest.block)}
        self.cached -= gone

    @invariant()
    def bounded(self) -> None:
        assert len(self.order) <= 3 + 3


TestUseOrder = UseOrderMachine.TestCase
TestCrowded = CrowdedMachine.TestCase


def test_blocks_of_a_span() -> None:
    assert list(blocks_of(0, 1)) == [0]
    assert list(blocks_of(BLOCK - 1, BLOCK + 1)) == [0, 1]
    assert list(blocks_of(BLOCK, 2 * BLOCK)) == [1]
    assert list(blocks_of(5, 5)) == []
