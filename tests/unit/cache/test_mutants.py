"""The list of mutants fits the source: `tox -e mutants` kills them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.mutants import MUTANTS, ROOT, Mutant, mutated


def test_there_are_twenty_or_more() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_a_mutant_changes_one_place_and_somebody_is_to_notice(
    mutant: Mutant, tmp_path: Path
) -> None:
    mutated(mutant, tmp_path)
    compile((tmp_path / "vofs" / mutant.path).read_text(), mutant.path, "exec")
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).is_file()
