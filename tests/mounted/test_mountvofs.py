"""`mountvofs` on real mounts: how it is spelt, what it says and shows, what its daemon holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.mounted.conftest import MakeMount
from tests.support.mounted import (
    BOTH,
    MINIMUM,
    Mounted,
    eventually,
    is_mounted,
    lines_but_of_the_cache,
    python,
    run,
    shell,
)


@contextmanager
def adopted(mount: Mounted, *words: str | Path) -> Iterator[None]:
    """Mount with exactly these words, and unmount in the end."""
    mount.mountvofs(*map(str, words))
    mount.adopt()
    yield
    mount.unmount()


def test_the_spellings(make_mount: MakeMount) -> None:
    """upstream's, mount(8)'s, "_" for "-", "=" or a blank, -o."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", b"x"), mount=False)
    path, cache = str(mount.path), str(mount.cache)
    common = ["--min-free", "50", "--cache-dir", cache]
    for words in (
        [*common, "--vospace", "vault:", "--mountpoint", path],
        [*common, "vault:", path],
        ["--min_free=50", f"--cache_dir={cache}", "vault:", path],
        ["-o", f"min_free=50,cache_dir={cache},rw,_netdev", "vault:", path],
        ["vault:", path, "-o", f"min-free=50,cache-dir={cache}"],
        ["vault:", path, f"-omin_free=50,cache_dir={cache},close_wait=0"],
        [*common, "--cache_nodes", "--max_flush_threads", "2", "--nothreads", "vault:", path],
        [*common, "--secure_get", "--allow_other", "--cache_limit", "100", "vault:", path],
        [*common, "vos://cadc.nrc.ca~vault", path],
    ):
        with adopted(mount, *words):
            assert os.listdir(path) == ["file"]
            assert (mount.path / "file").read_bytes() == b"x"
            (mount.path / "file").write_bytes(b"x")


@pytest.mark.parametrize("kind", ["--fake", *(f"--fake={name}" for name in BOTH)])
def test_fake(make_mount: MakeMount, kind: str) -> None:
    """A private service with sample data, mounted read-write, gone at unmount."""
    mount = make_mount("vault", mount=False)
    mount.env = {name: text for name, text in os.environ.items() if "VOSPACE" not in name}
    with adopted(mount, kind, "--min-free", "50", mount.path):
        assert "sample" in os.listdir(mount.path)
        for name in os.listdir(mount.path / "sample"):
            assert (mount.path / "sample" / name).stat().st_size > 0
        (mount.path / "new").write_bytes(b"written")
        assert (mount.path / "new").read_bytes() == b"written"
        mount.wait()
    assert os.listdir(mount.path) == []


def test_a_container_below_the_root(make_mount: MakeMount, personality: str) -> None:
    """Only what is below it is seen and changed."""
    mount = make_mount(
        personality, root="a/b",
        prepare=lambda f: [f.mkdir("a/b"), f.put("a/b/in", b"in"), f.put("a/out", b"out")],
    )  # fmt: skip
    assert os.listdir(mount.path) == ["in"]
    (mount.path / "new").write_bytes(b"new")
    os.rename(mount.path / "in", mount.path / "renamed")
    assert mount.fake.get("a/b/new") == b"new" and mount.fake.get("a/b/renamed") == b"in"
    assert mount.fake.get("a/out") == b"out"
    assert mount.status(code=0)["service"].endswith("/a/b")


@pytest.mark.parametrize("how", ["--token X", "--token=X", "-o token=X", "--token-file", "env"])
def test_a_token_is_not_shown(make_mount: MakeMount, tmp_path: Path, how: str) -> None:
    """Not in the command line of the daemon, not in status, not in the log; and it works."""
    secret = "very-secret-token"
    mount = make_mount("vault", tokens=[f"ann:{secret}"], mount=False)
    del mount.env["VOSPACE_TOKEN"]
    (tmp_path / "token").write_text(f"{secret}\n")
    if how == "env":
        mount.env["VOSPACE_TOKEN"] = secret
        words = []
    elif how == "--token-file":
        words = [how, str(tmp_path / "token")]
    else:
        words = how.replace("X", secret).split(" ")
    done = run(
        "timeout", "20", sys.executable, "-m", "vofs.cli.mountvofs", *mount.words("--debug"),
        *words, env=mount.env,
    )  # fmt: skip
    mount.adopt()
    (mount.path / "file").write_bytes(b"x")
    assert mount.fake.get("file") == b"x"
    shown = Path(f"/proc/{mount.pid}/cmdline").read_bytes().decode()
    shown += done.stdout + done.stderr + mount.log.read_text()
    shown += mount.vofs("status", mount.path).stdout + json.dumps(mount.status())
    assert secret not in shown


