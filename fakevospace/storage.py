"""Where bytes are: in memory, or as files below a directory.

A content is a run of bytes under a key that the store makes.  Which content belongs to which node,
and when one replaces another, is decided elsewhere (`endpoints/content.py`).  A writer cuts
the content off where it begins and writes at its own offset, as POSIX files do: two writers of one
content disturb each other, and a reader sees what is there when it reads.

Bodies are streamed: nothing here holds more than a block of a file on disk.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable
from io import FileIO
from pathlib import Path
from typing import Protocol


class Writer(Protocol):
    """Writes one content from its beginning."""

    def write(self, block: bytes | memoryview) -> None:
        """Write the next block."""

    def close(self) -> None:
        """End writing."""


class Reader(Protocol):
    """Reads one content, also after it was deleted or replaced."""

    size_bytes: int

    def read(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes from `offset`; fewer only at the end."""

    def file(self) -> FileIO | None:
        """Return an open file for the kernel to send from, None when there is none."""

    def close(self) -> None:
        """Let go."""


class ByteStore(Protocol):
    """Contents by key."""

    def create(self) -> str:
        """Make an empty content and return its key."""

    def writer(self, key: str, offset: int = 0) -> Writer:
        """Cut a content off at `offset` and open it for writing from there."""

    def reader(self, key: str) -> Reader:
        """Open a content for reading."""

    def size(self, key: str) -> int:
        """Return its size in bytes."""

    def duplicate(self, key: str) -> str:
        """Copy a content and return the key of the copy."""

    def delete(self, key: str) -> None:
        """Delete a content; readers that are open go on."""

    def retain(self, keys: Iterable[str]) -> None:
        """Delete every content but these: what a killed service left behind."""


class MemoryBytes:
    """Contents in memory, gone with the process."""

    def __init__(self) -> None:
        self._contents: dict[str, bytearray] = {}

    def create(self) -> str:
        """Make an empty content and return its key."""
        key = uuid.uuid4().hex
        self._contents[key] = bytearray()
        return key

    def writer(self, key: str, offset: int = 0) -> Writer:
        """Cut a content off at `offset` and open it for writing from there."""
        del self._contents[key][offset:]
        return _MemoryWriter(self._contents[key], offset)

    def reader(self, key: str) -> Reader:
        """Open a content for reading."""
        return _MemoryReader(self._contents[key])

    def size(self, key: str) -> int:
        """Return its size in bytes."""
        return len(self._contents.get(key, b""))

    def duplicate(self, key: str) -> str:
        """Copy a content and return the key of the copy."""
        made = self.create()
        self._contents[made] = bytearray(self._contents[key])
        return made

    def delete(self, key: str) -> None:
        """Delete a content; readers that are open go on."""
        self._contents.pop(key, None)

    def retain(self, keys: Iterable[str]) -> None:
        """Delete every content but these."""
        wanted = set(keys)
        self._contents = {key: held for key, held in self._contents.items() if key in wanted}


class _MemoryWriter:
    def __init__(self, content: bytearray, offset: int) -> None:
        self._content = content
        self._offset = offset

    def write(self, block: bytes | memoryview) -> None:
        gap = self._offset - len(self._content)
        if gap > 0:  # somebody truncated below us: a hole reads as zeros
            self._content.extend(bytes(gap))
        self._content[self._offset : self._offset + len(block)] = block
        self._offset += len(block)

    def close(self) -> None:
        pass


class _MemoryReader:
    def __init__(self, content: bytearray) -> None:
        self._content = content
        self.size_bytes = len(content)

    def read(self, offset: int, count: int) -> bytes:
        # Sliced twice: a view would stop a writer from changing the size meanwhile.
        return bytes(self._content[offset : offset + count])

    def file(self) -> FileIO | None:
        return None

    def close(self) -> None:
        pass


class DiskBytes:
    """Contents as files in one directory."""

    def __init__(self, directory: Path) -> None:
        """Use `directory`, which is made when missing."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def create(self) -> str:
        """Make an empty content and return its key."""
        key = uuid.uuid4().hex
        (self._directory / key).touch(exist_ok=False)
        return key

    def writer(self, key: str, offset: int = 0) -> Writer:
        """Cut a content off at `offset` and open it for writing from there."""
        file = (self._directory / key).open("r+b" if offset else "wb", buffering=0)
        file.truncate(offset)
        file.seek(offset)
        return _FileWriter(file)

    def reader(self, key: str) -> Reader:
        """Open a content for reading."""
        return _FileReader((self._directory / key).open("rb", buffering=0))

    def size(self, key: str) -> int:
        """Return its size in bytes; 0 when it is gone."""
        try:
            return (self._directory / key).stat().st_size
        except FileNotFoundError:
            return 0

    def duplicate(self, key: str) -> str:
        """Copy a content and return the key of the copy."""
        made = uuid.uuid4().hex
        shutil.copyfile(self._directory / key, self._directory / made)
        return made

    def delete(self, key: str) -> None:
        """Delete a content; readers that are open go on."""
        (self._directory / key).unlink(missing_ok=True)

    def retain(self, keys: Iterable[str]) -> None:
        """Delete every content but these."""
        wanted = set(keys)
        for path in self._directory.iterdir():
            if path.name not in wanted:
                path.unlink()


class _FileWriter:
    def __init__(self, file: FileIO) -> None:
        self._file = file

    def write(self, block: bytes | memoryview) -> None:
        rest = memoryview(block)
        while rest:  # unbuffered, so that the size seen from outside is true
            rest = rest[self._file.write(rest) :]

    def close(self) -> None:
        self._file.close()


class _FileReader:
    def __init__(self, file: FileIO) -> None:
        self._file = file
        self.size_bytes = os.fstat(file.fileno()).st_size

    def read(self, offset: int, count: int) -> bytes:
        return os.pread(self._file.fileno(), count, offset)

    def file(self) -> FileIO | None:
        return self._file

    def close(self) -> None:
        self._file.close()
