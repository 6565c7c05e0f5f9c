"""Which properties exist, who may set them, and how an update merges (protocol.md 4.2).

Pure rules over dictionaries; the values that the service computes itself (length, MD5, dates) are
described in `describe`.  A key in the namespace of the standard must be a known one; immutable
keys in a request are silently ignored, as the real services do (the specification wants 403).
"""

from __future__ import annotations

from collections.abc import Mapping

from fakevospace.refusals import invalid_argument, permission_denied

STANDARD = "ivo://ivoa.net/vospace"
CORE = "ivo://ivoa.net/vospace/core#"
CADC = "ivo://cadc.nrc.ca/vospace/core#"

LENGTH = CORE + "length"
MD5 = CORE + "MD5"
DATE = CORE + "date"
CONTENT_DATE = CORE + "content-date"
CREATOR = CORE + "creator"
QUOTA = CORE + "quota"
AVAILABLE_SPACE = CORE + "availableSpace"
IS_PUBLIC = CORE + "ispublic"
GROUP_READ = CORE + "groupread"
GROUP_WRITE = CORE + "groupwrite"
TYPE = CORE + "type"
ENCODING = CORE + "encoding"
IS_LOCKED = CADC + "islocked"
INHERIT = CADC + "inheritPermissions"
READABLE = CADC + "readable"
WRITABLE = CADC + "writable"
CREATOR_JWT = "ivo://opencadc.org/vospace/core#creatorJWT"

IMMUTABLE = frozenset({LENGTH, MD5, DATE, CONTENT_DATE, AVAILABLE_SPACE, READABLE, WRITABLE})
ADMIN_ONLY = frozenset({CREATOR, QUOTA})
PERMISSIONS = (IS_PUBLIC, GROUP_READ, GROUP_WRITE)
DESCRIPTIVE = (
    "title subject description publisher contributor format identifier source language"
    " relation coverage rights runid"
)
KNOWN = frozenset(
    {LENGTH, MD5, DATE, CONTENT_DATE, CREATOR, QUOTA, AVAILABLE_SPACE, TYPE, ENCODING}
    | set(PERMISSIONS)
    | {CORE + word for word in DESCRIPTIVE.split()}
)

LATER = frozenset({CORE + word for word in ("publicread", "mtime", "ctime", "btime")})


def check_known(changes: Mapping[str, str | None], *, later: bool) -> None:
    """Refuse a key of the standard's namespace that the service does not know.

    Args:
        later: those that VOSpace 2.1 has added are known too.
    Raises:
        Refusal: 400 InvalidArgument.
    """
    for key in changes:
        known = key in KNOWN or (later and key in LATER)
        if key.startswith(STANDARD) and not known:
            raise invalid_argument(f"unrecognized property: {key}")


def check_changeable(changes: Mapping[str, str | None], shown: Mapping[str, str]) -> None:
    """Refuse to change a property that only the service sets, as the specification wants it.

    Args:
        shown: the properties as the service shows them; to repeat those is no change.
    Raises:
        Refusal: 403 PermissionDenied.
    """
    for key, value in changes.items():
        if key in IMMUTABLE and value != shown.get(key):
            raise permission_denied(f"read-only property {key}")


def settable(
    changes: Mapping[str, str | None], *, admin: bool, locks: bool
) -> dict[str, str | None]:
    """Return what is left of a request after the keys that the caller cannot set.

    Args:
        changes: property URI -> new value, None to delete.
        admin: the caller may set the admin-only properties.
        locks: the service stores `islocked`.
    Returns:
        A new dictionary.
    """
    kept = {}
    for key, value in changes.items():
        ignored = key in IMMUTABLE or key == CREATOR_JWT
        ignored = ignored or (key in ADMIN_ONLY and not admin) or (key == IS_LOCKED and not locks)
        if not ignored:
            kept[key] = value
    return kept


def merged(stored: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """Merge changes into stored properties; what is not mentioned stays.

    None deletes; an empty group list and a false lock are the same as none.
    """
    result = dict(stored)
    for key, value in changes.items():
        cleared = value is None or (key in (GROUP_READ, GROUP_WRITE) and not value.strip())
        if cleared or (key == IS_LOCKED and value != "true"):
            result.pop(key, None)
        elif value is not None:
            result[key] = value
    return result


def inherited(parent: Mapping[str, str], given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the permissions that a new child takes from its container.

    Only when the container has inheritPermissions, and only those not given explicitly.
    """
    if parent.get(INHERIT) != "true":
        return {}
    return {key: parent[key] for key in PERMISSIONS if key in parent and key not in given}
