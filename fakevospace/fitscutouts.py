"""Pixel cut-outs of FITS files: `SUB=[ext][x1:x2,y1:y2]` at the byte service (protocol.md 6.1).

A cut-out is planned from headers only; `fitsbody` streams it.  Pixels count from 1,
both ends belong to the cut; what lies beyond the image is left out.  Cut are uncompressed image
HDUs; any HDU can be taken as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fakevospace.fitsheaders import Hdu

MAX_AXES = 20
DEPTHS = (8, 16, 32, 64, -32, -64)  # of BITPIX
SUB = re.compile(r"\s*(?:\[([^\[\]]*)\])?\s*(?:\[([^\[\]]*)\])?\s*\Z")
EXTENSION = re.compile(r"\s*(?:([0-9]{1,6})|([A-Za-z_][^,:*]*?)\s*(?:,\s*([0-9]{1,6}))?)\s*\Z")
RANGE = re.compile(r"\s*(?:(\*)|([0-9]{1,12})\s*(?::\s*([0-9]{1,12}))?)\s*\Z")
Ranges = tuple[tuple[int, int], ...]


class BadCutout(ValueError):
    """The cut-out cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one `SUB` asks for.

    Attributes:
        extension: number of the HDU, or its EXTNAME.
        version: EXTVER that a name must have, None for any.
        pixels: per axis first and last pixel, None for all of it; empty for the whole HDU.
    """

    extension: int | str
    version: int | None = None
    pixels: tuple[tuple[int, int] | None, ...] = ()


def parse_sub(text: str) -> Slice:
    """Read the value of a `SUB` parameter.

    Raises:
        BadCutout: it is none, or one with steps or a reversed range.
    """
    match = SUB.match(text)
    if match is None or match[1] is None:
        raise BadCutout(f"invalid SUB: {text}")
    extension, pixels = match[1], match[2]
    if pixels is None and EXTENSION.match(extension) is None:
        extension, pixels = "0", extension
    found = EXTENSION.match(extension)
    if found is None:
        raise BadCutout(f"invalid SUB: {text}")
    ranges = () if pixels is None else tuple(_range(one, text) for one in pixels.split(","))
    if found[1] is not None:
        return Slice(int(found[1]), None, ranges)
    return Slice(found[2].strip(), int(found[3]) if found[3] else None, ranges)


def _range(text: str, whole: str) -> tuple[int, int] | None:
    match = RANGE.match(text)
    if match is None:
        raise BadCutout(f"invalid SUB: {whole}")
    if match[1]:
        return None
    first, last = int(match[2]), int(match[3] or match[2])
    if last < first:
        raise BadCutout(f"reversed ranges are not supported: {whole}")
    return first, last


@dataclass(frozen=True, slots=True)
class Cut:
    """Part of an HDU: per axis a half-open range of pixels from 0, or None for all of the HDU."""

    hdu: Hdu
    ranges: Ranges | None = None


def cut_of(hdus: Sequence[Hdu], wanted: Slice) -> Cut:
    """Find the HDU that a slice names and the pixels of it that there are.

    Raises:
        BadCutout: no such HDU, no image, too many axes, or nothing of it in the image.
    """
    hdu = next((one for one in hdus if _is_named(one, wanted)), None)
    if hdu is None:
        raise BadCutout(f"no such extension: {wanted.extension}")
    if not wanted.pixels:
        return Cut(hdu)
    axes = shape(hdu)
    if len(wanted.pixels) > len(axes):
        raise BadCutout(f"no overlap: extension {hdu.index} has {len(axes)} axes")
    given = (*wanted.pixels, *[None] * (len(axes) - len(wanted.pixels)))
    ranges = tuple(
        (0, size) if one is None else (max(one[0], 1) - 1, min(one[1], size))
        for one, size in zip(given, axes, strict=True)
    )
    if any(start >= end for start, end in ranges):
        raise BadCutout(f"no overlap with extension {hdu.index}")
    return Cut(hdu, ranges)


def _is_named(hdu: Hdu, wanted: Slice) -> bool:
    if isinstance(wanted.extension, int):
        return hdu.index == wanted.extension
    if hdu.values.get("EXTNAME", "").upper() != wanted.extension.upper():
        return False
    return wanted.version is None or hdu.integer("EXTVER", 1) == wanted.version


def is_image(hdu: Hdu) -> bool:
    """True for an image of pixels as they are: no table, no groups, not compressed."""
    kind = hdu.values.get("XTENSION", "IMAGE").rstrip()
    plain = hdu.integer("PCOUNT", 0) == 0 and hdu.integer("GCOUNT", 1) == 1
    plain = plain and hdu.integer("BITPIX", 0) in DEPTHS
    return kind == "IMAGE" and plain and hdu.values.get("GROUPS") != "T"


def shape(hdu: Hdu) -> tuple[int, ...]:
    """Return the lengths of the axes of an image, NAXIS1 first.

    Raises:
        BadCutout: it is no image, or one with very many axes.
    """
    if not is_image(hdu):
        raise BadCutout(f"extension {hdu.index} is not an uncompressed image")
    axes = hdu.integer("NAXIS", 0)
    if axes > MAX_AXES:
        raise BadCutout(f"extension {hdu.index} has more than {MAX_AXES} axes")
    return tuple(hdu.integer(f"NAXIS{number}", 0) for number in range(1, axes + 1))
