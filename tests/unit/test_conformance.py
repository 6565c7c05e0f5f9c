"""The frame of the conformance suite: results, profiles, reports and exit codes.

Each run is a process of its own, as a user starts it, on a plain directory: the local file system
is the one target that certainly conforms, and /proc the one that certainly does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from conformance import scorecard, wire
from conformance.__main__ import main
from conformance.capabilities import FLAGS, Capabilities
from conformance.grammar import check_node
from conformance.profile import load_profile
from conformance.report import ClauseResult, Result, Run, read_results, write_results
from conformance.wire import terms

CLAUSES = ("FS-file-write-read-back", "FS-rename-over-file")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "conformance", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def exit_code(*arguments: str | Path) -> int | str | None:
    """The same in this process, for what ends before any clause runs."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as exc:
        return exc.code


def profile_of(tmp_path: Path, *clauses: str) -> Path:
    path = tmp_path / "known.toml"
    path.write_text(
        "".join(
            f'[[deviation]]\nclause = "{clause}"\nreason = "no such thing"\nreference = "issue 0"\n'
            for clause in clauses
        )
    )
    return path


def results_in(report: Path) -> dict[str, str]:
    results = json.loads((report / "results.json").read_text())["results"]
    return {entry["clause"]: entry["result"] for entry in results}


def test_a_conforming_target_exits_0_and_is_left_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()

    done = run("mount", "--target", target, "--report", tmp_path / "report")

    assert done.returncode == 0, done.stdout + done.stderr
    assert results_in(tmp_path / "report") == dict.fromkeys(CLAUSES, "passes")
    suite = ET.parse(tmp_path / "report" / "junit.xml").getroot()
    assert [case.get("name") for case in suite.iter("testcase")] == list(CLAUSES)
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("2", "0", "0")
    assert list(target.iterdir()) == []


def test_a_failing_clause_exits_1_and_says_why(tmp_path: Path) -> None:
    done = run("mount", "--target", "/proc", "--report", tmp_path)

    assert done.returncode == 1
    assert results_in(tmp_path) == dict.fromkeys(CLAUSES, "fails")
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    assert all("/proc/conformance-" in e.get("message", "") for e in suite.iter("failure"))


