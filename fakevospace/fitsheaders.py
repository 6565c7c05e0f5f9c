"""The headers of a FITS file as text, for `META=true` at the byte service (protocol.md 6.1).

Reads headers only and steps over the data between them: cards of 80 characters in blocks of 2880
bytes, the size of the data from BITPIX, NAXISn, PCOUNT and GCOUNT (FITS 4.0, sections 3 and 4).
"""

from __future__ import annotations

import re
from collections.abc import Callable

BLOCK, CARD = 2880, 80
MAX_BLOCKS = 4000  # of all headers: 144,000 cards are no headers any more
INTEGER = re.compile(r"([A-Z0-9_-]+) *= +(-?\d+)")
Read = Callable[[int, int], bytes]


class NotFits(ValueError):
    """The bytes are no FITS file."""


def header_text(read: Read, size_bytes: int) -> str:
    """Return all headers, a line per card, an empty line between them.

    Args:
        read: returns up to so many bytes (second) from an offset (first).
    Raises:
        NotFits: the file does not begin as a FITS file, or a header does not end (soon enough).
    """
    if read(0, 9) != b"SIMPLE  =":
        raise NotFits("not a fits file")
    headers: list[str] = []
    offset, left = 0, MAX_BLOCKS
    while offset < size_bytes:
        cards, begin = _header(read, offset, left)
        left -= (begin - offset) // BLOCK
        headers.append("\n".join(card.rstrip() for card in cards) + "\n")
        offset = begin + _data_bytes(cards)
    return "\n".join(headers)


def _header(read: Read, offset: int, blocks: int) -> tuple[list[str], int]:
    """Return the cards of the header at an offset, and where its data begin."""
    cards: list[str] = []
    for _ in range(blocks):
        block = read(offset, BLOCK)
        offset += BLOCK
        if len(block) < BLOCK:
            break
        for start in range(0, BLOCK, CARD):
            card = block[start : start + CARD].decode("ascii", "replace")
            cards.append(card)
            if card.rstrip() == "END":
                return cards, offset
    raise NotFits("not a fits file")


def _data_bytes(cards: list[str]) -> int:
    """Return the size of the data after a header, padding included."""
    found = (INTEGER.match(card) for card in cards)
    value = {match[1]: int(match[2]) for match in found if match}
    axes = value.get("NAXIS", 0)
    pixels = 1 if axes > 0 else 0
    for number in range(1, min(axes, 999) + 1):
        pixels *= value.get(f"NAXIS{number}", 0)
    items = value.get("GCOUNT", 1) * (value.get("PCOUNT", 0) + pixels)
    size = max(0, abs(value.get("BITPIX", 8)) // 8 * items)
    return -(-size // BLOCK) * BLOCK
