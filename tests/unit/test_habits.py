"""The net under all other tests holds: each habit of tests/conftest.py catches what it should.

Each case is a small test file run by a pytest of its own, with the real conftest.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_case(tmp_path: Path, body: str) -> str:
    """Run one test with the given body in a process of its own; return what pytest printed."""
    case = tmp_path / "test_case.py"
    indented = "\n".join("    " + line for line in body.strip().splitlines())
    case.write_text(
        "import logging, os, socket, threading, warnings\n"
        f"def test_case(expect_log, tmp_path):\n{indented}\n"
    )
    plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "-n0", "-q", f"--rootdir={ROOT}", *plugins]
    command += ["-c", str(ROOT / "pyproject.toml"), f"--basetemp={tmp_path / 'base'}", str(case)]
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    return result.stdout + result.stderr


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        pytest.param(
            "logging.getLogger('vofs.x').warning('a %s', 'surprise')",
            "unexpected WARNING from vofs.x: a surprise",
            id="unexpected warning",
        ),
        pytest.param(
            "expect_log('b.ll')\nlogging.getLogger('vofs').error('bell')",
            "unexpected ERROR from vofs: bell",
            id="wrong level",
        ),
        pytest.param(
            "expect_log('never said')",
            "expected 1 record(s) 'never said', saw 0",
            id="expected warning missing",
        ),
        pytest.param(
            "threading.Thread(target=threading.Event().wait, name='stray', daemon=True).start()",
            "leaked thread 'stray'",
            id="thread",
        ),
        pytest.param(
            "os.open(tmp_path / 'f', os.O_CREAT | os.O_RDWR)",
            "leaked file descriptor",
            id="file",
        ),
        pytest.param(
            "socket.socket().detach()",
            "leaked file descriptor",
            id="socket",
        ),
        pytest.param(
            "warnings.warn('old', DeprecationWarning)",
            "DeprecationWarning: old",
            id="python warning",
        ),
    ],
)
def test_a_lapse_fails_the_test(tmp_path: Path, body: str, complaint: str) -> None:
    output = run_case(tmp_path, body)
    assert complaint in output
    assert "1 error" in output or "1 failed" in output


def test_good_habits_pass(tmp_path: Path) -> None:
    body = """
expect_log("lost .* tries", level=logging.WARNING, count=2)
logging.getLogger("vofs").warning("lost after 3 tries")
logging.getLogger("vofs").warning("lost after 4 tries")
thread = threading.Thread(target=int)
thread.start()
with socket.socket(), open(tmp_path / "f", "w"):
    thread.join()
assert os.environ["HOME"] != "/" and "VOSPACE_TOKEN" not in os.environ
"""
    assert "1 passed" in run_case(tmp_path, body)


def test_home_is_empty_and_private() -> None:
    home = Path(os.environ["HOME"])
    assert [entry.name for entry in home.iterdir()] == [".run"]
    assert Path(os.environ["XDG_CACHE_HOME"]).is_relative_to(home)
    assert not [name for name in os.environ if name.startswith("VOSPACE_")]
