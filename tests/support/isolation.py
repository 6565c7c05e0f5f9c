"""Every test gets an empty HOME and no setting of whoever runs it.

vos and cadcutils compute the paths of their caches from HOME when they are imported, so the
process is isolated before the first test is collected, and each test once more from the others.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

REMOVED_PREFIXES = ("VOSPACE_", "LOCAL_VOSPACE_", "CADC_", "XDG_", "VOFS_")


def isolate(home: Path, environment: MutableMapping[str, str] = os.environ) -> None:
    """Point `environment` at `home`, and take every setting of vos and vofs out of it."""
    for name in [name for name in environment if name.startswith(REMOVED_PREFIXES)]:
        del environment[name]
    environment["HOME"] = str(home)
    for variable, folder in (
        ("XDG_CACHE_HOME", ".cache"),
        ("XDG_CONFIG_HOME", ".config"),
        ("XDG_DATA_HOME", ".local/share"),
        ("XDG_STATE_HOME", ".local/state"),
        ("XDG_RUNTIME_DIR", ".run"),
    ):
        environment[variable] = str(home / folder)
    (home / ".run").mkdir(mode=0o700, parents=True, exist_ok=True)
