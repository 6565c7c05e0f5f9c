"""Headers of FITS files as text."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakevospace.fitsheaders import NotFits, header_text
from fakevospace.sample import mosaic, star_field


def text_of(data: bytes) -> str:
    return header_text(lambda offset, count: data[offset : offset + count], len(data))


def test_an_image() -> None:
    lines = text_of(star_field()).splitlines()
    assert lines[0].startswith("SIMPLE  =") and lines[-1] == "END"
    assert any(line.startswith("OBJECT  = 'FAKE FIELD 1'") for line in lines)


def test_extensions_are_found_behind_their_data() -> None:
    text = text_of(mosaic())
    assert text.count("END\n") == 4
    assert [n for n in (1, 2, 3) if f"'CHIP{n}" in text] == [1, 2, 3]


@pytest.mark.parametrize("data", [b"", b"SIMPLE", b"hello" * 1000, b"SIMPLE  =" + b" " * 2871])
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(NotFits):
        text_of(data)


@given(st.binary(max_size=200), st.integers(0, 5759))
def test_damage_ends_in_text_or_a_refusal(noise: bytes, offset: int) -> None:
    data = bytearray(star_field())
    data[offset : offset + len(noise)] = noise
    with contextlib.suppress(NotFits):
        assert text_of(bytes(data))
