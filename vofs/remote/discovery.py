"""Finding a service: from its resource id to URLs, a dialect and a session, through the vos client.

Decides, once and before the mount answers, where everything of a service is and what kind of
service it is.  The registry, its cache and the choice of security methods are vos' and cadcutils'
(protocol.md sections 1 and 2), the environment variables that redirect them included.

Invariants: bounded by the timeout although vos asks the registry without one; vos does not ask a
package index for its newest version, which would hold up every start behind a firewall; vos' own
retries are off.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from cadcutils import util
from cadcutils.net import ws
from vos.vos import Client, EndPoints

from vofs.core.errors import NotSupported, RemoteTimeout, RemoteUnavailable, VofsError
from vofs.core.uris import ServiceUri
from vofs.remote.credentials import Anonymous, Certificate, Credential, Token
from vofs.remote.failures import meaning_of

__all__ = ["Access", "Dialect", "Service", "discover", "open_session"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """How a service is reached.

    Attributes:
        uri: the service.
        credential: who we are.
        insecure: TLS certificates of servers are not verified.
        ca_file: PEM file of the authorities to trust instead of the usual ones.
        timeout_s: longest wait in seconds without progress.
    """

    uri: ServiceUri
    credential: Credential
    insecure: bool = False
    ca_file: Path | None = None
    timeout_s: float = 30.0

    @property
    def verify(self) -> bool | str:
        """What requests calls `verify`."""
        if self.insecure:
            return False
        return True if self.ca_file is None else str(self.ca_file)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one service does differently.

    Attributes:
        shortcut: it has /files, so that bytes need no negotiation by document.
        database: nodes in a database and bytes behind pre-authorised URLs (vault); else a file
            system that serves its own bytes (cavern).
        refuses_full_containers: DELETE of a container with children fails; else it would remove
            them.  Services with a recursive-delete job are those whose DELETE is not recursive.
        tells_rights: detail=max answers with readable and writable, as the services do that have
            CADC's other extension, /files.
    """

    shortcut: bool
    database: bool
    refuses_full_containers: bool
    tells_rights: bool


@dataclass(frozen=True, slots=True)
class Service:
    """One service, found.  URLs are without trailing slash; `files` is None without shortcut."""

    nodes: str
    files: str | None
    synctrans: str
    transfers: str
    registry_host: str
    dialect: Dialect


def discover(access: Access) -> Service:
    """Look the service up.

    Raises:
        NotSupported: the registry does not know it, or it offers no VOSpace to this credential.
        RemoteUnavailable: registry or service cannot be reached; RemoteTimeout: in time.
    """
    return _within(access.timeout_s, access.uri.resource_id, lambda: _discover(access))


def open_session(access: Access) -> requests.Session:
    """Return a new session with the credential, for one thread, with vos' retries off."""
    with _quiet():
        endpoints = EndPoints(
            access.uri.resource_id, insecure=access.insecure, **_vos_credential(access.credential)
        )
    return _session_of(endpoints, access)


def _discover(access: Access) -> Service:
    resource_id = access.uri.resource_id
    # vos asks a package index for its newest version, without a timeout, unless it already has.
    if "vos" not in util.check_version.checked:
        util.check_version.checked.append("vos")
    try:
        with _quiet():
            client = Client(insecure=access.insecure, **_vos_credential(access.credential))
            endpoints = client.get_endpoints(f"vos://{access.uri.authority}")
            _session_of(endpoints, access)  # before the first look-up, for `verify`
            urls = {name: _url(endpoints, name) for name in ("nodes", "transfer", "async_transfer")}
            files = _optional_url(endpoints, "files")
            recursive_delete = _optional_url(endpoints, "recursive_del")
    except Exception as exc:
        raise _unusable(resource_id, exc) from exc
    return Service(
        nodes=urls["nodes"],
        files=files,
        synctrans=urls["transfer"],
        transfers=urls["async_transfer"],
        registry_host=_registry_host(),
        dialect=Dialect(
            shortcut=files is not None,
            database="vault" in resource_id,  # vos' own rule (protocol.md 1.5)
            refuses_full_containers=recursive_delete is not None,
            tells_rights=files is not None,
        ),
    )


def _within(timeout_s: float, what: str, call: Callable[[], Service]) -> Service:
    """Run `call` for at most `timeout_s`; after that it is left to its thread."""
    results: list[Service] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as exc:
            failures.append(exc)

    thread = threading.Thread(target=run, name="vofs-discovery", daemon=True)
    thread.start()
    thread.join(timeout_s)
    if results:
        return results[0]
    if failures:
        raise failures[0]
    raise RemoteTimeout(f"{what}: registry or service did not answer within {timeout_s:g} s")


def _session_of(endpoints: Any, access: Access) -> requests.Session:
    web_service = endpoints.conn.ws_client
    web_service.retry = False  # ours is the only loop; set before the session exists
    web_service.verify = access.verify
    session: requests.Session = endpoints.session
    return session


def _vos_credential(credential: Credential) -> dict[str, str]:
    match credential:
        case Certificate(path=path):
            return {"vospace_certfile": str(path)}
        case Token(secret=secret):
            return {"vospace_token": secret}
        case Anonymous():
            return {"vospace_certfile": ""}  # empty, not None: else vos looks for one itself


def _url(endpoints: Any, name: str) -> str:
    url = str(getattr(endpoints, name))
    return url.rstrip("/")


def _optional_url(endpoints: Any, name: str) -> str | None:
    try:
        return _url(endpoints, name)
    except (KeyError, ValueError):  # not among its capabilities, or not for this credential
        return None


def _registry_host() -> str:
    # As vos decides it: protocol.md 1.1.
    for variable in ("VOSPACE_WEBSERVICE", "LOCAL_VOSPACE_WEBSERVICE"):
        if os.environ.get(variable):
            return os.environ[variable]
    return urlsplit(str(ws.DEFAULT_REGISTRY)).netloc


def _unusable(resource_id: str, exc: Exception) -> VofsError:
    """Say in one line why a look-up failed; vos wraps most reasons in an AttributeError."""
    reasons: list[BaseException] = [exc]
    while reasons[-1].__context__ is not None and len(reasons) < 10:
        reasons.append(reasons[-1].__context__)
    for reason in reasons:
        if isinstance(reason, RuntimeError):  # cadcutils: "Cannot get content from URL", no more
            hint = "is the address right, and its certificate trusted (--ca-file)?"
            return RemoteUnavailable(f"{resource_id}: {reason}; {hint}")
        meaning = meaning_of(reason, resource_id, sent=False)
        if meaning is not None:
            return meaning
    if isinstance(reasons[-1], KeyError):
        return NotSupported(f"{resource_id} is no VOSpace: it offers no {reasons[-1].args[0]}")
    if isinstance(reasons[-1], AttributeError):
        return NotSupported(f"the registry {_registry_host()} knows no service {resource_id}")
    return NotSupported(f"{resource_id} cannot be used: {reasons[-1]}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep vos' notices about the environment off the root logger; they go to ours."""
    root = logging.getLogger()
    root.addFilter(_as_debug)
    try:
        yield
    finally:
        root.removeFilter(_as_debug)


def _as_debug(record: logging.LogRecord) -> bool:
    if record.getMessage().startswith("Using custom host"):
        log.debug("%s", record.getMessage())
        return False
    return True
