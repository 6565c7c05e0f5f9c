"""Between a `FileState` and its row: what is stored, and what a row says after a crash.

For a file that is whole the data file's own size is the truth, because writes to it are not
committed one by one; for any other file the row's size and spans are.
"""

from __future__ import annotations

from vofs.cache.datafile import DataFile
from vofs.cache.putrecord import PutFate, PutRecord
from vofs.cache.rows import FileRow
from vofs.core.errors import CacheDamaged
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
    present_bytes: int,
    used_at: int,
) -> FileRow:
    """The row that describes `state`; the other arguments are those of `FileRow`."""
    return FileRow(
        number, path, state.size, state.backing_end, state.generation, state.stored_generation,
        whole, state.base, mtime_ns, mode, put, KEPT_STATES.get(state.upload, ""), error,
        attempts, durable_generation, losses, () if whole else spans_of(state), present_bytes,
        used_at,
    )  # fmt: skip


def spans_of(state: FileState) -> tuple[tuple[int, int, bool], ...]:
    """What is here of a file, each span with whether it is dirty."""
    clean = state.present.copy()
    for span in state.dirty:
        clean.remove(*span)
    dirty = [(start, end, True) for start, end in state.dirty]
    return tuple(dirty + [(start, end, False) for start, end in clean])


def restore(row: FileRow, data: DataFile, losses: int) -> FileState:
    """The state that the row and the data file describe.

    Bytes that the data file lacks are never called present.  A clean file starts empty then, and is
    fetched again; so do the clean bytes of a changed one after a power loss, because those alone
    say nothing of what reached the disk (R5).

    Args:
        row: what the index says.
        data: its data file.
        losses: how many power losses the cache has seen.

    Raises:
        CacheDamaged: changes that the service does not have are not in the data file.
    """
    dirty = row.generation != row.stored_generation
    short = data.size < _promised(row, dirty=dirty)
    if short and dirty:
        raise CacheDamaged(f"data file {row.number} has {data.size} bytes, not all of its changes")
    size = data.size if row.whole and dirty else row.size
    state = FileState(row.base, size)
    state.generation, state.stored_generation = row.generation, row.stored_generation
    if row.whole and data.size == size:
        state.present.add(0, size)
        if dirty:
            state.dirty.add(0, size)
    elif not row.whole:
        for start, end, is_dirty in row.spans:
            if is_dirty or not (short or (dirty and row.losses < losses)):
                state.present.add(start, min(end, size))
            if is_dirty:
                state.dirty.add(start, min(end, size))
        state.unproven.update(state.clean_within(0, size))  # only whole files are proved (R13)
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


def _promised(row: FileRow, *, dirty: bool) -> int:
    """How long the data file must be at least.

    That of a whole file is as long as the row says, or longer: cutting it is committed, extending
    it is not.  Of any other the spans that count are promised: the changed ones of a changed file.
    """
    if row.whole:
        return row.size
    spans = [span for span in row.spans if span[2] or not dirty]
    return min(row.size, max((end for _, end, _ in spans), default=0))
