"""The one container that a run makes, works in, and removes again.

Everything that clauses create is below it; it is removed also after failures and an interrupt.
What cannot be removed is said, never hidden. Links are removed, never followed.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from conformance.wire import Service, WireError, succeed
from conformance.wire.terms import CONTAINER, IS_LOCKED, IS_PUBLIC

PREFIX = "conformance-"
ROUNDS = 100


def fresh_name() -> str:
    """A name that nobody else uses."""
    return f"{PREFIX}{secrets.token_hex(4)}"


@contextmanager
def workspace(service: Service, base: str) -> Iterator[str]:
    """Make a container below `base`; its path is given, and it is gone afterwards.

    Raises WireError when it cannot be made, or when something of it cannot be removed.
    """
    path = f"{base}/{fresh_name()}".lstrip("/")
    try:
        succeed(service.nodes.put(path))
        # Where permissions are properties the second user must be able to come through here. A
        # service without this property refuses it, and has its own way to let others in.
        service.nodes.post(path, CONTAINER, {IS_PUBLIC: "true"})
        yield path
    finally:
        remove_tree(service, path)


def remove_tree(service: Service, path: str) -> None:
    """Delete a node and all below it; one that is missing is fine.

    Raises WireError when something is left.
    """
    answer = service.nodes.get(path)
    if answer.status_code == requests.codes.not_found:
        return
    node = service.nodes.read(path)
    # A service may cap its listings: there is more to see once these are gone.
    for _ in range(ROUNDS):
        if not node.nodes:
            break
        for child in node.nodes:
            inner = f"{path}/{child.name}"
            if child.kind == CONTAINER:
                remove_tree(service, inner)
            else:
                _delete(service, inner, child.kind)
        node = service.nodes.read(path)
    _delete(service, path, node.kind)


def _delete(service: Service, path: str, kind: str) -> None:
    answer = service.nodes.delete(path)
    if answer.status_code == requests.codes.forbidden:
        # A lock that a clause left behind, here or on the container.
        for locked, of_kind in ((path, kind), (path.rpartition("/")[0], CONTAINER)):
            service.nodes.post(locked, of_kind, {IS_LOCKED: "false"})
        answer = service.nodes.delete(path)
    if answer.status_code != requests.codes.not_found and not answer.ok:
        raise WireError(f"left behind: {path}: DELETE answers {answer.status_code} {answer.text}")
