"""Several nodes as one tar or zip file: which entries, and writing them.

`entries_of` looks at the tree and returns plain values; `write_tar` and `write_zip` need nothing
but those and a way to read contents.  What the caller may not read is left out without a word,
and so are links that lead out of the package (PackageTest in service-tests.md).
"""

from __future__ import annotations

import posixpath
import shutil
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import FileIO
from typing import IO, Protocol

from fakevospace.access import Caller
from fakevospace.names import split_uri
from fakevospace.nodes import Kind, Node
from fakevospace.refusals import Refusal

BLOCK_BYTES = 1 << 20
EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)


class Source(Protocol):
    """A content that is being read."""

    size_bytes: int

    def read(self, count: int = -1, /) -> bytes:
        """Read up to `count` bytes."""

    def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a package.

    Attributes:
        name: path in the package.
        content: key of the bytes; None for an empty file and for what is no file.
        link: relative path that a link leads to, None for what is no link.
    """

    name: str
    date_ms: int
    is_directory: bool = False
    content: str | None = None
    link: str | None = None


def entries_of(roots: Iterable[Node], caller: Caller, authority: str) -> list[Entry]:
    """List what goes into a package; call with the lock of `State` held.

    Args:
        roots: the nodes asked for; each is at the top of the package under its own name.
    """
    tops = {node.path: node.name for node in roots}
    entries: list[Entry] = []
    waiting = [(node, node.name) for node in roots]
    while waiting:
        node, name = waiting.pop(0)
        readable = caller.can_read(node)
        if node.kind is Kind.CONTAINER:
            entries.append(Entry(name, node.date_ms, is_directory=True))
            children = node.children if readable else ()
            waiting += [(child, f"{name}/{child.name}") for child in children]
        elif readable and node.kind is Kind.LINK:
            target = _link_inside(node, name, tops, authority)
            if target is not None:
                entries.append(Entry(name, node.date_ms, link=target))
        elif readable:
            entries.append(Entry(name, node.date_ms, content=node.content))
    return entries


def _link_inside(link: Node, name: str, tops: dict[str, str], authority: str) -> str | None:
    """Return where a link leads, relative to its place in the package; None: out of it."""
    try:
        theirs, path = split_uri(link.target or "")
    except Refusal:
        return None
    if theirs != authority:
        return None
    for top, top_name in tops.items():
        if path == top or path.startswith(f"{top}/"):
            inside = top_name + path[len(top) :]
            return posixpath.relpath(inside, posixpath.dirname(name) or ".")
    return None


Opener = Callable[[str], Source | None]


def write_tar(file: FileIO, entries: Iterable[Entry], opened: Opener) -> None:
    """Write a tar file."""
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.mtime = entry.date_ms // 1000
            source = None if entry.content is None else opened(entry.content)
            if entry.is_directory:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif entry.link is not None:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
            elif source is not None:
                info.size = source.size_bytes
            try:
                archive.addfile(info, source)
            finally:
                if source is not None:
                    source.close()


def write_zip(file: FileIO, entries: Iterable[Entry], opened: Opener) -> None:
    """Write a zip file; links as entries of their own type, as Info-ZIP has them."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry in entries:
            suffix = "/" if entry.is_directory else ""
            moment = time.gmtime(entry.date_ms / 1000)[:6]
            info = zipfile.ZipInfo(entry.name + suffix, max(moment, EPOCH_OF_ZIP))
            mode = stat.S_IFREG | 0o644
            if entry.is_directory:
                mode = stat.S_IFDIR | 0o755
            elif entry.link is not None:
                mode = stat.S_IFLNK | 0o777
            info.external_attr = mode << 16
            source = None if entry.content is None else opened(entry.content)
            with archive.open(info, "w", force_zip64=True) as target:
                if entry.link is not None:
                    target.write(entry.link.encode())
                elif source is not None:
                    _pour(source, target)


def _pour(source: Source, target: IO[bytes]) -> None:
    try:
        shutil.copyfileobj(source, target, BLOCK_BYTES)
    finally:
        source.close()
