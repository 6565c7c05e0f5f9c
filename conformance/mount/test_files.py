"""Regular files: what was written is what is read (POSIX.1-2017: write, read, stat)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest


@pytest.mark.clause(
    "FS-file-write-read-back",
    source="POSIX.1-2017 write(): a read after a write returns the data; stat(): st_size",
)
def test_written_bytes_are_read_back(directory: Path) -> None:
    path = directory / "data.bin"
    # Every byte value, and a length that is no multiple of a page.
    content = bytes(range(256)) + random.Random(1).randbytes(300_001)

    path.write_bytes(content)

    assert path.stat().st_size == len(content)
    assert path.read_bytes() == content
    assert [entry.name for entry in directory.iterdir()] == ["data.bin"]
