"""How `mountvofs` finds the service, and what it says of the credential."""

from __future__ import annotations

import random
import ssl
from argparse import Namespace
from pathlib import Path

from vofs.cache.clock import SystemClock
from vofs.core.errors import NodeError, NodeNotFound, NotAContainer, RemoteError, ServiceUnusable
from vofs.core.nodes import NodeKind
from vofs.core.retrypolicy import RetryPolicy
from vofs.core.uris import ServiceUri, node_uri
from vofs.remote.api import Remote
from vofs.remote.credentials import Anonymous, Certificate, Credential, Token
from vofs.remote.retrying import RetryingRemote


def connect(options: Namespace, service: ServiceUri, credential: Credential) -> Remote:
    """Find the service and see the container with this credential.

    Raises:
        ServiceUnusable: one of the two does not work.
    """
    from vofs.remote.vosclient import VosRemote  # vos reads HOME and VOSPACE_* when imported

    uri = node_uri(service, service.root)
    clock = SystemClock()
    if options.ca_file is not None:
        _check_authorities(options.ca_file)
    try:
        remote = VosRemote(
            service,
            credential,
            insecure=options.insecure,
            ca_file=options.ca_file,
            timeout_s=options.timeout,
            secure_get=options.secure_get,
            clock=clock,
        )
        policy = RetryPolicy(budget_s=options.timeout)
        retrying = RetryingRemote(remote, policy, clock, random.random)
        if retrying.get_node(service.root).kind is not NodeKind.CONTAINER:
            raise NotAContainer(uri)
    except NodeNotFound as exc:
        raise ServiceUnusable(f"{uri} does not exist") from exc
    except NotAContainer as exc:
        raise ServiceUnusable(f"{uri} is not a container: only those can be mounted") from exc
    except (NodeError, RemoteError) as exc:
        raise ServiceUnusable(f"{uri}: {str(exc) or type(exc).__name__}") from exc
    return retrying


def _check_authorities(path: Path) -> None:
    """Make sure that --ca-file names certificates.

    Raises:
        ServiceUnusable: it does not.
    """
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as exc:
        reason = exc.strerror if type(exc) is not ssl.SSLError else "no certificates in PEM form"
        raise ServiceUnusable(f"--ca-file {path}: {reason}") from exc


def phrase(credential: Credential) -> str:
    """What `vofs status` says of the credential: never its secret."""
    match credential:
        case Anonymous():
            return "none: anonymous"
        case Certificate(path, subject, expires_at):
            return f"certificate {path} of {subject}, expires {expires_at:%Y-%m-%d %H:%M} UTC"
        case Token():
            return "token"
