"""What a target is known to be and to do differently: the difference between a defect and news.

A profile is a TOML file:

- `description`;
- `[capabilities]`: flags of `conformance.capabilities`, true or false, where the service is known
  better than a read-only probe can tell;
- `[wire]`: `transfer_type`, the Content-Type under which transfer documents are taken;
- any number of `[[deviation]]` with `clause`, `reason` and `reference` (a document or an issue
  where it can be looked up). All three are demanded: a deviation that nobody can explain is a
  failure, not an expectation. With `target`, a pattern such as `fake:*`, it is expected of
  matching targets only: what the fake lacks is not forgiven the real service.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from conformance.capabilities import FLAGS
from conformance.wire import Dialect

SHIPPED = Path(__file__).parent / "profiles"
KEYS = frozenset({"description", "capabilities", "wire", "deviation"})


class ProfileError(Exception):
    """The profile cannot be read, or says something that is not known."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One clause that is expected to fail, of the targets that match."""

    clause: str
    reason: str
    reference: str
    target: str = "*"


@dataclass(frozen=True, slots=True)
class Profile:
    """The expected failures of a kind of target, and what it is known to have."""

    name: str = "none"
    deviations: tuple[Deviation, ...] = ()
    capabilities: Mapping[str, bool] = field(default_factory=dict)
    dialect: Dialect = field(default_factory=Dialect)

    def deviation(self, clause: str) -> Deviation | None:
        """The expected failure of this clause, if there is one."""
        return next((known for known in self.deviations if known.clause == clause), None)


def find_profile(spec: str) -> Path:
    """A profile by its file, or by the name of a shipped one."""
    shipped = SHIPPED / f"{spec}.toml"
    return shipped if shipped.is_file() and not Path(spec).exists() else Path(spec)


def load_profile(path: Path, target: str = "") -> Profile:
    """Read what a profile says of a target; raises ProfileError with the file's name."""
    try:
        content = tomllib.loads(path.read_text())
        _check(path, content.keys() - KEYS, "key")
        flags = content.get("capabilities", {})
        _check(path, flags.keys() - FLAGS.keys(), "capability")
        _check(path, {key for key, value in flags.items() if value not in (True, False)}, "value")
        dialect = Dialect(**content.get("wire", {}))
        deviations = [Deviation(**entry) for entry in content.get("deviation", [])]
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise ProfileError(f"{path}: {exc}") from exc
    except TypeError as exc:
        raise ProfileError(
            f"{path}: a deviation has clause, reason and reference, wire has transfer_type"
        ) from exc
    expected = tuple(known for known in deviations if fnmatchcase(target, known.target))
    return Profile(path.stem, expected, flags, dialect)


def _check(path: Path, unknown: set[Any], what: str) -> None:
    if unknown:
        raise ProfileError(f"{path}: unknown {what} {sorted(unknown)[0]}")
