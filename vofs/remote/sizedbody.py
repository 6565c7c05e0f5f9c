"""The body of a PUT: exactly as many bytes as were announced, or an error that says whose it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vofs.core.errors import TransferCorrupted
from vofs.locks import assert_none_held

__all__ = ["SizedBody"]


class SizedBody:
    """The body of a PUT with its size, for which requests sends Content-Length and no chunks.

    Args:
        chunks: the bytes, consumed once.
        size: how many they must be.

    Attributes:
        begun: the first byte has been handed out.
        failure: what the iterable itself raised, which is the caller's and no network error.
    """

    def __init__(self, chunks: Iterable[bytes], size: int) -> None:
        self._chunks = chunks
        self._size = size
        self.begun = False
        self.failure: BaseException | None = None

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        sent = 0
        try:
            for chunk in self._chunks:
                sent += len(chunk)
                if sent > self._size:
                    raise TransferCorrupted(f"more than the {self._size} bytes announced")
                self.begun = True
                assert_none_held("sending a body")
                yield chunk
            if sent < self._size:
                raise TransferCorrupted(f"{sent} bytes where {self._size} were announced")
        except GeneratorExit:  # the sender gave up; his error says why
            raise
        except BaseException as exc:
            self.failure = exc
            raise
