"""Small FITS files for `/sample`, made here, the same every time.

Plain FITS by the standard (80-character cards, 2880-byte blocks, big-endian pixels), written
without any astronomy package: an image of an invented star field, and a file of several image
extensions.  The stars are invented; the headers say so.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

BLOCK = 2880
CARD = 80
WIDTH, HEIGHT = 128, 96
SKY, FWHM_PIXELS = 400.0, 2.8

Value = bool | int | float | str
Cards = list[tuple[str, Value, str]]


def sample_files() -> dict[str, bytes]:
    """Return the sample files: name -> bytes."""
    return {"starfield.fits": star_field(), "mosaic.fits": mosaic()}


def star_field() -> bytes:
    """Return a FITS file with one 16-bit image and celestial coordinates."""
    pixels = _field(seed=1, stars=60)
    cards: Cards = [
        ("OBJECT", "FAKE FIELD 1", "an invented star field"),
        ("TELESCOP", "fakevospace", "no telescope was involved"),
        ("FILTER", "R", ""),
        ("EXPTIME", 120.0, "[s] exposure time"),
        ("DATE-OBS", "2024-03-14T09:26:53.589", "[UTC] start of exposure"),
        ("BUNIT", "adu", "unit of the pixel values"),
        *_coordinates(210.802, 54.349),
    ]
    return _hdu(_primary(16, WIDTH, HEIGHT) + cards, _shorts(pixels))


def mosaic() -> bytes:
    """Return a FITS file with an empty primary HDU and three image extensions."""
    primary: Cards = [
        ("SIMPLE", True, "conforms to the FITS standard"),
        ("BITPIX", 8, ""),
        ("NAXIS", 0, "no data here"),
        ("EXTEND", True, "there are extensions"),
        ("OBJECT", "FAKE MOSAIC", "invented"),
    ]
    parts = [_hdu(primary, b"")]
    for chip in range(1, 4):
        cards: Cards = [
            ("XTENSION", "IMAGE", "image extension"),
            ("BITPIX", -32, "32-bit floating point"),
            ("NAXIS", 2, ""),
            ("NAXIS1", WIDTH // 2, ""),
            ("NAXIS2", HEIGHT // 2, ""),
            ("PCOUNT", 0, ""),
            ("GCOUNT", 1, ""),
            ("EXTNAME", f"CHIP{chip}", ""),
            *_coordinates(83.633 + 0.02 * chip, 22.014),
        ]
        pixels = _field(seed=10 + chip, stars=15, width=WIDTH // 2, height=HEIGHT // 2)
        parts.append(_hdu(cards, struct.pack(f">{len(pixels)}f", *pixels)))
    return b"".join(parts)


def _primary(bits: int, width: int, height: int) -> Cards:
    return [
        ("SIMPLE", True, "conforms to the FITS standard"),
        ("BITPIX", bits, "bits per pixel"),
        ("NAXIS", 2, ""),
        ("NAXIS1", width, ""),
        ("NAXIS2", height, ""),
    ]


def _coordinates(ra_deg: float, dec_deg: float) -> Cards:
    scale_deg = 0.5 / 3600
    return [
        ("CTYPE1", "RA---TAN", ""),
        ("CTYPE2", "DEC--TAN", ""),
        ("CRVAL1", ra_deg, "[deg]"),
        ("CRVAL2", dec_deg, "[deg]"),
        ("CRPIX1", WIDTH / 2, ""),
        ("CRPIX2", HEIGHT / 2, ""),
        ("CDELT1", -scale_deg, "[deg/pixel]"),
        ("CDELT2", scale_deg, "[deg/pixel]"),
    ]


def _numbers(seed: int) -> Iterator[float]:
    """Yield the same numbers in [0, 1) for the same seed, on every Python there is."""
    state = seed
    while True:
        state = (1103515245 * state + 12345) % (1 << 31)
        yield state / (1 << 31)


def _field(seed: int, stars: int, width: int = WIDTH, height: int = HEIGHT) -> list[float]:
    """Return pixel values, row by row: sky with noise, and Gaussian stars."""
    number = _numbers(seed)
    pixels = [SKY + 20 * (next(number) + next(number) - 1) for _ in range(width * height)]
    sigma = FWHM_PIXELS / 2.3548
    for _ in range(stars):
        x, y = next(number) * width, next(number) * height
        peak = 200 * 10 ** (2 * next(number))
        for row in range(max(0, int(y) - 6), min(height, int(y) + 7)):
            for column in range(max(0, int(x) - 6), min(width, int(x) + 7)):
                distance2 = (column - x) ** 2 + (row - y) ** 2
                pixels[row * width + column] += peak * math.exp(-distance2 / (2 * sigma**2))
    return pixels


def _shorts(pixels: list[float]) -> bytes:
    return struct.pack(f">{len(pixels)}h", *(min(32767, round(one)) for one in pixels))


def _card(keyword: str, value: Value, comment: str) -> str:
    match value:
        case bool():
            text = f"{'T' if value else 'F':>20}"
        case int():
            text = f"{value:>20}"
        case float():
            text = f"{value!r:>20}".upper()
        case str():
            text = f"{f'{value:8}'!r:20}"
    return f"{keyword:8}= {text}{f' / {comment}' if comment else ''}"[:CARD].ljust(CARD)


def _hdu(cards: Cards, data: bytes) -> bytes:
    header = "".join(_card(*one) for one in cards) + "END".ljust(CARD)
    return _padded(header.encode("ascii"), b" ") + _padded(data, b"\0")


def _padded(data: bytes, filler: bytes) -> bytes:
    return data + filler * (-len(data) % BLOCK)
