"""The table clause -> test, made from the tests' own markers: docs/conformance-clauses.md.

`python -m conformance.clausetable FILE` writes it. Nothing is run: the modules of the suite are
imported and their markers read.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from conformance import service
from conformance.sections import in_order, section_of, title_of
from conformance.untested import load_untested

HEAD = """# Clauses of the service suite

Made from the tests by `python -m conformance.clausetable docs/conformance-clauses.md`; a test holds
it current. Section numbers are those of VOSpace 2.1. `needs` names what a service must be able to
do for the clause to be run ([conformance.md](conformance.md)). Statements without a test are at
the end.
"""


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: its id, where its demand comes from, what it needs, and its test."""

    clause: str
    source: str
    needs: tuple[str, ...]
    test: str


def collect() -> list[Clause]:
    """All clauses of the service suite, by section."""
    found: list[Clause] = []
    for module in pkgutil.iter_modules(service.__path__):
        if module.name.startswith("test_"):
            found += _clauses(importlib.import_module(f"conformance.service.{module.name}"))
    return sorted(found, key=lambda one: in_order(one.clause))


def _clauses(module: Any) -> Iterator[Clause]:
    common = getattr(module, "pytestmark", [])
    common = common if isinstance(common, list) else [common]
    file = f"{module.__name__.rpartition('.')[2]}.py"
    for name, function in vars(module).items():
        if not name.startswith("test_"):
            continue
        marks = [*common, *getattr(function, "pytestmark", [])]
        needs = tuple(flag for mark in marks if mark.name == "needs" for flag in mark.args)
        for mark in marks:
            if mark.name == "clause":
                yield Clause(mark.args[0], mark.kwargs["source"], needs, f"{file}::{name}")
            elif mark.name == "parametrize":
                for parameter in mark.args[1]:
                    own = [one for one in getattr(parameter, "marks", ()) if one.name == "clause"]
                    for one in own:
                        test = f"{file}::{name}[{parameter.id}]"
                        yield Clause(one.args[0], one.kwargs["source"], needs, test)


def table(clauses: Sequence[Clause]) -> str:
    """The page."""
    lines = [HEAD, f"{len(clauses)} clauses."]
    for section, group in groupby(clauses, lambda one: section_of(one.clause)):
        lines += ["", f"## {title_of(section)}", "", "| clause | demands | needs | test |"]
        lines.append("| --- | --- | --- | --- |")
        lines += [_row(one) for one in group]
    lines += ["", "## Statements without a test", "", "| section | statement | why |"]
    lines.append("| --- | --- | --- |")
    lines += [
        f"| {one.section} | {_cell(one.statement)} | {_cell(one.reason)} |"
        for one in load_untested()
    ]
    return "\n".join(lines) + "\n"


def _row(one: Clause) -> str:
    needs = ", ".join(dict.fromkeys(one.needs))
    return f"| {one.clause} | {_cell(one.source)} | {needs} | `{one.test}` |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or with --json the clauses for other programs."""
    parser = argparse.ArgumentParser(prog="python -m conformance.clausetable")
    parser.add_argument("page", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="the clauses instead of the page")
    options = parser.parse_args(arguments)
    clauses = collect()
    text = (
        json.dumps([asdict(one) for one in clauses], indent=1) if options.json else table(clauses)
    )
    options.page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
