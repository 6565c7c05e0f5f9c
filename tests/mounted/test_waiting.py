"""Processes that wait in the kernel for vofs: they can be killed (R19)."""

from __future__ import annotations

import signal
import subprocess

import pytest

from fakevospace.faults import Hang, Rule
from tests.mounted.conftest import MakeMount

LIMIT_S = 20.0


@pytest.mark.promise("Durability", "A process that waits can be killed")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_R19_a_process_stuck_in_close_can_be_killed(
    make_mount: MakeMount, number: signal.Signals
) -> None:
    """A close or a read that waits ends when its process is about to die of KILL, INT, TERM, QUIT
    or HUP. What it waited for goes on: the upload arrives all the same."""
    mount = make_mount("vault", "--close-wait", "1000")
    mount.fake.faults.add(Rule(Hang(), method="PUT", endpoint="bytes"))
    # A shell lets what it runs in the background ignore SIGINT, and children inherit that.
    default = "env", "--default-signal=INT"
    process = subprocess.Popen([*default, "sh", "-c", 'exec cp /bin/true "$0"', mount.path / "new"])
    try:
        mount.fake.faults.wait_until_hanging()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(number)
        assert process.wait(LIMIT_S) == -number
    finally:
        process.kill()
        process.wait(LIMIT_S)
        mount.fake.faults.clear()
    mount.wait()
    with open("/bin/true", "rb") as file:
        assert mount.fake.get("new") == file.read()


def test_R19_a_signal_that_does_not_end_a_process_does_not_end_its_wait(
    make_mount: MakeMount,
) -> None:
    """A timer's signal interrupts nothing: close returns when the upload is done."""
    mount = make_mount("vault", "--close-wait", "1000")
    mount.fake.faults.add(Rule(Hang(), method="PUT", endpoint="bytes"))
    script = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGUSR1, lambda *_: None)\n"
        "file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "os.write(file, b'data')\n"
        "os.close(file)\n"
    )
    process = subprocess.Popen(["python3", "-c", script, mount.path / "new"])
    try:
        mount.fake.faults.wait_until_hanging()
        process.send_signal(signal.SIGUSR1)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.7)
    finally:
        mount.fake.faults.clear()
        assert process.wait(LIMIT_S) == 0
    assert mount.fake.get("new") == b"data"
