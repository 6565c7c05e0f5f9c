"""A mount that cannot be, judged: one line on stderr, the exit code, no traceback, nothing mounted.

Exit codes (interface.md section 2): 2 usage, 3 service or credential, 4 mount point, cache or FUSE.
"""

from __future__ import annotations

from pathlib import Path

from tests.support.mounted import Done, Mounted, is_mounted

USAGE, SERVICE, MOUNT = 2, 3, 4


def refuse(mount: Mounted, code: int, *words: str | Path, says: str = "") -> str:
    """Run `mountvofs`, require its exit code and a single line; returns the line."""
    done = mount.mountvofs(*map(str, words), code=None)
    return check(mount, done, code, says)


def check(mount: Mounted, done: Done, code: int, says: str = "") -> str:
    """Judge a refusal: one line, the code, no traceback, nothing mounted."""
    assert done.returncode == code, (done.returncode, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("mountvofs: ") and done.stderr.endswith("\n"), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr and says in done.stderr, done.stderr
    assert not is_mounted(mount.path)
    return done.stderr


def refuse_any(mount: Mounted, codes: tuple[int, ...], words: list[str]) -> str:
    """As `refuse`, where more than one code is right."""
    done = mount.mountvofs(*words, code=None)
    assert done.returncode in codes, (done.returncode, done.stderr)
    return check(mount, done, done.returncode)
