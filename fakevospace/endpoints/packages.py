"""`/pkg/{job}/run`: several nodes as one tar or zip file, as cavern has it.

The job was negotiated at `/synctrans` with the package view and waits SUSPENDED; fetching it runs
it.  The archive is written to an unnamed temporary file first, so memory stays constant.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import FileIO

from fakevospace.documents import TransferDocument
from fakevospace.exchange import BLOCK_BYTES, Exchange, Reply
from fakevospace.jobs import Job, Phase
from fakevospace.names import own_path
from fakevospace.nodes import Node
from fakevospace.packages import Entry, Source, entries_of, write_tar, write_zip
from fakevospace.refusals import (
    Refusal,
    invalid_argument,
    method_not_allowed,
    no_such_resource,
    permission_denied,
)
from fakevospace.state import State
from fakevospace.storage import Reader

FORMATS = {
    "application/x-tar": ("tar", write_tar),
    "application/zip": ("zip", write_zip),
}
DEFAULT_FORMAT = "application/x-tar"


class FileBody:
    """The body of an answer that is a temporary file."""

    def __init__(self, file: FileIO) -> None:
        self.length = file.seek(0, 2)
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(0)
        while block := self._file.read(BLOCK_BYTES):
            yield block

    def sendable(self) -> tuple[FileIO, int] | None:
        """Return the file; it is sent from its beginning."""
        return self._file, 0

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


class _ContentSource:
    """A content as a file that is read from its beginning."""

    def __init__(self, reader: Reader) -> None:
        self.size_bytes = reader.size_bytes
        self._reader = reader
        self._offset = 0

    def read(self, count: int = -1, /) -> bytes:
        left = self.size_bytes - self._offset
        block = self._reader.read(self._offset, left if count < 0 else min(count, left))
        self._offset += len(block)
        return block

    def close(self) -> None:
        self._reader.close()


def package(state: State, exchange: Exchange, rest: tuple[str, ...]) -> Reply:
    """Answer a request below `/pkg`.

    Args:
        rest: path elements after `pkg`.
    Raises:
        Refusal: 404 no such job, 403 another user's, 400 it has run already or is no package.
    """
    if exchange.request.method != "GET":
        raise method_not_allowed(exchange.request.method)
    job = state.jobs.get(rest[0]) if len(rest) == 2 and rest[1] == "run" else None
    if job is None or job.transfer is None:
        raise no_such_resource("/".join(("pkg", *rest)))
    if job.owner != exchange.caller.name and not exchange.caller.admin:
        raise permission_denied(f"pkg/{job.number}")
    mimetype = job.transfer.view_format or DEFAULT_FORMAT
    if mimetype not in FORMATS:
        raise invalid_argument(f"package format: {mimetype}")
    with state.lock:
        now_ms = state.tree.next_date_ms()
    running = state.jobs.leave(
        job.number, Phase.SUSPENDED, phase=Phase.EXECUTING, started_ms=now_ms, at_work=True
    )
    if running is None:
        raise invalid_argument(f"job {job.number} is {job.phase.value}, not SUSPENDED")
    body = _written(state, exchange, job.transfer, mimetype)
    with state.lock:
        now_ms = state.tree.next_date_ms()
    state.jobs.leave(
        job.number, Phase.EXECUTING, phase=Phase.COMPLETED, ended_ms=now_ms, at_work=False
    )
    name = f"{state.personality.name}-download-{_name(job, job.transfer)}.{FORMATS[mimetype][0]}"
    shown = name.encode("utf-8").decode("latin-1")
    disposition = ("Content-Disposition", f'attachment; filename="{shown}"')
    return Reply(200, (("Content-Type", mimetype), disposition), body)


def _name(job: Job, transfer: TransferDocument) -> str:
    """Return what the file is called after: its only target, or the job."""
    if transfer.more_targets:
        return job.number
    last = transfer.target.rstrip("/").rpartition("/")[2]
    return "".join(one for one in last if one.isprintable() and one not in '"\\')


def _written(
    state: State, exchange: Exchange, transfer: TransferDocument, mimetype: str
) -> FileBody:
    with state.lock:
        roots = _roots(state, exchange, transfer)
        entries = entries_of(roots, exchange.caller, state.personality.authority)
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the answer closes it

    def opened(key: str) -> Source | None:
        try:
            return _ContentSource(state.store.reader(key))
        except (KeyError, FileNotFoundError):  # deleted meanwhile: an empty file
            return None

    try:
        write = FORMATS[mimetype][1]
        write(file, _distinct(entries), opened)
        return FileBody(file)
    except BaseException:
        file.close()
        raise


def _roots(state: State, exchange: Exchange, transfer: TransferDocument) -> list[Node]:
    """Return the nodes asked for, without those that are missing or out of the caller's reach."""
    found: dict[int, Node] = {}
    for target in (transfer.target, *transfer.more_targets):
        try:
            path = own_path(target, state.personality.authority)
            node = state.space.resolve(path, exchange.caller, follow_leaf=True)
        except Refusal:
            continue
        found[node.number] = node
    return list(found.values())


def _distinct(entries: list[Entry]) -> list[Entry]:
    """Drop entries whose name is there already: two targets of the same name."""
    return list({entry.name: entry for entry in reversed(entries)}.values())[::-1]
