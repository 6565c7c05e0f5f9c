"""A service whose listings show what they are told, and files that are stored past them (R13)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from tests.support.faultyremote import FaultyRemote
from tests.support.sessions import ManualClock, Mounted, Stage
from tests.support.steps import sent
from vofs.core.nodes import CONTENT_DATE, LENGTH, MD5, NodeInfo, VersionToken

OLD, NEW, MORE = b"old bytes" * 1000, b"the new bytes, and more" * 1000, b"MORE"
EMPTY = VersionToken(0)


class ListedAs(FaultyRemote):
    """Lists nodes with the versions in `shown`; their own documents are exact."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage.service.remote)
        self._path = stage.path
        self._shown: dict[str, VersionToken] = {}
        stage.remote = self

    def show(self, path: str, version: VersionToken) -> None:
        """From now on the listing has `version` at `path`."""
        self._shown[self._path(path)] = version

    def version(self, path: str) -> VersionToken:
        """What the node's document says."""
        node = self._inner.get_node(self._path(path))
        return VersionToken(node.length, node.md5)

    def list_children(self, path: str) -> Iterator[NodeInfo]:
        for node in super().list_children(path):
            version = self._shown.get(node.path)
            yield node if version is None else _of_version(node, version)

    def looks(self, path: str) -> int:
        """How often the node's document was asked for."""
        return self.calls.count(("get_node", self._path(path)))


def _of_version(node: NodeInfo, version: VersionToken) -> NodeInfo:
    digests = (MD5, CONTENT_DATE)
    properties = {uri: text for uri, text in node.properties.items() if uri not in digests}
    properties[LENGTH] = str(version.length)
    if version.md5 is not None:
        properties[MD5] = version.md5
    return replace(node, properties=MappingProxyType(properties))


def stored_here(mount: Mounted, path: str, data: bytes) -> None:
    mount.put(path, data)
    sent(mount)


def replaced_here(mount: Mounted, path: str, data: bytes) -> None:
    """An existing file is read, and then written as `>` does."""
    mount.get(path)
    handle = mount.open(path, os.O_WRONLY | os.O_TRUNC)
    mount.write(handle, data)
    mount.close(handle)
    sent(mount)


def appended(mount: Mounted, clock: ManualClock, path: str, data: bytes = MORE) -> None:
    handle = mount.open(path, os.O_WRONLY | os.O_APPEND)
    mount.write(handle, data, mount.stat(path).size)
    mount.close(handle)
    for _ in range(20):
        clock.advance(0.3)
        sent(mount)


def is_right(mount: Mounted, clock: ManualClock, path: str, data: bytes) -> None:
    """The mount knows the file as it is, although the listing does not, and may change it."""
    clock.advance(2.0)
    mount.ls(os.path.dirname(path))
    assert mount.stat(path).size == len(data)
    assert mount.get(path) == data
    clock.advance(2.0)
    mount.ls(os.path.dirname(path))
    appended(mount, clock, path)
    assert mount.uploads() == []
    assert mount.get(path) == data + MORE
