"""What is committed: a lock that anybody can check, and nothing of one person's machine."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Put together here, so that this file does not find itself.
REGISTRY_HOSTS = ("pypi" + r"\.org", "pythonhosted" + r"\.org", "npmjs" + r"\.")
MACHINE_PATHS = ("/(work|root|farm|home/[a-z]+)" + "/[A-Za-z0-9_.]", "/tmp" + "/[A-Za-z0-9_]")


def grep(pattern: str, *paths: str) -> str:
    """The matching lines of tracked files; git answers 1 when there are none."""
    command = ["git", "grep", "-InE", pattern, "--", *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout


@pytest.mark.parametrize("pattern", REGISTRY_HOSTS)
def test_no_registry_host_is_committed(pattern: str) -> None:
    assert grep(pattern) == ""


@pytest.mark.parametrize("pattern", MACHINE_PATHS)
def test_no_path_of_one_machine_is_committed(pattern: str) -> None:
    assert grep(pattern, ".", ":!requirements.lock") == ""


def test_every_locked_package_has_a_version_and_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    packages = re.split(r"\n(?=[a-z])", lock.strip())
    assert len(packages) > 30
    for package in packages:
        assert re.match(r"[a-z0-9.-]+==\S+( ; .+)? \\\n", package), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", package), package


def test_the_lock_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"index-url|find-links|://| @ ", lock)


@pytest.mark.parametrize("script", ["tools/make-venv", "tools/ensure-fuse", ".ci/run"])
def test_scripts_can_be_run(script: str) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--stage", script], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert listed.startswith("100755")
