"""Cut-outs of FITS files: what may be asked, and that damage never ends in a traceback."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakevospace.fitsbody import CutoutBody
from fakevospace.fitscutouts import BadCutout, Cut, Slice, cut_of, parse_sub
from fakevospace.fitsheaders import NotFits, hdus
from fakevospace.fitssky import Circle, cuts_of, parse_circle
from fakevospace.sample import mosaic, star_field
from fakevospace.storage import MemoryBytes, Reader


def reader_of(data: bytes) -> Reader:
    store = MemoryBytes()
    key = store.create()
    store.writer(key).write(data)
    return store.reader(key)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("[1]", Slice(1)), ("[SCI,2]", Slice("SCI", 2)), ("[1:2]", Slice(0, None, ((1, 2),))),
     ("[*,3]", Slice(0, None, (None, (3, 3)))), ("[0][1:2,*]", Slice(0, None, ((1, 2), None))),
     ("[1,2]", Slice(0, None, ((1, 1), (2, 2)))), ("[A B][1:2]", Slice("A B", None, ((1, 2),)))],
)  # fmt: skip
def test_sub(text: str, wanted: Slice) -> None:
    assert parse_sub(text) == wanted


@given(st.text(alphabet="[]:,*-+ 0123456789aA\u0663", max_size=30))
def test_any_text_is_a_slice_or_refused(text: str) -> None:
    with contextlib.suppress(BadCutout):
        assert all(one is None or one[0] <= one[1] for one in parse_sub(text).pixels)
    with contextlib.suppress(BadCutout):
        assert 0 < parse_circle(text).radius <= 180


CARDS = [
    "NAXIS2  =         999999999999999", "NAXIS   =                  999", "BITPIX  =  1",
    "BITPIX  = 0", "NAXIS1  = -5", "CDELT1  = 1E-320", "CDELT1  = 1E300", "CRPIX1  = 1E999",
    "CRVAL2  = NAN", "CTYPE1  = 'RA", "GCOUNT  = 9999999", "XTENSION= 'TABLE   '", "END",
]  # fmt: skip


def size_of(data: bytes, cuts: list[Cut]) -> None:
    found = list(hdus(reader_of(data).read, len(data)))
    body = CutoutBody(reader_of(data), found[0], cuts)
    assert sum(map(len, body)) == body.length and body.length % 2880 == 0


@given(
    st.sampled_from([star_field(), mosaic()]),
    st.lists(st.tuples(st.sampled_from(CARDS), st.integers(0, 35)), max_size=4),
    st.sampled_from(["[0]", "[1]", "[0][1:3,2:4]", "[2][1,*]", "[1:9]"]),
    st.sampled_from([0, 0.01, 50.0]),
)
def test_damage_ends_in_a_file_or_a_refusal(
    data: bytes, cards: list[tuple[str, int]], sub: str, radius: float
) -> None:
    changed = bytearray(data)
    for text, place in cards:
        changed[place * 80 : place * 80 + 80] = text.ljust(80).encode()
    with contextlib.suppress(NotFits, BadCutout):
        found = list(hdus(reader_of(bytes(changed)).read, len(changed)))
        if radius:
            size_of(bytes(changed), cuts_of(found, Circle(210.8, 54.35, radius)))
        else:
            size_of(bytes(changed), [cut_of(found, parse_sub(sub))])
