"""The unmodified commands of vos 3.7, as subprocesses, against both services.

What a command did is checked on the service's own state, and what it asked for against the
sequences of protocol.md section 3: a fake that answers other questions than the real service is
not one that clients cannot tell from it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from fakevospace import FakeVOSpace
from fakevospace.environment import Contact, seed_home

from .conftest import CORE, Client, MakeClient

COMMANDS = Path(sys.executable).parent
pytestmark = pytest.mark.skipif(
    not (COMMANDS / "vcp").exists(), reason=f"the vos commands are not in {COMMANDS}"
)
SMALL = bytes(range(256)) * 10
BIG = os.urandom(1 << 16) * 90  # above the 5 MiB up to which vos computes the digest first


class Shell:
    """Runs vos commands in an environment that knows only the fake."""

    def __init__(self, client: Client, home: Path) -> None:
        self.fake: FakeVOSpace = client.fake
        self.home = home
        self.root = client.fake.personality.short_name
        with_home = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "ignore"}
        service = client.fake.personality
        contact = Contact(client.url, service.service, service.resource_id, None)
        self.environment = with_home | seed_home(home, contact)

    def __call__(self, command: str, *arguments: str, code: int = 0) -> bytes:
        """Run a command and return its standard output."""
        self.fake.journal.clear()
        done = subprocess.run(
            [str(COMMANDS / command), *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            timeout=60,
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout

    def asked(self) -> list[str]:
        """What the last command asked: `METHOD path?query -> status`, ids and tokens left out."""
        lines = []
        for entry in self.fake.journal:
            if entry.endpoint in ("capabilities", "registry"):
                continue
            path = unquote(entry.path)
            if entry.endpoint == "bytes":
                path = f"BYTES{entry.node}"
            elif entry.endpoint in ("transfers", "xfer"):
                head, mark, rest = path.partition(f"/{entry.endpoint}/")
                path = head + mark + "/".join(["ID", *rest.split("/")[1:]]) if mark else path
            path = path.removeprefix(f"/{self.fake.personality.service}")
            query = f"?{entry.query}" if entry.query else ""
            lines.append(f"{entry.method} {path}{query} -> {entry.status}")
        return lines


@pytest.fixture
def shell(both: Client, tmp_path: Path) -> Shell:
    """A shell for each service in turn."""
    return Shell(both, tmp_path)


NEGOTIATION = [
    "POST /synctrans -> 303",
    "GET /transfers/ID/results/transferDetails -> 303",
    "GET /xfer/ID -> 200",
    "GET /transfers/ID/phase -> 200",
]


def upload_of(path: str, shell: Shell, data: bytes) -> list[str]:
    refused = 404 if shell.root == "vault:" else 403  # cavern wants a read grant for HEAD
    look = f"GET /nodes{path}?limit=0 -> 404"
    # Above 5 MiB vos does not compute the digest first, and so has nothing to compare.
    head = [f"HEAD BYTES{path} -> {refused}"] if len(data) < 5 << 20 else []
    put = [f"PUT BYTES{path} -> 201"]
    if not head and shell.root == "vault:":  # start with the bytes, then commit
        put = [f"PUT BYTES{path} -> 202", f"PUT BYTES{path} -> 201"]
    return [look, look, *NEGOTIATION, *head, *put]


def download_of(path: str, shell: Shell) -> list[str]:
    look = f"GET /nodes{path}?limit=0 -> 200"
    if shell.root == "vault:":
        return [look, f"GET /files{path} -> 303", f"GET BYTES{path} -> 200"]
    return [look, f"GET BYTES{path} -> 200"]


def test_vmkdir(shell: Shell) -> None:
    shell("vmkdir", f"{shell.root}d")
    assert shell.asked() == ["PUT /nodes/d -> 201"]
    assert shell.fake.node("d")["type"] == "ContainerNode"
    shell("vmkdir", f"{shell.root}d", code=17)
    assert shell.asked() == ["PUT /nodes/d -> 409"]


def test_vmkdir_p(shell: Shell) -> None:
    shell.fake.mkdir("a")  # vos itself fails when not even the first element exists
    shell("vmkdir", "-p", f"{shell.root}a/b/c")
    assert shell.asked() == [
        "GET /nodes/a/b/c?limit=0 -> 404",
        "GET /nodes/a/b?limit=0 -> 404",
        "GET /nodes/a?limit=0 -> 200",
        "PUT /nodes/a/b -> 201",
        "PUT /nodes/a/b/c -> 201",
    ]
    assert shell.fake.node("a/b/c")["type"] == "ContainerNode"


def test_vls(shell: Shell) -> None:
    shell.fake.mkdir("d")
    shell.fake.put("d/f", b"x")
    shell.fake.put("d/e", b"x")
    assert sorted(shell("vls", f"{shell.root}d").split()) == [b"e", b"f"]
    assert shell.asked() == ["GET /nodes/d?limit=0 -> 200", "GET /nodes/d -> 200"]
    assert shell("vls", f"{shell.root}d/f").split() == [b"f"]
    assert shell.asked() == ["GET /nodes/d/f?limit=0 -> 200"]
    assert b" 1 " in shell("vls", "-l", f"{shell.root}d")


def test_vls_sorted_is_refused_by_current_services(shell: Shell) -> None:
    shell.fake.mkdir("d")
    shell("vls", "-r", f"{shell.root}d", code=144)  # 400 & 255
    assert shell.asked()[-1] == "GET /nodes/d?order=desc -> 400"


@pytest.mark.parametrize("data", [SMALL, BIG], ids=["small", "over-5-MiB"])
def test_vcp_up_and_down(shell: Shell, data: bytes) -> None:
    (shell.home / "local").write_bytes(data)
    shell("vcp", "local", f"{shell.root}f")
    assert shell.asked() == upload_of("/f", shell, data)
    assert shell.fake.get("f") == data
    assert shell.fake.node("f")[CORE + "MD5"] == hashlib.md5(data).hexdigest()
    shell("vcp", f"{shell.root}f", "back")
    assert shell.asked() == download_of("/f", shell)
    assert (shell.home / "back").read_bytes() == data


def test_vcp_of_the_same_content_only_touches_the_node(shell: Shell) -> None:
    (shell.home / "local").write_bytes(SMALL)
    shell.fake.put("f", SMALL)
    before = shell.fake.node("f")[CORE + "date"]
    shell("vcp", "local", f"{shell.root}f")
    look = "GET /nodes/f?limit=0 -> 200"
    assert shell.asked() == [look, look, "POST /nodes/f -> 200"]
    assert shell.fake.node("f")[CORE + "date"] > before


def test_vcp_over_other_content(shell: Shell) -> None:
    (shell.home / "local").write_bytes(SMALL)
    shell.fake.put("f", b"before")
    shell("vcp", "local", f"{shell.root}f")
    assert shell.fake.get("f") == SMALL


def test_vcp_of_empty_files(shell: Shell) -> None:
    (shell.home / "empty").write_bytes(b"")
    look = "GET /nodes/e?limit=0 -> "
    shell("vcp", "empty", f"{shell.root}e")
    assert shell.asked() == [f"{look}404", f"{look}404", "PUT /nodes/e -> 201"]
    shell("vcp", f"{shell.root}e", "back")
    fetched = "GET /files/e -> 204" if shell.root == "vault:" else "GET BYTES/e -> 204"
    assert fetched in shell.asked()
    assert (shell.home / "back").read_bytes() == b""
    shell.fake.put("f", b"full")
    shell("vcp", "empty", f"{shell.root}f")
    assert shell.asked()[-2:] == ["DELETE /nodes/f -> 200", "PUT /nodes/f -> 201"]
    assert shell.fake.get("f") == b""


def test_vcat(shell: Shell) -> None:
    shell.fake.put("f", b"plain text\n" * 3)
    assert shell("vcat", f"{shell.root}f").split() == [b"plain", b"text"] * 3
    assert shell.asked() == download_of("/f", shell)


def moves(*last: str) -> list[str]:
    return [
        "POST /transfers -> 303",
        "GET /transfers/ID -> 200",
        "POST /transfers/ID/phase -> 303",
        "GET /transfers/ID/phase -> 200",
        "GET /transfers/ID/phase -> 200",
        *last,
    ]


def test_vmv(shell: Shell) -> None:
    shell.fake.put("a", SMALL)
    shell("vmv", f"{shell.root}a", f"{shell.root}b")
    assert shell.asked() == moves()
    assert shell.fake.get("b") == SMALL
    shell.fake.put("c", b"other")
    shell("vmv", f"{shell.root}b", f"{shell.root}c", code=14)
    assert shell.asked() == moves("GET /transfers/ID/error -> 200")
    assert (shell.fake.get("b"), shell.fake.get("c")) == (SMALL, b"other")


def test_vrm_and_vrmdir(shell: Shell) -> None:
    shell.fake.mkdir("d")
    shell.fake.put("d/f", SMALL)
    shell("vrmdir", f"{shell.root}d", code=255)
    assert shell.asked() == ["GET /nodes/d?limit=0 -> 200", "DELETE /nodes/d -> 400"]
    shell("vrm", f"{shell.root}d/f")
    assert shell.asked() == ["GET /nodes/d/f?limit=0 -> 200", "DELETE /nodes/d/f -> 200"]
    shell("vrmdir", f"{shell.root}d")
    assert shell.asked() == ["GET /nodes/d?limit=0 -> 200", "DELETE /nodes/d -> 200"]
    shell("vls", f"{shell.root}d", code=2)


def test_with_a_token_on_a_strict_service(make: MakeClient, tmp_path: Path) -> None:
    client = make("vault", tokens=["ann:secret"])
    shell = Shell(client, tmp_path)
    (tmp_path / "local").write_bytes(SMALL)
    shell("vmkdir", "--token", "secret", "vault:d")
    shell("vcp", "--token", "secret", "local", "vault:d/f")
    assert shell.fake.get("d/f") == SMALL
    shell("vcp", "--token", "secret", "vault:d/f", "back")
    assert (tmp_path / "back").read_bytes() == SMALL
    shell("vrm", "--token", "wrong", "vault:d/f", code=13)
