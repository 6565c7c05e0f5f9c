"""The environment in which the unmodified vos tools find a running fake.

A fresh HOME with the registry already looked up (protocol.md 2.3: the tools insist on https for
the look-up, and on nothing else), the version check already done, and XDG directories inside.
Nothing outside the given directory is written.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

NEVER_STALE_S = 2_114_380_800  # 2037-01-01, so that the seeded files are never refreshed
ANY_TOKEN = "any-word"  # an open fake takes any
REMOVED = (
    "LOCAL_VOSPACE_WEBSERVICE",
    "VOSPACE_CERTFILE",
    "VOSPACE_CONFIG_FILE",
)  # would lead the tools elsewhere


@dataclass(frozen=True, slots=True)
class Contact:
    """What a client must know of a running fake.

    Attributes:
        url: scheme, host and port.
        service: first element of its paths.
        resource_id: its identifier in the registry.
        token: one that is valid, None when any is.
    """

    url: str
    service: str
    resource_id: str
    token: str | None


def seed_home(home: Path, contact: Contact) -> dict[str, str]:
    """Make `home` a place from which the vos tools reach the fake.

    Args:
        home: an existing directory, best an empty one.
    Returns:
        The variables to set; those in `REMOVED` must be unset besides.
    """
    host = urlsplit(contact.url).netloc
    registry = home / ".config/cadc-registry/alt-domains" / host / "resource-caps"
    _seed(registry, f"{contact.resource_id} = {contact.url}/{contact.service}/capabilities\n")
    for package in ("vos", "cadcutils"):
        versions = home / ".config" / package / "caches/.pypi_versions.json"
        _seed(versions, json.dumps({"releases": {}}))
    variables = {
        "HOME": str(home),
        "VOSPACE_WEBSERVICE": host,
        "VOSPACE_TOKEN": contact.token or ANY_TOKEN,
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "XDG_RUNTIME_DIR": str(home / ".run"),
    }
    for name, value in variables.items():
        if name.startswith("XDG_"):
            Path(value).mkdir(mode=0o700, parents=True, exist_ok=True)
    return variables


def _seed(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    os.utime(file, (NEVER_STALE_S, NEVER_STALE_S))
