"""The plugin in a fresh project of ten lines."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
NAME, MODULE = "fakevospace", "fakevospace.pytest_plugin"

TEN_LINES = """\
from vos import Client


def test_upload(vospace, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"hello")
    client = Client()
    client.mkdir("vault:data")
    client.copy(str(tmp_path / "a.txt"), "vault:data/a.txt")
    assert vospace.get("data/a.txt") == b"hello"
    vospace.journal.assert_count(1, method="PUT", endpoint="bytes", status=201)
"""

NO_SOCKETS = """\
import sys
import urllib3  # tries at its import, with a socket of its own, whether there is IPv6
made = []
sys.addaudithook(lambda event, args: made.append(event) if event.startswith("socket.") else None)
def pytest_sessionfinish():
    assert made == [], made
"""

SERVED = """\
import pytest, requests

@pytest.mark.vospace(personality="cavern", sample=True)
def test_served(vospace_server):
    url = f"{vospace_server.url}/arc/files/sample/mosaic.fits"
    assert requests.get(url, timeout=9).content == vospace_server.fake.get("sample/mosaic.fits")

@pytest.mark.vospace(personality="cavern")
class TestMarkers:
    def test_class(self, vospace):
        assert vospace.personality.name == "cavern"

    @pytest.mark.vospace(personality="spec", tokens=["ann:x"])
    def test_nearest(self, vospace, vospace_front):
        assert vospace.personality.name == "spec" and vospace_front.url == "https://fake.test"
        assert requests.get("https://fake.test/vault/nodes", timeout=9).status_code == 200
"""


def run(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """pytest in a project of its own, as somebody who has installed the package would run it."""
    known = {one.name for one in entry_points(group="pytest11")}
    plugin = [] if NAME in known else ["-p", MODULE]  # not installed anew since it was declared
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         "--strict-markers", *plugin, *options],
        cwd=project, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_ten_lines_in_a_fresh_project_without_a_socket(tmp_path: Path) -> None:
    assert len(TEN_LINES.splitlines()) == 10
    (tmp_path / "test_upload.py").write_text(TEN_LINES)
    (tmp_path / "conftest.py").write_text(NO_SOCKETS)
    done = run(tmp_path)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


def test_server_and_markers(tmp_path: Path) -> None:
    (tmp_path / "test_served.py").write_text(SERVED)
    done = run(tmp_path)
    assert done.returncode == 0 and "3 passed" in done.stdout, done.stdout + done.stderr


def test_it_is_declared() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {NAME: MODULE}
    assert any(one.startswith("responses") for one in project["optional-dependencies"]["inprocess"])
