"""`make demo`: the main job of vofs, walked through on a fake service, with nothing faked else.

A fake VOSpace serves HTTP on loopback; `mountvofs`, the kernel, `cp`, astropy, the unmodified `vls`
and `vofs` do the rest, as on a user's machine.  Every step is checked; the first one that does not
hold ends the demo with exit code 1.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

MIN_FREE_MB = 64  # a demo needs no more room than that
COMMAND_WITHIN_S = 120
EXAMPLES = ("m13.fits", "j94f05bgq_flt.fits")  # a globular cluster; an exposure of Hubble's ACS


class StepFailed(Exception):
    """A step of the demo did not do what it should."""


def main() -> int:
    """Run the demo; returns the exit code."""
    try:
        with ExitStack() as stack:
            Demo(stack).run()
    except (StepFailed, subprocess.SubprocessError, OSError) as exc:
        print(f"demo: {exc}", file=sys.stderr)
        return 1
    return 0


class Demo:
    """One walk.

    Args:
        stack: takes everything back when the demo ends, however it ends.
    """

    def __init__(self, stack: ExitStack) -> None:
        from fakevospace import FakeVOSpace  # the demo is the one user of the fake in here

        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="vofs-demo-")))
        home, self._mount = base / "home", base / "vault"
        home.mkdir()
        self._mount.mkdir()
        served = stack.enter_context(FakeVOSpace(personality="vault", sample=True).serve())
        self._vospace = served.vospace
        self._environment: Mapping[str, str] = {**os.environ, **served.environment(home)}
        self._cache = base / "cache"
        stack.callback(self._take_away)

    def run(self) -> None:
        """All steps in order.

        Raises:
            StepFailed: one did not hold.
        """
        self._show("mount", self._command(
            "mountvofs", "--min-free", str(MIN_FREE_MB), "--cache-dir", str(self._cache),
            self._vospace, str(self._mount),
        ))  # fmt: skip
        self._show("list", self._command("ls", "-lR", str(self._mount)))
        sources = [example(name) for name in EXAMPLES]
        for source in sources:
            target = self._mount / source.name
            self._show(f"cp {source.name}", self._command("cp", str(source), str(target)))
            self._read_with_astropy(target)
            self._compare_md5(source, target)
        self._read_with_astropy(self._mount / "sample" / "mosaic.fits")
        listing = self._command("vls", "-l", self._vospace)
        self._show(f"vls -l {self._vospace}", listing)
        copied = all(source.name in listing for source in sources)
        self._require(copied, "vls does not show the copied files")
        self._show("vofs wait", self._command("vofs", "wait", str(self._mount)))
        status = self._command("vofs", "status", str(self._mount))
        self._show("vofs status", status)
        self._require("uploads pending: 0" in status, "uploads are still pending")
        self._show("vofs unmount", self._command("vofs", "unmount", str(self._mount)))
        self._require(not list(self._mount.iterdir()), "something is still mounted")
        print("demo: all steps done, nothing is left mounted")

    def _read_with_astropy(self, target: Path) -> None:
        from astropy.io import fits

        with fits.open(target) as units:
            images = [unit.data.shape for unit in units if unit.data is not None]
            self._show(f"astropy reads {target.name}", f"HDUs: {len(units)}, data: {images}")

    def _compare_md5(self, source: Path, target: Path) -> None:
        local = hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
        stored = os.getxattr(target, "user.vos.MD5").decode()
        names = sorted(os.listxattr(target))
        shown = "\n".join(f"{name} = {os.getxattr(target, name).decode()}" for name in names)
        self._show(f"VOSpace properties of {target.name} as extended attributes", shown)
        self._show("MD5", f"user.vos.MD5: {stored}\nmd5sum:       {local}")
        self._require(stored == local, "the service's MD5 is not that of the original")

    def _command(self, name: str, *arguments: str) -> str:
        """Run one command, ours or vos' from beside this Python, others from PATH."""
        beside = Path(sys.executable).with_name(name)
        program = str(beside) if beside.exists() else shutil.which(name)
        if program is None:
            raise StepFailed(f"{name} is not installed")
        done = subprocess.run(
            [program, *arguments], env=self._environment, capture_output=True, text=True,
            timeout=COMMAND_WITHIN_S, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise StepFailed(f"{name} failed with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def _show(self, title: str, text: str) -> None:
        print(f"== {title}")
        if text.strip():
            print(text.rstrip())

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise StepFailed(otherwise)

    def _take_away(self) -> None:
        """After a failed step: unmount what is still mounted."""
        if os.path.ismount(self._mount):
            self._command("vofs", "unmount", "--now", str(self._mount))


def example(name: str) -> Path:
    """A real FITS file that comes with astropy.

    Raises:
        StepFailed: this astropy does not ship it.
    """
    import astropy

    found = sorted(Path(astropy.__file__).parent.rglob(name))
    if not found:
        raise StepFailed(f"this astropy ships no {name}")
    return found[0]


if __name__ == "__main__":
    sys.exit(main())
