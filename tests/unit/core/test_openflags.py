"""The flags of open(2) (core/openflags.py); needs nothing."""

from __future__ import annotations

import os

import pytest

from vofs.core.errors import OperationInvalid
from vofs.core.openflags import Access, access_of


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (os.O_RDONLY, Access(read=True, write=False)),
        (os.O_WRONLY, Access(read=False, write=True)),
        (os.O_RDWR, Access(read=True, write=True)),
        (os.O_WRONLY | os.O_APPEND, Access(read=False, write=True, append=True)),
        (os.O_RDONLY | os.O_APPEND, Access(read=True, write=False)),
        (os.O_RDONLY | os.O_TRUNC, Access(read=True, write=False, truncate=True)),
        (
            os.O_RDWR | os.O_CREAT | os.O_EXCL,
            Access(read=True, write=True, create=True, exclusive=True),
        ),
        (os.O_RDWR | os.O_EXCL, Access(read=True, write=True)),
        (os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW, Access(read=True, write=False)),
    ],
)
def test_what_the_flags_ask_for(flags: int, expected: Access) -> None:
    assert access_of(flags) == expected


def test_truncation_changes_the_file_even_read_only() -> None:
    assert access_of(os.O_RDONLY | os.O_TRUNC).changes_file
    assert not access_of(os.O_RDONLY).changes_file


def test_the_fourth_access_mode_is_none() -> None:
    with pytest.raises(OperationInvalid):
        access_of(os.O_ACCMODE)
