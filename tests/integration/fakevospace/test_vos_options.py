"""The unmodified vos commands with their options: permissions, properties, locks, links, trees,
wildcards, synchronisation (protocol.md section 3, whose request lists are checked here).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fakevospace import FakeVOSpace, Rule, Status
from fakevospace.sample import star_field

from .conftest import CORE, LOCKED, Client, MakeClient
from .shell import NEEDS_VOS, NEGOTIATION, Shell, get_of, put_of, run_of

pytestmark = NEEDS_VOS
GMS = "ivo://cadc.nrc.ca/gms?"
LOOK, LIST = "GET /nodes{}?limit=0 -> 200", "GET /nodes{} -> 200"


@pytest.fixture
def shell(both: Client, tmp_path: Path) -> Shell:
    """A shell for each service in turn, with a small tree on the service."""
    both.fake.mkdir("d/sub")
    for path in ("d/f1.txt", "d/f2.txt", "d/sub/f3"):
        both.fake.put(path, path.encode())
    return Shell(both, tmp_path)


def looks(*paths: str) -> list[str]:
    return [LOOK.format(path) for path in paths]


def test_vchmod(shell: Shell) -> None:
    for mode, groups, key, value in (
        ("o+r", (), "ispublic", "true"),
        ("o-r", (), "ispublic", "false"),
        ("g+r", ("ONE TWO",), "groupread", f"{GMS}ONE {GMS}TWO"),
        ("g+rw", ("ONE", "TWO"), "groupwrite", f"{GMS}TWO"),
        ("g-rw", (), "groupread", None),
    ):
        shell("vchmod", mode, f"{shell.root}d/f1.txt", *groups)
        assert shell.asked() == [*looks("/d/f1.txt"), "POST /nodes/d/f1.txt -> 200"]
        assert shell.fake.node("d/f1.txt").get(CORE + key) == value


def test_vchmod_recursive(shell: Shell) -> None:
    for mode, groups, key, value in (
        ("o+r", (), "ispublic", "true"),
        ("g+r", ("ONE",), "groupread", f"{GMS}ONE"),
    ):
        shell("vchmod", "-R", mode, f"{shell.root}d", *groups)
        assert shell.asked() == [*looks("/d"), LIST.format("/d"), *run_of("async-setprops")]
        for path in ("d", "d/sub", "d/f1.txt", "d/sub/f3"):
            assert shell.fake.node(path)[CORE + key] == value


def test_vtag(shell: Shell) -> None:
    node = f"{shell.root}d/f1.txt"
    changed = [*looks("/d/f1.txt", "/d/f1.txt"), "POST /nodes/d/f1.txt -> 200"]
    shell("vtag", node, "quality=good")
    assert shell.asked() == changed
    assert shell.fake.node("d/f1.txt")["quality"] == "good"
    assert shell.fake.node("d/f1.txt")[CORE + "type"] == "text/plain"  # vos invents it
    assert shell("vtag", node, "quality") == b"'good'\n"
    assert shell.asked() == looks("/d/f1.txt")
    assert b"quality" in shell("vtag", node)
    shell("vtag", node, "quality=")
    assert shell.asked() == changed and "quality" not in shell.fake.node("d/f1.txt")
    shell("vtag", node, "x=1")
    shell("vtag", node, "x", "--remove")
    assert shell.asked() == changed and "x" not in shell.fake.node("d/f1.txt")


def test_vtag_recursive(shell: Shell) -> None:
    shell("vtag", "-R", f"{shell.root}d", "survey=deep")
    assert shell.asked() == [*looks("/d", "/d"), *run_of("async-setprops")]
    assert {shell.fake.node(path)["survey"] for path in ("d", "d/f2.txt", "d/sub/f3")} == {"deep"}
    shell("vtag", "-R", f"{shell.root}d", "survey=")
    assert "survey" not in shell.fake.node("d/sub/f3")


def test_vlock(shell: Shell) -> None:
    node, vault = f"{shell.root}d/f1.txt", shell.root == "vault:"
    shell("vlock", node, code=255)
    assert shell.asked() == looks("/d/f1.txt")
    shell("vlock", "--lock", node)
    assert shell.asked() == [*looks("/d/f1.txt"), "POST /nodes/d/f1.txt -> 200"]
    assert (LOCKED in shell.fake.node("d/f1.txt")) == vault
    shell("vlock", node, code=0 if vault else 255)  # cavern drops the lock in silence
    if vault:
        shell("vrm", node, code=255)
        assert shell.asked() == [*looks("/d/f1.txt"), "DELETE /nodes/d/f1.txt -> 403"]
    shell("vlock", "--unlock", node)
    assert shell.asked() == [*looks("/d/f1.txt"), "POST /nodes/d/f1.txt -> 200"]
    shell("vrm", node)


def test_vln_to_a_file_and_to_a_container(shell: Shell) -> None:
    for source, name in (("d/f2.txt", "l"), ("d", "ld"), ("nowhere", "broken")):
        shell("vln", f"{shell.root}{source}", f"{shell.root}{name}")
        assert shell.asked() == [f"PUT /nodes/{name} -> 201"]
    assert shell("vls", f"{shell.root}l") == b"f2.txt\n"
    assert shell.asked() == looks("/l", "/d/f2.txt")
    assert shell("vcat", f"{shell.root}l").strip() == b"d/f2.txt"
    assert shell.asked() == [*looks("/l", "/d/f2.txt"), *get_of("/d/f2.txt", shell)]
    assert sorted(shell("vls", f"{shell.root}ld").split()) == [b"f1.txt", b"f2.txt", b"sub"]
    assert shell.asked() == [*looks("/ld", "/d"), LIST.format("/d")]
    shell("vls", f"{shell.root}broken", code=2)
    shell("vrm", f"{shell.root}l")
    assert shell.asked() == [*looks("/l"), "DELETE /nodes/l -> 200"]
    assert shell.fake.get("d/f2.txt") == b"d/f2.txt"


def test_vln_out_of_the_service(shell: Shell) -> None:
    expected, code = (201, 0) if shell.root == "arc:" else (400, 255)
    shell("vln", "file:///data/x", f"{shell.root}l", code=code)
    assert shell.asked() == [f"PUT /nodes/l -> {expected}"]


def test_vls_long(shell: Shell) -> None:
    for options in ("-l", "-lh", "-lg"):
        lines = shell("vls", options, f"{shell.root}d").decode().splitlines()
        assert shell.asked() == [*looks("/d"), LIST.format("/d")]
        assert [line for line in lines if line.startswith("d") and line.endswith("sub")]
        assert [line for line in lines if line.startswith("-rw") and " owner " in line]


def test_vls_wildcard(shell: Shell) -> None:
    assert sorted(shell("vls", f"{shell.root}d/f*").split()) == [b"f1.txt", b"f2.txt"]
    asked = shell.asked()
    assert asked[:3] == [*looks("/d", "/d"), LIST.format("/d")]
    assert sorted(asked[3:]) == looks("/d/f1.txt", "/d/f2.txt")
    assert shell("vls", f"{shell.root}d/f?.txt").split()
    assert shell("vls", f"{shell.root}d/f[2,3].txt").split() == [b"f2.txt"]


def test_vls_sorted_by_time_and_size_is_refused(shell: Shell) -> None:
    shell.fake.set_property("d", CORE + "quota", "1000")  # gives the container a length
    core = "ivo%3A%2F%2Fivoa.net%2Fvospace%2Fcore%23"
    for option, key in (("-t", "date"), ("-S", "length")):
        shell("vls", option, f"{shell.root}d", code=144)
        query = f"?sort={core}{key}&order=desc"
        assert shell.asked() == [*looks("/d"), f"GET /nodes/d{query} -> 400"]


def test_vcp_of_a_tree_up(shell: Shell) -> None:
    (shell.home / "up/in").mkdir(parents=True)
    (shell.home / "up/a").write_bytes(b"a")
    (shell.home / "up/in/b").write_bytes(b"b")
    (shell.home / "up/in/empty").write_bytes(b"")
    missing = "GET /nodes{}?limit=0 -> 404"
    shell("vcp", "up", f"{shell.root}up")
    expected = [
        missing.format("/up"),
        missing.format("/up"),
        "PUT /nodes/up -> 201",
        missing.format("/up/a"),
        *put_of("/up/a", shell),
        missing.format("/up/in"),
        "PUT /nodes/up/in -> 201",
        missing.format("/up/in/b"),
        *put_of("/up/in/b", shell),
        missing.format("/up/in/empty"),
        "PUT /nodes/up/in/empty -> 201",
    ]
    assert sorted(shell.asked()) == sorted(expected)  # in the order of the local directory
    assert (shell.fake.get("up/in/b"), shell.fake.get("up/in/empty")) == (b"b", b"")


def test_vcp_of_a_tree_down(shell: Shell) -> None:
    shell("vcp", f"{shell.root}d", "down")
    asked = shell.asked()
    assert asked[:4] == [*looks("/d", "/d", "/d"), LIST.format("/d")]
    for path in ("/d/f1.txt", "/d/f2.txt", "/d/sub/f3"):
        first = asked.index(LIST.format(path))
        fetched = get_of(path, shell)
        assert asked[first + 1 : first + 1 + len(fetched)] == fetched
    assert asked.count(LIST.format("/d/sub")) == 2  # to look at it, and to list it
    assert 2 <= asked.count(LOOK.format("/d/sub")) <= 3
    assert (shell.home / "down/sub/f3").read_bytes() == b"d/sub/f3"


def test_vcp_options(shell: Shell) -> None:
    shell("vcp", f"{shell.root}d/f*.txt", "./")
    assert (shell.home / "f1.txt").exists() and (shell.home / "f2.txt").exists()
    (shell.home / "some").mkdir()
    shell("vcp", "--exclude", "f1", f"{shell.root}d", "some")
    shell("vcp", "--include", "f3", f"{shell.root}d", "some2")
    assert not list(shell.home.glob("some/**/f1.txt")) and list(shell.home.glob("some/**/f2.txt"))
    assert [one.name for one in shell.home.glob("some2/**/*") if one.is_file()] == ["f3"]


def test_vcp_follows_links_on_request(shell: Shell) -> None:
    shell("vln", f"{shell.root}d", f"{shell.root}ld")
    shell("vcp", "-L", f"{shell.root}ld", "down")
    fetched = get_of("/ld/f1.txt", shell, "/d/f1.txt")
    assert set(fetched) <= set(shell.asked())
    assert list(shell.home.glob("down/**/f3"))


def test_vrm_recursive(shell: Shell) -> None:
    shell("vrm", f"{shell.root}d")  # a container: nothing happens, and that is success
    assert shell.asked() == looks("/d")
    shell("vrm", "-R", f"{shell.root}d")
    assert shell.asked() == [*looks("/d"), *run_of("async-delete")]
    with pytest.raises(FileNotFoundError):
        shell.fake.node("d")
    shell("vrm", "-R", f"{shell.root}d", code=2)
    assert shell.asked() == ["GET /nodes/d?limit=0 -> 404"]


def test_vrm_recursive_of_a_locked_tree(vault: Client, tmp_path: Path) -> None:
    vault.fake.mkdir("d/sub")
    vault.fake.put("d/f", b"x")
    vault.fake.put("d/sub/f", b"x")
    vault.fake.set_property("d/sub", LOCKED, "true")
    shell = Shell(vault, tmp_path)
    shell("vrm", "-R", "vault:d", code=255)
    assert vault.children("d") == ["sub"]


def test_vmv_into_a_container_and_what_is_refused(shell: Shell) -> None:
    root = shell.root
    shell("vmv", f"{root}d/f1.txt", f"{root}d/sub/")
    assert shell.fake.get("d/sub/f1.txt") == b"d/f1.txt"
    shell("vmv", f"{root}d/sub", f"{root}moved")
    assert shell.fake.get("moved/f3") == b"d/sub/f3"
    for source, destination in (("moved", "moved/x"), ("none", "x"), ("d", "none/x")):
        shell("vmv", f"{root}{source}", f"{root}{destination}", code=14)
        assert shell.asked()[-1] == "GET /transfers/ID/error -> 200"


def test_vsync(shell: Shell) -> None:
    (shell.home / "up/in").mkdir(parents=True)
    (shell.home / "up/a").write_bytes(b"a")
    (shell.home / "up/in/b").write_bytes(b"b")
    (shell.home / "up/in/x y").write_bytes(b"skipped: its name has a space")
    shell.fake.mkdir("sync")
    shell("vsync", "-r", "up", f"{shell.root}sync")
    once = [LOOK.format("/sync"), "PUT /nodes/sync/up -> 201", "PUT /nodes/sync/up/in -> 201"]
    for path in ("/sync/up/a", "/sync/up/in/b"):
        look = f"GET /nodes{path}"
        once += [f"{look} -> 404", f"{look}?limit=0 -> 404", *put_of(path, shell), f"{look} -> 200"]
    assert sorted(shell.asked()) == sorted(once)  # five threads at once
    assert shell.fake.get("sync/up/in/b") == b"b"
    shell("vsync", "-r", "up", f"{shell.root}sync")
    again = [LOOK.format("/sync"), "PUT /nodes/sync/up -> 409", "PUT /nodes/sync/up/in -> 409"]
    again += [LIST.format("/sync/up/a"), LIST.format("/sync/up/in/b")]
    assert sorted(shell.asked()) == sorted(again)


def test_vsync_options(shell: Shell) -> None:
    (shell.home / "up").mkdir()
    for name in ("a.txt", "b.dat"):
        (shell.home / "up" / name).write_bytes(name.encode())
    shell.fake.mkdir("sync")
    shell("vsync", "-r", "--exclude", "dat", "up", f"{shell.root}sync")
    with pytest.raises(FileNotFoundError):
        shell.fake.node("sync/up/b.dat")
    shell("vsync", "-r", "--include", "dat", "-n", "1", "up", f"{shell.root}sync")
    assert shell.fake.get("sync/up/b.dat") == b"b.dat"
    shell("vsync", "-r", "--ignore-checksum", "up", f"{shell.root}sync")
    assert not [line for line in shell.asked() if "BYTES" in line]
    shell("vsync", "-r", "--overwrite", "up", f"{shell.root}sync")
    assert "POST /nodes/sync/up/a.txt -> 200" in shell.asked()  # the same bytes: only touched
    shell("vsync", "--cache_nodes", "up/a.txt", f"{shell.root}sync")
    assert shell.fake.get("sync/a.txt") == b"a.txt"


def test_vcat_head_needs_the_long_uri(shell: Shell) -> None:
    shell.fake.put("x.fits", star_field())
    shown = shell("vcat", "--head", f"vos://{shell.fake.personality.authority}/x.fits")
    assert shown.startswith(star_field()[:2880]) and len(shown) > 2880  # vos forgets to say so
    assert shell.asked() == get_of("/x.fits", shell)


def test_vcp_head_and_cutouts(vault: Client, tmp_path: Path) -> None:
    vault.fake.put("x.fits", star_field())
    vault.fake.put("f", b"no FITS")
    shell = Shell(vault, tmp_path)
    shell("vcp", "--head", "vault:x.fits", "head.txt")
    assert [line for line in shell.asked() if "META=true" in line]
    text = (tmp_path / "head.txt").read_text()
    assert text.startswith("SIMPLE  =") and text.rstrip().endswith("END")
    shell("vcp", "vault:x.fits[0]", "cut.fits")
    assert [line for line in shell.asked() if "SUB=" in line]
    shell("vcp", "--head", "vault:f", "head.txt", code=14)


def test_get_falls_back_to_negotiation(vault: Client, tmp_path: Path) -> None:
    vault.fake.put("f", b"x")
    vault.fake.faults.add(Rule(Status(500), method="GET", endpoint="files"))
    shell = Shell(vault, tmp_path)
    shell("vcp", "vault:f", "back")
    assert shell.asked() == [
        *looks("/f"),
        "GET /files/f -> 500",
        *looks("/f"),
        *NEGOTIATION,
        "GET BYTES/f -> 200",
    ]


def test_certificates(tmp_path: Path) -> None:
    with FakeVOSpace("vault", users=["ann", "bob"]) as fake, fake.serve(tls=True) as served:
        shell = Shell(Client(fake, served.url), tmp_path)
        for user in ("ann", "bob"):
            (tmp_path / f"{user}.pem").write_bytes(served.client_certificate(user))
        (tmp_path / "local").write_bytes(b"bytes")
        shell("vmkdir", "-k", "--certfile", "ann.pem", "vault:d")
        shell("vcp", "-k", "--certfile", "ann.pem", "local", "vault:d/f")
        assert fake.get("d/f") == b"bytes"
        assert {entry.user for entry in fake.journal if entry.endpoint == "nodes"} == {"ann"}
        shell("vcp", "-k", "--certfile", "ann.pem", "vault:d/f", "back")
        assert (tmp_path / "back").read_bytes() == b"bytes"
        shell("vls", "-k", "--certfile", "bob.pem", "vault:d/f", code=147)  # 403 & 255


def test_groups_and_quota(make: MakeClient, tmp_path: Path) -> None:
    client = make("vault", tokens=["ann:a", "bob:b"], groups={"team": ["bob"]})
    shell = Shell(client, tmp_path)
    (tmp_path / "local").write_bytes(b"bytes")
    shell("vmkdir", "--token", "a", "vault:d")
    shell("vcp", "--token", "b", "local", "vault:d/f", code=147)  # 403 & 255
    shell("vchmod", "--token", "a", "g+rw", "vault:d", "team", "team")
    shell("vcp", "--token", "b", "local", "vault:d/f")
    assert client.fake.get("d/f") == b"bytes"
    shell("vtag", "--token", "a", "vault:d", "quota=5")
    assert client.fake.node("d")[CORE + "quota"] == "5"
    (tmp_path / "local").write_bytes(b"other bytes")
    shell("vcp", "--token", "b", "local", "vault:d/g", code=14)  # QuotaExceeded is EFAULT to vos
