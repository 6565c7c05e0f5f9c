"""Names: mount path <-> node path <-> VOSpace URI <-> URL path, for every legal name.

A *node path* is decoded, NFC, absolute below the service's root, without trailing slash; "/" is the
root.  It is what every layer passes around.  Encoded text exists only in documents and requests and
is made and read here, by the rules of Java's URI class, which decide what real services accept
(protocol.md section 9): non-ASCII is normalised to NFC and percent-encoded, as are space, control
characters, `"#%<>?[\\]^`{|}` and nothing else.

Invariants: `path_of_uri(node_uri(service, path)) == path` for every legal path; a name that the
kernel cannot hold never becomes part of a path.  Nothing here reads the environment.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from vofs.core.errors import InvalidName, NameTooLong, UsageError

__all__ = [
    "ServiceUri",
    "check_name",
    "child_path",
    "is_below",
    "join",
    "name_of",
    "node_uri",
    "normalise_path",
    "parent_of",
    "parse_vospace",
    "path_in_service",
    "path_of_uri",
    "replace_prefix",
    "same_uri",
    "url_path",
]

_CADC = "cadc.nrc.ca"
_OPENCADC = "opencadc.org"  # what the vos client takes for a local deployment (protocol.md 1.5)
_NAME_MAX = 255  # bytes: NAME_MAX of Linux

# What stays as it is in a URI besides letters, digits and "_.-~", which quote() never touches.
_URI_SAFE = "!$&'()*+,:;=@"
# Servlet containers cut ";..." out of a URL's path, and some servers read "+" as a space.
_URL_SAFE = "!$&'()*,:=@"

_FULL = re.compile(r"vos://([^/]*)(/.*)?", re.DOTALL)
_SHORT = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"([A-Za-z0-9.-]+)[~!]([A-Za-z0-9._~!-]+)")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class ServiceUri:
    """One VOSpace service and the container in it that was named.

    Attributes:
        authority: as emitted in URIs, with "~": "cadc.nrc.ca~vault".
        resource_id: the registry's name of the service: "ivo://cadc.nrc.ca/vault".
        root: node path of the container (or node) that the user named; "/" for the whole service.
    """

    authority: str
    resource_id: str
    root: str = "/"


def parse_vospace(text: str, *, local_deployment: bool = False) -> ServiceUri:
    """Read what the user calls a VOSpace.

    Short forms ("vault:a b") hold a path as `ls` shows it; full forms ("vos://cadc.nrc.ca~vault/a%20b"
    with "~" or "!") hold a URI, whose percent escapes are decoded.

    Args:
        text: the argument of --vospace.
        local_deployment: LOCAL_VOSPACE_WEBSERVICE is set, so that the vos client takes a short name
            for a service of opencadc.org instead of cadc.nrc.ca (source: protocol.md 1.5).

    Raises:
        UsageError: with one line that says what is wrong and what a VOSpace URI looks like.
    """
    full = _FULL.fullmatch(text)
    if full:
        authority, path = full.group(1), full.group(2) or "/"
        if not _AUTHORITY.fullmatch(authority):
            raise _no_vospace(text, f"{authority!r} is not of the form AUTHORITY~SERVICE")
        if "#" in path or "?" in path:
            raise _no_vospace(text, "write # as %23 and ? as %3F in a vos:// URI")
        if _BAD_ESCAPE.search(path):
            raise _no_vospace(text, "write % as %25 in a vos:// URI")
        return _service(text, authority, path, decode=True)
    short = _SHORT.fullmatch(text)
    if not short or short.group(2).startswith("//"):
        raise _no_vospace(text, "it names no service")
    scheme = "vault" if short.group(1) == "vos" else short.group(1)
    registry_authority = _OPENCADC if local_deployment else _CADC
    return _service(text, f"{registry_authority}~{scheme}", short.group(2), decode=False)


def node_uri(service: ServiceUri, path: str) -> str:
    """Return the full VOSpace URI of the node at `path`, encoded for documents.

    The root's URI has no trailing slash.
    """
    return f"vos://{service.authority}{_encode(path, _URI_SAFE)}"


def url_path(path: str) -> str:
    """Return `path` encoded for the path of an HTTP URL: "" for the root, else "/a/b%20c"."""
    return _encode(path, _URL_SAFE)


def path_of_uri(uri: str) -> str:
    """Return the node path that a full VOSpace URI names, whatever service it belongs to.

    Raises:
        InvalidName: no vos:// URI, or a path with a name that no file system can hold.
    """
    full = _FULL.fullmatch(uri)
    if not full:
        raise InvalidName(f"no vos:// URI: {uri[:300]!r}")
    return _decoded_path(full.group(2) or "/", decode=True)


def path_in_service(service: ServiceUri, uri: str) -> str | None:
    """Return the node path of `uri`, or None when it leads out of `service` or nowhere."""
    full = _FULL.fullmatch(uri)
    if not full or _tilde(full.group(1)) != _tilde(service.authority):
        return None
    try:
        return path_of_uri(uri)
    except InvalidName:
        return None


def same_uri(one: str, other: str) -> bool:
    """Tell whether two URIs name the same node: "~" equals "!", a trailing slash means nothing."""
    return _comparable(one) == _comparable(other)


def normalise_path(path: str) -> str:
    """Return `path` as a node path: NFC, absolute, each name checked.

    Empty elements (doubled or trailing slashes) vanish, as they do for the kernel.

    Raises:
        InvalidName: a name that no node can have here.
    """
    return "/" + "/".join(check_name(name) for name in path.split("/") if name)


def join(root: str, mount_path: str) -> str:
    """Return the node path of `mount_path` (absolute in the mount) in a mount of `root`."""
    below = normalise_path(mount_path)
    if root == "/":
        return below
    return root if below == "/" else root + below


def child_path(parent: str, name: str) -> str:
    """Return the node path of `name` in the container `parent`.

    Raises:
        InvalidName: see `check_name`.
    """
    return f"{parent.rstrip('/')}/{check_name(name)}"


def parent_of(path: str) -> str:
    """Return the container of `path`; the root is its own."""
    return path.rpartition("/")[0] or "/"


def name_of(path: str) -> str:
    """Return the last name of `path`; "" for the root."""
    return path.rpartition("/")[2]


def is_below(path: str, ancestor: str) -> bool:
    """Tell whether `path` is `ancestor` itself or below it."""
    return path == ancestor or path.startswith(ancestor.rstrip("/") + "/")


def replace_prefix(path: str, old: str, new: str) -> str:
    """Return where `path` goes when `old`, which is `path` or above it, is renamed to `new`.

    Raises:
        ValueError: `path` is not below `old`: a defect of the caller.
    """
    if not is_below(path, old):
        raise ValueError(f"{path!r} is not below {old!r}")
    rest = path[len(old.rstrip("/")) :]
    return new.rstrip("/") + rest or "/"


def check_name(name: str) -> str:
    """Return `name` in NFC, as the services store it, if both they and the kernel can hold it.

    Raises:
        NameTooLong: more than 255 bytes of UTF-8, before or after normalisation.
        InvalidName: empty, ".", "..", with "/" or NUL, or not valid UTF-8.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise InvalidName(f"not a node's name: {name!r}")
    normal = unicodedata.normalize("NFC", name)
    try:
        longest = max(len(name.encode()), len(normal.encode()))
    except UnicodeEncodeError:  # surrogates: bytes of the kernel's that are no UTF-8
        raise InvalidName(f"name is not valid UTF-8: {name!r}") from None
    if longest > _NAME_MAX:
        raise NameTooLong(f"name of {longest} bytes; {_NAME_MAX} are possible: {name[:40]!r}...")
    return normal


