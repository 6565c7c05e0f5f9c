"""Pages of docs/ that are made from the code: `python -m tests.support.pages` writes them.

A page is written by hand but for its regions, `<!-- promises: Reading -->` to `<!-- end -->`; what
stands between is made anew.  tests/unit/test_pages.py fails when a page is stale.

* semantics.md, `promises: SECTION`: one paragraph for each test that is marked
  `@pytest.mark.promise("SECTION", "Title")`; the paragraph is the test's docstring.  Those of
  test_promises.py come first, then those of the other files, in the order of the tests within.
* concurrency.md, `lifecycle`: the table of `vofs.core.lifecycle` as a diagram; `scenarios`: which
  test stages which numbered scenario, from the tests' names.

The tests are parsed, not imported, so that this costs nothing and needs nothing.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vofs.core.lifecycle import TRANSITIONS, Upload

ROOT = Path(__file__).parents[2]
DOCS, TESTS = ROOT / "docs", ROOT / "tests"
GENERATED = ("semantics.md", "concurrency.md")
REGION = re.compile(r"(<!-- ([a-z]+)(?:: ([^>]+?))? -->\n)(.*?)(<!-- end -->)", re.S)
SCENARIO_TEST = re.compile(r"test_((?:s\d\d_)+)")
WIDTH = 100


@dataclass(frozen=True, slots=True)
class Test:
    """One test function.

    Attributes:
        file: its module, relative to the repository.
        name: of the function.
        docstring: without indentation; "" when it has none.
        promise: section and title, when it proves a promise.
    """

    file: str
    name: str
    docstring: str
    promise: tuple[str, str] | None

    @property
    def link(self) -> str:
        """The test as a link from a page of docs/."""
        return f"[{self.name}](../{self.file})"


@cache
def all_tests() -> tuple[Test, ...]:
    """Every test function below tests/, in the order of files and lines."""
    found: list[Test] = []
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                text = inspect.cleandoc(ast.get_docstring(node) or "")
                file = path.relative_to(ROOT).as_posix()
                found.append(Test(file, node.name, text, _promise_of(node)))
    return tuple(found)


def _promise_of(function: ast.FunctionDef) -> tuple[str, str] | None:
    for mark in function.decorator_list:
        if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.promise":
            section, title = (ast.literal_eval(word) for word in mark.args)
            return str(section), str(title)
    return None


def promised() -> Iterator[tuple[str, str, Test]]:
    """Section, title and test of every promise, as they are told."""
    for test in sorted(all_tests(), key=lambda test: not test.file.endswith("test_promises.py")):
        if test.promise is not None:
            yield (*test.promise, test)


def promises(section: str) -> str:
    """The paragraphs of one section of semantics.md."""
    paragraphs = []
    for where, title, test in promised():
        if where == section:
            first, *rest = test.docstring.split("\n\n")
            told = [f"**{title}.** {first}", *rest]
            told[-1] += f" ([test](../{test.file} '{test.name}'))"
            paragraphs += [_wrapped(paragraph) for paragraph in told]
    return "\n\n".join(paragraphs)


def _wrapped(paragraph: str) -> str:
    """A paragraph in lines of the usual width; links are never broken."""
    text = " ".join(paragraph.split())
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def lifecycle(_: str) -> str:
    """The table of the upload's life as a state diagram."""
    events: dict[tuple[Upload, Upload], list[str]] = {}
    for (state, event), target in TRANSITIONS.items():
        events.setdefault((state, target), []).append(event.value)
    names = {state: state.name for state in Upload}
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {names[Upload.IDLE]}"]
    for (state, target), caused in events.items():
        lines.append(f"    {names[state]} --> {names[target]}: {', '.join(caused)}")
    return "\n".join([*lines, "```"])


def staged() -> dict[int, list[Test]]:
    """Which tests stage which scenario of concurrency.md: `test_s07_...` stages number 7."""
    found: dict[int, list[Test]] = {}
    for test in all_tests():
        match = SCENARIO_TEST.match(test.name)
        if match and test.file.startswith("tests/concurrency/"):
            for number in re.findall(r"\d\d", match.group(1)):
                found.setdefault(int(number), []).append(test)
    return found


def scenarios(_: str) -> str:
    """Number of the scenario -> tests, as a table."""
    lines = ["| scenario | staged in |", "| --- | --- |"]
    for number, tests in sorted(staged().items()):
        lines.append(f"| {number} | {'<br>'.join(test.link for test in tests)} |")
    return "\n".join(lines)


MAKERS: dict[str, Callable[[str], str]] = {
    "promises": promises,
    "lifecycle": lifecycle,
    "scenarios": scenarios,
}


def made(page: str) -> str:
    """The text of a page with its regions made anew.

    Args:
        page: its present text.
    """

    def region(match: re.Match[str]) -> str:
        begin, maker, argument, _, end = match.groups()
        return f"{begin}{MAKERS[maker](argument or '')}\n{end}"

    return REGION.sub(region, page)


def main() -> None:
    """Write all generated pages."""
    for name in GENERATED:
        path = DOCS / name
        path.write_text(made(path.read_text()))


if __name__ == "__main__":
    main()
