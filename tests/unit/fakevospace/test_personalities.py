"""The page of all differences says what the code does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from fakevospace.personalities import PERSONALITIES, UnknownPersonality, personality_named
from fakevospace.personality import Personality
from fakevospace.personalitytable import descriptions, page

PAGE = Path(__file__).parents[3] / "docs/personalities.md"


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page()


def test_every_field_is_described_once() -> None:
    names = [field.name for field in fields(Personality)]
    assert list(descriptions()) == names
    assert all(descriptions().values())


def test_there_are_four_and_each_has_its_name() -> None:
    assert list(PERSONALITIES) == ["vault", "cavern", "datalab", "spec"]
    assert all(one.name == name for name, one in PERSONALITIES.items())


def test_an_unknown_one_is_refused_with_the_names_of_all() -> None:
    with pytest.raises(UnknownPersonality, match="vault, cavern, datalab, spec"):
        personality_named("nonsense")