def _service(text: str, authority: str, path: str, *, decode: bool) -> ServiceUri:
    tilde = _tilde(authority)
    try:
        root = _decoded_path(path, decode=decode)
    except InvalidName as exc:
        raise _no_vospace(text, str(exc)) from exc
    return ServiceUri(tilde, "ivo://" + tilde.replace("~", "/", 1), root)


def _no_vospace(text: str, reason: str) -> UsageError:
    shown = repr(text[:100])
    return UsageError(
        f"{shown} is not a VOSpace URI: {reason} (like vault:dir, vos://cadc.nrc.ca~vault/dir)"
    )


def _tilde(authority: str) -> str:
    # Only the first separator is one; the registry's names may hold more of either.
    match = _AUTHORITY.fullmatch(authority)
    return f"{match.group(1)}~{match.group(2)}" if match else authority


def _decoded_path(path: str, *, decode: bool) -> str:
    names = (name for name in path.split("/") if name)
    if not decode:
        return "/" + "/".join(check_name(name) for name in names)
    return "/" + "/".join(check_name(_decode(name)) for name in names)


def _decode(name: str) -> str:
    try:
        return unquote_to_bytes(name).decode()
    except UnicodeError:  # escapes that are no UTF-8, or lone surrogates
        raise InvalidName(f"name is not valid UTF-8: {name[:300]!r}") from None


def _encode(path: str, safe: str) -> str:
    if path == "/":
        return ""
    return quote(unicodedata.normalize("NFC", path), safe=safe + "/")


def _comparable(uri: str) -> tuple[str, str]:
    full = _FULL.fullmatch(uri)
    if not full:
        return "", uri.rstrip("/")
    try:
        return _tilde(full.group(1)), path_of_uri(uri)
    except InvalidName:
        return _tilde(full.group(1)), (full.group(2) or "").rstrip("/")
