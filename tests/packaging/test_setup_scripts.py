"""The set-up of `make demo` and `make test` says in one line what it may not install itself."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "tools" / script],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def commands(directory: Path, *names: str) -> str:
    """A PATH with these commands of the machine only, so that sudo is certainly not there."""
    directory.mkdir()
    for name in names:
        found = next(p for d in os.environ["PATH"].split(":") if (p := Path(d, name)).exists())
        (directory / name).symlink_to(found)
    return str(directory)


def test_fuse_missing_and_not_root_names_the_packages(tmp_path: Path) -> None:
    path = commands(tmp_path / "bin", "sh", "dirname", "id")
    done = run("ensure-fuse", FUSE_SYSROOT=str(tmp_path), VOFS_UID="1000", PATH=path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "fuse3 libfuse2" in done.stderr
    assert "libfuse3-3" in done.stderr


def test_only_what_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "fusermount3").touch(mode=0o755)
    library = tmp_path / "usr" / "lib" / "x86_64-linux-gnu"
    library.mkdir(parents=True)
    (library / "libfuse3.so.3.14.0").touch()
    path = commands(tmp_path / "bin", "sh", "dirname", "id")

    done = run("ensure-fuse", FUSE_SYSROOT=str(tmp_path), VOFS_UID="1000", PATH=path)

    assert done.returncode == 2
    assert "fuse3 " not in done.stderr
    assert "libfuse2" in done.stderr


def test_nothing_is_done_when_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "fusermount3").touch(mode=0o755)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libfuse.so.2").touch()
    (tmp_path / "lib" / "libfuse3.so.3.17").touch()
    done = run("ensure-fuse", FUSE_SYSROOT=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_python_is_found_without_home_and_pyenv_root() -> None:
    done = run("find-python", HOME="/nonexistent", PYENV_ROOT="")
    assert done.returncode == 0
    assert Path(done.stdout.strip()).exists()


def test_a_python_too_old_is_not_taken(tmp_path: Path) -> None:
    old = tmp_path / "bin" / "python3"
    path = commands(tmp_path / "bin", "sh", "dirname", "which")
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run("find-python", PATH=path, HOME=str(tmp_path), PYENV_ROOT="")
    assert done.returncode == 2
    assert "Python 3.11" in done.stderr


def test_chromium_is_left_alone_when_it_is_there(tmp_path: Path) -> None:
    path = commands(tmp_path / "bin", "sh", "dirname")
    (tmp_path / "bin" / "chromedriver").symlink_to("/bin/true")
    done = run("ensure-chromium", PATH=path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
