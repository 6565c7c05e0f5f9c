"""Unmodified vos commands as subprocesses, and what they asked (protocol.md section 3)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

from fakevospace import FakeVOSpace
from fakevospace.environment import Contact, seed_home

from .conftest import Client

COMMANDS = Path(sys.executable).parent
NEEDS_VOS = pytest.mark.skipif(
    not (COMMANDS / "vcp").exists(), reason=f"the vos commands are not in {COMMANDS}"
)


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
            elif entry.endpoint in ("transfers", "xfer", "async-delete", "async-setprops"):
                head, mark, rest = path.partition(f"/{entry.endpoint}/")
                path = head + mark + "/".join(["ID", *rest.split("/")[1:]]) if mark else path
            path = path.removeprefix(f"/{self.fake.personality.service}")
            query = f"?{entry.query}" if entry.query else ""
            lines.append(f"{entry.method} {path}{query} -> {entry.status}")
        return lines


NEGOTIATION = [
    "POST /synctrans -> 303",
    "GET /transfers/ID/results/transferDetails -> 303",
    "GET /xfer/ID -> 200",
    "GET /transfers/ID/phase -> 200",
]


def run_of(resource: str, *last: str) -> list[str]:
    """A recursive job from its making to its end."""
    return [
        f"POST /{resource} -> 303",
        f"POST /{resource}/ID/phase -> 303",
        f"GET /{resource}/ID?WAIT=6 -> 200",
        *last,
    ]


def put_of(path: str, shell: Shell) -> list[str]:
    """A small upload, after the looks at the node."""
    refused = 404 if shell.root == "vault:" else 403  # cavern wants a read grant for HEAD
    return [*NEGOTIATION, f"HEAD BYTES{path} -> {refused}", f"PUT BYTES{path} -> 201"]


def get_of(path: str, shell: Shell, node: str = "") -> list[str]:
    """A download, after the looks at the node; `node` where a link leads."""
    if shell.root == "vault:":
        return [f"GET /files{path} -> 303", f"GET BYTES{node or path} -> 200"]
    return [f"GET BYTES{path} -> 200"]


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
