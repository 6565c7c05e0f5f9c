"""The headers of a FITS file: as text for `META=true` at the byte service, as values for cut-outs.

Reads headers only and steps over the data between them: cards of 80 characters in blocks of 2880
bytes, the size of the data from BITPIX, NAXISn, PCOUNT and GCOUNT (FITS 4.0, sections 3 and 4).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK, CARD = 2880, 80
MAX_BLOCKS = 4000  # of all headers: 144,000 cards are no headers any more
INTEGER = re.compile(r"([A-Z0-9_-]+) *= +(-?\d+)")
WHOLE = re.compile(r"[+-]?[0-9]{1,18}\Z")
STRING = re.compile(r" *'((?:[^']|'')*)'")
Read = Callable[[int, int], bytes]


class NotFits(ValueError):
    """The bytes are no FITS file."""


@dataclass(frozen=True, slots=True)
class Hdu:
    """One header and where its data are.

    Attributes:
        index: its number in the file; the primary one is 0.
        cards: of 80 characters, END the last one.
        begin: offset of the data.
        data_bytes: their size, without padding.
        values: keyword -> value as written, strings without quotes; the first card counts.
    """

    index: int
    cards: list[str]
    begin: int
    data_bytes: int
    values: dict[str, str] = field(default_factory=dict)

    def integer(self, keyword: str, default: int) -> int:
        """Return a value as a whole number; the default when it is missing or none."""
        text = self.values.get(keyword, "")
        return int(text) if WHOLE.match(text) else default

    def number(self, keyword: str, default: float) -> float:
        """Return a value as a number; the default when it is missing or none."""
        try:
            return float(self.values[keyword].upper().replace("D", "E"))
        except (KeyError, ValueError):
            return default


def hdus(read: Read, size_bytes: int) -> Iterator[Hdu]:
    """Yield the HDUs of a file.

    Args:
        read: returns up to so many bytes (second) from an offset (first).
    Raises:
        NotFits: the file does not begin as a FITS file, or a header does not end (soon enough).
    """
    if read(0, 9) != b"SIMPLE  =":
        raise NotFits("not a fits file")
    index, offset, left = 0, 0, MAX_BLOCKS
    while offset < size_bytes:
        cards, begin = _header(read, offset, left)
        left -= (begin - offset) // BLOCK
        data_bytes = _data_bytes(cards)
        yield Hdu(index, cards, begin, data_bytes, _values(cards))
        offset = begin + data_bytes + -data_bytes % BLOCK
        index += 1


def _values(cards: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for card in cards:
        if card[8:10] == "= ":
            text = STRING.match(card[10:])
            value = text[1].rstrip() if text else card[10:].partition("/")[0].strip()
            found.setdefault(card[:8].rstrip(), value)
    return found


def header_text(read: Read, size_bytes: int) -> str:
    """Return all headers, a line per card, an empty line between them.

    Args:
        read: returns up to so many bytes (second) from an offset (first).
    Raises:
        NotFits: the file does not begin as a FITS file, or a header does not end (soon enough).
    """
    headers = ("\n".join(card.rstrip() for card in hdu.cards) for hdu in hdus(read, size_bytes))
    return "\n".join(f"{one}\n" for one in headers)


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
    """Return the size of the data after a header, without padding."""
    found = (INTEGER.match(card) for card in cards)
    value = {match[1]: int(match[2]) for match in found if match}
    axes = value.get("NAXIS", 0)
    pixels = 1 if axes > 0 else 0
    for number in range(1, min(axes, 999) + 1):
        pixels *= value.get(f"NAXIS{number}", 0)
    items = value.get("GCOUNT", 1) * (value.get("PCOUNT", 0) + pixels)
    return max(0, abs(value.get("BITPIX", 8)) // 8 * items)
