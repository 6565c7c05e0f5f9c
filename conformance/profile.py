"""What a target is known to do differently, and why: the difference between a defect and news.

A profile is a TOML file: `description`, and any number of `[[deviation]]` with `clause`, `reason`
and `reference` (a document or an issue where it can be looked up). All three are demanded: a
deviation that nobody can explain is a failure, not an expectation.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

SHIPPED = Path(__file__).parent / "profiles"


class ProfileError(Exception):
    """The profile cannot be read, or says something that is not known."""


@dataclass(frozen=True, slots=True)
class Deviation:
    """One clause that is expected to fail."""

    clause: str
    reason: str
    reference: str


@dataclass(frozen=True, slots=True)
class Profile:
    """The expected failures of a kind of target."""

    name: str = "none"
    deviations: tuple[Deviation, ...] = ()

    def deviation(self, clause: str) -> Deviation | None:
        """The expected failure of this clause, if there is one."""
        return next((known for known in self.deviations if known.clause == clause), None)


def load_profile(path: Path) -> Profile:
    """Read a profile; raises ProfileError with the file's name."""
    try:
        content = tomllib.loads(path.read_text())
        unknown = content.keys() - {"description", "deviation"}
        if unknown:
            raise ProfileError(f"{path}: unknown key {sorted(unknown)[0]}")
        deviations = tuple(Deviation(**entry) for entry in content.get("deviation", []))
    except (OSError, tomllib.TOMLDecodeError) as exc:
        raise ProfileError(f"{path}: {exc}") from exc
    except TypeError as exc:
        raise ProfileError(f"{path}: a deviation has clause, reason and reference") from exc
    return Profile(path.stem, deviations)
