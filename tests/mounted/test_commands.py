"""`vofs` and the spellings of `mountvofs`, on real mounts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fakevospace.faults import Hang, Rule, Status
from tests.mounted.conftest import MakeMount
from tests.support.mounted import (
    BOTH,
    MINIMUM,
    Mounted,
    eventually,
    is_alive,
    is_mounted,
    lines_but_of_the_cache,
    pattern,
    python,
    run,
    shell,
)

HOLD_PUTS = Rule(Hang(), method="PUT", endpoint="bytes")
USAGE = 2


# -- status ---------------------------------------------------------------------------------------


def test_status(make_mount: MakeMount, personality: str) -> None:
    """Mount, service, credential, cache and uploads, for people and as JSON."""
    mount = make_mount(personality, prepare=lambda fake: fake.put("dir", b"") or None)
    shown = mount.vofs("status", mount.path).stdout
    for words in (str(mount.path), "read-write", "credential: token", str(mount.cache),
                  "uploads pending: 0", "uploads failed: 0"):  # fmt: skip
        assert words in shown
    value = mount.status(code=0)
    assert value["mount"] == str(mount.path) and value["pid"] == mount.pid
    assert value["read_only"] is False and value["uploads"] == []
    assert value["cache"]["directory"] == str(mount.cache)


def test_status_of_pending_uploads(make_mount: MakeMount) -> None:
    """Each with path, size and state; PATH narrows it down."""
    mount = make_mount("vault", "--close-wait", "0", prepare=lambda fake: fake.mkdir("dir/sub"))
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "one").write_bytes(b"12345")
    (mount.path / "dir" / "sub" / "two").write_bytes(b"123")
    mount.fake.faults.wait_until_hanging(2)
    sizes = {upload["path"]: upload["size"] for upload in mount.status(code=0)["uploads"]}
    assert sizes == {"/one": 5, "/dir/sub/two": 3}
    below = json.loads(mount.vofs("status", "--json", mount.path / "dir").stdout)["uploads"]
    assert [upload["path"] for upload in below] == ["/dir/sub/two"]
    assert "uploads pending: 2" in mount.vofs("status", mount.path).stdout


def test_status_of_all_mounts(make_mount: MakeMount) -> None:
    """Without a path: every mount of this machine, ours among them."""
    one, two = make_mount("vault"), make_mount("cavern")
    found = one.vofs("status", "--json", code=None)
    shown = {value["mount"] for value in json.loads(found.stdout)}
    assert {str(one.path), str(two.path)} <= shown


def test_paths_inside_a_mount(make_mount: MakeMount, tmp_path: Path) -> None:
    """PATH may be anywhere inside: a file, a directory, a relative path, "..", a path through a
    symbolic link."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("a b/ü/file", b"x") if
                       fake.mkdir("a b/ü") is None else None)  # fmt: skip
    deep = mount.path / "a b" / "ü"
    for path in (deep, deep / "file", deep / ".." / "ü"):
        assert json.loads(mount.vofs("status", "--json", path).stdout)["pid"] == mount.pid
    words = f'cd "$1" && shift && "{sys.executable}" -m vofs.cli.vofs status --json .'
    assert json.loads(run("sh", "-c", words, "sh", deep, env=mount.env).stdout)["pid"] == mount.pid


