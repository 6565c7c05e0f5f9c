"""Who is asking, and what that caller may do with a node (protocol.md 1.3 and 8).

Without tokens and users the fake is open: whoever asks acts as owner and admin of everything.
With any it is strict: a wrong credential is refused, none is the anonymous caller, who reads
public nodes only.  The owner of the root administers: sets quotas, makes allocations.

An allocation is a node directly in an allocation parent (the root, if nothing else is said);
its owner may do everything inside it.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from werkzeug.datastructures import Headers
from werkzeug.http import parse_cookie

from fakevospace.nodes import Node
from fakevospace.properties import GROUP_READ, GROUP_WRITE, IS_PUBLIC
from fakevospace.refusals import not_authenticated

OWNER = "owner"
GMS = "ivo://cadc.nrc.ca/gms"
EVERYBODY = "*"  # in a list of groups: the anonymous caller too, where the service has that
COOKIE = "CADC_SSO"
CHALLENGES = (
    ("WWW-Authenticate", "Bearer"),
    ("WWW-Authenticate", 'ivoa_bearer standard_id="ivo://ivoa.net/sso#tls-with-password"'),
    ("WWW-Authenticate", 'ivoa_x509 standard_id="ivo://ivoa.net/sso#BasicAA"'),
)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """What holds for every caller.

    Attributes:
        allocation_parents: paths of the containers whose children are allocations.
        anonymous_writes: the anonymous caller may write where `groupwrite` holds `*`.
    """

    allocation_parents: frozenset[str] = frozenset({""})
    anonymous_writes: bool = False

    def is_allocation_parent(self, container: Node) -> bool:
        """Tell whether what is made in a container is an allocation."""
        return container.path in self.allocation_parents

    def is_allocation(self, node: Node) -> bool:
        """Tell whether the owner of a node owns everything inside it."""
        return node.parent is not None and self.is_allocation_parent(node.parent)


COMMON_RULES = AccessRules()


@dataclass(frozen=True, slots=True)
class Caller:
    """The identity behind a request.

    Attributes:
        name: user name, None for the anonymous caller.
        admin: may do everything: whoever asks an open service.
        authenticated: a credential was sent and accepted.
        groups: URIs of the groups that the caller is in.
        administers: may set admin-only properties and make allocations: the owner of the root.
    """

    name: str | None
    admin: bool
    authenticated: bool
    groups: frozenset[str] = frozenset()
    administers: bool = False
    rules: AccessRules = COMMON_RULES

    @property
    def sets_admin_properties(self) -> bool:
        """True for those who may set quota and creator."""
        return self.admin or self.administers

    def can_read(self, node: Node) -> bool:
        """Tell whether the caller may read the bytes or the listing of `node`."""
        if self.admin or node.properties.get(IS_PUBLIC) == "true" or self._owns(node):
            return True
        return self._is_in(node, GROUP_READ) or self._is_in(node, GROUP_WRITE)

    def can_write(self, node: Node) -> bool:
        """Tell whether the caller may change `node`, or the entries of a container."""
        return self.admin or self._owns(node) or self._is_in(node, GROUP_WRITE)

    def _owns(self, node: Node) -> bool:
        """Tell whether the caller owns the node, or the allocation that it is in."""
        if self.name is None:  # what the anonymous caller made is nobody's
            return self.rules.anonymous_writes and not node.owner
        if self.name == node.owner:
            return True
        above = node.parent
        while above is not None:
            if self.rules.is_allocation(above):
                return above.owner == self.name
            above = above.parent
        return False

    def _is_in(self, node: Node, key: str) -> bool:
        wanted = node.properties.get(key, "").split()
        if self.rules.anonymous_writes and EVERYBODY in wanted:
            return True
        return not self.groups.isdisjoint(wanted)


def group_uri(name: str) -> str:
    """Return the URI of a group of the service's own group server; a URI stays as it is."""
    return name if "://" in name else f"{GMS}?{name}"


class Users:
    """Who there is: tokens, users known by certificate only, and groups."""

    def __init__(
        self,
        tokens: Iterable[str] = (),
        *,
        names: Iterable[str] = (),
        groups: Mapping[str, Iterable[str]] | None = None,
        rules: AccessRules = COMMON_RULES,
        basic: bool = False,
    ) -> None:
        """Take tokens as `T` (user `owner`) or `USER:T`; no tokens and names: an open fake.

        Args:
            names: users without a token, who come with a certificate.
            groups: name or URI of each group, and its members.
            basic: HTTP basic authentication is taken too; the password is the token.
        """
        self._rules, self._basic = rules, basic
        self._tokens: dict[str, str] = {}
        for given in tokens:
            user, _, token = given.rpartition(":")
            if not token:
                raise ValueError(f"an empty token: {given!r}")
            self._tokens[token] = user or OWNER
        self._names = tuple(dict.fromkeys((*self._tokens.values(), *names)))
        self.groups = {
            group_uri(name): frozenset(members) for name, members in (groups or {}).items()
        }

    @property
    def first_token(self) -> str | None:
        """The first token given, None when there is none."""
        return next(iter(self._tokens), None)

    @property
    def strict(self) -> bool:
        """True when it matters who asks."""
        return bool(self._names)

    @property
    def root_owner(self) -> str:
        """The user who owns the root: that of the first token, else the first user named."""
        return next(iter(self._names), OWNER)

    def named(self, name: str | None, *, authenticated: bool = True) -> Caller:
        """Return a user as a caller, with the groups that the user is in."""
        groups = frozenset(uri for uri, members in self.groups.items() if name in members)
        administers = self.strict and name == self.root_owner
        return Caller(name, not self.strict, authenticated, groups, administers, self._rules)

    def identify(self, headers: Headers, certificate_user: str | None = None) -> Caller:
        """Find out who sent a request.

        Args:
            headers: request headers, looked up without regard to case.
            certificate_user: common name of the client's certificate, None without.
        Returns:
            The caller.
        Raises:
            Refusal: 401; the token is not one of ours (strict only).
        """
        token = self._token_of(headers)
        if not self.strict:
            return self.named(OWNER, authenticated=bool(token or certificate_user))
        if token is not None:
            for known, user in self._tokens.items():
                if hmac.compare_digest(known.encode(), token.encode()):
                    return self.named(user)
            raise not_authenticated("invalid token")
        if certificate_user is not None:
            return self.named(certificate_user)
        return self.named(None, authenticated=False)

    def _token_of(self, headers: Headers) -> str | None:
        scheme, _, value = headers.get("Authorization", "").strip().partition(" ")
        if scheme.lower() == "bearer" and value.strip():
            return value.strip()
        if scheme.lower() == "basic" and self._basic:
            return _password(value)
        if delegated := headers.get("X-CADC-DelegationToken"):
            return delegated
        return parse_cookie(headers.get("Cookie", "")).get(COOKIE)


def _password(credentials: str) -> str:
    """Return the password of HTTP basic authentication; empty when there is none."""
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode("utf-8")
    except ValueError:  # not ASCII, not base64, not UTF-8
        return ""
    return text.partition(":")[2]
