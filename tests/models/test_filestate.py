"""FileState against a bytearray, under any interleaving of its events.

The machine plays `CachedFile`, the service and a downloader with plain byte arrays; the model is
one bytearray that says what a reader must see.  Claims are accepted in pieces between writes,
tickets are sent in pieces between writes, and the service must end with the bytes of the cut.
What was downloaded is compared with the service's MD5 now and then; no ticket is cut before.
"""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.support.simulatednodes import token_of
from vofs.core.errors import IllegalTransition
from vofs.core.fetchstate import Claim
from vofs.core.filestate import FileState
from vofs.core.lifecycle import TRANSITIONS, Event, Life, Upload
from vofs.core.nodes import VersionToken

GARBAGE = 0xEE
offsets = st.integers(0, 24)
lengths = st.integers(1, 8)


def made_here() -> FileState:
    """A file that the service never had, empty and dirty, as its row describes it."""
    state = FileState(None, 0)
    state.generation = 1
    return state


class FileStateMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.remote = bytes(range(1, 21))
        self.state = FileState(token_of(self.remote), len(self.remote))
        self.model = bytearray(self.remote)
        self.local = bytearray([GARBAGE]) * len(self.remote)
        self.claims: list[tuple[Claim, int, bytes]] = []
        self.aside: dict[int, int] = {}
        self.snapshot = b""
        self.sent = bytearray()
        self.fill = 100
        self.awaited: dict[int, int] = {}

    # -- local changes --------------------------------------------------------------------------

    def copy_aside(self, start: int, end: int) -> None:
        spans = self.state.copy_aside_for_write(start, end)
        for span_start, span_end in spans:
            for position in range(span_start, span_end):
                self.aside[position] = self.local[position]
        self.state.copied_aside(spans)

    @rule(offset=offsets, length=lengths)
    def write(self, offset: int, length: int) -> None:
        self.fill = self.fill % 200 + 1
        data = bytes([self.fill]) * length
        self.copy_aside(offset, offset + length)
        for array in (self.local, self.model):
            array.extend(bytes(max(0, offset - len(array))))
            array[offset : offset + length] = data
        self.state.wrote(offset, offset + length)

    @rule(size=offsets)
    def truncate(self, size: int) -> None:
        self.copy_aside(size, len(self.local))
        for array in (self.local, self.model):
            array.extend(bytes(max(0, size - len(array))))
            del array[size:]
        self.state.truncated(size)

    # -- downloads ------------------------------------------------------------------------------

    @rule(start=offsets, length=lengths)
    def claim(self, start: int, length: int) -> None:
        for claim in self.state.claim(start, start + length):
            self.claims.append((claim, claim.start, self.remote))

    @precondition(lambda self: self.claims)
    @rule(index=st.integers(0, 9), length=lengths)
    def accept_some(self, index: int, length: int) -> None:
        index %= len(self.claims)
        claim, position, version = self.claims[index]
        end = min(position + length, claim.end)
        spans = self.state.acceptable(claim, position, end)
        for start, stop in spans:
            self.local[start:stop] = version[start:stop]
        self.state.accepted(spans)
        if end == claim.end:
            self.state.release(claim)
            del self.claims[index]
        else:
            self.claims[index] = (claim, end, version)

    @precondition(lambda self: self.claims)
    @rule(index=st.integers(0, 9), length=lengths)
    def pass_some_over(self, index: int, length: int) -> None:
        """No room for what came: it can be claimed again, what comes later is as it was."""
        index %= len(self.claims)
        claim, position, version = self.claims[index]
        end = min(position + length, claim.end)
        self.state.pass_over(claim, end)
        assert self.state.acceptable(claim, position, end) == []
        if self.state.is_live(claim):
            gaps = self.state.gaps(position, end)
            assert self.state.unclaimed(position, end) == gaps
        self.claims[index] = (claim, end, version)

    @precondition(lambda self: self.claims)
    @rule()
    def download_breaks(self) -> None:
        claim, _, _ = self.claims.pop()
        self.state.release(claim)

    @rule(start=offsets, length=lengths)
    def evict(self, start: int, length: int) -> None:
        for first, last in self.state.forget(start, start + length):
            assert not self.state.dirty.overlaps(first, last)
            for position in range(first, last):
                assert position not in self.awaited.values(), "what somebody waits for stays"
                self.local[position] = GARBAGE

    @precondition(lambda self: len(self.awaited) < 3)
    @rule(position=offsets)
    def await_a_byte(self, position: int) -> None:
        self.awaited[self.state.pin(position, position + 1)] = position

    @precondition(lambda self: self.awaited)
    @rule()
    def wait_no_more(self) -> None:
        pin, _ = self.awaited.popitem()
        self.state.unpin(pin)

    @rule()
    def is_compared(self) -> None:
        """R6, R13: the base version as it is here, the rest of it from the service, has its MD5."""
        base = self.state.base
        if base is not None and base.length:
            here = bytearray(self.local[: base.length].ljust(base.length))
            for start, end in self.state.base_missing(0):
                here[start:end] = self.remote[start:end]
            assert token_of(bytes(here)) == base
            self.state.proved()

    @precondition(lambda self: self.state.awaits_proof)
    @rule()
    def no_ticket_is_cut_of_what_is_not_proved(self) -> None:
        with pytest.raises(IllegalTransition):
            self.state.cut_ticket()

    @precondition(lambda self: self.state.upload is not Upload.UPLOADING)
    @rule()
    def what_came_is_taken_back(self) -> None:
        """R13: it turned out to be something else; awaited or not, it is missing again."""
        self.state.take_back([(0, self.state.size)])
        assert not self.state.awaits_proof

    # -- the service ----------------------------------------------------------------------------

    @precondition(lambda self: not self.state.is_dirty)
    @rule(data=st.binary(max_size=12))
    def remote_changes_and_is_noticed(self, data: bytes) -> None:
        self.remote = data
        self.state.rebase(token_of(data))
        self.model = bytearray(data)
        self.local = bytearray([GARBAGE]) * len(data)

    # -- uploads --------------------------------------------------------------------------------

    @precondition(lambda self: self.state.is_dirty)
    @rule()
    def due(self) -> None:
        self.state.apply(Event.QUEUE)

    @precondition(lambda self: self.state.upload is Upload.QUEUED)
    @rule()
    def cut(self) -> None:
        for claim, _, _ in self.claims:
            self.state.release(claim)
        self.claims.clear()
        for start, end in self.state.gaps(0, self.state.size):
            for claim in self.state.claim(start, end):
                spans = self.state.acceptable(claim, start, end)
                for first, last in spans:
                    self.local[first:last] = self.remote[first:last]
                self.state.accepted(spans)
                self.state.release(claim)
        self.is_compared()
        self.state.cut_ticket()
        self.snapshot = bytes(self.model)
        self.sent = bytearray()
        self.aside = {}

    @precondition(lambda self: self.state.ticket is not None)
    @rule(length=lengths)
    def send_some(self, length: int) -> None:
        ticket = self.state.ticket
        assert ticket is not None
        start = len(self.sent)
        end = min(start + length, ticket.size)
        for (first, last), from_aside in self.state.ticket_sources(start, end):
            for position in range(first, last):
                self.sent.append(self.aside[position] if from_aside else self.local[position])
        self.state.sent(end)

    @precondition(
        lambda self: self.state.ticket is not None and len(self.sent) == self.state.ticket.size
    )
    @rule()
    def arrives(self) -> None:
        assert bytes(self.sent) == self.snapshot, "an upload sends the bytes as they were when cut"
        self.remote = bytes(self.sent)
        self.state.stored(token_of(self.remote))

    @precondition(lambda self: self.state.ticket is not None)
    @rule(event=st.sampled_from([Event.RETRY, Event.DOUBT, Event.FAIL]))
    def breaks(self, event: Event) -> None:
        self.state.not_stored(event)

    @precondition(lambda self: self.state.upload is Upload.IN_DOUBT)
    @rule()
    def doubt_is_settled_as_lost(self) -> None:
        self.state.apply(Event.RESEND)

    @invariant()
    def reader_sees_the_model(self) -> None:
        self.state.check_invariants()
        assert self.state.size == len(self.model)
        for start, end in self.state.present:
            assert self.local[start:end] == self.model[start:end]
        for start, end in self.state.gaps(0, self.state.size):
            assert self.remote[start:end] == self.model[start:end], "the rest is on the service"
        if not self.state.is_dirty:
            assert bytes(self.model) == self.remote


