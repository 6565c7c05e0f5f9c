"""What a service run is pointed at, and as whom.

`fake:PERSONALITY` is served in this process, with two users and a group, as a service in use has.
Else the http(s) URL of a service (`.../vault`, or `.../vault/nodes/PATH` to stay below a
container), or a service URI (`vos://cadc.nrc.ca~vault/PATH`, `ivo://cadc.nrc.ca/vault`), looked up
in the registry.

This is the only module of the package that may import fakevospace.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import requests

from conformance.capabilities import GROUP, SECOND_USER, STRICT
from conformance.wire import (
    TIMEOUT_S,
    Connection,
    Credentials,
    Dialect,
    Service,
    WireError,
)

DEFAULT_REGISTRY = "cadc-west-01.canfar.net"
PERSONALITIES = ("vault", "cavern", "datalab", "spec")
FAKE_GROUPS = ("ivo://cadc.nrc.ca/gms?conformance", "ivo://cadc.nrc.ca/gms?conformance-too")


NOBODY = Credentials()


class TargetError(Exception):
    """The target is not one we know, or it could not be brought up."""


@dataclass(frozen=True, slots=True)
class Users:
    """As whom the clauses act; `group` is one of which the second user is a member.

    `another_group` is any other, needed where a service checks that groups exist.
    """

    first: Credentials = NOBODY
    second: Credentials | None = None
    group: str = ""
    another_group: str = ""
    authority_file: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A service that answers, the path below which clauses may work, and the users."""

    service: Service
    base: str
    users: Users

    @property
    def facts(self) -> Mapping[str, bool]:
        """The flags that follow from the users there are."""
        second = self.users.second is not None
        return {
            SECOND_USER: second,
            GROUP: second and bool(self.users.group),
            STRICT: self.users.first != NOBODY,
        }


@contextmanager
def open_service(spec: str, users: Users, dialect: Dialect | None = None) -> Iterator[Target]:
    """The service named by `spec`; a fake has users of its own. Raises TargetError."""
    with ExitStack() as stack:
        try:
            if spec.startswith("fake:"):
                url, base, users = stack.enter_context(_serve_fake(_personality(spec)))
            else:
                url, base = _locate(spec, users)
            connection = Connection(users.first, users.authority_file)
            stack.callback(connection.close)
            service = Service.at(url, connection, dialect, _authority(spec))
            stack.callback(service.anonymous.close)
        except (requests.RequestException, WireError) as exc:
            raise TargetError(f"{spec} does not answer as a VOSpace: {exc}") from exc
        yield Target(service, base, users)


def default_profile(spec: str) -> str | None:
    """The name of the shipped profile for this target: only the fakes have one by themselves."""
    return spec.rpartition("fake:")[2] if spec.startswith("fake:") else None


def _personality(spec: str) -> str:
    name = spec.rpartition(":")[2]
    if name not in PERSONALITIES:
        raise TargetError(f"{spec}: the fake knows {', '.join(PERSONALITIES)}")
    return name


@contextmanager
def _serve_fake(personality: str) -> Iterator[tuple[str, str, Users]]:
    from fakevospace import FakeVOSpace

    first, second = Credentials("first-token"), Credentials("second-token")
    fake = FakeVOSpace(
        personality=personality,
        tokens=(f"owner:{first.token}", f"guest:{second.token}"),
        groups={FAKE_GROUPS[0]: ["guest"], FAKE_GROUPS[1]: []},
    )
    users = Users(first, second, *FAKE_GROUPS)
    with fake, fake.serve() as server:
        registry = f"{server.url}/reg/resource-caps"
        yield next(iter(_registered(registry, None).values())), "", users


def _authority(spec: str) -> str:
    """The authority that a vos: URI states itself; that of a URL is read from its root."""
    parts = urlsplit(spec)
    return parts.netloc if parts.scheme == "vos" else ""


def _locate(spec: str, users: Users) -> tuple[str, str]:
    """The capabilities URL of a service URL or URI, and the path in it."""
    parts = urlsplit(spec)
    if parts.scheme in ("http", "https"):
        service, _, path = spec.rstrip("/").partition("/nodes/")
        return f"{service.removesuffix('/nodes')}/capabilities", unquote(path)
    if parts.scheme == "vos":
        authority = parts.netloc.replace("!", "~").replace("~", "/", 1)
        resource, path = f"ivo://{authority}", unquote(parts.path.strip("/"))
    elif parts.scheme == "ivo":
        resource, path = spec.rstrip("/"), ""
    else:
        raise TargetError(f"{spec} is neither fake:PERSONALITY nor a service URL or URI")
    host = os.environ.get("VOSPACE_WEBSERVICE", DEFAULT_REGISTRY)
    url = f"https://{host}/reg/resource-caps"
    known = _registered(url, users.authority_file)
    if resource not in known:
        raise TargetError(f"{url} does not list {resource}")
    return known[resource], path


def _registered(registry_url: str, authority_file: str | None) -> dict[str, str]:
    answer = requests.get(registry_url, timeout=TIMEOUT_S, verify=authority_file or True)
    answer.raise_for_status()
    lines = (line.partition("=") for line in answer.text.splitlines() if "=" in line)
    return {name.strip(): url.strip() for name, _, url in lines if not name.startswith("#")}
