"""FITS files made of cut-outs: headers for what was cut, and the data streamed row by row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from io import FileIO
from math import prod

from fakevospace.fitscutouts import BadCutout, Cut, Ranges, is_image, shape
from fakevospace.fitsheaders import BLOCK, CARD, Hdu
from fakevospace.storage import Reader

SEND_BYTES = 1 << 20
STALE = frozenset({"CHECKSUM", "DATASUM"})
PRIMARY_ONLY = frozenset({"SIMPLE", "EXTEND", "NEXTEND"})
EXTENSION_ONLY = frozenset({"XTENSION", "PCOUNT", "GCOUNT"})
FIXED = re.compile(r"(SIMPLE|XTENSION|BITPIX|NAXIS[0-9]*|PCOUNT|GCOUNT)\Z")


class CutoutBody:
    """A FITS file made of cuts, streamed.

    One cut of an image becomes the primary HDU.  Several become HDUs of their own, behind the
    primary header of the file where that one has no data.
    """

    def __init__(self, reader: Reader, primary: Hdu, cuts: Sequence[Cut]) -> None:
        """Plan the file; the reader is closed with the body.

        Raises:
            BadCutout: the data of a cut are not all in the file.
        """
        self._reader = reader
        if any(cut.hdu.begin + _extent(cut) > reader.size_bytes for cut in cuts):
            raise BadCutout("the file ends before its data")
        behind = len(cuts) > 1 or not is_image(cuts[0].hdu)
        if behind and cuts[0].hdu is not primary and not primary.data_bytes:
            cuts = [Cut(primary), *cuts]
        elif not is_image(cuts[0].hdu):  # a table cannot be first, data nobody asked for neither
            cuts = [Cut(_bare_primary()), *cuts]
        self._parts = [
            (_header(cut, first=number == 0, alone=len(cuts) == 1), cut)
            for number, cut in enumerate(cuts)
        ]
        self.length = sum(len(header) + _padded(_size(cut)) for header, cut in self._parts)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the file in blocks."""
        for header, cut in self._parts:
            yield header
            waiting = bytearray()
            for offset, count in _runs(cut):
                while count:
                    block = self._reader.read(offset, min(count, SEND_BYTES))
                    if not block:  # truncated under us: the answer ends short
                        return
                    waiting += block
                    offset, count = offset + len(block), count - len(block)
                    if len(waiting) >= SEND_BYTES:
                        yield bytes(waiting)
                        waiting.clear()
            filler = b" " if cut.hdu.values.get("XTENSION", "").rstrip() == "TABLE" else b"\0"
            yield bytes(waiting) + filler * (-_size(cut) % BLOCK)

    def sendable(self) -> tuple[FileIO, int] | None:
        """The kernel cannot send this."""
        return None

    def close(self) -> None:
        """Close the content."""
        self._reader.close()


def _bare_primary() -> Hdu:
    cards = [card_of("SIMPLE", "T"), card_of("BITPIX", "8"), card_of("NAXIS", "0"), "END"]
    return Hdu(0, cards, 0, 0, {"SIMPLE": "T"})


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _item_bytes(hdu: Hdu) -> int:
    return abs(hdu.integer("BITPIX", 8)) // 8


def _size(cut: Cut) -> int:
    if cut.ranges is None:
        return cut.hdu.data_bytes
    return _item_bytes(cut.hdu) * prod(end - start for start, end in cut.ranges)


def _extent(cut: Cut) -> int:
    """Return how many bytes the data must have for the cut."""
    if cut.ranges is None:
        return cut.hdu.data_bytes
    return _item_bytes(cut.hdu) * prod(shape(cut.hdu))


def _runs(cut: Cut) -> Iterator[tuple[int, int]]:
    """Yield (offset, size) of what is read, in order; as few and long as can be."""
    hdu = cut.hdu
    if cut.ranges is None:
        yield hdu.begin, hdu.data_bytes
        return
    strides, stride, run = [], _item_bytes(hdu), 0
    for axis, (size, (start, end)) in enumerate(zip(shape(hdu), cut.ranges, strict=True)):
        strides.append(stride)
        stride *= size
        if not run and (end - start < size or axis == len(cut.ranges) - 1):
            run = axis + 1  # axes that one run covers: whole ones and the first that is not
    start, end = cut.ranges[run - 1]
    begin = hdu.begin + start * strides[run - 1]
    for offset in _offsets(strides[run:], cut.ranges[run:]):
        yield begin + offset, (end - start) * strides[run - 1]


def _offsets(strides: Sequence[int], ranges: Ranges) -> Iterator[int]:
    if not ranges:
        yield 0
        return
    for index in range(*ranges[-1]):
        for inner in _offsets(strides[:-1], ranges[:-1]):
            yield index * strides[-1] + inner


def card_of(keyword: str, value: str, comment: str = "") -> str:
    """Write a card with a value of fixed format."""
    return f"{keyword:8}= {value:>20}{f' / {comment}' if comment else ''}"[:CARD].ljust(CARD)


def _header(cut: Cut, *, first: bool, alone: bool) -> bytes:
    """Write the header of a cut.

    Args:
        first: it is the primary header.
        alone: nothing comes behind it.
    """
    hdu = cut.hdu
    kept = list(hdu.cards[:-1])
    if first is not ("SIMPLE" in hdu.values):
        kept = _as_primary(kept) if first else _as_extension(kept)
    if first and not alone and "EXTEND" not in {card[:8].rstrip() for card in kept}:
        kept.insert(_mandatory(kept), card_of("EXTEND", "T"))
    if cut.ranges is not None or kept != hdu.cards[:-1]:
        kept = [card for card in kept if card[:8].rstrip() not in STALE]
    for axis, (start, end) in enumerate(cut.ranges or (), 1):
        kept = _shifted(hdu, kept, axis, start, end - start)
    text = "".join(card.ljust(CARD) for card in (*kept, "END"))
    return text.ljust(_padded(len(text))).encode("ascii", "replace")


def _mandatory(cards: Sequence[str]) -> int:
    """Return how many cards from the first one on have their fixed place."""
    names = (card[:8].rstrip() for card in cards)
    return next((number for number, name in enumerate(names) if not FIXED.match(name)), len(cards))


def _as_primary(cards: Sequence[str]) -> list[str]:
    kept = [card for card in cards if card[:8].rstrip() not in EXTENSION_ONLY]
    return [card_of("SIMPLE", "T"), *kept]


def _as_extension(cards: Sequence[str]) -> list[str]:
    kept = [card for card in cards if card[:8].rstrip() not in PRIMARY_ONLY | EXTENSION_ONLY]
    place = _mandatory(kept)
    kept[place:place] = [card_of("PCOUNT", "0"), card_of("GCOUNT", "1")]
    return ["XTENSION= 'IMAGE   '".ljust(CARD), *kept]


def _shifted(hdu: Hdu, cards: list[str], axis: int, start: int, size: int) -> list[str]:
    """Give an axis its new length, and the coordinates their new origin."""
    moved = re.compile(rf"(CRPIX{axis}[A-Z]?|LTV{axis})\Z")
    changed = []
    for card in cards:
        name = card[:8].rstrip()
        if name == f"NAXIS{axis}":
            card = card_of(name, str(size))
        elif start and moved.match(name) and card[8:10] == "= ":
            value = hdu.number(name, 0.0) - start
            card = card_of(name, repr(value).upper(), card[10:].partition("/")[2].strip())
        changed.append(card)
    if start and f"CTYPE{axis}" in hdu.values and f"CRPIX{axis}" not in hdu.values:
        changed.append(card_of(f"CRPIX{axis}", repr(float(-start))))
    return changed
