"""Intents and tombstones: a round trip, and their ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.cache.conftest import IDENTITY, Parts
from vofs.cache.index import Index
from vofs.cache.journal import Intent, Journal, Tombstone, add_tombstone, end_intent
from vofs.core.nodes import VersionToken

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
tokens = st.none() | st.builds(
    VersionToken, st.integers(0, 1 << 62), st.none() | text, st.none() | st.integers(0, 1 << 50),
    st.booleans(),
)  # fmt: skip
intents = st.builds(
    Intent, text, text, text, text, text, text, tokens, tokens,
    st.dictionaries(text, text, max_size=3),
)  # fmt: skip


@given(intent=intents)
def test_an_intent_comes_back_as_it_went(intent: Intent) -> None:
    index = Index(":memory:", IDENTITY)  # type: ignore[arg-type]  # sqlite's own name
    try:
        journal = Journal(index)
        begun = journal.begin(intent)
        assert begun.number > 0
        assert journal.intents() == [begun]
        assert replace(begun, number=0) == intent
        assert journal.find(begun.number) == begun
    finally:
        index.close()


def test_steps_and_the_end(parts: Parts) -> None:
    journal = Journal(parts.index)
    first = journal.begin(Intent("rename", "/a", "/b", step="aside", aside="/.b"))
    second = journal.begin(Intent("mkdir", "/d"))
    assert first.paths == ("/a", "/b", "/.b")
    assert second.paths == ("/d",)
    first = journal.advance(replace(first, step="move", job_url="http://job"))
    assert journal.intents() == [first, second]
    journal.forget(first)
    with pytest.raises(KeyError):
        journal.find(first.number)
    with pytest.raises(ZeroDivisionError), parts.index.transaction() as connection:
        end_intent(connection, second)
        raise ZeroDivisionError
    assert journal.intents() == [second]


def test_tombstones(parts: Parts) -> None:
    journal = Journal(parts.index)
    one = Tombstone("/a", VersionToken(5, "ab", None, True))
    other = Tombstone("/a", VersionToken(6, None, 7, False), torn_size=3, whole=((7, "aa"),))
    for tombstone in (one, other):
        with parts.index.transaction() as connection:
            add_tombstone(connection, tombstone)
    assert journal.tombstones() == [other]
    journal.drop_tombstone("/a")
    assert journal.tombstones() == []
