"""The service suite on a served fake, reached as a stranger reaches a service: by its URL."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from conformance.targets import open_service
from fakevospace import FakeVOSpace, ServedFake


@pytest.fixture(params=["vault", "cavern"])
def fake(request: pytest.FixtureRequest) -> Iterator[tuple[FakeVOSpace, str]]:
    """A fake and the URL of its service."""
    fake = FakeVOSpace(personality=request.param)
    fake.mkdir("home/me")
    with fake.serve() as server:
        yield fake, service_url(server)


def service_url(server: ServedFake) -> str:
    registry = requests.get(f"{server.url}/reg/resource-caps", timeout=10).text
    line = next(line for line in registry.splitlines() if line.startswith("ivo:"))
    return line.partition("=")[2].strip().removesuffix("/capabilities")


def test_a_service_is_judged_below_the_path_given(
    fake: tuple[FakeVOSpace, str], tmp_path: Path
) -> None:
    service, url = fake
    service.journal.clear()
    command = [sys.executable, "-m", "conformance", "service", "--target", f"{url}/nodes/home/me"]
    done = subprocess.run(
        [*command, "--report", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr

    results = json.loads((tmp_path / "results.json").read_text())["results"]
    requested = [entry for entry in service.journal.entries() if entry.test]
    # Each request says for which clause it was made, and nothing outside the path is changed.
    assert {entry.test for entry in requested} == {result["clause"] for result in results}
    assert all(
        entry.path.partition("/nodes/")[2].startswith("home/me/")
        for entry in requested
        if entry.endpoint == "nodes"
    )
    with open_service(url) as (wire, _):
        assert b"conformance-" not in wire.get_node("home/me").content
