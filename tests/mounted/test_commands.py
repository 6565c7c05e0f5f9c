"""`vofs status`, `flush`, `wait`, `drop` and `unmount`, and signals, on real mounts."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest

from fakevospace.faults import Hang, Rule, Status
from tests.mounted.conftest import MakeMount
from tests.support.mounted import (
    eventually,
    is_alive,
    is_mounted,
    pattern,
    run,
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