TestFileState = FileStateMachine.TestCase


def test_what_a_download_brings_from_beyond_the_lowest_size_is_not_accepted() -> None:
    """Right as designed: cut and extended, a file reads zeros, not what the service still holds."""
    state = FileState(VersionToken(100, "ab" * 16), 100)
    (claim,) = state.claim(0, 100)
    state.truncated(10)
    assert state.acceptable(claim, 0, 100) == [(0, 10)]
    state.truncated(60)
    assert state.acceptable(claim, 0, 100) == [(0, 10)]
    state.check_invariants()


def test_every_state_is_reachable_and_nothing_else_is_allowed() -> None:
    """A table gives event x state; anything else raises IllegalTransition."""
    reached = {Upload.IDLE} | set(TRANSITIONS.values())
    assert reached == set(Upload)
    for upload in Upload:
        for event in Event:
            state = made_here()
            state.upload = upload
            if (upload, event) in TRANSITIONS:
                state.apply(event)
                assert state.upload is TRANSITIONS[upload, event]
            else:
                with pytest.raises(IllegalTransition):
                    state.apply(event)


def test_a_detached_file_is_never_uploaded() -> None:
    state = made_here()
    state.detach()
    assert state.life is Life.DETACHED
    state.apply(Event.QUEUE)
    with pytest.raises(IllegalTransition):
        state.cut_ticket()


