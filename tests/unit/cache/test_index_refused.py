"""A refused index gives its connection back, so that the right mount can use it."""

from __future__ import annotations

import pytest

from tests.unit.cache.conftest import IDENTITY, Parts
from vofs.cache.index import Index
from vofs.core.errors import MountUnusable


def test_another_identity_is_refused(parts: Parts) -> None:
    parts.index.close()
    with pytest.raises(MountUnusable, match="belongs to"):
        Index(parts.root / "index.sqlite", "another|service|account")
    Index(parts.root / "index.sqlite", IDENTITY).close()
