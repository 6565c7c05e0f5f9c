"""Decisions about files that were changed here and there, and the names they get."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vofs.core.conflicts import OnConflict, Resolution, names_beside, resolution
from vofs.core.nodes import NodeKind, VersionToken

BASE, OTHER = VersionToken(3, "aa"), VersionToken(3, "bb")
THEIRS, CONTAINER = (NodeKind.DATA, OTHER), (NodeKind.CONTAINER, VersionToken(0))
SAME, LINK = (NodeKind.DATA, BASE), (NodeKind.LINK, BASE)
KEEP, SEND = Resolution.KEEP, Resolution.SEND
OVERWRITE, RENAME = Resolution.OVERWRITE, Resolution.RENAME
SECOND_NS = 1_000_000_000


@pytest.mark.parametrize(
    ("policy", "theirs", "container", "link"),
    [
        (OnConflict.KEEP_BOTH, RENAME, RENAME, RENAME),
        (OnConflict.OVERWRITE, OVERWRITE, RENAME, RENAME),  # a container is never sent over
        (OnConflict.FAIL, KEEP, KEEP, KEEP),
    ],
)
def test_r11_the_policy_decides_about_whole_files(
    policy: OnConflict, theirs: Resolution, container: Resolution, link: Resolution
) -> None:
    def decide(seen: tuple[NodeKind, VersionToken] | None) -> Resolution:
        return resolution(policy, seen, BASE, whole=True, uncertain=False)

    assert [decide(seen) for seen in (THEIRS, CONTAINER, LINK)] == [theirs, container, link]
    assert [decide(seen) for seen in (SAME, None)] == [SEND, SEND]


@pytest.mark.parametrize("policy", OnConflict)
@pytest.mark.parametrize("uncertain", [False, True])
def test_r6_a_file_with_holes_is_sent_only_while_its_base_version_is_there(
    policy: OnConflict, uncertain: bool
) -> None:
    for seen in (THEIRS, CONTAINER, LINK, None):
        assert resolution(policy, seen, BASE, whole=False, uncertain=uncertain) is KEEP
    assert resolution(policy, SAME, BASE, whole=False, uncertain=uncertain) is SEND


@pytest.mark.parametrize("policy", OnConflict)
def test_r5_what_a_power_loss_left_never_goes_over_a_node(policy: OnConflict) -> None:
    for seen in (THEIRS, CONTAINER, LINK, SAME):
        assert resolution(policy, seen, BASE, whole=True, uncertain=True) is RENAME
    assert resolution(policy, None, BASE, whole=True, uncertain=True) is SEND


def first(name: str, host: str = "tower", *, uncertain: bool = False) -> str:
    return next(names_beside(name, 1_700_000_000 * SECOND_NS, host, uncertain=uncertain))


def test_r11_the_name_says_when_and_where() -> None:
    assert first("a.fits") == "a.fits.conflict-20231114T221320Z-tower"
    assert first("a.fits", uncertain=True) == "a.fits.recovered-20231114T221320Z"
    assert first("a", "my host/é") == "a.conflict-20231114T221320Z-my-host-"
    assert first("a", "") == "a.conflict-20231114T221320Z-host"


def test_what_is_too_long_is_cut_before_its_extension() -> None:
    cut = first("x" * 251 + ".fits")
    assert len(cut.encode()) == 255
    assert cut.endswith("x.fits.conflict-20231114T221320Z-tower")
    assert first("é" * 127) == "é" * 111 + ".conflict-20231114T221320Z-tower"
    assert first("." + "x" * 254).startswith(".xxx")
    assert first("a." + "x" * 253).startswith("a.xxx")


@given(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1),
    st.text(),
    st.integers(0, 2**60),
    st.booleans(),
)
def test_names_fit_the_kernel_and_never_repeat(
    name: str, host: str, time_ns: int, uncertain: bool
) -> None:
    name = name.encode()[:255].decode(errors="ignore")
    names = list(itertools.islice(names_beside(name, time_ns, host, uncertain=uncertain), 12))
    assert len(set(names)) == 12
    for other in names:
        assert 0 < len(other.encode()) <= 255
        assert other != name
        assert not {"/", "\0"} & set(other)
