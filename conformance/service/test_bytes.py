"""Bytes: transfers into and out of the service (VOSpace 2.1, synchronous transfers)."""

from __future__ import annotations

import base64
import hashlib
import random

import pytest

from conformance.wire import CORE, Service, read_node


@pytest.mark.clause(
    "VOS-bytes-round-trip",
    source="VOSpace 2.1, operations pushToVoSpace and pullFromVoSpace; RFC 3230, Digest",
)
def test_pushed_bytes_come_back(service: Service, container: str) -> None:
    path = f"{container}/data.bin"
    # Every byte value, and no multiple of a block size: what text modes and rounding would break.
    content = bytes(range(256)) + random.Random(1).randbytes(70_001)
    md5 = hashlib.md5(content)

    pushed = service.push(path, content)
    assert pushed.status_code in (200, 201)

    pulled = service.pull(path)
    assert pulled.status_code == 200
    assert pulled.content == content
    if "Digest" in pulled.headers:
        algorithm, _, digest = pulled.headers["Digest"].partition("=")
        assert algorithm.lower() == "md5"
        assert base64.b64decode(digest) == md5.digest()

    properties = read_node(service.get_node(path).content).properties
    assert properties[CORE + "length"] == str(len(content))
    assert properties[CORE + "MD5"] == md5.hexdigest()
