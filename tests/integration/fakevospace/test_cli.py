"""The command `fakevospace` as a subprocess, and what survives its end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from fakevospace import FakeVOSpace

from .conftest import Client

COMMAND = [sys.executable, "-m", "fakevospace.cli"]
REPOSITORY = Path(__file__).resolve().parents[3]
TIMEOUT_S = 30


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(REPOSITORY)}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment(), text=True, capture_output=True, timeout=TIMEOUT_S
    )


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A server in a process of its own, and the line that it printed."""
    with subprocess.Popen(
        [*COMMAND, "serve", *arguments], env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            yield process, json.loads(line)
        finally:
            process.kill()


def client_of(line: dict[str, Any]) -> Client:
    """A client of a server in another process: names come from a fake of the same kind."""
    return Client(FakeVOSpace(line["personality"]), line["url"])


def put_has_begun(client: Client) -> bool:
    """True when the last recorded request is an unanswered PUT."""
    last = client.call("GET", f"{client.url}/_fake/journal").json()[-1]
    return last["method"] == "PUT" and last["status"] is None


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_where_it_is_and_stops_cleanly(stop: signal.Signals) -> None:
    with serving("--personality", "cavern", "--sample") as (process, line):
        assert line["vospace"] == "arc:" and line["pid"] == process.pid
        answer = requests.get(f"{line['url']}/arc/nodes/sample?limit=0", timeout=TIMEOUT_S)
        assert answer.status_code == 200
        process.send_signal(stop)
        assert process.wait(TIMEOUT_S) == 0
        assert process.stderr is not None and process.stderr.read() == ""


@pytest.mark.parametrize("personality", ["vault", "cavern"])
def test_data_survives_restart_and_kill(tmp_path: Path, personality: str) -> None:
    options = ("--personality", personality, "--data", str(tmp_path / "data"))
    big = os.urandom(1 << 20) * 3
    with serving(*options) as (process, line):
        client = client_of(line)
        with client.session:
            document = client.node("d", "ContainerNode", {"quality": "good"})
            client.call("PUT", "nodes/d", data=document)
            client.upload("d/f", big)
            client.move("d/f", "d/g")
            half = client.endpoints("d/half", "pushToVoSpace")[0]
            url = urlsplit(half)
            with socket.create_connection((url.hostname or "", url.port), 10) as connection:
                head = f"PUT {url.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n"
                connection.sendall(head.encode() + big)
                assert any(put_has_begun(client) for _ in range(1000))
                process.send_signal(signal.SIGKILL)
                process.wait(TIMEOUT_S)
    with serving(*options) as (process, line):
        client = client_of(line)
        with client.session:
            assert client.properties("d")["quality"] == "good"
            assert sorted(client.children("d")) == ["g", "half"]
            answer = client.session.get(f"{line['url']}/{client.service}/files/d/g", timeout=10)
            assert hashlib.md5(answer.content).digest() == hashlib.md5(big).digest()
            # The push URL of the first run is still good: the key is kept with the data.
            again = half.replace(urlsplit(half).netloc, urlsplit(line["url"]).netloc)
            assert client.call("PUT", again, data=b"whole").status_code == 201
            assert client.properties("d/half")["ivo://ivoa.net/vospace/core#length"] == "5"
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    held = {path.name for path in (tmp_path / "data" / "content").iterdir()}
    assert len(held) == 2  # nothing of the broken upload is left


def test_data_directory_belongs_to_one_server_and_one_personality(tmp_path: Path) -> None:
    with serving("--data", str(tmp_path)):
        second = run("serve", "--data", str(tmp_path))
        assert (second.returncode, second.stderr.count("\n")) == (2, 1)
    other = run("serve", "--data", str(tmp_path), "--personality", "cavern")
    assert other.returncode == 2 and "belongs to personality" in other.stderr


@pytest.mark.parametrize(
    "arguments",
    [("--personality", "nonsense"), ("--faults", "/no/such/file"),
     ("--token", "ann:"), ("--data", "/dev/null"), ("--body-rate", "0"), ("--body-timeout", "-1")],
)  # fmt: skip
def test_what_cannot_be_served_is_said_in_one_line(arguments: tuple[str, ...]) -> None:
    done = run("serve", *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    if arguments[0] == "--personality":
        assert "there is no personality" in done.stderr


def test_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--port", str(taken.getsockname()[1]))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_run_gives_a_fresh_home_and_passes_the_code_through() -> None:
    script = 'echo "$HOME $VOSPACE_WEBSERVICE $VOSPACE_TOKEN"; ls "$HOME/.config"; exit 7'
    done = run("run", "--token", "ann:secret", "--", "sh", "-c", script)
    home, host, token = done.stdout.splitlines()[0].split()
    assert (done.returncode, token) == (7, "secret")
    assert host.startswith("127.0.0.1:")
    assert home != os.environ["HOME"] and not Path(home).exists()
    assert run("run").returncode == 2


def test_run_with_vos() -> None:
    vls = Path(sys.executable).parent / "vls"
    done = run("run", "--sample", "--", str(vls), "vault:sample")
    assert done.stdout.split() == ["mosaic.fits", "starfield.fits"]


def test_run_over_tls_needs_k() -> None:
    vls = Path(sys.executable).parent / "vls"
    done = run("run", "--sample", "--tls", "--", str(vls), "-k", "vault:sample")
    assert done.stdout.split() == ["mosaic.fits", "starfield.fits"]
    refused = run("run", "--sample", "--tls", "--", str(vls), "vault:sample")
    assert refused.returncode != 0


def test_env_prints_what_a_shell_needs(tmp_path: Path) -> None:
    with serving("--token", "secret") as (_, line):
        done = run("env", line["url"])
        assert done.returncode == 0 and done.stdout.startswith("# ")
        script = f'{done.stdout}\necho "$HOME|$VOSPACE_WEBSERVICE|$VOSPACE_TOKEN"'
        shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=10)
        home, host, token = shown.stdout.strip().split("|")
        assert (host, token) == (urlsplit(line["url"]).netloc, "secret")
        registry = Path(home) / ".config/cadc-registry/alt-domains" / host / "resource-caps"
        assert registry.read_text().startswith("ivo://cadc.nrc.ca/vault = http://127.0.0.1:")
        shutil.rmtree(home)


def test_env_without_a_fake() -> None:
    done = run("env", "http://127.0.0.1:9")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)