def test_a_failure_that_the_profile_explains_is_expected(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, *CLAUSES)

    done = run("mount", "--target", "/proc", "--profile", profile, "--report", tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert results_in(tmp_path) == dict.fromkeys(CLAUSES, "expected-failure")
    suite = ET.parse(tmp_path / "junit.xml").getroot()
    assert [e.get("message") for e in suite.iter("skipped")] == ["no such thing [issue 0]"] * 2


def test_an_unexpected_pass_fails(tmp_path: Path) -> None:
    profile = profile_of(tmp_path, CLAUSES[0])
    target = tmp_path / "target"
    target.mkdir()

    done = run("mount", "--target", target, "--profile", profile, "--report", tmp_path)

    assert done.returncode == 1
    assert results_in(tmp_path) == {CLAUSES[0]: "unexpected-pass", CLAUSES[1]: "passes"}


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["probe", "somewhere"], "neither fake:PERSONALITY"),
        (["probe", "http://127.0.0.1:9/vault"], "does not answer"),
        (["service", "--target", "fake:vault", "--token-file", "missing"], "missing"),
        (["mount", "--target", "nowhere"], "neither a directory"),
        (["mount", "--target", "vofs+fake:webdav"], "the fake knows"),
        (["service", "--target", "somewhere"], "neither fake:PERSONALITY"),
        (["service", "--target", "http://127.0.0.1:9/vault"], "does not answer"),
        (["mount", "--target", ".", "--profile", "missing.toml"], "missing.toml"),
        (["mount"], "--target"),
    ],
)
def test_what_cannot_be_run_exits_2(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(*arguments) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[[deviation]]\nclause = "FS-rename-over-file"\n', "clause, reason and reference"),
        ("deviations = []\n", "unknown key"),
        ("[", "profile.toml"),
    ],
)
def test_a_profile_with_a_mistake_is_refused(
    tmp_path: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "profile.toml"
    profile.write_text(text)
    assert exit_code("mount", "--target", tmp_path, "--profile", profile) == 2
    assert complaint in capsys.readouterr().err


def test_a_profile_that_names_no_clause_is_refused(tmp_path: Path) -> None:
    done = run("mount", "--target", tmp_path, "--profile", profile_of(tmp_path, "FS-none"))
    assert done.returncode == 2
    assert "no clause FS-none" in done.stdout + done.stderr


def test_node_documents_are_read_whatever_their_prefixes() -> None:
    node = wire.read_node(
        b"""<node xmlns="http://www.ivoa.net/xml/VOSpace/v2.0" uri="vos://a~b/c"
        xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="any:ContainerNode"><properties>
        <property uri="ivo://ivoa.net/vospace/core#length" readOnly="true">6</property></properties>
        <nodes><node uri="vos://a~b/c/d%20e" i:type="any:DataNode"/></nodes></node>"""
    )
    assert (node.uri, node.kind) == ("vos://a~b/c", "ContainerNode")
    assert node.properties == {terms.LENGTH: "6"}
    assert node.read_only == {terms.LENGTH}
    assert node.elements == ("properties", "nodes")
    assert node.children == ("d e",)


@pytest.mark.parametrize(
    "broken",
    [
        b'<v:node xmlns:v="http://www.ivoa.net/xml/VOSpace/v2.0" uri="vos://a~b/c"/>',
        wire.node_document("vos://a~b/c", "ContainerNode").replace(b"<vos:nodes/>", b""),
        wire.node_document("vos://a~b/c", "DataNode").replace(b"vos:DataNode", b"DataNode"),
        wire.node_document("vos://a~b/c", "LinkNode", target="vos://a~b/d").replace(
            b"<vos:target>vos://a~b/d</vos:target>", b""
        ),
        b'<v:transfer xmlns:v="http://www.ivoa.net/xml/VOSpace/v2.0"/>',
    ],
)
def test_a_document_against_the_grammar_is_found(broken: bytes) -> None:
    check_node(wire.node_document("vos://a~b/c", "ContainerNode", {terms.TITLE: "t"}))
    with pytest.raises(AssertionError):
        check_node(broken)


def test_a_capability_is_stated_found_or_assumed() -> None:
    flags = Capabilities({"ranges": False}, {"ranges": True, "files": True, "linkNodeProps": None})
    assert not flags.has("ranges")
    assert flags.has("files")
    assert flags.has("linkNodeProps")  # what the standard demands is assumed
    assert not flags.has("transactions")
    assert flags.missing(("files", "ranges")) == f"needs ranges: {FLAGS['ranges'][0]}"
    assert flags.contradictions() == ["ranges"]


def test_a_deviation_may_be_that_of_some_targets_only(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text(
        '[[deviation]]\nclause = "A"\nreason = "r"\nreference = "x"\ntarget = "fake:*"\n'
    )
    assert load_profile(path, "fake:vault").deviation("A")
    assert load_profile(path, "https://example.org/vault").deviation("A") is None


def test_results_are_read_back_and_put_side_by_side(tmp_path: Path) -> None:
    results = (
        ClauseResult("VOS-6.2.1-a", "VOSpace <2.1>", Result.PASSES, 0.1),
        ClauseResult("VOS-6.2.1-b", "s", Result.FAILS, 0.1, "why & where\nthe rest"),
        ClauseResult("VOS-2-c", "s", Result.NOT_RUN, 0.1, "needs a second user"),
    )
    run = Run(
        "service", "fake:vault", "vault", results, "2026-01-01T00:00:00+00:00", {"files": True}
    )
    write_results(run, tmp_path / "results.json")
    assert read_results(tmp_path / "results.json") == run
    page = tmp_path / "page.html"
    other = str(tmp_path / "results.json")
    assert scorecard.main([str(page), other, other]) == 0
    text = page.read_text()
    assert text.index("VOS-2-c") < text.index("VOS-6.2.1-a")  # by section
    assert "VOSpace &lt;2.1&gt;" in text and "why &amp; where" in text
    assert "<script" not in text and "http://" not in text and "https://" not in text
    assert scorecard.main([str(page), str(page)]) == 2


def test_nothing_that_ran_is_no_success() -> None:
    only = ClauseResult("VOS-2-c", "s", Result.NOT_RUN, 0.1, "needs a second user")
    assert Run("service", "t", "none", (only,)).exit_code == 1
    assert Run("service", "t", "none", ()).exit_code == 1