def test_a_path_through_a_symbolic_link(make_mount: MakeMount, tmp_path: Path) -> None:
    """~/data -> the mount: as users have it."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", b"x"))
    (tmp_path / "link").symlink_to(mount.path)
    for path in (tmp_path / "link", tmp_path / "link" / "file"):
        assert json.loads(mount.vofs("status", "--json", path).stdout)["pid"] == mount.pid


@pytest.mark.parametrize("command", ["status", "wait", "drop", "unmount"])
def test_outside_any_mount(make_mount: MakeMount, tmp_path: Path, command: str) -> None:
    """One line, an exit code that is no success, no traceback."""
    mount = make_mount("vault", mount=False)
    for path in (tmp_path, tmp_path / "missing", Path("/"), mount.path):
        done = mount.vofs(command, path, code=None)
        assert done.returncode == USAGE and done.stdout == ""
        assert done.stderr.count("\n") == 1 and "not inside" in done.stderr


def test_a_daemon_that_died(make_mount: MakeMount) -> None:
    """Every command says so in one line, and does not hang."""
    mount = make_mount("vault")
    mount.kill9_only()
    for words in (["status"], ["wait"], ["drop"], ["unmount"]):
        done = mount.vofs(*words, mount.path, code=None)
        assert done.returncode not in (0, 124) and done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [[], ["nonsense"], ["wait"], ["unmount"], ["drop"], ["wait", "--timeout", "x", "/"]],
    ids=str,
)  # fmt: skip
def test_usage_of_vofs(make_mount: MakeMount, words: list[str]) -> None:
    """Exit code 2 and no traceback."""
    mount = make_mount("vault", mount=False)
    done = mount.vofs(*words, code=2)
    assert done.stderr and "Traceback" not in done.stderr


# -- flush ----------------------------------------------------------------------------------------


def test_flush_sends_at_once_what_waits_for_its_next_try(make_mount: MakeMount) -> None:
    """`vofs flush PATH`: whatever the service asked for, and only below PATH."""
    mount = make_mount("vault", "--close-wait", "0", prepare=lambda fake: fake.mkdir("dir"))
    mount.fake.faults.add(Rule(Status(503, retry_after=3600), method="PUT", endpoint="bytes"))
    (mount.path / "file").write_bytes(b"1")
    (mount.path / "dir" / "file").write_bytes(b"2")
    eventually(lambda: all(upload["attempts"] for upload in mount.status()["uploads"]))
    mount.fake.faults.clear()
    flushed = mount.vofs("flush", "--json", mount.path / "dir").stdout
    assert json.loads(flushed) == {"flushed": 1}
    eventually(lambda: mount.holds("dir/file", b"2"))
    assert mount.vofs("flush", mount.path).stdout.startswith("files to be sent now: ")
    mount.wait()
    assert mount.fake.get("file") == b"1"


def test_R18_fsync_remote(make_mount: MakeMount, personality: str) -> None:
    """With `--fsync remote` fsync returns when the service has the bytes."""
    mount = make_mount(personality, "--close-wait", "0", "--fsync", "remote")
    with open(mount.path / "file", "wb", buffering=0) as file:
        file.write(b"12345")
        os.fsync(file.fileno())
        assert mount.fake.get("file") == b"12345"


# -- wait, drop, unmount --------------------------------------------------------------------------


def test_wait(make_mount: MakeMount, personality: str) -> None:
    """0 when all is there, 124 when the time is over, 1 for a permanent error; only what is below
    PATH counts."""
    mount = make_mount(personality, "--close-wait", "0", prepare=lambda fake: fake.mkdir("dir"))
    mount.expect_error("cannot be sent")
    mount.wait()
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "file").write_bytes(b"x")
    mount.fake.faults.wait_until_hanging()
    done = mount.vofs("wait", "--timeout", "0.3", mount.path, code=124)
    assert done.stderr.count("\n") == 1
    value = json.loads(mount.vofs("wait", "--timeout", "0", "--json", mount.path, code=124).stdout)
    assert value["code"] == 124 and [one["path"] for one in value["uploads"]] == ["/file"]
    mount.vofs("wait", "--timeout", "0.3", mount.path / "dir", code=0)
    mount.fake.faults.clear()
    mount.wait()
    assert mount.fake.get("file") == b"x"
    mount.fake.faults.add(Rule(Status(403, body="PermissionDenied"), method="PUT"))
    (mount.path / "refused").write_bytes(b"x")
    done = mount.vofs("wait", mount.path, code=1)
    assert "/refused" in done.stderr
    mount.vofs("wait", mount.path / "dir", code=0)


def test_drop(make_mount: MakeMount, personality: str) -> None:
    """Forgets clean data and attributes below PATH, and nothing that is not sent."""
    mount = make_mount(
        personality, "--close-wait", "0",
        prepare=lambda fake: [fake.mkdir("dir"), fake.put("dir/a", b"a"), fake.put("b", b"b")],
    )  # fmt: skip
    assert (mount.path / "dir" / "a").read_bytes() == b"a"
    assert (mount.path / "b").read_bytes() == b"b"
    assert json.loads(mount.vofs("drop", "--json", mount.path / "dir").stdout) == {"dropped": 1}
    mount.fake.put("dir/a", b"new a")
    mount.vofs("drop", mount.path)
    eventually(lambda: (mount.path / "dir" / "a").read_bytes() == b"new a")
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "unsent").write_bytes(b"unsent")
    mount.vofs("drop", mount.path)
    assert (mount.path / "unsent").read_bytes() == b"unsent"
    mount.fake.faults.clear()
    mount.wait()
    assert mount.fake.get("unsent") == b"unsent"


@pytest.mark.portable
def test_unmount_leaves_nothing(make_mount: MakeMount, personality: str) -> None:
    """No mount, no process, no socket directory; PATH may be deep inside."""
    mount = make_mount(personality, prepare=lambda fake: fake.put("file", b"x"))
    socket = Path(os.fsdecode(os.getxattr(mount.path, "user.vofs.control")))
    assert socket.exists() and len(str(socket)) < 100
    assert mount.vofs("unmount", "--json", mount.path / "file").stdout == '{"left": 0}\n'
    assert not is_mounted(mount.path) and not is_alive(mount.pid)
    assert not socket.parent.exists()
    mount.mount()


def test_unmount_of_a_busy_mount(make_mount: MakeMount) -> None:
    """A file is open: refused in one line, exit 1, still mounted and working."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", b"bytes"))
    with open(mount.path / "file", "rb") as file:
        done = mount.unmount(code=1)
        assert done.stderr.count("\n") == 1 and "busy" in done.stderr.lower()
        assert is_mounted(mount.path) and file.read() == b"bytes"
        with open(mount.path / "new", "wb") as other:
            other.write(b"still works")
    mount.unmount()
    assert mount.fake.get("new") == b"still works"


