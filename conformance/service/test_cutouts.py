"""Cut-outs of FITS images (opencadc-vostools test_cutout_downloads; SODA; protocol.md 6.1)."""

from __future__ import annotations

import struct
from dataclasses import replace
from urllib.parse import urlencode

import pytest
import requests

from conformance.expect import expect_status
from conformance.wire import Service
from conformance.wire.terms import PULL

pytestmark = pytest.mark.needs("cutouts")

BLOCK = 2880
WIDTH, HEIGHT = 12, 9


def card(key: str, value: str) -> str:
    """One header card (FITS standard 4.0, section 4.1)."""
    return f"{key:<8}= {value:>20}".ljust(80)


def image(width: int, height: int, pixels: list[int]) -> bytes:
    """A FITS file with one image of 16-bit integers."""
    cards = [
        card("SIMPLE", "T"),
        card("BITPIX", "16"),
        card("NAXIS", "2"),
        card("NAXIS1", str(width)),
        card("NAXIS2", str(height)),
        "END".ljust(80),
    ]
    head = "".join(cards).encode().ljust(BLOCK)
    data = struct.pack(f">{len(pixels)}h", *pixels)
    return head + data + bytes(-len(data) % BLOCK)


PIXELS = list(range(WIDTH * HEIGHT))
IMAGE = image(WIDTH, HEIGHT, PIXELS)


@pytest.fixture
def fits(service: Service, container: str) -> str:
    """A data node with an image."""
    service.make(f"{container}/image.fits", IMAGE)
    return f"{container}/image.fits"


def cut(service: Service, path: str, what: str) -> requests.Response:
    """A pull of a cut-out."""
    protocol = service.transfers.endpoint(path, PULL)
    url = f"{protocol.endpoint}?{urlencode({'SUB': what})}"
    return service.transfers.send("GET", replace(protocol, endpoint=url))


def header_of(content: bytes) -> dict[str, str]:
    """The cards of the first header block."""
    cards = [content[at : at + 80].decode() for at in range(0, BLOCK, 80)]
    return {c[:8].strip(): c[10:30].strip() for c in cards if c[8:10] == "= "}


@pytest.mark.clause(
    "VOS-CADC-cutout-pixels", source="opencadc-vostools test_cutout_downloads; protocol.md 6.1: SUB"
)
def test_a_range_of_pixels(service: Service, fits: str) -> None:
    answer = cut(service, fits, "[3:6,2:4]")
    expect_status(answer, 200)
    header = header_of(answer.content)
    assert (header["NAXIS1"], header["NAXIS2"]) == ("4", "3")
    rows = [PIXELS[WIDTH * y + 2 : WIDTH * y + 6] for y in (1, 2, 3)]
    expected = struct.pack(">12h", *(pixel for row in rows for pixel in row))
    assert answer.content[BLOCK : BLOCK + len(expected)] == expected
    assert len(answer.content) % BLOCK == 0


@pytest.mark.clause(
    "VOS-CADC-cutout-extension", source="opencadc-vostools test_cutout_downloads: [ext]"
)
def test_a_whole_extension(service: Service, fits: str) -> None:
    answer = cut(service, fits, "[0]")
    expect_status(answer, 200)
    size = WIDTH * HEIGHT * 2
    assert answer.content[BLOCK : BLOCK + size] == IMAGE[BLOCK : BLOCK + size]


@pytest.mark.clause("VOS-CADC-cutout-not-fits", source="protocol.md 6.1: 400 not a fits file")
def test_of_what_is_no_fits_file(service: Service, container: str) -> None:
    service.make(f"{container}/text", b"no image")
    expect_status(cut(service, f"{container}/text", "[0]"), 400)
