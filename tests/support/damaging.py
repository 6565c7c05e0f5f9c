"""Downloads that arrive with a wrong byte, and nothing that says so."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.faultyremote import FaultyRemote
from vofs.core.nodes import VersionToken
from vofs.remote.api import ByteSource
from vofs.remote.around import SourceAround


class Damaged(SourceAround):
    """A byte reply in which one byte, at `at` of the file, is `value`."""

    def __init__(self, inner: ByteSource, at: int, value: int) -> None:
        super().__init__(inner)
        self._at, self._value = at, value

    def chunks(self) -> Iterator[bytes]:
        offset = self.start
        for chunk in self._inner.chunks():
            place = self._at - offset
            offset += len(chunk)
            if 0 <= place < len(chunk):
                chunk = chunk[:place] + bytes([self._value]) + chunk[place + 1 :]
            yield chunk


class DamagingRemote(FaultyRemote):
    """Damages the first so many downloads, each as the list says."""

    def __init__(self, inner: FaultyRemote, *values: int, at: int = 0) -> None:
        super().__init__(inner)
        self._values, self._at = list(values), at

    def damage(self, *values: int) -> None:
        """Damage the next so many."""
        self._values += values

    def open_bytes(self, path: str, start: int, end: int, expected: VersionToken) -> ByteSource:
        source = super().open_bytes(path, start, end, expected)
        if self._values and source.start <= self._at < end:
            return Damaged(source, self._at, self._values.pop(0))
        return source
