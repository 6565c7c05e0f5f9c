"""The service suite on a served fake, reached as a stranger reaches a service: by its URL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from conformance.capabilities import FLAGS
from fakevospace import FakeVOSpace, ServedFake

COMMAND = [sys.executable, "-m", "conformance"]


@pytest.fixture(params=["vault", "cavern"])
def fake(request: pytest.FixtureRequest) -> Iterator[tuple[FakeVOSpace, str]]:
    """A fake of one user, and the URL of its service."""
    with FakeVOSpace(personality=request.param, tokens=["me:token"]) as fake:
        fake.mkdir("users/me")
        fake.put("users/data", b"some bytes")
        with fake.serve() as server:
            yield fake, service_url(server)


def service_url(server: ServedFake) -> str:
    registry = requests.get(f"{server.url}/reg/resource-caps", timeout=10).text
    line = next(line for line in registry.splitlines() if line.startswith("ivo:"))
    return line.partition("=")[2].strip().removesuffix("/capabilities")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"VOSPACE_TOKEN": "token"},
    )


def left_over(fake: FakeVOSpace) -> list[str]:
    """Containers of runs that are still there."""
    with fake.serve() as server:
        url = f"{service_url(server)}/nodes/users/me"
        answer = requests.get(url, headers={"Authorization": "Bearer token"}, timeout=10)
    return [word for word in answer.text.split('"') if "conformance-" in word]


def test_a_service_is_judged_below_the_path_given(
    fake: tuple[FakeVOSpace, str], tmp_path: Path
) -> None:
    service, url = fake
    service.journal.clear()
    done = run(
        *("service", "--target", f"{url}/nodes/users/me", "--profile", service.personality.name),
        *("--only", "VOS-6.2.[14]*", "--only", "VOS-6.3.2*", "--report", str(tmp_path)),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        "junit.xml",
        "results.json",
        "scorecard.html",
    }
    results = json.loads((tmp_path / "results.json").read_text())["results"]
    told = {result["clause"]: (result["result"], result["message"]) for result in results}
    # Without a second user that is said, not left out.
    assert told["VOS-6.2.4-permission"] == (
        "not-run",
        f"needs secondUser: {FLAGS['secondUser'][0]}",
    )
    ran = {clause for clause, (result, _) in told.items() if result != "not-run"}
    changes = [entry for entry in service.journal.entries() if entry.method != "GET"]
    # Each request says for which clause it was made, and nothing outside of one container changes.
    assert {entry.test for entry in changes if entry.test} == ran
    inside = {entry.node.split("/")[3] for entry in changes if entry.endpoint == "nodes"}
    assert len(inside) == 1 and all(
        entry.node.startswith("/users/me/conformance-")
        for entry in changes
        if entry.endpoint == "nodes"
    )
    assert left_over(service) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing_behind(number: signal.Signals) -> None:
    with FakeVOSpace(tokens=["me:token"]) as fake:
        fake.mkdir("users/me")
        with fake.serve() as server:
            target = f"{service_url(server)}/nodes/users/me"
            # A shell lets what it runs in the background ignore SIGINT, and children inherit that.
            command = ["env", "--default-signal=INT", *COMMAND, "service", "--target", target]
            with subprocess.Popen(
                command,
                env=os.environ | {"VOSPACE_TOKEN": "token"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            ) as process:
                # The workspace, a container of a clause, and something in it.
                fake.journal.wait_for(6, method="PUT", endpoint="nodes")
                process.send_signal(number)
                _, complaint = process.communicate(timeout=60)
            assert process.returncode == 2, complaint
            assert fake.journal.count(method="PUT", endpoint="nodes") < 300
        assert left_over(fake) == []


def test_a_service_over_https_with_a_certificate_of_its_own(tmp_path: Path) -> None:
    with FakeVOSpace(tokens=["me:token"]) as fake, fake.serve(tls=True) as server:
        authority = tmp_path / "authority.pem"
        authority.write_bytes(server.certificate_authority or b"")
        url = f"{server.url}/{fake.personality.service}"
        judged = ("service", "--target", url, "--profile", "vault")
        done = run(
            *judged, "--ca-file", str(authority), "--only", "VOS-6.[24].1-*", "--only", "VOS-6-*"
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert run(*judged, "--only", "VOS-6-*").returncode == 2


def test_a_probe_changes_nothing(fake: tuple[FakeVOSpace, str]) -> None:
    service, url = fake
    service.mkdir("users/other")
    service.journal.clear()
    done = run("probe", f"{url}/nodes/users")
    assert done.returncode == 0, done.stderr
    assert {entry.method for entry in service.journal.entries()} <= {"GET", "HEAD"}
    found = dict(line.split()[:2] for line in done.stdout.splitlines() if line[:1].islower())
    on_vault = "yes" if service.personality.name == "vault" else "no"
    assert found["files"] == "yes"
    assert found["paginationSupported"] == on_vault
    assert found["filesRedirect"] == on_vault
    assert found["ranges"] == on_vault
    assert found["transactions"] == "unknown"
