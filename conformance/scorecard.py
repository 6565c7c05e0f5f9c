"""The scorecard: one self-contained HTML page, rows = clauses by section, columns = targets.

`python -m conformance.scorecard PAGE results.json...` puts several runs side by side. A result is
told by a sign and a word, never by colour alone; reasons stand below the table, so that they can
be read on a phone and on paper, where nothing opens or hovers.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from conformance.report import ClauseResult, Result, Run, read_results
from conformance.sections import in_order, section_of, title_of
from conformance.untested import Untested, load_untested

SIGNS = {
    Result.PASSES: ("✓", "passes"),
    Result.EXPECTED_FAILURE: ("◇", "expected deviation"),
    Result.FAILS: ("✗", "fails"),
    Result.UNEXPECTED_PASS: ("!", "passes unexpectedly"),
    Result.NOT_RUN: ("\N{EN DASH}", "not run"),
}
_STYLE = Path(__file__).parent / "scorecard.css"


def write_scorecard(runs: Sequence[Run], path: Path) -> None:
    """Write the page for these runs, one column each."""
    untested = load_untested() if any(run.suite == "service" for run in runs) else []
    path.write_text("".join(_page(runs, untested)), encoding="utf-8")


def _page(runs: Sequence[Run], untested: Sequence[Untested]) -> Iterator[str]:
    names = ", ".join(run.target for run in runs)
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Conformance of {escape(names)}</title>"
    yield f"<style>\n{_STYLE.read_text()}</style></head><body>\n"
    yield "<h1>VOSpace conformance</h1>"
    clauses = len({one.clause for run in runs for one in run.results})
    yield f'<p class="lead">{clauses} clauses of VOSpace 2.1, UWS 1.1 and extensions of CADC'
    yield f" · {escape(_when(runs))}</p>\n"
    yield '<div class="cards">' + "".join(_card(run) for run in runs) + "</div>\n"
    yield '<ul class="legend">'
    for result, (_, word) in SIGNS.items():
        yield f"<li>{_mark(result)} {word}</li>"
    yield "</ul>\n"
    yield from _table(runs)
    yield from _notes(runs)
    yield from _untested(untested)
    yield "</body></html>\n"


def _when(runs: Sequence[Run]) -> str:
    days = sorted({run.started[:10] for run in runs if run.started})
    return " to ".join(dict.fromkeys([days[0], days[-1]])) if days else ""


def _card(run: Run) -> str:
    good = run.exit_code == 0
    unexpected = run.counts[Result.FAILS] + run.counts[Result.UNEXPECTED_PASS]
    verdict = "as expected" if good else f"{unexpected} unexpected"
    total = max(len(run.results), 1)
    bar = "".join(
        f'<i class="{result}" style="width:{100 * run.counts[result] / total:.2f}%"></i>'
        for result in SIGNS
    )
    counts = " · ".join(
        f"<b>{run.counts[result]}</b> {word}"
        for result, (_, word) in SIGNS.items()
        if run.counts[result]
    )
    return (
        f'<section class="card"><h3>{escape(run.target)}</h3>'
        f'<p class="profile">profile {escape(run.profile)}</p>'
        f'<p class="verdict {"pass" if good else "fail"}">{verdict}</p>'
        f'<div class="bar">{bar}</div><p class="counts">{counts}</p></section>'
    )


def _mark(result: Result) -> str:
    sign, word = SIGNS[result]
    return f'<span class="mark {result}" title="{word}" aria-label="{word}">{sign}</span>'


def _table(runs: Sequence[Run]) -> Iterator[str]:
    found = [{one.clause: one for one in run.results} for run in runs]
    sources = {one.clause: one.source for run in runs for one in run.results}
    yield '<h2>Clauses</h2>\n<table><thead><tr><th scope="col">Clause</th>'
    for run in runs:
        short = run.target.rpartition("fake:")[2] or run.target
        yield f'<th scope="col" class="target"><span>{escape(short)}</span></th>'
    yield "</tr></thead><tbody>\n"
    for section, clauses in groupby(sorted(sources, key=in_order), section_of):
        listed = list(clauses)
        yield f'<tr class="section"><th scope="rowgroup">{escape(title_of(section))}</th>'
        for results in found:
            yield f'<th class="tally">{_tally(results, listed)}</th>'
        yield "</tr>\n"
        for clause in listed:
            yield f'<tr><td class="clause"><code>{escape(clause)}</code>'
            yield f"<small>{escape(sources[clause])}</small></td>"
            for results in found:
                one = results.get(clause)
                yield f'<td class="cell">{_mark(one.result) if one else ""}</td>'
            yield "</tr>\n"
    yield "</tbody></table>\n"


def _tally(results: dict[str, ClauseResult], clauses: Sequence[str]) -> str:
    """How many of the clauses that ran passed."""
    ran = [results[one].result for one in clauses if one in results]
    ran = [result for result in ran if result is not Result.NOT_RUN]
    passed = sum(result is Result.PASSES for result in ran)
    return f"{passed}/{len(ran)}" if ran else ""


def _notes(runs: Sequence[Run]) -> Iterator[str]:
    for result, heading in (
        (Result.FAILS, "Failures"),
        (Result.UNEXPECTED_PASS, "Unexpected passes"),
        (Result.EXPECTED_FAILURE, "Expected deviations"),
        (Result.NOT_RUN, "Not run"),
    ):
        told: dict[tuple[str, str], list[str]] = {}
        for run in runs:
            for one in run.results:
                if one.result is result:
                    reason = one.message.partition("\n")[0][:600]
                    told.setdefault((one.clause, reason), []).append(run.target)
        if not told:
            continue
        yield f'<h2>{heading}</h2>\n<ul class="notes">\n'
        for (clause, reason), targets in sorted(
            told.items(), key=lambda item: in_order(item[0][0])
        ):
            who = f' <span class="who">({escape(", ".join(targets))})</span>'
            yield f"<li><code>{escape(clause)}</code>{who}<br>{escape(reason)}</li>\n"
        yield "</ul>\n"


def _untested(untested: Sequence[Untested]) -> Iterator[str]:
    if not untested:
        return
    yield '<h2>Statements of the standard without a test</h2>\n<ul class="notes">\n'
    for one in untested:
        yield f"<li><b>{escape(one.section)}</b> {escape(one.statement)}<br>"
        yield f'<span class="who">{escape(one.reason)}</span></li>\n'
    yield "</ul>\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Put the results of several runs on one page; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m conformance.scorecard")
    parser.add_argument("page", type=Path, metavar="PAGE", help="the HTML file to write")
    parser.add_argument("results", type=Path, nargs="+", metavar="results.json")
    options = parser.parse_args(arguments)
    try:
        write_scorecard([read_results(path) for path in options.results], options.page)
    except (OSError, ValueError) as exc:
        print(f"conformance: {exc}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
