"""R21: what the cache is on."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vofs.cache.disk import Disk
from vofs.cache.filesystem import type_of, warning

EXT4, PROC, TMPFS = 0xEF53, 0x9FA0, 0x01021994
ROOT = Path("/c")


@pytest.mark.parametrize(
    ("found", "name"),
    [(0x6969, "NFS"), (0x65735546, "FUSE"), (TMPFS, "tmpfs"), (0x858458F6, "ramfs")],
)
def test_r21_one_line_says_what_and_why_and_what_to_do(found: int, name: str) -> None:
    said = warning(found, ROOT)
    assert said.startswith(f"the cache /c is on {name}: ")
    assert said.endswith("give a --cache-dir on a local disk")
    assert "\n" not in said


@pytest.mark.parametrize("found", [EXT4, 0x58465342, 0x9123683E, 0x794C7630, 0])
def test_r21_a_local_disk_and_an_unknown_one_are_no_reason(found: int) -> None:
    assert warning(found, ROOT) == ""


def test_r21_the_kernel_is_asked(tmp_path: Path) -> None:
    descriptor = os.open("/proc", os.O_RDONLY)
    try:
        assert type_of(descriptor) == PROC
    finally:
        os.close(descriptor)
    assert type_of(descriptor) == 0, "closed: unknown, and no error"
    disk = Disk(tmp_path / "c")
    try:
        assert disk.file_system_type != PROC
    finally:
        disk.close()
