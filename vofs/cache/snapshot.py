"""Between a `FileState` and its row: what is stored, and what a row says after a crash.

For a file that is whole the data file's own size is the truth, because writes to it are not
committed one by one; for any other file the row's size and spans are.
"""

from __future__ import annotations

from vofs.cache.datafile import DataFile
from vofs.cache.putrecord import PutFate, PutRecord
from vofs.cache.rows import FileRow
from vofs.core.filestate import FileState
from vofs.core.lifecycle import Upload

KEPT_STATES = {Upload.FAILED: "failed", Upload.CONFLICT: "conflict"}


def row_of(
    state: FileState,
    *,
    number: int,
    path: str,
    whole: bool,
    mtime_ns: int,
    mode: int | None,
    put: PutRecord | None,
    error: str,
    attempts: int,
    durable_generation: int,
    losses: int,
) -> FileRow:
    """The row that describes `state`; the other arguments are those of `FileRow`."""
    clean = state.present.copy()
    for span in state.dirty:
        clean.remove(*span)
    spans = [(start, end, True) for start, end in state.dirty]
    spans += [(start, end, False) for start, end in clean]
    return FileRow(
        number, path, state.size, state.backing_end, state.generation, state.stored_generation,
        whole, state.base, mtime_ns, mode, put, KEPT_STATES.get(state.upload, ""), error,
        attempts, durable_generation, losses, () if whole else tuple(spans),
    )  # fmt: skip


def restore(row: FileRow, data: DataFile) -> FileState:
    """The state that the row and the data file describe.

    Bytes that the data file lacks are never called present: a clean file whose data file has
    another size than its row says starts empty and is fetched again.
    """
    dirty = row.generation != row.stored_generation
    size = data.size if row.whole and dirty else row.size
    state = FileState(row.base, size)
    state.generation, state.stored_generation = row.generation, row.stored_generation
    if row.whole and data.size == size:
        state.present.add(0, size)
        if dirty:
            state.dirty.add(0, size)
    elif not row.whole:
        for start, end, is_dirty in row.spans:
            state.present.add(start, min(end, size))
            if is_dirty:
                state.dirty.add(start, min(end, size))
    if data.size != size:
        data.truncate(size)
    state.backing_end = min(row.backing_end, size)
    if dirty and row.put is not None:
        # Generations of whole files are not committed one by one: what was written after that
        # PUT is not known, so the content never counts as the one that it sent.
        state.generation = max(row.generation, row.put.generation) + 1
    if dirty and row.put is not None and row.put.fate is not PutFate.OVER:
        state.upload = Upload.IN_DOUBT
    elif dirty and row.state:
        state.upload = Upload(row.state)
    return state
