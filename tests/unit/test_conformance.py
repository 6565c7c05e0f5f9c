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

from conformance import wire
from conformance.__main__ import main

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
        (["probe", "vos://example.org~vault"], "not available"),
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
        <property uri="ivo://ivoa.net/vospace/core#length">6</property></properties>
        <nodes><node uri="vos://a~b/c/d" i:type="any:DataNode"/></nodes></node>"""
    )
    assert node == wire.Node("vos://a~b/c", "ContainerNode", {wire.CORE + "length": "6"}, ("d",))
