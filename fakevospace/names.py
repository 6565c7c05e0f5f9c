"""Node paths and VOSpace URIs: percent escapes, NFC, `~` and `!` (protocol.md 1.5 and 9).

A node path is decoded text without slashes at either end; the root is the empty path.  `%2F`
decodes to a separator, `.` and `..` are never names.  Inside XML the rules of java.net.URI hold:
some characters must be escaped.  Nothing here knows the tree.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote_to_bytes

from fakevospace.refusals import invalid_argument, invalid_uri

# What java.net.URI refuses raw, and an escape that is not one.
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
ILLEGAL_IN_URI = re.compile(r'[\x00-\x20"<>\\^`{|}\[\]\x7f]|' + BAD_ESCAPE.pattern)
LEFT_RAW = "/+&;:,()'*!~$=@"
VOS_URI = re.compile(r"vos://([^/!~?#]+)[!~]([^/?#]+)([^?#]*)(?:[?#].*)?\Z", re.DOTALL)


def decode_path(encoded: str) -> str:
    """Turn the encoded path of a URL or URI into a node path.

    Args:
        encoded: percent-encoded text; slashes at the ends and doubled ones are dropped.
    Returns:
        The decoded, NFC-normalised path.
    Raises:
        Refusal: 400; not UTF-8, an escape that is none, a NUL, or a `.` or `..` element.
    """
    if BAD_ESCAPE.search(encoded):
        raise invalid_argument(f"invalid node uri: {encoded}")
    try:
        decoded = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        raise invalid_argument(f"invalid node uri: {encoded}") from None
    elements = [one for one in unicodedata.normalize("NFC", decoded).split("/") if one]
    if "\0" in decoded or "." in elements or ".." in elements:
        raise invalid_argument(f"invalid node uri: {encoded}")
    return "/".join(elements)


def encode_path(path: str) -> str:
    """Percent-encode a node path as real services print it (section 9)."""
    return quote(path, safe=LEFT_RAW)


def node_uri(authority: str, path: str) -> str:
    """Build the URI of a node: `vos://{authority}/{encoded path}`."""
    return f"vos://{authority}/{encode_path(path)}" if path else f"vos://{authority}"


def split_uri(text: str) -> tuple[str, str]:
    """Take a VOSpace URI apart.

    Args:
        text: `vos://authority~service/path`, `!` for `~` allowed.
    Returns:
        The authority with `~`, and the node path.
    Raises:
        Refusal: 400 InvalidArgument; not a URI by java.net.URI's rules, or not a VOSpace one.
    """
    if ILLEGAL_IN_URI.search(text):
        raise invalid_argument(f"invalid node uri: {text}")
    match = VOS_URI.match(text)
    if match is None:
        raise invalid_argument(f"invalid node uri: {text}")
    return f"{match[1]}~{match[2]}", decode_path(match[3])


def own_path(text: str, authority: str) -> str:
    """Return the node path of a URI that must belong to this service.

    Raises:
        Refusal: 400; InvalidURI when it belongs to another service.
    """
    theirs, path = split_uri(text)
    if theirs != authority:
        raise invalid_uri(f"{text} is not a node of {authority}")
    return path


def split_path(path: str) -> tuple[str, str]:
    """Return (path of the parent, name)."""
    parent, _, name = path.rpartition("/")
    return parent, name
