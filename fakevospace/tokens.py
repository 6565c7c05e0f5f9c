"""Pre-authorised URLs: a token that allows one direction on one thing, and nothing else.

A token is a grant (`r` or `w`), the user on whose behalf it was given, and a keyed hash over
both and the thing.  Nothing is stored: a token stays good as long as the key, which a data
directory keeps (protocol.md 5.6).
"""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac


class Grant(enum.Enum):
    """What a token allows."""

    READ = "r"
    WRITE = "w"


class Tokens:
    """Makes and checks tokens under one key."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def issue(self, grant: Grant, thing: str, user: str | None) -> str:
        """Return a token for `thing` (a storage id or a node path), safe in a URL path."""
        name = base64.urlsafe_b64encode((user or "").encode()).rstrip(b"=").decode()
        return f"{grant.value}.{name}.{self._seal(grant, name, thing)}"

    def check(self, token: str, thing: str) -> tuple[Grant, str | None] | None:
        """Return the grant of a token and its user, None when it is not good for `thing`."""
        letter, _, rest = token.partition(".")
        name, _, seal = rest.partition(".")
        grant = next((one for one in Grant if one.value == letter), None)
        if grant is None:
            return None
        if not hmac.compare_digest(self._seal(grant, name, thing).encode(), seal.encode()):
            return None
        user = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        return grant, user or None

    def _seal(self, grant: Grant, name: str, thing: str) -> str:
        text = f"{grant.value}\n{name}\n{thing}".encode("utf-8", "surrogateescape")
        digest = hmac.new(self._secret, text, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:18]).decode()
