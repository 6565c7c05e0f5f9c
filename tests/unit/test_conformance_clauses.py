"""The clauses of the service suite: their identities, their table, and the profiles about them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from conformance.capabilities import FLAGS
from conformance.clausetable import Clause, table
from conformance.profile import SHIPPED, load_profile
from conformance.sections import SECTIONS, section_of
from conformance.untested import load_untested

DOCS = Path(__file__).parents[2] / "docs"
# Sections 3 to 6 that hold demands of a service, as VOSpace 2.1 numbers them.
DEMANDING = re.findall(
    r"\S+",
    "3.1 3.2 3.2.1 3.2.2 3.2.3 3.2.4 3.3 3.3.3 3.3.5 3.4 3.4.2 3.4.3 3.4.4 3.4.5 3.5.1 3.5.2 3.5.4 "
    "3.5.5 3.6.1 3.6.2 3.6.3 3.6.4 4 5 6 6.1.1 6.1.2 6.1.3 6.2.1 6.2.2 6.2.3 6.2.4 6.3.1 6.3.2 6.4 "
    "6.4.1 6.4.2 6.4.3 6.4.4 6.5",
)


@pytest.fixture(scope="module")
def clauses(tmp_path_factory: pytest.TempPathFactory) -> list[Clause]:
    """All clauses, collected by a process of its own: their markers are not those of this run."""
    path = tmp_path_factory.mktemp("clauses") / "clauses.json"
    command = [sys.executable, "-m", "conformance.clausetable", "--json", str(path)]
    subprocess.run(command, check=True, timeout=60)
    found = json.loads(path.read_text())
    return [Clause(**(one | {"needs": tuple(one["needs"])})) for one in found]


def test_the_table_is_current(clauses: list[Clause]) -> None:
    written = (DOCS / "conformance-clauses.md").read_text()
    assert written == table(clauses), (
        "run: python -m conformance.clausetable docs/conformance-clauses.md"
    )


def test_ids_are_unique_and_name_a_section(clauses: list[Clause]) -> None:
    assert not [one for one, count in Counter(c.clause for c in clauses).items() if count > 1]
    for one in clauses:
        assert re.fullmatch(r"VOS-(CADC|\d+(\.\d+)*)-[a-z0-9.-]+", one.clause), one
        assert section_of(one.clause) in SECTIONS, one


def test_every_clause_has_a_source(clauses: list[Clause]) -> None:
    known = re.compile(
        r"VOSpace 2\.1|UWS 1\.1|VOSI 1\.1|DALI|RFC \d+|XML 1\.0|Namespaces|CWE|opencadc|minoc|"
        r"protocol\.md|docs/"
    )
    assert not [one for one in clauses if not known.search(one.source)]


def test_every_section_has_a_clause_or_a_reason(clauses: list[Clause]) -> None:
    covered = {section_of(one.clause) for one in clauses}
    covered |= {one.section for one in load_untested()}
    assert not [section for section in DEMANDING if section not in covered]


def test_untested_statements_say_why() -> None:
    assert all(one.statement and one.reason for one in load_untested())


@pytest.mark.parametrize("name", ["vault", "cavern", "datalab", "spec"])
def test_shipped_profiles_speak_of_clauses_there_are(name: str, clauses: list[Clause]) -> None:
    profile = load_profile(SHIPPED / f"{name}.toml", "fake:x")
    known = {one.clause for one in clauses}
    assert {one.clause for one in profile.deviations} <= known
    assert all(len(one.reason) > 10 and one.reference for one in profile.deviations)
    assert len({one.clause for one in profile.deviations}) == len(profile.deviations)


def test_what_clauses_need_is_known(clauses: list[Clause]) -> None:
    assert {flag for one in clauses for flag in one.needs} <= FLAGS.keys()


def test_a_pipe_does_not_break_the_table() -> None:
    page = table([Clause("VOS-2-x", "a | b <c>", (), "test_x.py::test_x")])
    assert "| VOS-2-x | a \\| b &lt;c> |  | `test_x.py::test_x` |" in page