def test_without_a_credential(make_mount: MakeMount) -> None:
    """The mount is read-only and says so in one line, exit 0."""
    mount = make_mount("vault", mount=False, prepare=lambda fake: fake.put("file", b"x"))
    del mount.env["VOSPACE_TOKEN"]
    done = mount.mountvofs(*mount.words())
    mount.adopt()
    (line,) = lines_but_of_the_cache(done.stderr)
    assert "read-only" in line
    assert mount.status()["read_only"] is True
    assert (mount.path / "file").read_bytes() == b"x"


MEMORY = Path("/dev/shm")


@pytest.mark.skipif(not MEMORY.is_dir(), reason="there is no /dev/shm here")
def test_R21_a_cache_in_memory_is_told_and_mounted(make_mount: MakeMount) -> None:
    """One line on stderr, one in the log, exit 0."""
    mount = make_mount("vault", mount=False)
    with TemporaryDirectory(dir=MEMORY) as folder:
        words = ["--cache-dir", f"{folder}/cache", "--log", str(mount.log), *MINIMUM]
        done = mount.mountvofs(*words, mount.vospace, str(mount.path))
        mount.adopt()
        (line,) = done.stderr.splitlines()
        says = f"the cache {folder}/cache is on tmpfs: what is not sent yet is lost"
        assert line.startswith(f"mountvofs: {says}")
        assert mount.log.read_text().count(says) == 1
        (mount.path / "file").write_bytes(b"kept")
        mount.unmount()
    assert mount.fake.get("file") == b"kept"


def test_HOME_may_be_unset(make_mount: MakeMount) -> None:
    """As mount(8) and fstab run us, with nothing in the environment but what leads to the fake."""
    mount = make_mount("vault", mount=False)
    home = Path(mount.env["HOME"])
    kept = ("VOSPACE_WEBSERVICE", "VOSPACE_TOKEN")
    mount.env = {name: mount.env[name] for name in kept} | {"PATH": "/usr/bin:/bin:/usr/sbin"}
    done = mount.mountvofs(*mount.words("--timeout", "3"), code=None)
    # Without HOME the registry cache of the fake is not found: a clear refusal, or a mount.
    assert done.returncode in (0, 3) and "Traceback" not in done.stderr and home.exists()
    assert len(lines_but_of_the_cache(done.stderr)) <= 1
    if done.returncode == 0:
        mount.adopt()


def test_foreground(make_mount: MakeMount) -> None:
    """-f stays, serves, and ends with 0 when it is unmounted."""
    mount = make_mount("vault", mount=False, prepare=lambda fake: fake.put("file", b"x"))
    process = subprocess.Popen(
        [sys.executable, "-m", "vofs.cli.mountvofs", "-f", *mount.words()], env=mount.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        eventually(lambda: is_mounted(mount.path))
        mount.adopt()
        assert mount.pid == process.pid
        assert (mount.path / "file").read_bytes() == b"x"
        mount.vofs("unmount", mount.path)
        output = process.communicate(timeout=20)[0]
        assert process.returncode == 0 and output == b""
    finally:
        process.kill()
        process.communicate()


def test_the_daemon_holds_nothing_of_its_starter(make_mount: MakeMount, tmp_path: Path) -> None:
    """Standard streams lead nowhere and the working directory is not kept busy, so that a pipe
    that reads `mountvofs` ends."""
    mount = make_mount("vault")
    for number in range(3):
        assert os.readlink(f"/proc/{mount.pid}/fd/{number}") == "/dev/null"
    assert os.readlink(f"/proc/{mount.pid}/cwd") == "/"


def test_connections_do_not_pile_up(make_mount: MakeMount) -> None:
    """libfuse's threads come and go; the daemon's sockets and threads do not grow with them."""
    mount = make_mount(
        "vault", "--attr-ttl", "0", "--negative-ttl", "0",
        prepare=lambda fake: [fake.put(f"f{n}", b"x") for n in range(30)],
    )  # fmt: skip

    def sockets() -> int:
        folder = Path(f"/proc/{mount.pid}/fd")
        return sum("socket:" in os.readlink(entry) for entry in folder.iterdir())

    script = (
        "import os,sys,threading\n"
        "def look(n):\n"
        "    for _ in range(3): os.stat(f'{sys.argv[1]}/f{n}')\n"
        "threads=[threading.Thread(target=look,args=(n,)) for n in range(30)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    for _ in range(2):
        python(script, mount.path)
    before = sockets()
    for _ in range(6):
        python(script, mount.path)
    assert sockets() <= before + 15, (before, sockets())
    assert shell('ls "$1" | wc -l', mount.path).strip() == "30"