def test_a_dirty_file_is_never_rebased_nor_evicted() -> None:
    """Dirty is never evicted, and a remote change never replaces it."""
    state = FileState(VersionToken(10), 10)
    state.wrote(2, 4)
    with pytest.raises(IllegalTransition):
        state.rebase(VersionToken(5))
    assert state.forget(0, 10) == []
    assert state.forget(2, 3) == []


@pytest.mark.parametrize(
    ("events", "may_go"),
    [
        ([], True),
        ([Event.QUEUE], True),
        ([Event.QUEUE, Event.CUT], False),
        ([Event.QUEUE, Event.FAIL], False),
        ([Event.CONFLICT], False),
    ],
)
def test_what_may_go_of_a_changed_file(events: list[Event], may_go: bool) -> None:
    """R2, R6: its clean bytes, as long as nothing but their base version is on the service."""
    state = FileState(VersionToken(100), 100)
    state.present.add(0, 100)
    state.wrote(40, 50)
    for event in events:
        if event is Event.CUT:
            state.cut_ticket()
        else:
            state.apply(event)
    assert state.forget(30, 50) == []
    assert state.forget(0, 40) == ([(0, 40)] if may_go else [])
    state.check_invariants()


def test_what_is_evicted_from_a_live_claim_can_be_fetched_again() -> None:
    """Row 29: a reader that lost a block need not wait for the rest of a long download."""
    state = FileState(VersionToken(100), 100)
    (claim,) = state.claim(0, 100)
    state.accepted(state.acceptable(claim, 0, 60))
    assert state.forget(0, 20) == [(0, 20)]
    assert state.unclaimed(0, 100) == [(0, 20)]
    (second,) = state.claim(0, 20)
    assert state.acceptable(claim, 0, 20) == []
    assert state.acceptable(second, 0, 20) == [(0, 20)]
    assert state.acceptable(claim, 60, 100) == [(60, 100)]
    state.check_invariants()


def test_r24_what_a_download_passed_over_can_be_fetched_again() -> None:
    state = FileState(VersionToken(100), 100)
    (claim,) = state.claim(0, 100)
    state.accepted(state.acceptable(claim, 0, 10))
    state.pass_over(claim, 30)
    state.pass_over(claim, 20)
    assert state.unclaimed(0, 100) == [(10, 30)]
    assert state.acceptable(claim, 30, 100) == [(30, 100)]
    state.pass_over(claim, 200)
    assert state.unclaimed(0, 100) == [(10, 100)] and state.is_live(claim)
    state.check_invariants()


def test_truncate_then_extend_never_fetches_the_old_bytes() -> None:
    """backing_end: what the service still holds beyond a truncation is gone for this file."""
    state = FileState(VersionToken(100), 100)
    state.truncated(10)
    state.truncated(50)
    assert state.gaps(0, 50) == [(0, 10)]


def test_stored_clears_dirty_only_for_its_generation() -> None:
    """Generation match before clean."""
    state = made_here()
    state.wrote(0, 4)
    state.apply(Event.QUEUE)
    state.cut_ticket()
    state.wrote(4, 6)
    state.stored(VersionToken(4, "a" * 32))
    assert state.is_dirty
    assert list(state.dirty) == [(4, 6)]
