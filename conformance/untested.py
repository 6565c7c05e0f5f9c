"""The statements of VOSpace 2.1, sections 3 to 6, for which there is no clause, each with why."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

_LIST = Path(__file__).parent / "untested.toml"


@dataclass(frozen=True, slots=True)
class Untested:
    """A statement of a section, and why nothing tests it."""

    section: str
    statement: str
    reason: str


def load_untested() -> list[Untested]:
    """The list, in the order of the file."""
    return [Untested(**entry) for entry in tomllib.loads(_LIST.read_text())["untested"]]
