"""What a node looks like to stat and getxattr (core/attributes.py); needs nothing."""

from __future__ import annotations

import stat
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vofs.core import nodes
from vofs.core.attributes import (
    MountOwner,
    Overlay,
    attributes_of,
    inode_of,
    parse_date_ns,
    property_of_xattr,
    version_token,
    xattr_of_property,
    xattrs_of,
)
from vofs.core.nodes import NodeInfo, NodeKind, VersionToken

OWNER = MountOwner(1000, 100)
INODE = 7
RIGHTS = {nodes.READABLE: "true", nodes.WRITABLE: "true"}


def node(kind: NodeKind = NodeKind.DATA, /, **short: str) -> NodeInfo:
    names = {"group_read": nodes.GROUP_READ, "group_write": nodes.GROUP_WRITE}
    return NodeInfo(
        "/x", kind, {names.get(k, getattr(nodes, k.upper())): v for k, v in short.items()}
    )


@pytest.mark.parametrize(
    ("properties", "mode"),
    [
        ({}, 0o600),
        (RIGHTS, 0o600),
        ({nodes.READABLE: "true"}, 0o400),
        ({nodes.WRITABLE: "true"}, 0o200),
        ({**RIGHTS, nodes.GROUP_READ: "ivo://cadc.nrc.ca/gms?A"}, 0o640),
        ({**RIGHTS, nodes.GROUP_WRITE: "ivo://cadc.nrc.ca/gms?A"}, 0o620),
        ({**RIGHTS, nodes.IS_PUBLIC: "true", nodes.GROUP_READ: ""}, 0o604),
    ],
)
def test_mode_of_files_and_directories(properties: dict[str, str], mode: int) -> None:
    """behaviours.md row 4, R23."""
    file = attributes_of(NodeInfo("/x", NodeKind.DATA, properties), INODE, OWNER)
    assert file.mode == stat.S_IFREG | mode
    directory = attributes_of(NodeInfo("/x", NodeKind.CONTAINER, properties), INODE, OWNER)
    assert directory.mode == stat.S_IFDIR | mode | (mode & 0o444) >> 2
    assert directory.is_directory


def test_a_node_without_rights_where_rights_are_told() -> None:
    bare = NodeInfo("/x", NodeKind.DATA, {nodes.IS_PUBLIC: "false"})
    assert stat.S_IMODE(attributes_of(bare, INODE, OWNER, tells_rights=True).mode) == 0


def test_links_are_0777_and_as_long_as_their_target() -> None:
    link = attributes_of(NodeInfo("/x", NodeKind.LINK, {}, "vos://a~b/c"), INODE, OWNER)
    assert link.mode == stat.S_IFLNK | 0o777
    assert link.size == len("vos://a~b/c")


def test_umask_and_local_bits() -> None:
    file = NodeInfo("/x", NodeKind.DATA, {**RIGHTS, nodes.IS_PUBLIC: "true"})
    masked = attributes_of(file, INODE, MountOwner(1, 2, 0o077), Overlay(mode=0o755))
    assert masked.mode == stat.S_IFREG | 0o700


def test_the_local_side_knows_better() -> None:
    file = node(length="5", date="2024-01-01T00:00:00.000")
    seen = attributes_of(file, INODE, OWNER, Overlay(size=7, mtime_ns=1, atime_ns=2, ctime_ns=3))
    assert (seen.size, seen.mtime_ns, seen.atime_ns, seen.ctime_ns) == (7, 1, 2, 3)
    assert seen.as_stat()["st_blocks"] == 1
    assert attributes_of(file, INODE, OWNER).size == 5
    assert attributes_of(file, INODE, OWNER, Overlay(size=513)).blocks == 2


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_inodes_are_63_bits_and_never_zero(uri: str) -> None:
    """R23."""
    assert 0 < inode_of(uri) < 2**63
    assert inode_of(uri) == inode_of(uri)


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1)))
def test_dates_keep_their_milliseconds(moment: datetime) -> None:
    text = moment.isoformat(timespec="milliseconds")
    seconds = int(moment.replace(microsecond=0, tzinfo=UTC).timestamp())
    expected = seconds * 10**9 + moment.microsecond // 1000 * 10**6
    for spelling in (text, text + "Z", text.replace("T", " "), text + "+00:00"):
        assert parse_date_ns(spelling) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        ("yesterday", None),
        ("2024-13-01T00:00:00", None),
        ("1970-01-01T00:00:01", 10**9),
        ("1970-01-01T00:00:01.5", 1_500_000_000),
        ("1969-12-31T23:59:59.250", -750_000_000),
    ],
)
def test_dates_that_services_may_write(text: str | None, expected: int | None) -> None:
    assert parse_date_ns(text) == expected


def test_content_date_is_the_mtime_where_there_is_one() -> None:
    both = node(date="1970-01-01T00:00:09.000", content_date="1970-01-01T00:00:01.000")
    assert attributes_of(both, INODE, OWNER).mtime_ns == 10**9
    assert attributes_of(node(), INODE, OWNER).mtime_ns == 0


def test_version_tokens_of_vault_and_cavern() -> None:
    """R13."""
    properties = {nodes.LENGTH: "5", nodes.MD5: "a" * 32, nodes.DATE: "1970-01-01T00:00:01.234"}
    vault = NodeInfo("/x", NodeKind.DATA, properties)
    assert version_token(vault) == VersionToken(5, "a" * 32, None, True)
    cavern = NodeInfo("/x", NodeKind.DATA, properties, md5_proves=False)
    assert version_token(cavern) == VersionToken(5, "a" * 32, 1234, False)


def test_properties_are_xattrs_with_short_names() -> None:
    """interface.md section 3."""
    properties = {
        nodes.MD5: "ff",
        nodes.TYPE: "image/fits",
        nodes.IS_LOCKED: "true",
        nodes.READABLE: "true",
        "ivo://me/props#caf\u00e9": "\u00fc",
    }
    assert xattrs_of(NodeInfo("/x", NodeKind.DATA, properties)) == {
        "user.vos.MD5": b"ff",
        "user.vos.type": b"image/fits",
        "user.vos.islocked": b"true",
        "user.vos.ivo://cadc.nrc.ca/vospace/core#readable": b"true",
        "user.vos.ivo://me/props#caf\u00e9": "\u00fc".encode(),
    }
    for uri in properties:
        assert property_of_xattr(xattr_of_property(uri)) == uri


@pytest.mark.parametrize("name", ["user.vos.", "user.vofs.state", "security.capability", ""])
def test_xattrs_that_are_no_properties(name: str) -> None:
    assert property_of_xattr(name) is None