def test_after_a_refused_unmount_now_uploads_go_on(make_mount: MakeMount) -> None:
    """--now of a busy mount is refused; a later umount waits for uploads as if nothing had been."""
    mount = make_mount("vault", "--close-wait", "0", prepare=lambda f: f.put("file", b"bytes"))
    with open(mount.path / "file", "rb"):
        mount.unmount("--now", code=1)
    (mount.path / "new").write_bytes(pattern(1 << 20))
    mount.unmount()
    assert mount.fake.get("new") == pattern(1 << 20)


def test_R22_SIGTERM_unmounts_and_sends(make_mount: MakeMount, personality: str) -> None:
    """kill of the daemon: what is dirty is sent, the mount is gone."""
    mount = make_mount(personality, "--close-wait", "0")
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "file").write_bytes(b"bytes")
    mount.fake.faults.wait_until_hanging()
    os.kill(mount.pid, signal.SIGTERM)
    eventually(lambda: not is_mounted(mount.path))
    mount.fake.faults.clear()
    eventually(lambda: not is_alive(mount.pid))
    assert mount.fake.get("file") == b"bytes"


def test_R22_a_second_SIGTERM_stops_waiting(make_mount: MakeMount, personality: str) -> None:
    """The daemon ends although nothing has arrived; what is left goes with the next mount."""
    mount = make_mount(personality, "--close-wait", "0", "--settle", "1", "--timeout", "60")
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "file").write_bytes(b"bytes")
    mount.fake.faults.wait_until_hanging()
    os.kill(mount.pid, signal.SIGTERM)
    eventually(lambda: not is_mounted(mount.path))
    assert is_alive(mount.pid)
    os.kill(mount.pid, signal.SIGTERM)
    eventually(lambda: not is_alive(mount.pid), 30.0)
    assert not mount.holds("file", b"bytes")
    mount.fake.faults.clear()
    mount.mount()
    assert (mount.path / "file").read_bytes() == b"bytes"
    mount.wait()
    assert mount.fake.get("file") == b"bytes"


def test_umount_8(make_mount: MakeMount, personality: str) -> None:
    """umount(8) returns at once; the daemon sends what is left and ends."""
    mount = make_mount(personality, "--close-wait", "0")
    mount.fake.faults.add(HOLD_PUTS)
    (mount.path / "file").write_bytes(b"bytes")
    mount.fake.faults.wait_until_hanging()
    run("umount", mount.path)
    assert is_alive(mount.pid)
    mount.fake.faults.clear()
    eventually(lambda: not is_alive(mount.pid))
    assert mount.fake.get("file") == b"bytes"
    mount.mount()


# -- mountvofs ------------------------------------------------------------------------------------


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
