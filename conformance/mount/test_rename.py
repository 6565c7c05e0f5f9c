"""Renaming (POSIX.1-2017: rename)."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.clause(
    "FS-rename-over-file",
    source="POSIX.1-2017 rename(): an existing file of the new name is replaced",
)
def test_rename_replaces_an_existing_file(directory: Path) -> None:
    new, old = directory / "new", directory / "old"
    new.write_bytes(b"the new content\n" * 1000)
    old.write_bytes(b"replaced")

    new.rename(old)

    assert not new.exists()
    assert old.read_bytes() == b"the new content\n" * 1000
    assert [entry.name for entry in directory.iterdir()] == ["old"]
