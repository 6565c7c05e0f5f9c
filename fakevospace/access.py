"""Who is asking, and what that caller may do with a node.

Without tokens the fake is open: whoever asks acts as owner and admin of everything.  With tokens
it is strict: a wrong token is refused, no token is the anonymous caller, who reads public nodes
and never writes (protocol.md 1.3 and 8).  Groups take no part in the decision.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from werkzeug.datastructures import Headers

from fakevospace.nodes import Node
from fakevospace.properties import IS_PUBLIC
from fakevospace.refusals import not_authenticated

OWNER = "owner"
CHALLENGES = (
    ("WWW-Authenticate", "Bearer"),
    ("WWW-Authenticate", 'ivoa_bearer standard_id="ivo://ivoa.net/sso#tls-with-password"'),
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity behind a request.

    Attributes:
        name: user name, None for the anonymous caller.
        admin: may do everything, and set admin-only properties.
        authenticated: a credential was sent and accepted.
    """

    name: str | None
    admin: bool
    authenticated: bool

    def can_read(self, node: Node) -> bool:
        """Tell whether the caller may read the bytes or the listing of `node`."""
        public = node.properties.get(IS_PUBLIC) == "true"
        return self.admin or public or (self.name is not None and self.name == node.owner)

    def can_write(self, node: Node) -> bool:
        """Tell whether the caller may change `node`, or the entries of a container."""
        return self.admin or (self.name is not None and self.name == node.owner)


class Users:
    """The tokens that the service knows, and whom each stands for."""

    def __init__(self, tokens: tuple[str, ...] = ()) -> None:
        """Take tokens as `T` (user `owner`) or `USER:T`; none at all makes the fake open."""
        self._users: dict[str, str] = {}
        for given in tokens:
            user, _, token = given.rpartition(":")
            if not token:
                raise ValueError(f"an empty token: {given!r}")
            self._users[token] = user or OWNER

    @property
    def first_token(self) -> str | None:
        """The first token given, None when the fake is open."""
        return next(iter(self._users), None)

    @property
    def root_owner(self) -> str:
        """The user who owns the root: that of the first token."""
        return next(iter(self._users.values()), OWNER)

    def identify(self, headers: Headers) -> Caller:
        """Find out who sent a request.

        Args:
            headers: request headers, looked up without regard to case.
        Returns:
            The caller.
        Raises:
            Refusal: 401; the token is not one of ours (strict only).
        """
        token = _token_of(headers)
        if not self._users:
            return Caller(OWNER, admin=True, authenticated=token is not None)
        if token is None:
            return Caller(None, admin=False, authenticated=False)
        for known, user in self._users.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return Caller(user, admin=False, authenticated=True)
        raise not_authenticated("invalid token")


def _token_of(headers: Headers) -> str | None:
    scheme, _, value = headers.get("Authorization", "").strip().partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    return headers.get("X-CADC-DelegationToken")
