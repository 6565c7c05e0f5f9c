"""A file that is sent while its directory is listed falls between the two halves of children()."""

from __future__ import annotations

from pathlib import Path

from tests.support.trees import Place
from vofs.cache.cachedfile import CachedFile
from vofs.cache.filetable import FileTable
from vofs.core.nodes import VersionToken


def test_a_file_that_is_sent_while_its_directory_is_listed(tmp_path: Path) -> None:
    place = Place(tmp_path)
    try:
        file = place.table.create("/new", 0o644)
        plain = FileTable.dirty_children

        def sent_just_now(table: FileTable, container: str) -> list[CachedFile]:
            if file.is_dirty:
                assert file.queue()
                assert file.cut_ticket() is not None
                place.remote.add("/new", 0)
                file.stored(VersionToken(0))
                place.tree.appeared("/new")
            return plain(table, container)

        type.__setattr__(FileTable, "dirty_children", sent_just_now)
        try:
            assert place.names("/") == ["new"]
        finally:
            type.__setattr__(FileTable, "dirty_children", plain)
        place.table.release(file)
    finally:
        place.close()
