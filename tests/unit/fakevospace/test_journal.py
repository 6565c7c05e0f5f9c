"""The journal holds only so much, and knows what it let go."""

from __future__ import annotations

from fakevospace.faults import Facts
from fakevospace.journal import Journal

FACTS = Facts("GET", "nodes", "/f", "ann")


def test_it_is_capped() -> None:
    journal = Journal(kept=3)
    numbers = [journal.begin(FACTS, f"/{n}", "") for n in range(5)]
    journal.amend(numbers[0], status=200)  # gone already: nothing happens
    journal.amend(numbers[4], status=200)
    assert [one.number for one in journal] == [3, 4, 5]
    assert (len(journal), journal.dropped) == (3, 2)
    assert [one.number for one in journal.since(0, 2)] == [3, 4]
    assert [one.number for one in journal.since(4, 9)] == [5]
    journal.clear()
    assert journal.since(0, 9) == [] and journal.begin(FACTS, "/", "") == 6


def test_credentials_are_left_out() -> None:
    journal = Journal()
    headers = (("authorization", "Bearer s"), ("Cookie", "x"), ("Accept", "*/*"))
    journal.begin(FACTS, "/", "", request_headers=headers)
    assert journal.entries()[0].request_headers == (("Accept", "*/*"),)
