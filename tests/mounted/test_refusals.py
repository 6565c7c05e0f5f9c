"""Mounts that cannot be: one clear line on stderr, the exit code, and nothing left mounted; in the
background and with -f (tests/support/refusals.py says what is asked of each).

What is wrong with caches stands in test_refused_caches.py.
"""

from __future__ import annotations

import datetime
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from tests.mounted.conftest import MakeMount
from tests.support.mounted import (
    COMMAND_S,
    Mounted,
    eventually,
    is_alive,
    is_mounted,
    run,
)
from tests.support.refusals import MOUNT, SERVICE, USAGE, check, refuse, refuse_any


def test_the_line_is_alone_on_stderr(ready: Mounted, where: list[str]) -> None:
    """Without --log, in the foreground, nothing else is said."""
    words = ["--min-free", "50", "--cache-dir", str(ready.cache), "vault:missing"]
    refuse(ready, SERVICE, *where, *words, ready.path, says="does not exist")


# -- service and credential -----------------------------------------------------------------------


def test_unknown_host(ready: Mounted, where: list[str]) -> None:
    """A host that does not answer."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ready.env["VOSPACE_WEBSERVICE"] = f"127.0.0.1:{unused.getsockname()[1]}"
        refuse(ready, SERVICE, *where, *ready.words("--timeout", "2"))


def test_a_host_without_a_name(ready: Mounted, where: list[str]) -> None:
    """A host that nobody knows."""
    ready.env["VOSPACE_WEBSERVICE"] = "no-such-host.invalid"
    refuse(ready, SERVICE, *where, *ready.words("--timeout", "2"))


@pytest.mark.parametrize("uri", ["nosuch:", "vos://example.org~nosuch/x", "ivo://example.org/x"])
def test_unknown_service(ready: Mounted, uri: str, where: list[str]) -> None:
    """A name that the registry does not know, or that is no VOSpace at all."""
    words = [*ready.words()[:-2], "--timeout", "2", uri, str(ready.path)]
    line = refuse_any(ready, (USAGE, SERVICE), [*where, *words])
    assert uri.split("/")[0].rstrip(":") in line or "nosuch" in line or "example" in line, line


@pytest.mark.parametrize(
    ("below", "says"), [("missing", "does not exist"), ("file", "not a container")]
)
def test_the_container_is_missing_or_a_file(
    ready: Mounted, below: str, says: str, where: list[str]
) -> None:
    """Only containers that are there can be mounted."""
    words = [*ready.words()[:-2], f"vault:{below}", str(ready.path)]
    refuse(ready, SERVICE, *where, *words, says=says)


def test_a_service_that_answers_errors(ready: Mounted, where: list[str]) -> None:
    """500 and 503 from the first request on."""
    from fakevospace.faults import Rule, Status

    for code in (500, 503):
        ready.fake.faults.add(Rule(Status(code, retry_after=0), endpoint="nodes"))
        refuse(ready, SERVICE, *where, *ready.words("--timeout", "2"))
        ready.fake.faults.clear()


def test_a_service_that_hangs(ready: Mounted, where: list[str]) -> None:
    """No answer within --timeout."""
    from fakevospace.faults import Hang, Rule

    ready.fake.faults.add(Rule(Hang(), endpoint="nodes"))
    refuse(ready, SERVICE, *where, *ready.words("--timeout", "1"))


def test_a_wrong_token(make_mount: MakeMount, tmp_path: Path, where: list[str]) -> None:
    """A strict service refuses it, however it was given; the token is in no message."""
    mount = make_mount("vault", tokens=["ann:right"], mount=False)
    secret = "wrong-secret-token"
    (tmp_path / "token").write_text(secret)
    for words in (["--token", secret], ["--token-file", str(tmp_path / "token")]):
        line = refuse(mount, SERVICE, *where, *mount.words(*words))
        assert secret not in line
    mount.env["VOSPACE_TOKEN"] = secret
    assert secret not in refuse(mount, SERVICE, *where, *mount.words())


def _certificate(
    folder: Path, *, key: bool = True, expired: bool = False, of: str = "proxy.pem"
) -> Path:
    now = datetime.datetime.now(datetime.UTC)
    issued = trustme.CA().issue_cert(
        "me@example.org", not_after=now - datetime.timedelta(days=1) if expired else None
    )
    parts = [blob.bytes() for blob in issued.cert_chain_pems]
    if key:
        parts.append(issued.private_key_pem.bytes())
    (folder / of).write_bytes(b"".join(parts))
    return folder / of


@pytest.mark.parametrize(
    "what", ["directory", "not PEM", "missing", "no key", "expired", "empty", "unreadable FIFO"]
)
def test_a_certificate_that_cannot_work(
    ready: Mounted, tmp_path: Path, what: str, where: list[str]
) -> None:
    """Each says which file and why, by option and by environment."""
    path = tmp_path / "certificate.pem"
    match what:
        case "directory":
            path.mkdir()
        case "not PEM":
            path.write_text("this is no certificate\n")
        case "empty":
            path.touch()
        case "no key":
            path = _certificate(tmp_path, key=False)
        case "expired":
            path = _certificate(tmp_path, expired=True)
        case "unreadable FIFO":
            os.mkfifo(path)
    says = "expired" if what == "expired" else str(path)
    refuse(ready, SERVICE, *where, *ready.words("--certfile", str(path)), says=says)
    del ready.env["VOSPACE_TOKEN"]
    ready.env["VOSPACE_CERTFILE"] = str(path)
    refuse(ready, SERVICE, *where, *ready.words(), says=says)


def test_a_token_file_that_cannot_work(ready: Mounted, tmp_path: Path, where: list[str]) -> None:
    """Missing, empty, a directory."""
    (tmp_path / "empty").touch()
    for path in (tmp_path / "missing", tmp_path / "empty", tmp_path):
        refuse(ready, SERVICE, *where, *ready.words("--token-file", str(path)), says=str(path))


# -- mount point ----------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["a file", "missing", "not empty", "below a file"])
def test_mount_points_that_are_none(ready: Mounted, what: str, where: list[str]) -> None:
    """Only an empty directory is mounted on."""
    point = ready.path
    match what:
        case "a file":
            point = ready.path.parent / "plain"
            point.write_bytes(b"content")
        case "missing":
            point = ready.path / "missing"
        case "not empty":
            (ready.path / "something").touch()
        case "below a file":
            (ready.path.parent / "plain").touch()
            point = ready.path.parent / "plain" / "mnt"
    line = refuse(ready, MOUNT, *where, *ready.words()[:-1], str(point), says=str(point))
    assert "mount point" in line
    assert not (ready.cache / "lock").exists()
    if what == "a file":
        assert point.read_bytes() == b"content"


def test_a_busy_mount_point(make_mount: MakeMount, where: list[str]) -> None:
    """Something is mounted there already: it goes on working."""
    mount = make_mount("vault", prepare=lambda fake: fake.put("file", b"bytes"))
    words = [*mount.words()[:-2], "--cache-dir", f"{mount.cache}-other", "vault:", str(mount.path)]
    done = mount.mountvofs(*where, *words, code=MOUNT)
    assert done.stderr.count("\n") == 1 and "busy" in done.stderr
    assert (mount.path / "file").read_bytes() == b"bytes"
    table = Path("/proc/self/mountinfo").read_text()
    assert table.count(f" {mount.path} ") == 1


def test_R22_a_dead_mount_is_taken_away(make_mount: MakeMount, personality: str) -> None:
    """After kill -9 of the daemon the next mount on the same place just works."""
    mount = make_mount(personality, prepare=lambda fake: fake.put("file", b"bytes"))
    mount.kill9_only()
    assert is_mounted(mount.path)
    mount.mount()
    assert (mount.path / "file").read_bytes() == b"bytes"
    assert Path("/proc/self/mountinfo").read_text().count(f" {mount.path} ") == 1


# -- FUSE -----------------------------------------------------------------------------------------


@contextmanager
def without(*paths: str) -> Iterator[list[str]]:
    """Words before a command that runs it where `paths` are empty, in a mount namespace of its
    own: the machine is not touched."""
    script = "".join(f"mount --bind /dev/null {path} && " for path in paths)
    yield [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        f'{script} exec "$@"',
        "sh",
    ]


def test_no_FUSE_device(ready: Mounted, where: list[str]) -> None:
    """/dev/fuse is missing: which module, or which option of the container."""
    script = (
        "mkdir -p $1/dev && mount -t tmpfs none $1/dev && touch $1/dev/null $1/dev/urandom && "
        "mount --bind /dev/null $1/dev/null && mount --bind /dev/urandom $1/dev/urandom && "
        'mount --move $1/dev /dev && shift && exec "$@"'
    )
    done = run(
        "unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
        str(ready.path.parent), sys.executable, "-m", "vofs.cli.mountvofs", *where, *ready.words(),
        env=ready.env, code=None,
    )  # fmt: skip
    line = check(ready, done, MOUNT, says="/dev/fuse")
    assert "modprobe fuse" in line or "--device" in line


def _libraries() -> list[str]:
    """Where the dynamic linker finds libfuse."""
    table = run("ldconfig", "-p").stdout if Path("/sbin/ldconfig").exists() else ""
    named = {line.rpartition(" => ")[2] for line in table.splitlines() if "libfuse" in line}
    return sorted({str(Path(path).resolve()) for path in named if path})


def test_no_FUSE_library(ready: Mounted, where: list[str]) -> None:
    """No libfuse: which package to install."""
    libraries = _libraries()
    assert libraries
    with without(*libraries, "/etc/ld.so.cache") as prefix:
        done = run(
            *prefix, sys.executable, "-m", "vofs.cli.mountvofs", *where, *ready.words(),
            env=ready.env, code=None,
        )  # fmt: skip
    line = check(ready, done, MOUNT, says="FUSE library")
    assert "apt install" in line


def test_libfuse_that_cannot_mount(ready: Mounted, where: list[str]) -> None:
    """No permission for mount(2), as an unprivileged container has it."""
    done = run(
        "setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin",
        sys.executable, "-m", "vofs.cli.mountvofs", *where, *ready.words(),
        env=ready.env, code=None,
    )  # fmt: skip
    assert done.returncode == MOUNT, done
    assert "Traceback" not in done.stderr and "mountvofs: " in done.stderr
    assert not is_mounted(ready.path)


# -- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["vault:"],
        ["vault:", "/mnt", "more"],
        ["--vospace", "vault:"],
        ["--mountpoint", "/mnt"],
        ["--no-such-option", "vault:", "MNT"],
        ["-o", "no_such_option", "vault:", "MNT"],
        ["--timeout", "soon", "vault:", "MNT"],
        ["--timeout", "-1", "vault:", "MNT"],
        ["--cache-limit", "-5", "vault:", "MNT"],
        ["--max-flush-threads", "0", "vault:", "MNT"],
        ["--umask", "9", "vault:", "MNT"],
        ["--fake=nosuch", "MNT"],
        ["--fake", "--vospace", "vault:", "MNT"],
        ["--anonymous", "--certfile", "x", "vault:", "MNT"],
        ["--token-file"],
    ],
    ids=" ".join,
)
def test_usage(ready: Mounted, words: list[str], where: list[str]) -> None:
    """One line, exit code 2."""
    given = [str(ready.path) if word == "MNT" else word for word in words]
    refuse(ready, USAGE, *where, *given)


def test_the_background_leaves_no_process(ready: Mounted) -> None:
    """After a refusal there is no daemon."""
    words = [*ready.words()[:-2], "vault:missing", str(ready.path)]
    process = subprocess.Popen(
        [sys.executable, "-m", "vofs.cli.mountvofs", *words], env=ready.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.wait(COMMAND_S) == SERVICE
    eventually(lambda: not is_alive(process.pid))
    eventually(lambda: not _daemons(ready))


def _daemons(mount: Mounted) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(mount.path) in words:
                found.append(entry.name)
    return found


def test_a_ca_file_that_cannot_work(ready: Mounted, tmp_path: Path, where: list[str]) -> None:
    """--ca-file with a missing file."""
    words = ready.words("--ca-file", str(tmp_path / "missing.pem"))
    line = refuse_any(ready, (SERVICE, USAGE), [*where, *words])
    assert "missing.pem" in line
