"""Every rule that keeps bytes right has a test with its number in its name or docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OF_THE_MOUNT = ("unit", "models", "concurrency", "mounted", "integration/session")
RULES = range(1, 25)
NUMBER = re.compile(r"(?<![A-Za-z0-9])[rR]0?(\d{1,2})(?![0-9])")


def words_of_tests(module: Path) -> Iterator[tuple[str, str]]:
    """Each test function and state machine of `module`: its place, and its name and docstring."""
    for node in ast.walk(ast.parse(module.read_text())):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        if node.name.startswith("test_") or isinstance(node, ast.ClassDef):
            words = node.name.replace("_", " ") + " " + (ast.get_docstring(node) or "")
            yield f"{module.name}::{node.name}", words


@pytest.fixture(scope="module")
def carriers() -> dict[int, list[str]]:
    """The tests that carry each number."""
    found: dict[int, list[str]] = {number: [] for number in RULES}
    for folder in OF_THE_MOUNT:
        for module in sorted((TESTS / folder).rglob("test_*.py")):
            for test, words in words_of_tests(module):
                for number in {int(match) for match in NUMBER.findall(words)} & set(RULES):
                    found[number].append(test)
    return found


@pytest.mark.parametrize("number", RULES, ids=lambda number: f"R{number}")
def test_a_rule_has_a_test_with_its_number(carriers: dict[int, list[str]], number: int) -> None:
    assert carriers[number], f"no test carries R{number}"
