"""A file made over a stale clean row leaves the old data file behind."""

from __future__ import annotations

from tests.unit.cache.conftest import Parts
from tests.unit.cache.test_filetable import filled


def test_a_file_made_over_a_stale_clean_row_leaves_no_data_file(parts: Parts) -> None:
    filled(parts, "/f")
    file = parts.table.create("/f", 0o640)
    try:
        assert parts.disk.data_numbers() == [file.number]
    finally:
        parts.table.release(file)
        parts.table.close()
