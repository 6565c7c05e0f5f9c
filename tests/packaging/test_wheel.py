"""What is shipped: a wheel with three packages, their data and the commands."""

from __future__ import annotations

import configparser
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built without network: hatchling is one of the locked test dependencies."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(directory.glob("*.whl"))) as built:
        yield built


def read(wheel: zipfile.ZipFile, suffix: str) -> str:
    return wheel.read(next(n for n in wheel.namelist() if n.endswith(suffix))).decode()


@pytest.mark.parametrize("package", ["vofs", "fakevospace", "conformance"])
def test_the_wheel_holds_each_package_whole(wheel: zipfile.ZipFile, package: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", package], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert f"{package}/py.typed" in wheel.namelist()
    assert set(tracked) <= set(wheel.namelist())


def test_the_profiles_are_shipped(wheel: zipfile.ZipFile) -> None:
    names = {Path(name).name for name in wheel.namelist() if "/profiles/" in name}
    assert {"vault.toml", "cavern.toml"} <= names


def test_nothing_else_is_shipped(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0].partition("-")[0] for name in wheel.namelist()}
    assert tops == {"vofs", "fakevospace", "conformance"}


def test_the_commands_are_declared_and_their_modules_are_there(wheel: zipfile.ZipFile) -> None:
    entry_points = configparser.ConfigParser()
    entry_points.read_string(read(wheel, "entry_points.txt"))
    scripts = dict(entry_points["console_scripts"])
    assert scripts == {
        "mountvofs": "vofs.cli.mountvofs:main",
        "vofs": "vofs.cli.vofs:main",
        "fakevospace": "fakevospace.cli:main",
    }
    for target in scripts.values():
        assert target.partition(":")[0].replace(".", "/") + ".py" in wheel.namelist()


def test_the_licence_and_the_version(wheel: zipfile.ZipFile) -> None:
    metadata = read(wheel, ".dist-info/METADATA")
    assert "License-Expression: AGPL-3.0-or-later" in metadata
    assert "GNU AFFERO GENERAL PUBLIC LICENSE" in read(wheel, "licenses/LICENSE")
    version = (ROOT / "vofs" / "__init__.py").read_text().partition('__version__ = "')[2]
    assert f"Version: {version.partition(chr(34))[0]}" in metadata
