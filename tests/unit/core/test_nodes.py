"""R13: when two sightings of a node are the same bytes (core/nodes.py); needs nothing."""

from __future__ import annotations

import pytest

from vofs.core.nodes import GROUP_READ, IS_PUBLIC, LENGTH, NodeInfo, NodeKind, VersionToken

A, B = "a" * 32, "b" * 32


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (VersionToken(5, A, 1), VersionToken(5, A, 2), True),  # vault's date moves with properties
        (VersionToken(5, A), VersionToken(5, B), False),
        (VersionToken(5, A), VersionToken(6, A), False),
        (VersionToken(5, A, 1, False), VersionToken(5, B, 1, False), True),  # a stale MD5 on cavern
        (VersionToken(5, A, 1, False), VersionToken(5, A, 2, False), False),
        (VersionToken(5, A, None, False), VersionToken(5, A, 2, False), True),  # our own upload
        (VersionToken(5, A, None, False), VersionToken(5, B, 2, False), False),
        (VersionToken(5), VersionToken(5), False),  # nothing proves it
        (VersionToken(0), VersionToken(0), True),
    ],
)
def test_same_version(one: VersionToken, other: VersionToken, same: bool) -> None:
    assert one.same_version(other) is same
    assert other.same_version(one) is same


def test_nonsense_properties_do_no_harm() -> None:
    node = NodeInfo("/a", NodeKind.DATA, {LENGTH: "-5", IS_PUBLIC: " True ", GROUP_READ: " x  y "})
    assert node.length == 0
    assert node.flag(IS_PUBLIC)
    assert node.groups(GROUP_READ) == ("x", "y")
    assert (node.name, NodeInfo("/", NodeKind.CONTAINER).name) == ("a", "")
