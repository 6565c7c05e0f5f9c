"""The unmodified commands of vos 3.7, as subprocesses, against both services.

What a command did is checked on the service's own state, and what it asked for against the
sequences of protocol.md section 3: a fake that answers other questions than the real service is
not one that clients cannot tell from it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from .conftest import CORE, Client, MakeClient
from .shell import NEEDS_VOS, Shell, download_of, upload_of

pytestmark = NEEDS_VOS
SMALL = bytes(range(256)) * 10
BIG = os.urandom(1 << 16) * 90  # above the 5 MiB up to which vos computes the digest first


@pytest.fixture
def shell(both: Client, tmp_path: Path) -> Shell:
    """A shell for each service in turn."""
    return Shell(both, tmp_path)


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
