"""docs/semantics.md and docs/concurrency.md say what the code and the tests say."""

from __future__ import annotations

import re

import pytest

from tests.support import pages
from vofs.core.lifecycle import TRANSITIONS, Event, Upload

CONCURRENCY = (pages.DOCS / "concurrency.md").read_text()
SEMANTICS = (pages.DOCS / "semantics.md").read_text()


@pytest.mark.parametrize("name", pages.GENERATED)
def test_a_generated_page_is_current(name: str) -> None:
    page = (pages.DOCS / name).read_text()
    assert pages.made(page) == page, "run: python -m tests.support.pages"


def test_every_promise_has_a_section_a_text_and_a_title_of_its_own() -> None:
    sections = set(re.findall(r"<!-- promises: ([^>]+?) -->", SEMANTICS))
    titles = [(section, title) for section, title, _ in pages.promised()]
    assert {section for section, _ in titles} == sections
    assert len(set(titles)) == len(titles)
    assert [test.name for *_, test in pages.promised() if not test.docstring] == []


def test_every_numbered_scenario_is_staged_and_every_staged_one_is_numbered() -> None:
    numbered = [int(number) for number in re.findall(r"^\*\*(\d+)\. ", CONCURRENCY, re.M)]
    assert numbered == list(range(1, len(numbered) + 1))
    assert sorted(pages.staged()) == numbered


def test_the_diagram_holds_every_row_of_the_table() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", pages.lifecycle(""), re.M)
    rows = {
        (Upload[state], Event(event)): Upload[target]
        for state, target, events in drawn
        for event in events.split(", ")
    }
    assert rows == TRANSITIONS


def test_a_region_is_replaced_and_the_rest_kept() -> None:
    page = "before\n<!-- lifecycle -->\nold\n<!-- end -->\nafter\n"
    new = pages.made(page)
    assert new.startswith("before\n<!-- lifecycle -->\n```mermaid\n")
    assert new.endswith("```\n<!-- end -->\nafter\n")
    assert pages.made(new) == new
