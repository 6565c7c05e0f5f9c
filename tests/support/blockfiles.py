"""Files of a few blocks, as downloads and uploads fill them: for tests of what may go of them."""

from __future__ import annotations

from tests.support.simulatednodes import token_of
from vofs.cache.cachedfile import CachedFile
from vofs.cache.filetable import FileTable
from vofs.core.contentcheck import Verdict
from vofs.core.eviction import BLOCK
from vofs.core.nodes import VersionToken

BLOCKS = 8
SIZE = BLOCKS * BLOCK


def content(size: int = SIZE) -> bytes:
    """Bytes of a file, `size` or more."""
    return bytes(range(1, 251)) * (size // 250 + 1)


def token(size: int = SIZE) -> VersionToken:
    """The version of a file that has these bytes."""
    return token_of(content(size)[:size])


def fetch(file: CachedFile, start: int, end: int) -> None:
    """What a download does."""
    data = content(file.size)
    claims, _ = file.claim_missing(start, end, ranges=True)
    for claim in claims:
        for offset in range(max(claim.start, start), min(claim.end, end), BLOCK):
            file.accept(claim, offset, data[offset : min(offset + BLOCK, claim.end, end)])
    file.check(claims)
    for claim in claims:
        file.release_claim(claim, None)


def fill(file: CachedFile) -> None:
    """What an upload does first."""
    fetch(file, 0, SIZE)
    assert file.judge(token().md5, file.state.epoch) is Verdict.RIGHT


def present(file: CachedFile) -> list[int]:
    """The blocks that are here."""
    return [
        number
        for number in range(BLOCKS)
        if file.state.present.covers(number * BLOCK, (number + 1) * BLOCK)
    ]


def whole_row(table: FileTable, path: str, size: int = SIZE) -> None:
    """A clean file that nobody uses."""
    file = table.acquire(path, token(size), 1)
    for start in range(0, size, BLOCK):
        fetch(file, start, min(size, start + BLOCK))
    assert not file.gaps
    table.release(file)