def test_faults_from_a_file(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[[rule]]\nendpoint = "nodes"\naction = "status"\ncode = 503\n')
    with serving("--faults", str(plan)) as (_, line):
        assert requests.get(f"{line['url']}/vault/nodes", timeout=10).status_code == 503


def test_certificates_and_groups(tmp_path: Path) -> None:
    files = [f"ann:{tmp_path / 'ann.pem'}", f"bob:{tmp_path / 'bob.pem'}"]
    options = ["--tls", "--ca-file", str(tmp_path / "ca.pem"), "--group", "team:bob,cat"]
    options += [word for one in files for word in ("--client-certificate", one)]
    script = (
        "import os, ssl, sys, urllib.request;"
        "c = ssl.create_default_context(cafile=sys.argv[1]); c.load_cert_chain(sys.argv[2]);"
        "u = 'https://' + os.environ['VOSPACE_WEBSERVICE'] + '/vault/nodes';"
        "print(urllib.request.urlopen(u, context=c).headers['X-VO-Authenticated'])"
    )
    ca, bob = tmp_path / "ca.pem", tmp_path / "bob.pem"
    done = run("run", *options, "--", sys.executable, "-c", script, str(ca), str(bob))
    assert (done.returncode, done.stdout) == (0, "bob\n"), done.stderr
    assert bob.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "arguments",
    [("--group", "team"), ("--group", ":bob"), ("--client-certificate", "ann:ann.pem"),
     ("--tls", "--client-certificate", "ann"), ("--ca-file", "ca.pem")],
)  # fmt: skip
def test_options_that_make_no_sense(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = run("run", *arguments, "--", "true")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
