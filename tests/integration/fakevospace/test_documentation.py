"""The examples of docs/fakevospace.md, taken from the page and run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakevospace import FakeVOSpace

REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = (REPOSITORY / "docs" / "fakevospace.md").read_text()
TOOLS = Path(sys.executable).parent
TIMEOUT_S = 90


def example(heading: str) -> str:
    """Return the first block of code below a heading of the page."""
    _, _, rest = PAGE.partition(f"\n## {heading}\n")
    found = re.search(r"```\w+\n(.*?)```", rest, re.DOTALL)
    assert found is not None
    assert len(found[1].splitlines()) == 10
    return found[1]


def run(directory: Path, *command: str) -> str:
    """Run a command where `fakevospace` and the vos tools are on the PATH."""
    own = directory / "bin"
    own.mkdir(exist_ok=True)
    (own / "fakevospace").write_text(f'#!/bin/sh\nexec {sys.executable} -m fakevospace.cli "$@"\n')
    (own / "fakevospace").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{own}:{TOOLS}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONWARNINGS": "ignore",
    }
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not (TOOLS / "vcp").exists(), reason=f"the vos commands are not in {TOOLS}")
def test_shell(tmp_path: Path) -> None:
    shown = run(tmp_path, "sh", "-e", "-c", example("Shell"))
    assert "a.txt" in shown and "hello" in shown
    assert shown.splitlines()[-1] == "2"  # the container, and the bytes


def test_python(tmp_path: Path) -> None:
    run(tmp_path, sys.executable, "-c", example("Python"))


def test_pytest_is_the_ten_lines_of_the_plugins_test() -> None:
    from .test_pytest_plugin import TEN_LINES

    assert example("pytest") == TEN_LINES


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_uploads_downloads_a_range_moves_and_deletes(tmp_path: Path) -> None:
    (tmp_path / "local.txt").write_text("0123456789 and more")
    with FakeVOSpace(sample=True) as fake, fake.serve() as served:
        script, count = re.subn(r"U=http://[0-9.:]+", f"U={served.url}", example("curl"))
        assert count == 1
        shown = run(tmp_path, "bash", "-e", "-c", script)
        assert "0123456789" in shown and "and more" not in shown and "COMPLETED" in shown
        fake.journal.assert_count(1, method="PUT", endpoint="bytes", path="/new.txt", status=201)
        fake.journal.assert_count(1, method="GET", endpoint="bytes", status=206)
        fake.journal.assert_count(1, method="DELETE", path="/sample/new.txt", status=200)
        with pytest.raises(FileNotFoundError):
            fake.get("sample/new.txt")
