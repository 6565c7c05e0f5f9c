"""The net under all other tests holds: each habit of tests/conftest.py catches what it should.

All lapses are tests of one file, run once by a pytest of its own with the real conftest.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# name of the lapse: (body of a test that commits it, what the test must then be told)
LAPSES = {
    "unexpected_warning": (
        "logging.getLogger('vofs.x').warning('a %s', 'surprise')",
        "unexpected WARNING from vofs.x: a surprise",
    ),
    "wrong_level": (
        "expect_log('b.ll'); logging.getLogger('vofs').error('bell')",
        "unexpected ERROR from vofs: bell",
    ),
    "expected_warning_missing": (
        "expect_log('never said')",
        "expected 1 record(s) 'never said', saw 0",
    ),
    "thread": (
        "threading.Thread(target=threading.Event().wait, name='stray', daemon=True).start()",
        "leaked thread 'stray'",
    ),
    "file": (
        "os.open(tmp_path / 'left-open', os.O_CREAT | os.O_RDWR)",
        "left-open",
    ),
    "socket": (
        "socket.socket().detach()",
        "leaked file descriptor",
    ),
    "python_warning": (
        "warnings.warn('outdated', DeprecationWarning)",
        "DeprecationWarning: outdated",
    ),
}

GOOD = """
def test_good(expect_log, tmp_path):
    expect_log("lost .* tries", level=logging.WARNING, count=2)
    logging.getLogger("vofs").warning("lost after 3 tries")
    logging.getLogger("vofs").warning("lost after 4 tries")
    thread = threading.Thread(target=int)
    thread.start()
    with socket.socket(), open(tmp_path / "f", "w"):
        thread.join()
"""


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each test of the file was told, by name; empty when it passed."""
    directory = tmp_path_factory.mktemp("habits")
    lapses = (
        f"def test_{name}(expect_log, tmp_path):\n    {body}\n"
        for name, (body, _) in LAPSES.items()
    )
    imports = "import logging, os, socket, threading, warnings\n"
    (directory / "test_cases.py").write_text(imports + "".join(lapses) + GOOD)
    command = [sys.executable, "-m", "pytest", "-n0", f"--rootdir={ROOT}", "--basetemp=base"]
    command += [
        "-c",
        str(ROOT / "pyproject.toml"),
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(
        [*command, "--junit-xml=out.xml", "test_cases.py"],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    told: dict[str, str] = {}
    for case in ET.parse(directory / "out.xml").getroot().iter("testcase"):
        # Both a failure and an error of the teardown, in either order.
        text = "".join("".join(e.itertext()) for e in case if e.tag in ("failure", "error"))
        name = str(case.get("name")).removeprefix("test_")
        told[name] = told.get(name, "") + text
    return told


@pytest.mark.parametrize("lapse", LAPSES)
def test_a_lapse_fails_the_test(lapse: str, complaints: dict[str, str]) -> None:
    assert LAPSES[lapse][1] in complaints[lapse]


def test_good_habits_pass(complaints: dict[str, str]) -> None:
    assert complaints["good"] == ""


def test_home_is_empty_and_private() -> None:
    home = Path(os.environ["HOME"])
    assert [entry.name for entry in home.iterdir()] == [".run"]
    assert Path(os.environ["XDG_CACHE_HOME"]).is_relative_to(home)
    assert not [name for name in os.environ if name.startswith("VOSPACE_")]
